/** One call of the other end that is being answered: its signal, its byte streams and its events, each made when it is asked for. */
import type { IncomingCall } from './command.js';
import { CreditGate } from './credit.js';
import { ParleyError } from './errors.js';
import { EMPTY_REPLY_BYTES, HEADER_BYTES, encodeCredit, encodeFrame, writeHeader } from './frame.js';
import { encodeJson } from './json.js';
import { MAX_DATA_BYTES, STREAM_WINDOW_BYTES } from './limits.js';
import type { Wire } from './wire.js';

/** Why a call's signal aborts. One for all: an error for each block that was sent is a twentieth of a holder's time. */
const ENDED = new ParleyError('CANCELLED');

/** Most calls are a question and an answer: a signal and streams that nobody looks at would cost more than both. */
export class ServedCall implements IncomingCall {
  readonly #wire: Wire;
  readonly #id: number;
  /** Whether the handler is to stop, or the call is over. */
  #state: 'open' | 'stopped' | 'over' = 'open';
  #isAnswered = false;
  #abort: AbortController | undefined;
  #credit: CreditGate | undefined;
  #windowBytes = STREAM_WINDOW_BYTES;
  #body: BodyQueue | undefined;

  constructor(wire: Wire, id: number) {
    this.#wire = wire;
    this.#id = id;
  }

  get signal(): AbortSignal {
    if (this.#abort === undefined) {
      this.#abort = new AbortController();
      if (this.#state !== 'open') this.#abort.abort(new ParleyError('CANCELLED'));
    }
    return this.#abort.signal;
  }

  get body(): AsyncIterable<Buffer> {
    return this.#bodyQueue();
  }

  /** Bytes that may leave before the other end grants more; set before any has. */
  set windowBytes(bytes: number) {
    this.#windowBytes = bytes;
  }

  /** The reply went out with the last bytes. */
  get isAnswered(): boolean {
    return this.#isAnswered;
  }

  /** @throws ParleyError CANCELLED */
  throwIfStopped(): void {
    if (this.#state !== 'open') throw new ParleyError('CANCELLED');
  }

  async emit(event: object): Promise<void> {
    await this.#wire.drained(this.signal);
    this.#wire.send(encodeFrame('event', this.#id, encodeJson(event)));
  }

  async write(bytes: Buffer): Promise<void> {
    for (let at = 0; at < bytes.length; at += MAX_DATA_BYTES) {
      const piece = bytes.subarray(at, at + MAX_DATA_BYTES);
      await this.#creditGate().take(piece.length);
      await this.#wire.drained(this.signal);
      this.#wire.send(encodeFrame('data', this.#id, piece));
    }
  }

  writeInPlace(framed: Buffer): Promise<void> {
    return this.#writeInPlace(framed, framed.length - HEADER_BYTES);
  }

  async answerInPlace(room: Buffer, payloadBytes: number): Promise<void> {
    const end = HEADER_BYTES + payloadBytes;
    encodeFrame('reply', this.#id, '{}').copy(room, end);
    await this.#writeInPlace(room.subarray(0, end + EMPTY_REPLY_BYTES), payloadBytes);
    this.#isAnswered = true;
  }

  /** More of the stream after the call. @throws ParleyError PROTOCOL_ERROR when it is more than was granted */
  push(bytes: Buffer): void {
    this.#bodyQueue().push(bytes);
  }

  grant(bytes: number): void {
    this.#creditGate().grant(bytes);
  }

  /** Tells the handler to stop, and wakes it where it waits for credit or for more of the body. */
  stop(): void {
    this.#finish('stopped');
    this.#bodyQueue().close();
  }

  /** What belongs to the call and outlives it (a timer, a waiter) ends with it. */
  end(): void {
    this.#finish('over');
  }

  #finish(state: 'stopped' | 'over'): void {
    this.#state = state;
    this.#abort?.abort(ENDED);
    this.#credit?.close();
  }

  #creditGate(): CreditGate {
    if (this.#credit === undefined) {
      this.#credit = new CreditGate(this.#windowBytes);
      if (this.#state !== 'open') this.#credit.close();
    }
    return this.#credit;
  }

  #bodyQueue(): BodyQueue {
    return (this.#body ??= new BodyQueue((bytes) => this.#wire.send(encodeCredit(this.#id, bytes))));
  }

  async #writeInPlace(framed: Buffer, payloadBytes: number): Promise<void> {
    await this.#creditGate().take(payloadBytes);
    // Without the signal, which is dear to make: whoever cancels is rid of it with the next thing that leaves.
    await this.#wire.drained();
    this.throwIfStopped();
    writeHeader(framed, 0, 'data', this.#id, payloadBytes);
    await this.#wire.sendInPlace(framed);
  }
}

/** A call's byte stream as it comes in: at most a window of it waits, and what is taken is granted again. */
class BodyQueue implements AsyncIterable<Buffer> {
  readonly #grant: (bytes: number) => void;
  #waiting: Buffer[] = [];
  #waitingBytes = 0;
  #ended = false;
  #broken = false;
  #wake: () => void = () => undefined;

  constructor(grant: (bytes: number) => void) {
    this.#grant = grant;
  }

  push(bytes: Buffer): void {
    if (this.#ended) return;
    if (bytes.length === 0) this.#ended = true;
    this.#waitingBytes += bytes.length;
    if (this.#waitingBytes > STREAM_WINDOW_BYTES) {
      throw new ParleyError('PROTOCOL_ERROR', { reason: 'more bytes came than were granted' });
    }
    if (bytes.length > 0) this.#waiting.push(bytes);
    this.#wake();
  }

  /** No more will come: whoever reads it fails with CANCELLED unless the end was there already. */
  close(): void {
    this.#broken = !this.#ended;
    this.#ended = true;
    this.#wake();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Buffer, void, void> {
    while (true) {
      if (this.#broken) throw new ParleyError('CANCELLED');
      const bytes = this.#waiting.shift();
      if (bytes !== undefined) {
        this.#waitingBytes -= bytes.length;
        yield bytes;
        this.#grant(bytes.length);
      } else if (this.#ended) return;
      else await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }
}
