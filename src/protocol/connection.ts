/**
 * The one Connection: hello, calls both ways with events and byte streams, cancel, events, ping, back-pressure, close.
 * The same class serves agent-server, peer-peer and face-agent over any Duplex. Ids of calls are odd from the dialer, even from
 * the listener. A call is answered by any number of event and data frames, then exactly one reply or error.
 */
import type { Duplex } from 'node:stream';
import { IncomingCalls } from './incoming.js';
import type { Answer } from './incoming.js';
import { OutgoingCalls, parseError } from './outgoing.js';
import type { CallOptions } from './outgoing.js';
import { deferred } from './deferred.js';
import { systemClock } from './clock.js';
import type { Clock } from './clock.js';
import type { CommandSpec, ParamsIn, ResultOf } from './command.js';
import { ParleyError } from './errors.js';
import { FULL_CAPS, encodeFrame } from './frame.js';
import type { Frame, FrameCaps } from './frame.js';
import { parseHello } from './hello.js';
import type { Hello } from './hello.js';
import { decodeJson, encodeJson } from './json.js';
import type { Landing } from './landing.js';
import { LOGIN_DEADLINE_MS, MAX_QUEUED_EVENT_BYTES } from './limits.js';
import { Wire } from './wire.js';

export interface ConnectionOptions {
  readonly hello: Hello;
  /** The dialer greets first; the listener answers once it has found the greeting good. */
  readonly end: 'dialer' | 'listener';
  /** Throws a ParleyError to refuse the other end after its hello. */
  readonly checkHello?: (theirs: Hello) => void;
  readonly caps?: FrameCaps;
  readonly clock?: Clock;
  /** Queued output in bytes above which nothing more is read (default 256 KiB). Links that stream blocks both ways need more than a block. */
  readonly pauseAboveBytes?: number;
  /** The duplex was opened with its `onread`: blocks land where `into` of their call says, without a copy. */
  readonly landing?: Landing | undefined;
  /** What calls fail with when the connection is lost. */
  readonly lost?: (reason: string) => ParleyError;
  /** Events of the connection itself, unchecked. */
  readonly onEvent?: (event: unknown) => void;
}

type HelloState = { kind: 'awaited'; cancelDeadline: () => void } | { kind: 'exchanged'; theirs: Hello };

export class Connection {
  readonly #ready = deferred<Hello>();
  readonly #closed = deferred<ParleyError | undefined>();
  /** The other end's hello, once both have greeted; rejects when it never does. */
  readonly ready: Promise<Hello> = this.#ready.promise;
  /** Resolves once, when the connection is gone; with the reason when it was not closed in good order. Never rejects. */
  readonly closed: Promise<ParleyError | undefined> = this.#closed.promise;
  readonly #options: ConnectionOptions;
  readonly #wire: Wire;
  readonly #outgoing: OutgoingCalls;
  readonly #incoming: IncomingCalls;
  #hello: HelloState;
  /** What the other end said before it closed. */
  #farewell: ParleyError | undefined;

  constructor(duplex: Duplex, options: ConnectionOptions) {
    this.#options = options;
    const clock = options.clock ?? systemClock;
    this.ready.catch(() => undefined); // Whoever waits for it sees the failure; nobody has to.
    this.#wire = new Wire(duplex, {
      clock,
      caps: options.caps ?? FULL_CAPS,
      pauseAboveBytes: options.pauseAboveBytes ?? MAX_QUEUED_EVENT_BYTES,
      bodyFor: (kind, id, bytes) => (kind === 'data' ? this.#outgoing.bodyFor(id, bytes) : undefined),
      landing: options.landing,
      onFrame: (frame) => this.#receive(frame),
      onClose: (error) => this.#onClose(error),
    });
    this.#outgoing = new OutgoingCalls(this.#wire, clock, options.end === 'dialer' ? 1 : 2);
    this.#incoming = new IncomingCalls(this.#wire);
    const cancelDeadline = clock.after(LOGIN_DEADLINE_MS, () => {
      this.#wire.close(new ParleyError('TIMEOUT', { seconds: LOGIN_DEADLINE_MS / 1000 }));
    });
    this.#hello = { kind: 'awaited', cancelDeadline };
    if (options.end === 'dialer') this.#greet();
  }

  get isOpen(): boolean {
    return this.#wire.isOpen;
  }

  get queuedBytes(): number {
    return this.#wire.queuedBytes;
  }

  /** Resolves when the link takes more output; at once when it does. Rejects when the signal aborts or the connection closes. */
  drained(signal?: AbortSignal): Promise<void> {
    return this.#wire.drained(signal);
  }

  /** Calls of the other end that are being answered. */
  get servingCalls(): number {
    return this.#incoming.size;
  }

  /**
   * Calls a command of the other end.
   * @throws ParleyError the other end's refusal; TIMEOUT after `deadlineMs` of silence; what `lost` makes when the link breaks
   */
  async call<S extends CommandSpec>(spec: S, params: ParamsIn<S>, options: CallOptions = {}): Promise<ResultOf<S>> {
    await this.ready;
    return this.#outgoing.call(spec, params, options);
  }

  /** As `call` of a command that is `tellable`, but nobody answers. Nothing is sent before the hellos, or after the end. */
  tell<S extends CommandSpec>(spec: S, params: ParamsIn<S>): void {
    if (this.#hello.kind === 'exchanged') {
      this.#wire.send(encodeFrame('call', 0, encodeJson({ command: spec.name, params })));
    }
  }

  /** Answers the other end's calls of these commands; every other is refused with UNKNOWN_COMMAND. Calls that came before wait for it. */
  serve(specs: Readonly<Record<string, CommandSpec>>, answer: Answer): void {
    this.#incoming.serve(specs, answer);
  }

  /** Pushes an event; a reader that leaves more than 256 KiB of them unread is cut off (R18). */
  sendEvent(event: object): void {
    this.sendEncodedEvent(encodeEvent(event));
  }

  /** Pushes an event that `encodeEvent` encoded once for many connections. */
  sendEncodedEvent(frame: Buffer): void {
    if (this.#wire.queuedBytes + frame.length > MAX_QUEUED_EVENT_BYTES) {
      this.destroy(new ParleyError('PROTOCOL_ERROR', { reason: 'events are not being read' }));
      return;
    }
    this.#wire.send(frame);
  }

  /** True when the other end answers a ping within `timeoutMs`. */
  alive(timeoutMs: number): Promise<boolean> {
    return this.#wire.alive(timeoutMs);
  }

  /** Raises the caps of what is taken from the other end, once it has shown who it is. */
  raiseCaps(caps: FrameCaps = FULL_CAPS): void {
    this.#wire.caps = caps;
  }

  /** Lets what is queued out, says why when there is an error, ends, and waits until the link is gone. Idempotent. */
  async close(error?: ParleyError): Promise<void> {
    this.#wire.close(error);
    await this.closed;
  }

  /** Tears the link down at once. Idempotent. */
  destroy(error?: ParleyError): void {
    this.#wire.destroy(error);
  }

  #greet(): void {
    this.#wire.send(encodeFrame('hello', 0, encodeJson(this.#options.hello)));
  }

  #receive(frame: Frame): void {
    if (frame.kind === 'error' && frame.id === 0) {
      this.#farewell = parseError(decodeJson(frame.payload));
      this.#wire.destroy(this.#farewell);
      return;
    }
    if (this.#hello.kind === 'awaited') {
      this.#receiveHello(frame, this.#hello.cancelDeadline);
      return;
    }
    switch (frame.kind) {
      case 'call':
      case 'cancel':
        if (frame.id !== 0 && this.#outgoing.owns(frame.id))
          throw new ParleyError('PROTOCOL_ERROR', { reason: 'an id of the wrong parity' });
        this.#incoming.receive(frame);
        return;
      case 'data':
      case 'credit':
        if (this.#outgoing.owns(frame.id)) this.#outgoing.receive(frame);
        else this.#incoming.receive(frame);
        return;
      case 'event':
        if (frame.id === 0) this.#options.onEvent?.(decodeJson(frame.payload));
        else this.#outgoing.receive(frame);
        return;
      case 'reply':
      case 'error':
        this.#outgoing.receive(frame);
        return;
      case 'hello':
      case 'ping':
      case 'pong':
        throw new ParleyError('PROTOCOL_ERROR', { reason: `a ${frame.kind} frame came out of turn` });
    }
  }

  #receiveHello(frame: Frame, cancelDeadline: () => void): void {
    if (frame.kind !== 'hello' || frame.id !== 0) {
      throw new ParleyError('PROTOCOL_ERROR', { reason: 'the first frame is no hello' });
    }
    const theirs = parseHello(decodeJson(frame.payload));
    this.#options.checkHello?.(theirs);
    cancelDeadline();
    this.#hello = { kind: 'exchanged', theirs };
    if (this.#options.end === 'listener') this.#greet();
    this.#ready.resolve(theirs);
  }

  #onClose(error: ParleyError | undefined): void {
    if (this.#hello.kind === 'awaited') this.#hello.cancelDeadline();
    const reason = this.#farewell ?? error;
    const lost = this.#options.lost ?? ((why): ParleyError => new ParleyError('PROTOCOL_ERROR', { reason: why }));
    const why = this.#farewell ?? lost(reason?.message ?? 'the connection was closed');
    this.#ready.reject(why);
    this.#outgoing.abandon(why);
    this.#incoming.abandon();
    this.#closed.resolve(reason);
  }
}

/** An event frame, ready for `sendEncodedEvent` on any number of connections. */
export function encodeEvent(event: object): Buffer {
  return encodeFrame('event', 0, encodeJson(event));
}
