/** What being in a focus group means for a session: what is held from outside, and saying so. */
import type { Clock } from '../protocol/clock.js';
import type { Connection } from '../protocol/connection.js';
import { printable } from '../protocol/values.js';
import type { UserName } from '../protocol/values.js';
import { HELD_NOTICE_INTERVAL_MS, MAX_HELD_NAMES, MAX_HISTORY_BYTES } from './limits.js';
import { encodeNotice } from './notices.js';
import type { GroupRecord, HeldSummary, InboxEntry, MessageStore, UserId } from './storage/port.js';

/** Entries that are read at a time of what was held. */
const HELD_PAGE = 500;

export interface FocusParts {
  readonly group: GroupRecord;
  /** Entries of the inbox behind this position are held unless they are the group's. */
  readonly heldFrom: number;
  /** What was held before this session, when it goes on with what another began. */
  readonly before?: HeldSummary | undefined;
  readonly connection: Connection;
  readonly clock: Clock;
}

export class Focus {
  readonly group: GroupRecord;
  readonly heldFrom: number;
  readonly #connection: Connection;
  readonly #clock: Clock;
  #count: number;
  /** In the order of their first message. */
  readonly #senders: Set<UserName>;
  /** Entries up to here have been counted. */
  #counted: number;
  #notice: 'none due' | 'resting' | 'due' = 'none due';
  #cancel: () => void = () => undefined;

  constructor({ group, heldFrom, before, connection, clock }: FocusParts) {
    this.group = group;
    this.heldFrom = heldFrom;
    this.#connection = connection;
    this.#clock = clock;
    this.#count = before?.count ?? 0;
    this.#senders = new Set(before?.senders);
    this.#counted = before?.upTo ?? heldFrom;
  }

  /** Whether the entry comes from outside; then it is counted, and the user is told soon. */
  holds(position: number, { kind, to, from }: Pick<InboxEntry, 'kind' | 'to' | 'from'>): boolean {
    if (position <= this.heldFrom || (kind === 'group' && to === this.group.name)) return false;
    if (position > this.#counted) {
      this.#counted = position;
      this.#count += 1;
      this.#senders.add(from);
      this.#announce();
    }
    return true;
  }

  /** Nothing more is announced. Idempotent. */
  end(): void {
    this.#cancel();
    this.#notice = 'none due';
  }

  /** At once, and then at most one a while. */
  #announce(): void {
    if (this.#notice !== 'none due') {
      this.#notice = 'due';
      return;
    }
    this.#notice = 'resting';
    const messages = this.#count === 1 ? 'message' : 'messages';
    const names = [...this.#senders].slice(0, MAX_HELD_NAMES).map((name) => printable(name));
    const more = this.#senders.size > names.length ? ', …' : '';
    const text = `${this.#count} ${messages} held: ${names.join(', ')}${more}`;
    const { name } = this.group;
    this.#connection.sendEncodedEvent(encodeNotice('MESSAGES_HELD', this.#clock.epochMs(), { text, group: name }));
    this.#cancel = this.#clock.after(HELD_NOTICE_INTERVAL_MS, () => {
      const isDue = this.#notice === 'due';
      this.#notice = 'none due';
      if (isDue) this.#announce();
    });
  }
}

/** What was held up to this position and is unread, oldest first. */
export async function readHeld(
  storage: Pick<MessageStore, 'entriesAfter'>,
  userId: UserId,
  { heldFrom, group }: Focus,
  upTo: number,
): Promise<InboxEntry[]> {
  const held: InboxEntry[] = [];
  const isOutside = ({ kind, to }: InboxEntry): boolean => kind !== 'group' || to !== group.name;
  let position = heldFrom;
  while (position < upTo) {
    const page = { limit: Math.min(HELD_PAGE, upTo - position), maxBytes: MAX_HISTORY_BYTES };
    const entries = await storage.entriesAfter(userId, position, page);
    const last = entries.at(-1);
    if (last === undefined) break;
    held.push(...entries.filter((entry) => entry.position <= upTo && entry.unread && isOutside(entry)));
    position = last.position;
    await new Promise(setImmediate);
  }
  return held;
}
