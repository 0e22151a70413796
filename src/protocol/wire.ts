/** Frames in and out of a Duplex: gathers small writes, honours back-pressure, pings, notices the dead, closes once. */
import type { Duplex } from 'node:stream';
import type { Clock } from './clock.js';
import { ParleyError, toParleyError } from './errors.js';
import { FrameDecoder, encodeFrame } from './frame.js';
import type { BodyFor, Frame, FrameCaps } from './frame.js';
import { encodeJson } from './json.js';
import type { Landing } from './landing.js';
import { DEAD_AFTER_MS, PING_INTERVAL_MS } from './limits.js';

/** How long a closing end waits for the other before the socket is torn down. */
const CLOSE_GRACE_MS = 2_000;

export interface WireOptions {
  readonly clock: Clock;
  readonly caps: FrameCaps;
  /** Queued output above which nothing more is read, so that answers cannot pile up for an end that does not read. */
  readonly pauseAboveBytes: number;
  /** Where payloads are to be put. */
  readonly bodyFor?: BodyFor;
  /** The duplex gives its bytes to this instead of `data` events. */
  readonly landing?: Landing | undefined;
  readonly onFrame: (frame: Frame) => void;
  /** Called once; `undefined` when either end closed in good order. */
  readonly onClose: (error: ParleyError | undefined) => void;
}

type WireState = { kind: 'open' } | { kind: 'closing'; error: ParleyError | undefined } | { kind: 'closed' };

export class Wire {
  readonly #duplex: Duplex;
  readonly #options: WireOptions;
  readonly #decoder: FrameDecoder;
  #state: WireState = { kind: 'open' };
  #gathered: Buffer[] = [];
  #gatheredBytes = 0;
  #congested = false;
  #drainWaiters: (() => void)[] = [];
  #pongWaiters: (() => void)[] = [];
  #lastReceivedMs: number;
  #cancelPing: () => void = () => undefined;

  constructor(duplex: Duplex, options: WireOptions) {
    this.#duplex = duplex;
    this.#options = options;
    this.#decoder = new FrameDecoder(options.caps, options.bodyFor);
    this.#lastReceivedMs = options.clock.monotonicMs();
    duplex.on('data', (bytes: Buffer) => this.#receive(bytes));
    if (options.landing !== undefined) {
      this.#decoder.keeps = true;
      options.landing.attach({ room: () => this.#decoder.room, take: (target, length) => this.#land(target, length) });
    }
    duplex.on('drain', () => this.#drain());
    duplex.on('end', () => this.destroy());
    duplex.on('error', (cause) =>
      this.destroy(new ParleyError('PROTOCOL_ERROR', { reason: cause.message }, { cause })),
    );
    duplex.on('close', () => this.destroy());
    this.#watch();
  }

  get isOpen(): boolean {
    return this.#state.kind === 'open';
  }

  /** Bytes accepted by `send` and not yet taken by the operating system. */
  get queuedBytes(): number {
    return this.#gatheredBytes + this.#duplex.writableLength;
  }

  get congested(): boolean {
    return this.#congested;
  }

  set caps(caps: FrameCaps) {
    this.#decoder.caps = caps;
  }

  /** Queues a whole frame; frames of one turn of the loop leave in one write. */
  send(frame: Buffer): void {
    if (this.#state.kind !== 'open') return;
    this.#gathered.push(frame);
    this.#gatheredBytes += frame.length;
    if (this.#gathered.length === 1) queueMicrotask(() => this.#flush());
  }

  /** Writes one large frame without a copy, behind what was gathered. Resolves when its memory may be used again. */
  async sendInPlace(frame: Buffer): Promise<void> {
    if (this.#state.kind !== 'open') return;
    this.#flush();
    await new Promise<void>((resolve) => this.#write(frame, () => resolve()));
  }

  /** Resolves when the duplex takes more; at once when it does. Rejects when the signal aborts or the wire closes. */
  async drained(signal?: AbortSignal): Promise<void> {
    while (this.#congested) {
      signal?.throwIfAborted();
      await new Promise<void>((resolve) => {
        const wake = (): void => {
          signal?.removeEventListener('abort', wake);
          resolve();
        };
        signal?.addEventListener('abort', wake, { once: true });
        this.#drainWaiters.push(wake);
      });
      if (this.#state.kind !== 'open') throw new ParleyError('CANCELLED');
    }
    signal?.throwIfAborted();
  }

  /** Sends a ping; true when anything at all came back within `timeoutMs`. */
  async alive(timeoutMs: number): Promise<boolean> {
    if (this.#state.kind !== 'open') return false;
    return new Promise((resolve) => {
      const cancel = this.#options.clock.after(timeoutMs, () => resolve(false));
      this.#pongWaiters.push(() => {
        cancel();
        resolve(this.#state.kind === 'open');
      });
      this.#ping();
    });
  }

  /** Says why (when there is an error), lets queued frames out, then ends. Idempotent. */
  close(error?: ParleyError): void {
    if (this.#state.kind !== 'open') return;
    if (error !== undefined) this.send(encodeFrame('error', 0, encodeJson(errorPayload(error))));
    this.#flush();
    this.#state = { kind: 'closing', error };
    this.#duplex.resume();
    this.#duplex.end();
    this.#cancelPing();
    this.#cancelPing = this.#options.clock.after(CLOSE_GRACE_MS, () => this.destroy(error));
  }

  /** Tears down at once. Idempotent. */
  destroy(error?: ParleyError): void {
    if (this.#state.kind === 'closed') return;
    const reason = this.#state.kind === 'closing' ? this.#state.error : error;
    this.#state = { kind: 'closed' };
    this.#cancelPing();
    this.#gathered = [];
    this.#gatheredBytes = 0;
    this.#congested = false;
    if (!this.#duplex.destroyed) this.#duplex.destroy();
    this.#wake(this.#drainWaiters.splice(0));
    this.#wake(this.#pongWaiters.splice(0));
    this.#options.onClose(reason);
  }

  #flush(): void {
    if (this.#gathered.length === 0 || this.#state.kind !== 'open') return;
    const frames = this.#gathered;
    const bytes = this.#gatheredBytes;
    this.#gathered = [];
    this.#gatheredBytes = 0;
    this.#write(joined(frames, bytes));
  }

  #write(bytes: Buffer, written: () => void = () => undefined): void {
    if (!this.#duplex.write(bytes, written)) this.#congested = true;
    if (this.#duplex.writableLength > this.#options.pauseAboveBytes) this.#duplex.pause();
  }

  #drain(): void {
    this.#congested = false;
    if (this.#state.kind === 'open') this.#duplex.resume();
    this.#wake(this.#drainWaiters.splice(0));
  }

  #wake(waiters: (() => void)[]): void {
    for (const wake of waiters) wake();
  }

  /** The middle of a block needs no more than counting. */
  #land(target: Buffer, length: number): void {
    if (this.#decoder.landed(target, length)) this.#lastReceivedMs = this.#options.clock.monotonicMs();
    else this.#receive(target.subarray(0, length));
  }

  #receive(bytes: Buffer): void {
    this.#lastReceivedMs = this.#options.clock.monotonicMs();
    if (this.#state.kind !== 'open') return;
    try {
      for (const frame of this.#decoder.push(bytes)) {
        if (frame.kind === 'ping') this.send(encodeFrame('pong', 0, frame.payload));
        else if (frame.kind !== 'pong') this.#options.onFrame(frame);
        if (this.#pongWaiters.length > 0) this.#wake(this.#pongWaiters.splice(0));
        if (!this.isOpen) return;
      }
    } catch (thrown) {
      this.close(toParleyError(thrown));
    }
  }

  #ping(): void {
    this.send(encodeFrame('ping', 0, Buffer.alloc(8)));
  }

  /** Looks again when the silence would call for a ping, or have lasted too long. */
  #watch(): void {
    const silentMs = this.#options.clock.monotonicMs() - this.#lastReceivedMs;
    const toNextPing = PING_INTERVAL_MS - (silentMs % PING_INTERVAL_MS);
    this.#cancelPing = this.#options.clock.after(toNextPing, () => this.#onSilence());
  }

  #onSilence(): void {
    const silentMs = this.#options.clock.monotonicMs() - this.#lastReceivedMs;
    if (silentMs >= DEAD_AFTER_MS) {
      this.destroy(new ParleyError('TIMEOUT', { seconds: Math.round(silentMs / 1000) }));
      return;
    }
    if (silentMs >= PING_INTERVAL_MS) this.#ping();
    this.#watch();
  }
}

/** What was joined last, in this turn: what goes to many connections is joined once. */
let last: { readonly frames: readonly Buffer[]; readonly whole: Buffer } | undefined;

function joined(frames: readonly Buffer[], bytes: number): Buffer {
  const [first] = frames;
  if (frames.length === 1 && first !== undefined) return first;
  if (last?.frames.length === frames.length && last.frames.every((frame, index) => frame === frames[index])) {
    return last.whole;
  }
  if (last === undefined) setImmediate(() => (last = undefined));
  last = { frames, whole: Buffer.concat(frames, bytes) };
  return last.whole;
}

/** An error as it travels; the cause and the stack stay here. */
export function errorPayload(error: ParleyError): object {
  return { code: error.code, message: error.message, details: error.details };
}
