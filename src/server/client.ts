/** One accepted connection: a stranger's until login or resume makes it a session's. */
import type { Duplex } from 'node:stream';
import type { Clock } from '../protocol/clock.js';
import type { CommandSpec, IncomingCall } from '../protocol/command.js';
import { serverCommands } from '../protocol/commands/server.js';
import { login } from '../protocol/commands/server/login.js';
import { resume } from '../protocol/commands/server/resume.js';
import { Connection } from '../protocol/connection.js';
import { ParleyError, toParleyError } from '../protocol/errors.js';
import { makeHello } from '../protocol/hello.js';
import { LOGIN_DEADLINE_MS } from '../protocol/limits.js';
import type { Services } from './context.js';
import { answer } from './handlers/index.js';
import { STRANGER_CAPS } from './limits.js';
import type { Place } from './listener.js';
import type { Origin, Session } from './session.js';
import type { Entered, Sessions } from './sessions.js';
import { tellable } from './tellable.js';

const HELLO = makeHello('server');

type ClientState =
  | { readonly kind: 'stranger' }
  | { readonly kind: 'entering' }
  | { readonly kind: 'in'; readonly session: Session }
  | { readonly kind: 'gone' };

export interface ClientParts {
  readonly duplex: Duplex;
  readonly origin: Origin;
  readonly place: Place;
  readonly services: Services;
  readonly sessions: Sessions;
}

/** Serves one connection until it ends. */
export class Client {
  readonly connection: Connection;
  readonly #parts: ClientParts;
  readonly #clock: Clock;
  #cancelDeadline: (() => void) | undefined;
  #state: ClientState = { kind: 'stranger' };
  #late = false;

  constructor(parts: ClientParts) {
    this.#parts = parts;
    this.#clock = parts.services.clock;
    this.connection = new Connection(parts.duplex, {
      hello: HELLO,
      end: 'listener',
      caps: STRANGER_CAPS,
      clock: this.#clock,
      checkHello: ({ role }) => {
        if (role === 'client') return;
        throw new ParleyError('PROTOCOL_ERROR', { reason: `a ${role} is no client of a server` });
      },
    });
    this.connection.serve(serverCommands, (spec, params, call) => this.#answer(spec, params, call));
    this.#cancelDeadline = this.#clock.after(LOGIN_DEADLINE_MS, () => this.#onDeadline());
    void this.connection.closed.then(() => this.#onClosed());
  }

  async #answer(spec: CommandSpec, params: unknown, call: IncomingCall): Promise<object> {
    if (spec.name === login.name || spec.name === resume.name) return this.#enter(spec, params, call);
    if (this.#state.kind !== 'in') throw new ParleyError('LOGIN_REQUIRED');
    const { session } = this.#state;
    // It may have ended while its last answers are on their way.
    if (this.#parts.services.presence.get(session.user.id) !== session) throw new ParleyError('LOGIN_REQUIRED');
    if (spec.passive !== true) session.lastActiveMs = this.#clock.monotonicMs();
    const { services, sessions } = this.#parts;
    return answer(spec, params, { session, services, end: (who, why) => sessions.end(who, why) }, call);
  }

  async #enter(spec: CommandSpec, params: unknown, call: IncomingCall): Promise<object> {
    const { place, services, origin } = this.#parts;
    if (this.#state.kind === 'in') {
      const { name } = this.#state.session.user;
      throw new ParleyError('ALREADY_LOGGED_IN', { user: name, where: 'on this connection' });
    }
    if (this.#state.kind !== 'stranger') throw new ParleyError('SERVER_BUSY');
    this.#state = { kind: 'entering' };
    place.deciding = true;
    try {
      const { session, start } = await this.#decide(spec, params, call);
      if (!this.connection.isOpen) {
        await this.#parts.sessions.end(session, 'lost');
        throw new ParleyError('CANCELLED');
      }
      this.#state = { kind: 'in', session };
      this.#cancelDeadline?.();
      this.#cancelDeadline = undefined;
      place.settle();
      this.connection.raiseCaps();
      services.tally.entered(spec.name);
      services.log.info({ user: session.user.name, address: origin.address, how: spec.name }, 'session began');
      // Messages come after the answer, so that the client knows by then who it is.
      call.signal.addEventListener('abort', () => session.pump.release(), { once: true });
      return start;
    } catch (error) {
      const { code } = toParleyError(error);
      services.tally.entered(spec.name, code);
      services.log.info({ address: origin.address, how: spec.name, code }, 'not let in');
      throw tellable(error, services.log, { command: spec.name, address: origin.address });
    } finally {
      place.deciding = false;
      if (this.#state.kind === 'entering') this.#state = { kind: 'stranger' };
      if (this.#state.kind === 'stranger' && this.#late) this.#tooLate();
    }
  }

  #decide(spec: CommandSpec, params: unknown, call: IncomingCall): Promise<Entered> {
    const { sessions, origin } = this.#parts;
    if (spec.name === login.name) {
      return sessions.login(this.connection, origin, params as LoginParams, call.signal);
    }
    return sessions.resume(this.connection, origin, (params as { token: string }).token);
  }

  #onDeadline(): void {
    this.#late = true;
    if (this.#state.kind === 'stranger') this.#tooLate();
  }

  /** After the answer that may be on its way. */
  #tooLate(): void {
    setImmediate(() => void this.connection.close(new ParleyError('TIMEOUT', { seconds: LOGIN_DEADLINE_MS / 1000 })));
  }

  #onClosed(): void {
    this.#cancelDeadline?.();
    const state = this.#state;
    this.#state = { kind: 'gone' };
    if (state.kind === 'in') void this.#parts.sessions.end(state.session, 'lost');
  }
}

interface LoginParams {
  readonly user: string;
  readonly password: string;
}
