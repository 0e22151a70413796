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
  /** Calls that leave a focus group. */
  #leaving = 0;
  /** Pushed behind the answer to such a call. */
  #behind: PushedMessage[] | undefined;

  constructor(options: ReceiverOptions) {
    this.#options = options;
  }

  /** A session begins: what was pushed right behind its start may have come before this. */
  begin(account: string): void {
    this.#account = account;
    this.#kick();
  }

  take(message: PushedMessage): void {
    (this.#behind ?? this.#waiting).push(message);
    this.#kick();
  }

  /** The user asks to leave a focus group; the answer has been passed on when the function that this returns is called. */
  leaving(): () => void {
    this.#leaving += 1;
    return () => {
      this.#leaving -= 1;
      if (this.#leaving > 0) return;
      this.#waiting.push(...(this.#behind ?? []));
      this.#behind = undefined;
      this.#kick();
    };
  }

  /** The server says that the focus group is left: what it pushes from here on comes behind the answer, which has what was held. */
  left(): void {
    if (this.#leaving > 0) this.#behind ??= [];
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
    this.#behind = undefined;
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
      const last = batch.at(-1);
      if (last !== undefined) acknowledge(last.position);
    }
    if ((this.#work as string) === 'keeping') this.#work = 'idle';
  }
}
