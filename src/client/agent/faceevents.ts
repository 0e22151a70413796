/** What happens, told to every face that listens. */
import type { Clock } from '../../protocol/clock.js';
import type { ParleyError } from '../../protocol/errors.js';
import { NOTICE_CODES } from '../../protocol/events.js';
import type { FaceEvent, NoticeCode } from '../../protocol/events.js';

/** Events that wait for one face that does not read; beyond it the face is dropped, never the agent. */
const MAX_WAITING_EVENTS = 2_000;
/** Who speaks in the agent's own notices: a name that no user can have. */
const AGENT = 'system';

export interface Subscription extends AsyncIterable<FaceEvent> {
  /** No more events; those that wait are still given out, and then the reason is thrown when there is one. */
  end(reason?: ParleyError): void;
}

export interface NoticeOptions {
  readonly from?: string | undefined;
  readonly text?: string | undefined;
}

export class FaceEvents {
  readonly #clock: Clock;
  readonly #subscribers = new Set<Queue>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  publish(event: FaceEvent): void {
    for (const subscriber of this.#subscribers) subscriber.push(event);
  }

  /** Publishes a notice of the agent's own; `text` when the code's own sentence does not say enough. */
  notice(code: NoticeCode, options: NoticeOptions = {}): void {
    this.publish(this.makeNotice(code, options));
  }

  makeNotice(code: NoticeCode, { from = AGENT, text = NOTICE_CODES[code] }: NoticeOptions = {}): FaceEvent {
    return { type: 'notice', code, from, text, at: this.now() };
  }

  /** Now, as events carry it. */
  now(): string {
    return new Date(this.#clock.epochMs()).toISOString();
  }

  /** Everything from now on; `overrun` is called once when the subscriber does not keep up. */
  subscribe(overrun: () => void): Subscription {
    const queue: Queue = new Queue(overrun, () => this.#subscribers.delete(queue));
    this.#subscribers.add(queue);
    return queue;
  }

  /** Ends every subscription, with the reason when there is one. */
  end(reason?: ParleyError): void {
    for (const subscriber of [...this.#subscribers]) subscriber.end(reason);
  }
}

class Queue implements Subscription {
  readonly #overrun: () => void;
  readonly #onEnd: () => void;
  #waiting: FaceEvent[] = [];
  #ended = false;
  #reason: ParleyError | undefined;
  #wake: () => void = () => undefined;

  constructor(overrun: () => void, onEnd: () => void) {
    this.#overrun = overrun;
    this.#onEnd = onEnd;
  }

  push(event: FaceEvent): void {
    if (this.#waiting.length >= MAX_WAITING_EVENTS) {
      this.#waiting = [];
      this.end();
      this.#overrun();
      return;
    }
    this.#waiting.push(event);
    this.#wake();
  }

  end(reason?: ParleyError): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#reason = reason;
    this.#onEnd();
    this.#wake();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<FaceEvent, void, void> {
    while (true) {
      const waiting = this.#waiting;
      this.#waiting = [];
      yield* waiting;
      if (this.#waiting.length > 0) continue;
      if (this.#reason !== undefined) throw this.#reason;
      if (this.#ended) return;
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }
}
