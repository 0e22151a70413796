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
  /** Tells the server that everything up to here is kept. One that does not hear it pushes from before it again. */
  readonly acknowledge: (position: number) => void;
}

export class Receiver {
  readonly #options: ReceiverOptions;
  #account: string | undefined;
  /** Pushed and not kept yet. */
  #waiting: PushedMessage[] = [];
  #work: 'idle' | 'keeping' | 'closed' = 'idle';
  /** Settles when what waits is kept, or could not be. */
  #keeping: Promise<void> = Promise.resolve();
  #cancelRetry: () => void = () => undefined;
  /** Focus groups that are being left. */
  readonly #leaving = new Set<{ readonly group: string }>();

  constructor(options: ReceiverOptions) {
    this.#options = options;
  }

  /** A session begins: what was pushed right behind its start may have come before this. */
  begin(account: string): void {
    this.#account = account;
    this.#kick();
  }

  take(message: PushedMessage): void {
    this.#waiting.push(message);
    this.#kick();
  }

  /**
   * The user leaves a focus group: what the server pushes from outside of it comes behind what it held, and so waits until the function
   * that this returns is called.
   */
  holdBack(group: string): () => void {
    const leaving = { group };
    this.#leaving.add(leaving);
    return () => {
      this.#leaving.delete(leaving);
      this.#kick();
    };
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
    const { received, onMessage, acknowledge, log, clock } = this.#options;
    this.#work = 'keeping';
    for (let batch = this.#next(); batch.length > 0; batch = this.#next()) {
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
      const last = batch.at(-1);
      if (last !== undefined) acknowledge(last.position);
    }
    if ((this.#work as string) === 'keeping') this.#work = 'idle';
  }

  /** What has its turn: all that waits, up to the first that is held back. */
  #next(): PushedMessage[] {
    const isHeldBack = ({ type, to }: PushedMessage): boolean =>
      [...this.#leaving].some(({ group }) => type !== 'group' || to !== group);
    const end = this.#leaving.size === 0 ? -1 : this.#waiting.findIndex(isHeldBack);
    return this.#waiting.splice(0, end < 0 ? this.#waiting.length : end);
  }
}
