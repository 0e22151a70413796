/** The background agent: owns the session and all that lives as long as it, and serves faces over the control socket. */
import type { Identity } from '../../protocol/certificate.js';
import { systemClock } from '../../protocol/clock.js';
import type { Clock } from '../../protocol/clock.js';
import type { Connection } from '../../protocol/connection.js';
import { deferred } from '../../protocol/deferred.js';
import { ParleyError, toParleyError } from '../../protocol/errors.js';
import type { ServerEvent } from '../../protocol/events.js';
import type { SessionStart } from '../../protocol/commands/server/login.js';
import { nameKey } from '../../protocol/values.js';
import { loadIdentity } from '../../p2p/identity.js';
import { Pins } from '../../p2p/pins.js';
import { formatAddress, parseAddress } from './address.js';
import type { Address } from './address.js';
import { startControl } from './control.js';
import type { Control } from './control.js';
import { FaceEvents } from './faceevents.js';
import { serveFace } from './handlers.js';
import type { AgentHandlers } from './handlers.js';
import { silentLog } from './log.js';
import type { Log } from './log.js';
import type { Account, AgentParts, LoginRequest } from './parts.js';
import { PrivateLog } from './privatelog.js';
import { Renewal } from './renewal.js';
import { Session, aborted } from './session.js';
import { sessionHandlers } from './sessionhandlers.js';

/** How long an agent that was started for a login waits for one. */
export const STANDBY_MS = 10_000;
/** How long an ending agent waits for the calls of its faces to end. */
const LAST_WORDS_MS = 2_000;

export interface AgentOptions {
  /** The folder of this user's state; made when it is not there. */
  readonly home: string;
  /** Where direct links come in; all interfaces and any port when absent. */
  readonly listen?: Address | undefined;
  /** Ends by itself when nobody logs in within STANDBY_MS, or the login fails. */
  readonly standby?: boolean | undefined;
  readonly log?: Log | undefined;
  readonly clock?: Clock | undefined;
  /** Uniform in [0, 1): spreads reconnecting and renewing over time. */
  readonly random?: (() => number) | undefined;
}

type Phase =
  | { readonly kind: 'out' }
  | { readonly kind: 'joining'; readonly request: LoginRequest; readonly joined: Promise<Account> }
  | { readonly kind: 'in'; readonly account: Account }
  | { readonly kind: 'closing' };

/**
 * Takes the home and serves faces from then on.
 * @throws ParleyError AGENT_RUNNING, STATE_DAMAGED, DISK_FULL
 */
export async function startAgent(options: AgentOptions): Promise<Agent> {
  const clock = options.clock ?? systemClock;
  // A face that is there before the rest is open waits for it.
  const opened = deferred<Agent>();
  opened.promise.catch(() => undefined);
  let agent: Agent | undefined;
  const control = await startControl({
    home: options.home,
    clock,
    ready: opened.promise,
    onFace: (face) => agent?.serve(face),
  });
  try {
    const [identity, pins, privateLog] = await Promise.all([
      loadIdentity(options.home),
      Pins.open(options.home),
      PrivateLog.open(options.home),
    ]);
    agent = new Agent(options, clock, { control, identity, pins, privateLog });
    opened.resolve(agent);
    return agent;
  } catch (thrown) {
    const error = toParleyError(thrown);
    opened.reject(error);
    await control.close(error);
    throw error;
  }
}

interface Owned {
  readonly control: Control;
  readonly identity: Identity;
  readonly pins: Pins;
  readonly privateLog: PrivateLog;
}

export class Agent {
  readonly #log: Log;
  readonly #owned: Owned;
  readonly #parts: AgentParts;
  readonly #handlers: AgentHandlers;
  readonly #ended = deferred<ParleyError | undefined>();
  /** Resolves once everything is closed; with the reason when neither logout nor `close` was why. Never rejects. */
  readonly ended: Promise<ParleyError | undefined> = this.#ended.promise;
  #phase: Phase = { kind: 'out' };
  #closing: Promise<void> | undefined;
  #shuttingDown: Promise<void> | undefined;
  readonly #calls = new Set<Promise<unknown>>();
  #cancelStandby: () => void = () => undefined;

  /** For `startAgent`. */
  constructor(options: AgentOptions, clock: Clock, owned: Owned) {
    const { log = silentLog, random } = options;
    const { identity, pins, privateLog } = owned;
    const spread = random === undefined ? {} : { random };
    const events = new FaceEvents(clock);
    const session = new Session({
      identity,
      pins,
      clock,
      log,
      ...spread,
      prepare: () => undefined,
      onEvent: (event) => this.#receive(event),
      onOnline: (start, how) => this.#onOnline(start, how),
      onLost: () => events.notice('CONNECTION_LOST'),
      onEnded: (reason) => void this.close(reason),
    });
    const renewal = new Renewal({ session, clock, ...spread, isNeeded: () => false });
    this.#log = log;
    this.#owned = owned;
    this.#parts = {
      clock,
      log,
      session,
      events,
      renewal,
      privateLog,
      calls: this.#calls,
      account: () => this.#account(),
      accountIfAny: () => (this.#phase.kind === 'in' ? this.#phase.account : undefined),
      afterForward: async () => {},
    };
    this.#handlers = {
      ...sessionHandlers(this.#parts, {
        login: (request) => this.login(request),
        logout: () => this.#shutDown(),
        close: (reason) => void this.close(reason),
        standby: options.standby === true,
      }),
    } as AgentHandlers;
    if (options.standby === true) {
      this.#cancelStandby = clock.after(STANDBY_MS, () => void this.close(new ParleyError('LOGIN_REQUIRED')));
    }
  }

  /** Serves one face's connection. */
  serve(face: Connection): void {
    if (this.#phase.kind === 'closing') void face.close(new ParleyError('LOGIN_REQUIRED'));
    else serveFace(face, this.#handlers, this.#parts);
  }

  /**
   * Logs in. Faces that ask for the same login at the same time share one.
   * @throws ParleyError ALREADY_LOGGED_IN, SERVER_UNREACHABLE, KEY_CHANGED, BAD_CREDENTIALS, LOCKED_OUT, USAGE
   */
  async login(request: LoginRequest): Promise<Account> {
    const phase = this.#phase;
    if (phase.kind === 'closing') throw new ParleyError('LOGIN_REQUIRED');
    if (phase.kind === 'in') {
      const { user, server } = phase.account;
      throw new ParleyError('ALREADY_LOGGED_IN', { user, where: `from here, at ${server}` });
    }
    if (phase.kind === 'joining') {
      if (sameRequest(phase.request, request)) return phase.joined;
      throw new ParleyError('ALREADY_LOGGED_IN', { user: phase.request.user, where: 'from here, just now' });
    }
    this.#cancelStandby();
    const joined = this.#join(request);
    this.#phase = { kind: 'joining', request, joined };
    try {
      return await joined;
    } catch (thrown) {
      if ((this.#phase as Phase).kind === 'joining') this.#phase = { kind: 'out' };
      throw thrown;
    }
  }

  /** Ends everything in good order, telling faces the reason when there is one. Idempotent. */
  close(reason?: ParleyError): Promise<void> {
    this.#closing ??= this.#close(reason);
    return this.#closing;
  }

  async #join({ server, user, password, fingerprint }: LoginRequest): Promise<Account> {
    const address = parseAddress(server);
    const start = await this.#parts.session.login({ address, user, password, fingerprint });
    const account = { user: start.user, server: formatAddress(address) };
    // Before anybody waits for it: a message may be right behind.
    this.#phase = { kind: 'in', account };
    this.#log.info(account, 'logged in');
    return account;
  }

  #account(): Account {
    if (this.#phase.kind !== 'in') throw new ParleyError('LOGIN_REQUIRED');
    return this.#phase.account;
  }

  #receive(event: ServerEvent): void {
    this.#parts.events.publish(event);
  }

  #onOnline(start: SessionStart, how: 'login' | 'resume'): void {
    this.#parts.renewal.start(start);
    if (how === 'resume') this.#parts.events.notice('CONNECTION_RESTORED');
  }

  /** All but the control socket, so that the face that asked for it still gets its answer. */
  #shutDown(): Promise<void> {
    this.#shuttingDown ??= this.#endParts();
    return this.#shuttingDown;
  }

  async #endParts(): Promise<void> {
    this.#phase = { kind: 'closing' };
    this.#owned.control.stopListening();
    this.#cancelStandby();
    this.#parts.renewal.stop();
    await this.#parts.session.end();
    await this.#owned.privateLog.close();
  }

  /** Lets the calls that are ending be answered. */
  async #lastWords(): Promise<void> {
    const late = new AbortController();
    const cancel = this.#parts.clock.after(LAST_WORDS_MS, () => late.abort());
    await Promise.race([Promise.allSettled(this.#calls), aborted(late.signal)]);
    cancel();
    await new Promise(setImmediate); // Replies are sent when their handlers have returned.
  }

  async #close(reason: ParleyError | undefined): Promise<void> {
    if (reason !== undefined) this.#log.info({ code: reason.code, reason: reason.message }, 'the agent ends');
    await this.#shutDown().catch((thrown: unknown) =>
      this.#log.error({ reason: toParleyError(thrown).message }, 'could not end in good order'),
    );
    this.#parts.events.end();
    await this.#lastWords();
    await this.#owned.control.close(reason);
    this.#ended.resolve(reason);
  }
}

function sameRequest(a: LoginRequest, b: LoginRequest): boolean {
  return nameKey(a.user) === nameKey(b.user) && a.server === b.server && a.password === b.password;
}
