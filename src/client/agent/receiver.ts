/** Takes pushed messages in order, each once: kept, then shown, then acknowledged (R27). */
import type { Clock } from '../../protocol/clock.js';
import { toParleyError } from '../../protocol/errors.js';
import type { PushedMessage } from '../../protocol/events.js';
import type { Log } from './log.js';
import type { ReceivedLog } from './receivedlog.js';

/** How long it waits after a write that failed. */
const RETRY_MS = 1_000;

export interface ReceiverOptions {
  readonly log: Log;
  readonly clock: Clock;
  readonly received: ReceivedLog;
  /** Each message once. */
  readonly onMessage: (message: PushedMessage) => void;
  /** Tells the server that everything up to here is kept; rejects when it cannot be told. */
  readonly acknowledge: (position: number) => Promise<unknown>;
}

export class Receiver {
  readonly #options: ReceiverOptions;
  #account: string | undefined;
  /** Pushed and not kept yet. */
  #waiting: PushedMessage[] = [];
  /** The newest that was kept, and the newest that the server knows to be. */
  #kept = 0;
  #acknowledged = 0;
  #work: 'idle' | 'keeping' | 'closed' = 'idle';
  #acknowledging = false;
  /** Settles when what waits is kept, or could not be. */
  #keeping: Promise<void> = Promise.resolve();
  #cancelRetry: () => void = () => undefined;

  constructor(options: ReceiverOptions) {
    this.#options = options;
  }

  /** A session begins: what was pushed right behind its start may have come before this. */
  begin(account: string, acknowledged: number): void {
    this.#account = account;
    this.#kept = acknowledged;
    this.#acknowledged = acknowledged;
    this.#kick();
  }

  take(message: PushedMessage): void {
    this.#waiting.push(message);
    this.#kick();
  }

  /**
   * What a focus group held is about to be shown: after all that was pushed before, and never again, whoever crashes. When it cannot be
   * written down it is shown all the same.
   */
  async showHeld(ids: readonly string[]): Promise<void> {
    const { received, log } = this.#options;
    const account = this.#account;
    await this.#keeping;
    if (account === undefined || ids.length === 0) return;
    try {
      await received.noteShown(account, ids);
    } catch (thrown) {
      log.error({ reason: toParleyError(thrown).message }, 'what was held may be shown once more after a crash');
    }
  }

  /** The connection is another one: what it pushes begins behind what was acknowledged. */
  lost(): void {
    this.#account = undefined;
    this.#waiting = [];
  }

  /** Idempotent. */
  close(): void {
    this.#work = 'closed';
    this.#cancelRetry();
  }

  #kick(): void {
    if (this.#work === 'idle' && this.#account !== undefined) this.#keeping = this.#keep(this.#account);
  }

  async #keep(account: string): Promise<void> {
    const { received, onMessage, log, clock } = this.#options;
    this.#work = 'keeping';
    while (this.#waiting.length > 0) {
      const batch = this.#waiting.splice(0);
      const unseen = batch.filter((message) => !received.has(account, message));
      const fresh = [...new Map(unseen.map((message) => [message.position, message])).values()];
      try {
        await received.append(account, fresh);
      } catch (thrown) {
        log.error({ reason: toParleyError(thrown).message }, 'messages could not be kept; they stay with the server');
        // Unacknowledged, so that the server pushes no more than its window until there is room.
        this.#waiting.unshift(...batch);
        this.#cancelRetry = clock.after(RETRY_MS, () => this.#kick());
        break;
      }
      for (const message of fresh) onMessage(message);
      this.#kept = batch.at(-1)?.position ?? this.#kept;
      this.#acknowledge().catch(() => undefined); // The connection broke: the next one begins with what is unacknowledged.
    }
    if ((this.#work as string) === 'keeping') this.#work = 'idle';
  }

  /** One acknowledgement at a time; each covers all that was kept by then. */
  async #acknowledge(): Promise<void> {
    if (this.#acknowledging) return;
    this.#acknowledging = true;
    try {
      while (this.#kept > this.#acknowledged) {
        const position = this.#kept;
        await this.#options.acknowledge(position);
        this.#acknowledged = Math.max(this.#acknowledged, position);
      }
    } finally {
      this.#acknowledging = false;
    }
  }
}
