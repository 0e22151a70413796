/** A server without sockets: its core, with clients over links in memory and a clock that is turned by hand. */
import { randomBytes } from 'node:crypto';
import type { Duplex } from 'node:stream';
import { fingerprintOf } from '../../src/protocol/certificate.js';
import { serverCommands } from '../../src/protocol/commands/server.js';
import type { SessionStart } from '../../src/protocol/commands/server/login.js';
import type { CommandSpec, ParamsIn, ResultOf } from '../../src/protocol/command.js';
import { Connection } from '../../src/protocol/connection.js';
import type { CallOptions } from '../../src/protocol/outgoing.js';
import { makeHello } from '../../src/protocol/hello.js';
import type { ServerEvent } from '../../src/protocol/events.js';
import { Passwords } from '../../src/server/auth/passwords.js';
import { startCore } from '../../src/server/core.js';
import type { Core, CoreOptions } from '../../src/server/core.js';
import { silentLog } from '../../src/server/log.js';
import type { SessionKey } from '../../src/server/session.js';
import { openSqlite } from '../../src/server/storage/sqlite.js';
import type { Storage } from '../../src/server/storage/port.js';
import { FakeClock } from '../support/fakeclock.js';
import { linkedPair } from '../support/pair.js';
import { PLAIN_ARGON2, addUsers, withPositions } from '../support/server.js';

/** A key as the TLS layer would have proved it; any bytes do where nothing is signed. */
export function anyKey(): SessionKey {
  const publicKey = randomBytes(91).toString('base64');
  return { publicKey, fingerprint: fingerprintOf(publicKey) };
}

export interface Way {
  readonly key?: SessionKey | undefined;
  readonly address?: string;
  /** The server's address as this client sees it. */
  readonly localAddress?: string;
  /** Sees every byte that the server sends. */
  readonly tap?: (bytes: Buffer) => void;
}

/** One client: its connection, and every event that was pushed. */
export class Guest {
  readonly connection: Connection;
  readonly events: ServerEvent[] = [];
  readonly key: SessionKey | undefined;
  #onEvent: () => void = () => undefined;

  readonly #duplex: Duplex;

  constructor(connect: (onEvent: (event: unknown) => void) => Connection, key: SessionKey | undefined, duplex: Duplex) {
    this.key = key;
    this.#duplex = duplex;
    this.connection = connect((event) => {
      this.events.push(event as ServerEvent);
      this.#onEvent();
    });
  }

  call<S extends CommandSpec>(spec: S, params: ParamsIn<S>, options: CallOptions = {}): Promise<ResultOf<S>> {
    return this.connection.call(spec, params, options);
  }

  resume(token: string): Promise<SessionStart> {
    return this.call(serverCommands.resume, { token });
  }

  /** From here on nobody answers at this end, and its connection stands. */
  freeze(): void {
    this.#duplex.removeAllListeners('data').pause();
  }

  login(user: string, password = user.toLowerCase()): Promise<SessionStart> {
    return this.call(serverCommands.login, { user, password });
  }

  /** Resolves when the events so far are as wanted. */
  async until(wanted: (events: readonly ServerEvent[]) => boolean): Promise<void> {
    while (!wanted(this.events)) await new Promise<void>((resolve) => (this.#onEvent = resolve));
  }

  /** Texts of the messages that were pushed. */
  get texts(): string[] {
    return this.events.flatMap((event) => ('text' in event && event.type !== 'notice' ? [event.text] : []));
  }

  get notices(): string[] {
    return this.events.flatMap((event) => (event.type === 'notice' ? [event.code] : []));
  }

  /** Who came (+) and went (-), as far as it was told. */
  get comings(): string[] {
    return this.events.flatMap((event) =>
      event.type === 'presence' ? [`${event.online ? '+' : '-'}${event.from}`] : [],
    );
  }
}

export class Hall {
  readonly clock: FakeClock;
  readonly storage: Storage;
  readonly core: Core;

  private constructor(core: Core, storage: Storage, clock: FakeClock) {
    this.core = core;
    this.storage = storage;
    this.clock = clock;
  }

  /** Users whose passwords are their names in lower case; on a storage in memory, or one that another hall has used. */
  static async open(
    users: readonly string[],
    options: Partial<CoreOptions> & { clock?: FakeClock } = {},
  ): Promise<Hall> {
    const clock = options.clock ?? new FakeClock();
    const storage = options.storage ?? (await openSqlite(':memory:'));
    const passwords = options.passwords ?? (await Passwords.create(PLAIN_ARGON2));
    await addUsers(storage, passwords, Object.fromEntries(users.map((name) => [name, name.toLowerCase()])));
    const settings = { blockMs: 60_000, timeoutMs: 600_000, log: silentLog, ...options };
    const core = await startCore({ ...settings, storage, passwords, clock });
    return new Hall(core, storage, clock);
  }

  /** A client that has not logged in. */
  enter({ key, address = '192.0.2.1', localAddress = '192.0.2.100', tap }: Way = {}): Guest {
    const [theirs, ours] = linkedPair();
    if (tap !== undefined) theirs.on('data', tap);
    const place = { deciding: false, settle: () => undefined };
    this.core.accept(ours, { address, localAddress, key }, place);
    return new Guest(
      (onEvent) =>
        new Connection(theirs, { hello: makeHello('client'), end: 'dialer', onEvent: withPositions(onEvent) }),
      key,
      theirs,
    );
  }

  /** A client that has logged in, with a key unless `key` is given as undefined. */
  async guest(user: string, way: Way = { key: anyKey() }): Promise<Guest> {
    const guest = this.enter(way);
    await guest.login(user);
    return guest;
  }

  /** Lets everything that waits for news of who came and went have them. */
  async spread(): Promise<void> {
    await this.clock.advance(100);
    await turns();
  }

  /** Ends the core and leaves the storage as it is. */
  async stop(): Promise<void> {
    await this.core.close();
  }

  async close(): Promise<void> {
    await this.core.close();
    await this.storage.close();
  }
}

/** Lets what is on its way over links in memory arrive. */
export async function turns(count = 20): Promise<void> {
  for (let i = 0; i < count; i++) await new Promise(setImmediate);
}
