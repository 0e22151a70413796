/** Store, then wake: messages are appended and committed, then their recipients' pumps push them; acknowledged positions are kept. */
import type { Clock } from '../protocol/clock.js';
import type { Connection } from '../protocol/connection.js';
import { ParleyError } from '../protocol/errors.js';
import { MAX_CONTROL_BYTES } from '../protocol/limits.js';
import { newMessageId } from '../protocol/messageid.js';
import { parseMessageText } from '../protocol/values.js';
import { AppendQueue } from './append.js';
import { ACKNOWLEDGE_AT_ONCE, ACKNOWLEDGE_DELAY_MS, PUSH_OVERHEAD_BYTES } from './limits.js';
import type { Log } from './log.js';
import type { Presence } from './presence.js';
import { Pump, pushBody } from './pump.js';
import type { PushBody, PushedEntry } from './pump.js';
import type { Session } from './session.js';
import type { AppendOutcome, MessageStore, NewMessage, RecipientOutcome, UserId } from './storage/port.js';
import type { Tally } from './tally.js';

/** Users whose acknowledgements are written together: about a millisecond. */
const ACKNOWLEDGEMENTS_A_TURN = 256;

export interface ConversationsParts {
  readonly storage: MessageStore;
  readonly presence: Presence;
  readonly clock: Clock;
  readonly log: Log;
  readonly tally: Tally;
  /** Messages were stored. */
  readonly onStored: () => void;
}

/** What a handler makes of a message; the sender and the time are the server's. */
export interface Draft {
  readonly kind: NewMessage['kind'];
  readonly to: string;
  readonly text: string;
  readonly recipients: readonly UserId[];
  /** The answer unless this id was stored before; then there are no recipients. */
  readonly refusal?: ParleyError;
}

/** What the client says of a message besides what it is. */
export interface Envelope {
  /** Made by the client; made here when absent. */
  readonly id?: string | undefined;
  /** The sender's own order (R27). */
  readonly number?: number | undefined;
}

export interface Sent {
  readonly id: string;
  readonly outcome: Exclude<AppendOutcome, { readonly kind: 'gap' | 'used' }>;
  /** What it would be refused with now; but it was stored before, and whoever asks again did not hear so. */
  readonly refusal: ParleyError | undefined;
}

export class Conversations {
  readonly #storage: MessageStore;
  readonly #presence: Presence;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #tally: Tally;
  readonly #queue: AppendQueue;
  /** Acknowledged positions that are not written yet. */
  readonly #unwritten = new Map<UserId, number>();
  /** Positions as they were last written, of users who are online. */
  readonly #written = new Map<UserId, number>();
  /** Users whose positions are to be written in the next turn. */
  #due: UserId[] = [];
  #cancelWrite: (() => void) | undefined;

  constructor({ storage, presence, clock, log, tally, onStored }: ConversationsParts) {
    this.#storage = storage;
    this.#presence = presence;
    this.#clock = clock;
    this.#log = log;
    this.#tally = tally;
    this.#queue = new AppendQueue(storage, (messages, outcomes, seconds) => {
      tally.onCommit(messages.length, seconds);
      this.#wake(messages, outcomes);
      onStored();
    });
  }

  /**
   * Appends a message of this session, behind those it sent before; resolves when it is durable. Whatever `prepare` throws, or
   * refuses with, is the answer, and nothing is stored; a refusal for good uses the number up, so that the next one is no gap. But
   * what was stored before stays so, whatever has changed since: `refusal` is then for the caller to weigh.
   * @throws ParleyError OUT_OF_ORDER (`expected`), BAD_REQUEST, SERVER_BUSY, DISK_FULL
   */
  async send(session: Session, envelope: Envelope, prepare: () => Promise<Draft>): Promise<Sent> {
    const id = envelope.id ?? newMessageId(this.#clock.epochMs());
    const order = orderOf(session, envelope);
    const { stored, refusal } = await session.sending.run(async () => {
      const draft = await prepare().catch((thrown: unknown) => refused(thrown, order !== undefined));
      const { kind, to, text, recipients } = draft;
      const message: NewMessage = {
        messageId: id,
        senderId: session.user.id,
        senderName: session.user.name,
        kind,
        to,
        text,
        sentAt: this.#clock.epochMs(),
        recipients,
        order,
      };
      // In an object: the next message need not wait for this one's commit.
      return { stored: this.#queue.add(message), refusal: draft.refusal };
    });
    const outcome = await stored;
    if (refusal !== undefined && outcome.kind !== 'duplicate') throw refusal;
    if (outcome.kind === 'gap') throw new ParleyError('OUT_OF_ORDER', { expected: outcome.expected });
    if (outcome.kind === 'used') throw new ParleyError('OUT_OF_ORDER', { expected: await this.#nextNumber(session) });
    return { id, outcome, refusal };
  }

  /** A pump for a session that begins after `acknowledged`. */
  pump(userId: UserId, connection: Connection, acknowledged: number): Pump {
    this.#written.set(userId, acknowledged);
    return new Pump({
      userId,
      connection,
      storage: this.#storage,
      acknowledged,
      onError: (error) => {
        if (connection.isOpen) this.#log.warn({ err: error, userId }, 'could not push messages');
      },
      onPassed: (position) => this.#note(userId, position),
    });
  }

  /** Notes that the session's client has everything up to `position`; written down soon, since losing it only repeats pushes. */
  acknowledge(session: Session, position: number): void {
    const before = session.pump.acknowledged;
    const reached = session.pump.acknowledge(position);
    this.#tally.delivered += reached - before;
    this.#note(session.user.id, reached);
  }

  #note(userId: UserId, reached: number): void {
    const written = this.#written.get(userId) ?? 0;
    if (reached <= written) return;
    this.#unwritten.set(userId, reached);
    if (reached - written < ACKNOWLEDGE_AT_ONCE) {
      this.#cancelWrite ??= this.#clock.after(ACKNOWLEDGE_DELAY_MS, () => void this.#writeAll());
      return;
    }
    // Who got the same messages acknowledges them at the same time.
    this.#due.push(userId);
    if (this.#due.length === 1) setImmediate(() => void this.#write(this.#due.splice(0)));
  }

  /** Writes down how far this user has acknowledged. */
  writeAcknowledged(userId: UserId): Promise<void> {
    return this.#write([userId]);
  }

  /** The session is over: what it acknowledged is written, and nothing of it kept here. */
  async detach(session: Session): Promise<void> {
    await this.writeAcknowledged(session.user.id);
    if (this.#presence.get(session.user.id) === undefined) this.#written.delete(session.user.id);
  }

  /** Resolves when everything sent is stored or refused, and every acknowledgement written. */
  async settled(): Promise<void> {
    await this.#queue.settled();
    await this.#writeAll();
  }

  async #nextNumber({ user, origin }: Session): Promise<number> {
    return origin.key === undefined ? 1 : this.#storage.nextNumber(user.id, origin.key.fingerprint);
  }

  async #writeAll(): Promise<void> {
    this.#cancelWrite?.();
    this.#cancelWrite = undefined;
    const userIds = [...this.#unwritten.keys()];
    while (userIds.length > 0) {
      await this.#write(userIds.splice(0, ACKNOWLEDGEMENTS_A_TURN));
      await new Promise(setImmediate);
    }
  }

  async #write(userIds: readonly UserId[]): Promise<void> {
    const reached = new Map<UserId, number>();
    for (const userId of userIds) {
      const position = this.#unwritten.get(userId);
      if (position === undefined) continue;
      this.#unwritten.delete(userId);
      this.#written.set(userId, position);
      reached.set(userId, position);
    }
    if (reached.size === 0) return;
    try {
      await this.#storage.acknowledge(reached);
    } catch (error) {
      this.#log.warn({ err: error, users: reached.size }, 'could not write down what was acknowledged');
    }
  }

  #wake(messages: readonly NewMessage[], outcomes: readonly AppendOutcome[]): void {
    const stored: Stored[] = [];
    for (const [index, message] of messages.entries()) {
      const outcome = outcomes[index];
      if (outcome?.kind !== 'stored') continue;
      this.#tally.stored[message.kind] += 1;
      this.#tally.copies += outcome.recipients.length;
      const { messageId: id, kind, senderName: from, to, text, sentAt } = message;
      stored.push({ entry: { kind, to, from }, body: pushBody({ id, kind, from, to, text, sentAt }), ...outcome });
    }
    for (let first = 0; first < stored.length;) {
      let end = first + 1;
      while (end < stored.length && haveSameRecipients(stored[first], stored[end])) end += 1;
      this.#offer(stored.slice(first, end));
      first = end;
    }
  }

  /** Messages to the same recipients: all of them to one, then to the next, since a thousand pumps do not fit the processor's cache. */
  #offer(stored: readonly Stored[]): void {
    for (const [at, { userId }] of (stored[0]?.recipients ?? []).entries()) {
      const pump = this.#presence.get(userId)?.pump;
      if (pump === undefined) continue;
      for (const { entry, body, recipients } of stored) {
        const recipient = recipients[at];
        if (recipient !== undefined && 'position' in recipient) pump.offer(recipient.position, entry, body);
      }
    }
  }
}

/** A message that was stored for these. */
interface Stored {
  readonly entry: PushedEntry;
  readonly body: PushBody;
  readonly recipients: readonly RecipientOutcome[];
}

function haveSameRecipients(a: Stored | undefined, b: Stored | undefined): boolean {
  if (a === undefined || a.recipients.length !== b?.recipients.length) return false;
  return a.recipients.every(({ userId }, at) => b.recipients[at]?.userId === userId);
}

/** @throws ParleyError BAD_REQUEST */
function orderOf({ origin }: Session, { number }: Envelope): NewMessage['order'] {
  if (number === undefined) return undefined;
  if (origin.key !== undefined) return { device: origin.key.fingerprint, number };
  const reason = 'number counts the messages of a key, and this connection showed none';
  throw new ParleyError('BAD_REQUEST', { command: 'message', reason });
}

/** What is stored of a message that was refused for good: nothing, but its number is used up. */
function refused(thrown: unknown, hasNumber: boolean): Draft {
  if (!hasNumber || !(thrown instanceof ParleyError) || thrown.retryable) throw thrown;
  return { kind: 'message', to: '', text: '', recipients: [], refusal: thrown };
}

/**
 * A text that may be sent to `to`: as a pushed event, with everything around it, it has to fit a frame. When that is what it does not,
 * `bytes` and `limit` of the refusal are of the text in JSON, where a control character takes up to 6 bytes.
 * @throws ParleyError EMPTY_MESSAGE, MESSAGE_TOO_LONG
 */
export function sendableText(text: string, to = ''): string {
  const checked = parseMessageText(text);
  const bytes = Buffer.byteLength(JSON.stringify(checked));
  const limit = MAX_CONTROL_BYTES - PUSH_OVERHEAD_BYTES - Buffer.byteLength(JSON.stringify(to));
  if (bytes > limit) throw new ParleyError('MESSAGE_TOO_LONG', { bytes, limit });
  return checked;
}
