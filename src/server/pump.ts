/** Pushes a user's inbox to their client in order, from where it was acknowledged, at most a window ahead of it. */
import type { Connection } from '../protocol/connection.js';
import { encodeFrame } from '../protocol/frame.js';
import type { Focus } from './focus.js';
import { PUMP_PAGE_BYTES, PUMP_PAUSE_BYTES, PUSH_WINDOW } from './limits.js';
import type { InboxEntry, MessageStore, UserId } from './storage/port.js';

/** A pushed message, encoded once for all its recipients: without its position, which most need not be told. */
export interface PushBody {
  readonly frame: Buffer;
  readonly json: string;
}

export function pushBody(entry: Pick<InboxEntry, 'id' | 'kind' | 'from' | 'to' | 'text' | 'sentAt'>): PushBody {
  const { id, kind, from, to, text, sentAt } = entry;
  const json = JSON.stringify({ type: kind, id, from, to, text, at: new Date(sentAt).toISOString() });
  return { frame: encodeFrame('event', 0, json), json };
}

/** By which a focus group knows what it holds. */
export type PushedEntry = Pick<InboxEntry, 'kind' | 'to' | 'from'>;

export interface PumpParts {
  readonly userId: UserId;
  readonly connection: Connection;
  readonly storage: Pick<MessageStore, 'entriesAfter'>;
  /** Everything up to here has been acknowledged. */
  readonly acknowledged: number;
  readonly onError: (error: unknown) => void;
  /** Entries that a focus group holds were passed over, and everything up to here counts as acknowledged. */
  readonly onPassed: (position: number) => void;
}

export class Pump {
  readonly #parts: PumpParts;
  #pushed: number;
  #acknowledged: number;
  /** Of the message that went over this connection last. */
  #told: number | undefined;
  /** What it holds is passed over. */
  focus: Focus | undefined = undefined;
  /** Passed over, behind entries that are not acknowledged. */
  readonly #passed = new Set<number>();
  /** Between `hold` and `release`. */
  #isPaused = false;
  /** `idle`: all that the inbox has was pushed or passed over. `behind`: it has more, or may have. */
  #state: 'held' | 'idle' | 'behind' | 'running' | 'again' = 'held';

  constructor(parts: PumpParts) {
    this.#parts = parts;
    this.#pushed = parts.acknowledged;
    this.#acknowledged = parts.acknowledged;
  }

  get acknowledged(): number {
    return this.#acknowledged;
  }

  /** Everything up to here was pushed or passed over. */
  get pushed(): number {
    return this.#pushed;
  }

  /** Entries that were pushed and not acknowledged yet. */
  get unacknowledged(): number {
    return this.#pushed - this.#acknowledged;
  }

  /** Begins to push, or goes on: the client knows by now that its session stands, or what `hold` was for. */
  release(): void {
    this.#isPaused = false;
    if (this.#state === 'held') this.#state = 'behind';
    this.wake();
  }

  /** Pushes no more until `release`: what comes belongs behind an answer that is being made. */
  hold(): void {
    this.#isPaused = true;
  }

  /** Says that the inbox has more. A wake that is lost only delays. */
  wake(): void {
    if (this.#state === 'running') this.#state = 'again';
    else if (this.#state === 'idle') this.#state = 'behind';
    if (this.#state !== 'behind' || this.#isPaused) return;
    this.#state = 'running';
    this.#run().catch(this.#parts.onError);
  }

  /** The entry at `position` was just stored: pushed as it is when everything before it was, otherwise read in its turn. */
  offer(position: number, entry: PushedEntry, body: PushBody): void {
    if (this.#state !== 'idle' || this.#isPaused || position !== this.#pushed + 1) this.wake();
    else if (this.focus?.holds(position, entry) === true) this.#pass(position);
    else if (this.#hasRoom()) this.#push(position, body);
    else this.wake();
  }

  /** The client has everything up to `position`; it cannot have what was not pushed. Returns where it is then. */
  acknowledge(position: number): number {
    const reached = Math.min(position, this.#pushed);
    if (reached > this.#acknowledged) {
      for (const passed of this.#passed) if (passed <= reached) this.#passed.delete(passed);
      this.#acknowledged = reached;
      this.#skipPassed();
      if (this.#state !== 'idle') this.wake();
    }
    return this.#acknowledged;
  }

  /** The client never sees it, so that nobody can acknowledge it but the server itself. */
  #pass(position: number): void {
    this.#pushed = position;
    this.#passed.add(position);
    const before = this.#acknowledged;
    this.#skipPassed();
    if (this.#acknowledged > before) this.#parts.onPassed(this.#acknowledged);
  }

  #skipPassed(): void {
    while (this.#passed.delete(this.#acknowledged + 1)) this.#acknowledged += 1;
  }

  #hasRoom(): boolean {
    const { connection } = this.#parts;
    return this.#pushed - this.#acknowledged < PUSH_WINDOW && connection.queuedBytes < PUMP_PAUSE_BYTES;
  }

  /** A message without a position has the next one after that of the message before it. */
  #push(position: number, { frame, json }: PushBody): void {
    const { connection } = this.#parts;
    if (position === (this.#told ?? -1) + 1) connection.sendEncodedEvent(frame);
    else connection.sendEncodedEvent(encodeFrame('event', 0, `{"position":${position},${json.slice(1)}`));
    this.#told = position;
    this.#pushed = position;
  }

  async #run(): Promise<void> {
    const { connection, storage, userId } = this.#parts;
    let end: 'idle' | 'behind' = 'behind';
    try {
      while (connection.isOpen && !this.#isPaused && this.#pushed - this.#acknowledged < PUSH_WINDOW) {
        this.#state = 'running';
        if (!this.#hasRoom()) await connection.drained();
        const limit = PUSH_WINDOW - (this.#pushed - this.#acknowledged);
        const entries = await storage.entriesAfter(userId, this.#pushed, { limit, maxBytes: PUMP_PAGE_BYTES });
        if (this.#pausedMeanwhile()) break;
        for (const entry of entries) {
          if (this.focus?.holds(entry.position, entry) === true) this.#pass(entry.position);
          else if (!this.#hasRoom()) break;
          else this.#push(entry.position, pushBody(entry));
        }
        if (entries.length === 0 && !this.#wokenMeanwhile()) {
          end = 'idle';
          break;
        }
      }
    } finally {
      this.#state = end;
    }
  }

  #pausedMeanwhile(): boolean {
    return this.#isPaused;
  }

  #wokenMeanwhile(): boolean {
    return this.#state === 'again';
  }
}
