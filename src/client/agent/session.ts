/** The user's session with the server: login, reconnect and resume, calls that are tried again. */
import type { Identity } from '../../protocol/certificate.js';
import type { Clock } from '../../protocol/clock.js';
import { pause } from '../../protocol/clock.js';
import type { CommandSpec, ParamsIn, ResultOf } from '../../protocol/command.js';
import { serverCommands } from '../../protocol/commands/server.js';
import type { SessionStart } from '../../protocol/commands/server/login.js';
import type { Connection } from '../../protocol/connection.js';
import { deferred } from '../../protocol/deferred.js';
import type { Deferred } from '../../protocol/deferred.js';
import { ParleyError, toParleyError } from '../../protocol/errors.js';
import type { ErrorCode } from '../../protocol/errors.js';
import { isMessage, messagePlacer, serverEvent } from '../../protocol/events.js';
import type { MessagePlacer, PushedMessage, ServerEvent, TravellingMessage } from '../../protocol/events.js';
import type { CallOptions } from '../../protocol/outgoing.js';
import type { KeyFingerprint } from '../../protocol/values.js';
import type { Pins } from '../../p2p/pins.js';
import type { Address } from './address.js';
import type { Log } from './log.js';
import { TRY_DEADLINE_MS, withRetries } from './retry.js';
import { connectServer, unreachable } from './serverlink.js';
import { aborted, within } from './waiting.js';

/** First and longest pause before the next attempt to reconnect. */
const MIN_BACKOFF_MS = 500;
const MAX_BACKOFF_MS = 10_000;
/** How long somebody waits for one try: a server that can be reached answers sooner. */
const HURRY_MS = 1_000;
/** How long logging out waits for the server. */
const GOODBYE_MS = 2_000;
/** Refusals after which resuming is pointless. */
const FINAL: ReadonlySet<ErrorCode> = new Set([
  'LOGIN_REQUIRED',
  'ALREADY_LOGGED_IN',
  'BAD_CREDENTIALS',
  'KEY_CHANGED',
  'VERSION_MISMATCH',
]);

export interface Credentials {
  readonly address: Address;
  readonly user: string;
  readonly password: string;
  readonly fingerprint?: KeyFingerprint | undefined;
}

export interface SessionOptions {
  readonly identity: Identity;
  readonly pins: Pins;
  readonly clock: Clock;
  readonly log: Log;
  /** Uniform in [0, 1): spreads reconnecting clients over time. */
  readonly random?: () => number;
  /** Sets up what a new connection serves to the server. */
  readonly prepare: (connection: Connection) => void;
  /** Messages as they are pushed: some come again on a new connection. */
  readonly onMessage: (message: PushedMessage) => void;
  readonly onEvent: (event: Exclude<ServerEvent, TravellingMessage>) => void;
  /** The session begins, or goes on, on a new connection; before anything else is done on it. */
  readonly onBegan: (start: SessionStart, address: Address) => void;
  /** The session goes on, on a new connection. */
  readonly onResumed: (start: SessionStart) => void;
  readonly onLost: (reason: ParleyError) => void;
  /** The session is over for good, by the server's will. */
  readonly onEnded: (reason: ParleyError) => void;
}

interface Online {
  readonly kind: 'online';
  readonly connection: Connection;
  readonly start: SessionStart;
  readonly address: Address;
}
export type SessionState =
  | { readonly kind: 'out' }
  | { readonly kind: 'joining' }
  | Online
  | {
      readonly kind: 'away';
      readonly start: SessionStart;
      readonly address: Address;
      readonly comeback: Deferred<void>;
    }
  | { readonly kind: 'over' };

export class Session {
  readonly #options: SessionOptions;
  readonly #stopped = new AbortController();
  #state: SessionState = { kind: 'out' };
  /** Ends the pause before the next try to come back. */
  #endPause: () => void = () => undefined;
  /** Resolves when that try is over. */
  #tried = deferred<void>();

  constructor(options: SessionOptions) {
    this.#options = options;
  }

  get state(): SessionState {
    return this.#state;
  }

  /**
   * Begins the session.
   * @throws ParleyError SERVER_UNREACHABLE, KEY_CHANGED, BAD_CREDENTIALS, LOCKED_OUT, ALREADY_LOGGED_IN, SERVER_BUSY, CANCELLED
   */
  async login(credentials: Credentials, signal?: AbortSignal): Promise<SessionStart> {
    if (this.#state.kind !== 'out') throw new Error('a session logs in once');
    this.#state = { kind: 'joining' };
    try {
      const { address, user, password, fingerprint } = credentials;
      return await this.#begin(address, fingerprint, signal, (connection, options) =>
        connection.call(serverCommands.login, { user, password }, options),
      );
    } finally {
      // `#begin` moved on when it went well.
      if ((this.#state as SessionState).kind === 'joining') this.#state = { kind: 'out' };
    }
  }

  /**
   * Calls a command of the server.
   * @throws ParleyError LOGIN_REQUIRED before login; SERVER_UNREACHABLE while the server is away; the command's refusals
   */
  async call<S extends CommandSpec>(spec: S, params: ParamsIn<S>, options: CallOptions = {}): Promise<ResultOf<S>> {
    const state = this.#state;
    if (state.kind === 'online' && state.connection.isOpen) return state.connection.call(spec, params, options);
    if (state.kind === 'online') throw unreachable(state.address, 'the connection is closing');
    if (state.kind === 'away') throw unreachable(state.address, 'the connection was lost, the agent keeps trying');
    throw new ParleyError('LOGIN_REQUIRED');
  }

  /** Tells the server something that it need not answer; while it is away nothing. */
  tell<S extends CommandSpec>(spec: S, params: ParamsIn<S>): void {
    const state = this.#state;
    if (state.kind === 'online') state.connection.tell(spec, params);
  }

  /**
   * As `call`, and again when nobody answers, on this connection or the next: for what is harmless to ask twice.
   * @param options.wasAsked is told before each try whether one before it may have reached the server
   */
  callAgain<S extends CommandSpec>(
    spec: S,
    params: ParamsIn<S>,
    { wasAsked, ...options }: CallOptions & { wasAsked?: (before: boolean) => void } = {},
  ): Promise<ResultOf<S>> {
    let before = false;
    const { signal = this.#stopped.signal } = options;
    return withRetries(
      async () => {
        wasAsked?.(before);
        await this.hurry();
        before ||= this.#state.kind === 'online';
        return this.call(spec, params, { deadlineMs: TRY_DEADLINE_MS, ...options });
      },
      async (ms) => {
        const over = new AbortController();
        const back = this.#state.kind === 'away' ? [this.untilOnline(over.signal)] : [];
        await Promise.race([pause(this.#options.clock, ms, AbortSignal.any([signal, over.signal])), ...back]);
        over.abort();
        signal.throwIfAborted();
      },
    );
  }

  /**
   * Somebody waits: while the server is away it is tried at once, for it may be back long before the next try would be due. Resolves
   * when that was tried, or after HURRY_MS.
   */
  async hurry(): Promise<void> {
    if (this.#state.kind !== 'away') return;
    this.#endPause();
    await within(HURRY_MS, this.#options.clock, this.#tried.promise);
  }

  /** Resolves when the session is on a connection, is over, or the signal aborts. */
  async untilOnline(signal: AbortSignal): Promise<void> {
    if (this.#state.kind === 'away') await Promise.race([this.#state.comeback.promise, aborted(signal)]);
  }

  /** Ends the session for good: logs out when the server can be reached, and stops trying when not. Idempotent. */
  async end(): Promise<void> {
    const state = this.#state;
    this.#state = { kind: 'over' };
    this.#stopped.abort();
    if (state.kind === 'away') state.comeback.resolve();
    if (state.kind !== 'online') return;
    // Whatever it says, we are gone.
    await state.connection.call(serverCommands.endSession, {}, { deadlineMs: GOODBYE_MS }).catch(() => undefined);
    await state.connection.close();
  }

  async #begin(
    address: Address,
    fingerprint: KeyFingerprint | undefined,
    signal: AbortSignal | undefined,
    enter: (connection: Connection, options: CallOptions) => Promise<SessionStart>,
  ): Promise<SessionStart> {
    const stopped = this.#stopped.signal;
    const both = signal === undefined ? stopped : AbortSignal.any([stopped, signal]);
    const { identity, pins, clock, prepare } = this.#options;
    const place = messagePlacer();
    const onEvent = (event: unknown): void => this.#receive(event, place);
    const connection = await connectServer({
      address,
      identity,
      pins,
      fingerprint,
      clock,
      signal: both,
      onEvent,
      prepare,
    });
    try {
      const start = await enter(connection, { signal: both });
      both.throwIfAborted();
      if (!connection.isOpen) throw unreachable(address, 'it closed the connection');
      this.#state = { kind: 'online', connection, start, address };
      this.#options.onBegan(start, address);
      void connection.closed.then((reason) => this.#lose(connection, reason));
      return start;
    } catch (thrown) {
      void connection.close();
      throw toParleyError(thrown);
    }
  }

  #lose(connection: Connection, reason: ParleyError | undefined): void {
    const state = this.#state;
    if (state.kind !== 'online' || state.connection !== connection) return;
    const { start, address } = state;
    const why = reason ?? unreachable(address, 'the connection was closed');
    if (FINAL.has(why.code) || start.token === undefined) {
      this.#finish(why);
      return;
    }
    this.#options.log.warn({ code: why.code, reason: why.message }, 'connection to the server lost');
    this.#state = { kind: 'away', start, address, comeback: deferred() };
    this.#options.onLost(why);
    this.#comeBack(address, start.token).catch((thrown: unknown) => this.#finish(toParleyError(thrown)));
  }

  /** Tries until the session goes on or is over. */
  async #comeBack(address: Address, token: string): Promise<void> {
    const { clock, log, random = Math.random } = this.#options;
    for (let ceiling = 2 * MIN_BACKOFF_MS; ; ceiling = Math.min(2 * ceiling, MAX_BACKOFF_MS)) {
      const pauseMs = MIN_BACKOFF_MS + random() * (ceiling - MIN_BACKOFF_MS);
      const hurried = new AbortController();
      this.#endPause = () => hurried.abort();
      await pause(clock, pauseMs, AbortSignal.any([this.#stopped.signal, hurried.signal]));
      const away = this.#state;
      if (away.kind !== 'away') return;
      try {
        const start = await this.#begin(address, undefined, undefined, (connection, options) =>
          connection.call(serverCommands.resume, { token }, options),
        );
        log.info({}, 'session resumed');
        this.#options.onResumed(start);
        away.comeback.resolve();
        return;
      } catch (thrown) {
        const error = toParleyError(thrown);
        if (FINAL.has(error.code)) throw error;
        log.debug({ code: error.code, reason: error.message }, 'could not reconnect');
      } finally {
        this.#tried.resolve();
        this.#tried = deferred();
      }
    }
  }

  #finish(reason: ParleyError): void {
    const state = this.#state;
    if (state.kind === 'over') return;
    this.#state = { kind: 'over' };
    this.#stopped.abort();
    if (state.kind === 'away') state.comeback.resolve();
    this.#options.onEnded(reason);
  }

  #receive(value: unknown, place: MessagePlacer): void {
    const parsed = serverEvent.safeParse(value);
    if (!parsed.success) {
      this.#options.log.warn({}, 'the server sent an event of an unknown form');
      return;
    }
    const event = parsed.data;
    if (isMessage(event)) this.#options.onMessage(place(event));
    else this.#options.onEvent(event);
  }
}
