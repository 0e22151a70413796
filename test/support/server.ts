/** Servers and connections to them, for tests: in this process, or as a process of its own. */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { constants, createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { connect } from 'node:tls';
import type { TLSSocket } from 'node:tls';
import { fileURLToPath } from 'node:url';
import { makeIdentity } from '../../src/protocol/certificate.js';
import type { Identity } from '../../src/protocol/certificate.js';
import { systemClock } from '../../src/protocol/clock.js';
import { serverCommands } from '../../src/protocol/commands/server.js';
import { Connection } from '../../src/protocol/connection.js';
import type { ConnectionOptions } from '../../src/protocol/connection.js';
import { isMessage, messagePlacer, serverEvent } from '../../src/protocol/events.js';
import { makeHello } from '../../src/protocol/hello.js';
import { parseUserName } from '../../src/protocol/values.js';
import { Passwords } from '../../src/server/auth/passwords.js';
import type { Argon2 } from '../../src/server/auth/passwords.js';
import { silentLog } from '../../src/server/log.js';
import { startServer } from '../../src/server/server.js';
import type { Server, ServerOptions } from '../../src/server/server.js';
import { openSqlite } from '../../src/server/storage/sqlite.js';
import type { Storage } from '../../src/server/storage/port.js';

export const SERVER_MAIN = fileURLToPath(new URL('../../src/server/main.js', import.meta.url));

/** No hash at all, so that tests are quick; the real one is tested by itself. */
export const PLAIN_ARGON2: Argon2 = {
  hash: (password) => Promise.resolve(`plain:${password}`),
  verify: (hash, password) => Promise.resolve(hash === `plain:${password}`),
};

/** Adds users as they come to be by `Credentials.txt`. */
export async function addUsers(
  storage: Storage,
  passwords: Passwords,
  users: Readonly<Record<string, string>>,
): Promise<void> {
  for (const [name, password] of Object.entries(users)) {
    await storage.createUser(parseUserName(name), await passwords.hash(password), Date.now());
  }
}

/**
 * Adds users without passwords, and a resume token for each that is bound to this key: for tests with so many logins that hashing
 * passwords would be all they do. No server may be running on the folder's data before.
 */
export async function seedSessions(
  dataDir: string,
  names: readonly string[],
  { fingerprint }: Identity,
): Promise<string[]> {
  const storage = await openSqlite({ dataDir, role: 'tool' });
  const seed = async (name: string): Promise<string> => {
    const user = await storage.createUser(parseUserName(name), 'none', Date.now());
    if (user === undefined) throw new Error(`${name} is there already`);
    const token = randomBytes(32).toString('base64url');
    const hash = createHash('sha256').update(token).digest('hex');
    const expiresAt = Date.now() + 3_600_000;
    await storage.storeResumeToken(hash, { userId: user.id, keyFingerprint: fingerprint, expiresAt });
    return token;
  };
  const tokens = await Promise.all(names.map(seed));
  await storage.close();
  return tokens;
}

export interface TestServer {
  readonly server: Server;
  readonly storage: Storage;
  readonly identity: Identity;
  readonly host: string;
  readonly port: number;
  /** `host:port`. */
  readonly address: string;
  /** `SHA256:…`. */
  readonly fingerprint: string;
  close(): Promise<void>;
}

let serverIdentity: Promise<Identity> | undefined;

/** A server in this process, on a free port of 127.0.0.1, its storage in memory unless `dataDir` is given. */
export async function startTestServer(
  options: { users?: Readonly<Record<string, string>>; dataDir?: string } & Partial<ServerOptions> = {},
): Promise<TestServer> {
  const { users = {}, dataDir, ...rest } = options;
  const storage =
    options.storage ?? (await openSqlite(dataDir === undefined ? ':memory:' : { dataDir, role: 'server' }));
  const passwords = options.passwords ?? (await Passwords.create(PLAIN_ARGON2));
  await addUsers(storage, passwords, users);
  const identity = options.identity ?? (await (serverIdentity ??= makeIdentity('test server')));
  const server = await startServer({
    blockMs: 60_000,
    timeoutMs: 600_000,
    clock: systemClock,
    log: silentLog,
    host: '127.0.0.1',
    port: 0,
    ...rest,
    storage,
    passwords,
    identity,
  });
  const { host, port, address, fingerprint } = server;
  const close = async (): Promise<void> => {
    await server.close();
    await storage.close();
  };
  return { server, storage, identity, host, port, address, fingerprint, close };
}

export interface DialSettings {
  /** The client's key; none when absent. */
  readonly identity?: Identity | undefined;
  readonly onEvent?: ConnectionOptions['onEvent'];
  readonly localAddress?: string;
}

/** A TLS socket to a server. */
export async function dialTls(
  { host, port }: { host: string; port: number },
  { identity, localAddress }: DialSettings = {},
): Promise<TLSSocket> {
  const socket = connect({
    host,
    port,
    ...(localAddress === undefined ? {} : { localAddress }),
    ...(identity === undefined ? {} : { key: identity.privateKeyPem, cert: identity.certificatePem }),
    minVersion: 'TLSv1.3',
    rejectUnauthorized: false,
    secureOptions: constants.SSL_OP_NO_TICKET,
  });
  socket.on('error', () => undefined);
  await Promise.race([
    once(socket, 'secureConnect'),
    once(socket, 'close').then(() => Promise.reject(new Error('the server closed the connection'))),
  ]);
  socket.setNoDelay(true);
  return socket;
}

/** A connection to a server, greeted but not logged in. */
export async function dialServer(
  at: { host: string; port: number },
  settings: DialSettings = {},
): Promise<Connection & { socket: TLSSocket }> {
  const socket = await dialTls(at, settings);
  const connection = new Connection(socket, {
    hello: makeHello('client'),
    end: 'dialer',
    ...(settings.onEvent === undefined ? {} : { onEvent: withPositions(settings.onEvent) }),
  });
  await connection.ready;
  return Object.assign(connection, { socket });
}

/** Events of one connection, each message with its position. */
export function withPositions(onEvent: (event: unknown) => void): (event: unknown) => void {
  const place = messagePlacer();
  return (value) => {
    const event = serverEvent.parse(value);
    onEvent(isMessage(event) ? place(event) : event);
  };
}

/** A connection to a server that is logged in. */
export async function loggedIn(
  at: { host: string; port: number },
  user: string,
  password: string,
  settings: DialSettings = {},
): Promise<Connection & { socket: TLSSocket }> {
  const connection = await dialServer(at, settings);
  await connection.call(serverCommands.login, { user, password });
  return connection;
}

export interface ServerProcess {
  readonly child: ChildProcess;
  readonly host: string;
  readonly port: number;
  readonly address: string;
  readonly fingerprint: string;
  readonly folder: string;
  readonly dataDir: string;
  readonly credentials: string;
  /** Everything on stderr so far. */
  log(): string;
  /** Everything on stdout so far. */
  output(): string;
  /** Sends the signal and waits for the end; the exit code. */
  stop(signal?: NodeJS.Signals): Promise<number | null>;
  /** Ends it and removes its folder. */
  close(): Promise<void>;
}

/** The real `server` as a process, with these users; in `folder` when one is given, which then stays at `close`. */
export async function spawnServer(
  options: {
    users?: Readonly<Record<string, string>>;
    folder?: string;
    args?: readonly string[];
    /** Goes before the command, for ulimit and the like. */
    shell?: string;
    /** False: none are named, so that the default ones of the folder count. */
    credentials?: false;
  } = {},
): Promise<ServerProcess> {
  const folder = options.folder ?? mkdtempSync(join(tmpdir(), 'parley-server-'));
  const dataDir = join(folder, 'data');
  const credentials = join(folder, 'Credentials.txt');
  if (options.users !== undefined) {
    const lines = Object.entries(options.users).map(([name, password]) => `${name} ${password}\n`);
    writeFileSync(credentials, lines.join(''));
  }
  const args = [SERVER_MAIN, ...(options.args ?? ['0']), '--data', dataDir];
  if (options.credentials !== false) args.push('--credentials', credentials);
  const stdio: ['ignore', 'pipe', 'pipe'] = ['ignore', 'pipe', 'pipe'];
  // exec keeps the process id.
  const child =
    options.shell === undefined
      ? spawn(process.execPath, args, { stdio, cwd: folder })
      : spawn('sh', ['-c', `${options.shell}; exec "$0" "$@"`, process.execPath, ...args], { stdio, cwd: folder });
  let stderr = '';
  let stdout = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  const line = await new Promise<string>((resolve, reject) => {
    createInterface({ input: child.stdout }).once('line', resolve);
    child.once('exit', (code) => reject(new Error(`the server ended with ${code}: ${stderr}`)));
  });
  const [, host = '', port = '', fingerprint = ''] =
    /^parley server listening on (\S+):(\d+) (SHA256:\S+)$/.exec(line) ?? [];
  const stop = async (signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> => {
    if (child.exitCode === null && child.signalCode === null) {
      const ended = once(child, 'exit');
      child.kill(signal);
      await ended;
    }
    return child.exitCode;
  };
  return {
    child,
    host,
    port: Number(port),
    address: `${host}:${port}`,
    fingerprint,
    folder,
    dataDir,
    credentials,
    log: () => stderr,
    output: () => stdout,
    stop,
    close: async () => {
      await stop('SIGKILL');
      if (options.folder === undefined) rmSync(folder, { recursive: true, force: true });
    },
  };
}
