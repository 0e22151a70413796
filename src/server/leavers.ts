/** Who leaves a focus group without a word: whom to expect back, and whom to ask whether they are there. */
import type { Clock } from '../protocol/clock.js';
import { GROUP_LAG_MS, TAKEOVER_PING_MS } from './limits.js';
import type { Log } from './log.js';
import type { Presence } from './presence.js';
import type { Session } from './session.js';
import type { FocusMember, RecipientOutcome, UserId } from './storage/port.js';

export interface LeaversParts {
  readonly presence: Presence;
  readonly clock: Clock;
  readonly log: Log;
  /** Ends the session of a member who does not answer. */
  readonly endDead: (session: Session) => Promise<void>;
  /** Removes a member who is still expected when their turn comes. */
  readonly remove: (member: FocusMember) => Promise<void>;
}

export class Leavers {
  readonly #parts: LeaversParts;
  /** Members whose session broke, until they are removed or back. */
  readonly #expected = new Map<UserId, () => void>();
  /** Positions that members have yet to acknowledge, until it is looked. */
  readonly #unanswered = new Map<UserId, number>();
  #cancelLook: (() => void) | undefined;
  #isClosed = false;

  constructor(parts: LeaversParts) {
    this.#parts = parts;
  }

  /** Who is not back in time is removed. */
  expect(member: FocusMember, graceMs: number): void {
    if (this.#isClosed) return;
    this.forget(member.user.id);
    const cancel = this.#parts.clock.after(graceMs, () => this.#remove(member));
    this.#expected.set(member.user.id, cancel);
  }

  /** The user is back, or removed; false when they were not expected. */
  forget(userId: UserId): boolean {
    this.#expected.get(userId)?.();
    return this.#expected.delete(userId);
  }

  /** A message to a focus group was stored: who does not acknowledge it in a while is asked whether they are there. */
  watch(outcomes: readonly RecipientOutcome[]): void {
    if (this.#isClosed) return;
    for (const outcome of outcomes) {
      if (!('position' in outcome) || this.#unanswered.has(outcome.userId)) continue;
      this.#unanswered.set(outcome.userId, outcome.position);
    }
    this.#cancelLook ??= this.#parts.clock.after(GROUP_LAG_MS, () => this.#look());
  }

  /** Idempotent. */
  close(): void {
    this.#isClosed = true;
    this.#cancelLook?.();
    for (const userId of [...this.#expected.keys()]) this.forget(userId);
  }

  #remove(member: FocusMember): void {
    const { remove, log } = this.#parts;
    remove(member).catch((error: unknown) => log.warn({ err: error }, 'could not remove from a group'));
  }

  /** Only the server removes, and only after it has asked itself. */
  #look(): void {
    this.#cancelLook = undefined;
    const { presence, log } = this.#parts;
    const lagging = [...this.#unanswered];
    this.#unanswered.clear();
    for (const [userId, position] of lagging) {
      const session = presence.get(userId);
      if (session?.focus === undefined || session.pump.acknowledged >= position) continue;
      this.#ask(session).catch((error: unknown) => log.warn({ err: error }, 'could not end a silent session'));
    }
  }

  async #ask(session: Session): Promise<void> {
    if (await session.connection.alive(TAKEOVER_PING_MS)) return;
    const { focus, user } = session;
    // Else another session of the user has taken over meanwhile, or the end of this one is being seen to.
    if (focus === undefined || this.#parts.presence.get(user.id) !== session) return;
    await this.#parts.endDead(session);
    this.#remove({ user, group: focus.group, heldFrom: focus.heldFrom });
  }
}
