/** The background agent: owns the session and all that lives as long as it, and serves faces over the control socket. */
import { systemClock } from '../../protocol/clock.js';
import type { Clock } from '../../protocol/clock.js';
import type { ParamsOf } from '../../protocol/command.js';
import type { agentCommands } from '../../protocol/commands/agent.js';
import type { SessionStart } from '../../protocol/commands/server/login.js';
import type { Connection } from '../../protocol/connection.js';
import { deferred } from '../../protocol/deferred.js';
import { ParleyError, toParleyError } from '../../protocol/errors.js';
import { nameKey } from '../../protocol/values.js';
import { unwritable } from '../../chunks/fserrors.js';
import { loadIdentity } from '../../p2p/identity.js';
import { Pins } from '../../p2p/pins.js';
import { accountKey } from './account.js';
import type { Account } from './account.js';
import { formatAddress, parseAddress } from './address.js';
import type { Address } from './address.js';
import { startControl } from './control.js';
import type { Control } from './control.js';
import { FaceServer } from './faceserver.js';
import { fileHandlers } from './filehandlers.js';
import { silentLog } from './log.js';
import type { Log } from './log.js';
import { assemble } from './parts.js';
import type { AgentParts, PartsOptions } from './parts.js';
import { privateHandlers } from './privatehandlers.js';
import { OutboxEntries } from './outboxentries.js';
import { PrivateLog } from './privatelog.js';
import { ReceivedLog } from './receivedlog.js';
import { sessionHandlers } from './sessionhandlers.js';
import { ShareIndex } from './shareindex.js';
import { within } from './waiting.js';

/** How long an agent that was started for a login waits for one. */
export const STANDBY_MS = 10_000;
/** How long an ending agent waits for the calls of its faces to end. */
const LAST_WORDS_MS = 2_000;
/** How long a login waits until others can connect here and know what is shared; it goes on without the answer then. */
const SETTLE_MS = 1_000;

export interface AgentOptions {
  /** The folder of this user's state; made when it is not there. */
  readonly home: string;
  /** Where direct links come in; all interfaces and any port when absent. */
  readonly listen?: Address | undefined;
  /** Bytes a second of what others fetch from here: in all, and over each link; no limit when absent. */
  readonly uploadLimit?: number | undefined;
  readonly uploadLimitPerLink?: number | undefined;
  /** Ends by itself when nobody logs in within STANDBY_MS, or the login fails. */
  readonly standby?: boolean | undefined;
  readonly log?: Log | undefined;
  readonly clock?: Clock | undefined;
  /** Uniform in [0, 1): spreads reconnecting and renewing over time. */
  readonly random?: (() => number) | undefined;
}

export type LoginRequest = ParamsOf<typeof agentCommands.login>;

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
    const [identity, pins, index] = await Promise.all([
      loadIdentity(options.home),
      Pins.open(options.home),
      ShareIndex.open(options.home),
    ]);
    // Last, for they are files that stay open.
    const logs = await openLogs(options.home);
    agent = new Agent(options, clock, control, { identity, pins, ...logs, index });
    opened.resolve(agent);
    return agent;
  } catch (thrown) {
    const error = toParleyError(unwritable(options.home, thrown));
    opened.reject(error);
    await control.close(error);
    throw error;
  }
}

type Logs = Pick<PartsOptions, 'privateLog' | 'received' | 'outboxEntries'>;
type Opened = Pick<PartsOptions, 'identity' | 'pins' | 'index'> & Logs;

async function openLogs(home: string): Promise<Logs> {
  const opened: { close(): Promise<void> }[] = [];
  const keep = <T extends { close(): Promise<void> }>(log: T): T => {
    opened.push(log);
    return log;
  };
  try {
    return {
      privateLog: keep(await PrivateLog.open(home)),
      received: keep(await ReceivedLog.open(home)),
      outboxEntries: keep(await OutboxEntries.open(home)),
    };
  } catch (error) {
    await Promise.all(opened.map((log) => log.close()));
    throw error;
  }
}

export class Agent {
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #control: Control;
  readonly #parts: AgentParts;
  readonly #received: ReceivedLog;
  readonly #faces: FaceServer;
  readonly #ended = deferred<ParleyError | undefined>();
  /** Resolves once everything is closed; with the reason when neither logout nor `close` was why. Never rejects. */
  readonly ended: Promise<ParleyError | undefined> = this.#ended.promise;
  #phase: Phase = { kind: 'out' };
  #shuttingDown: Promise<void> | undefined;
  #closing: Promise<void> | undefined;
  #cancelStandby: () => void = () => undefined;

  /** For `startAgent`. */
  constructor(options: AgentOptions, clock: Clock, control: Control, opened: Opened) {
    const { home, listen, uploadLimit, uploadLimitPerLink, standby = false, log = silentLog, random } = options;
    this.#clock = clock;
    this.#log = log;
    this.#control = control;
    this.#received = opened.received;
    this.#parts = assemble({
      ...opened,
      home,
      listen,
      uploadLimit,
      uploadLimitPerLink,
      clock,
      log,
      ...(random === undefined ? {} : { random }),
      account: () => this.#account(),
      onResumed: (start) => this.#onResumed(start),
      onEnded: (reason) => void this.close(reason),
    });
    this.#faces = new FaceServer(this.#parts, {
      ...sessionHandlers(this.#parts, {
        login: (request) => this.login(request),
        logout: () => this.#shutDown(),
        close: () => void this.close(),
        account: () => (this.#phase.kind === 'in' ? this.#phase.account : undefined),
        standby,
      }),
      ...fileHandlers(this.#parts),
      ...privateHandlers(this.#parts.chats),
    });
    if (standby) {
      this.#cancelStandby = clock.after(STANDBY_MS, () => void this.close(new ParleyError('LOGIN_REQUIRED')));
    }
  }

  /** Serves one face's connection. */
  serve(face: Connection): void {
    if (this.#phase.kind === 'closing') void face.close(new ParleyError('LOGIN_REQUIRED'));
    else this.#faces.serve(face);
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
    const { session, peers } = this.#parts;
    await peers.listen();
    const start = await session.login({ address, user, password, fingerprint });
    const account = { user: start.user, server: formatAddress(address) };
    this.#phase = { kind: 'in', account };
    this.#log.info(account, 'logged in');
    await within(SETTLE_MS, this.#clock, this.#settle(account, start));
    return account;
  }

  /** All that is done at each beginning of a session. Never rejects. */
  async #settle(account: Account, start: SessionStart): Promise<void> {
    const { peers, library, renewal } = this.#parts;
    peers.setBlocked(start.blocked);
    renewal.start(start);
    await Promise.all([peers.advertise(), library.start(accountKey(account))]);
  }

  #onResumed(start: SessionStart): void {
    if (this.#phase.kind !== 'in') return;
    void this.#settle(this.#phase.account, start);
    this.#parts.events.notice('CONNECTION_RESTORED');
  }

  #account(): Account {
    if (this.#phase.kind !== 'in') throw new ParleyError('LOGIN_REQUIRED');
    return this.#phase.account;
  }

  /** All but the faces' connections, so that the one that asked for it still gets its answer. */
  #shutDown(): Promise<void> {
    this.#shuttingDown ??= this.#endParts();
    return this.#shuttingDown;
  }

  async #endParts(): Promise<void> {
    const { renewal, downloads, chats, session, peers, library, privateLog, outbox, receiver } = this.#parts;
    // Private messages that still come are this account's: it stays until the chats are over.
    this.#cancelStandby();
    this.#control.stopListening();
    renewal.stop();
    await Promise.all([downloads.close(), chats.close()]);
    this.#phase = { kind: 'closing' };
    await outbox.close();
    await session.end();
    receiver.close();
    await peers.close();
    await Promise.all([library.close(), privateLog.close(), this.#received.close()]);
  }

  async #close(reason: ParleyError | undefined): Promise<void> {
    if (reason !== undefined) this.#log.info({ code: reason.code, reason: reason.message }, 'the agent ends');
    await this.#shutDown().catch((thrown: unknown) =>
      this.#log.error({ reason: toParleyError(thrown).message }, 'could not end in good order'),
    );
    this.#parts.events.end(reason);
    await within(LAST_WORDS_MS, this.#clock, this.#faces.idle());
    await this.#control.close(reason);
    this.#ended.resolve(reason);
  }
}

function sameRequest(a: LoginRequest, b: LoginRequest): boolean {
  return nameKey(a.user) === nameKey(b.user) && a.server === b.server && a.password === b.password;
}
