/** Real processes for end-to-end tests: a server, and clients that are run one command at a time, each user with a home of their own. */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { dialAgent } from '../../src/client/dial.js';
import { agentCommands } from '../../src/protocol/commands/agent.js';
import type { Connection } from '../../src/protocol/connection.js';
import { until } from '../crash/chance.js';

export const SERVER_MAIN = fileURLToPath(new URL('../../src/server/main.js', import.meta.url));
export const CLIENT_MAIN = fileURLToPath(new URL('../../src/client/main.js', import.meta.url));

export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a process to its end. */
export async function runProcess(
  args: readonly string[],
  options: { cwd?: string; env?: NodeJS.ProcessEnv; input?: string } = {},
): Promise<Ended> {
  const child = spawn(process.execPath, args, {
    cwd: options.cwd,
    env: options.env ?? process.env,
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  child.stdin.on('error', () => undefined);
  child.stdin.end(options.input ?? '');
  await once(child, 'close');
  return { code: child.exitCode, stdout, stderr };
}

/** A server and its users in a temporary folder; `close` ends every process it started and removes the folder. */
export class Cast {
  readonly folder = mkdtempSync(join(tmpdir(), 'parley-e2e-'));
  readonly data = join(this.folder, 'data');
  readonly #people: Person[] = [];
  #server: ChildProcess | undefined;
  address = '';
  fingerprint = '';
  serverLog = '';

  constructor(users: Readonly<Record<string, string>>) {
    const lines = Object.entries(users).map(([name, password]) => `${name} ${password}\n`);
    writeFileSync(join(this.folder, 'Credentials.txt'), lines.join(''));
  }

  /** Starts the server, on the port it had before if any. */
  async start(...settings: string[]): Promise<void> {
    const port = this.address.split(':')[1] ?? '0';
    const child = spawn(
      process.execPath,
      [SERVER_MAIN, port, ...settings, '--data', this.data, '--credentials', join(this.folder, 'Credentials.txt')],
      { stdio: ['ignore', 'pipe', 'pipe'] },
    );
    this.#server = child;
    child.stderr.setEncoding('utf8').on('data', (text: string) => (this.serverLog += text));
    const line = await new Promise<string>((resolve, reject) => {
      createInterface({ input: child.stdout }).once('line', resolve);
      child.once('exit', (code) => reject(new Error(`the server ended with ${code}: ${this.serverLog}`)));
    });
    const [, address, fingerprint] = /^parley server listening on (\S+) (SHA256:\S+)$/.exec(line) ?? [];
    if (address === undefined || fingerprint === undefined) throw new Error(`the server said: ${line}`);
    this.address = address;
    this.fingerprint = fingerprint;
  }

  get serverPid(): number {
    return this.#server?.pid ?? 0;
  }

  /** Ends the server by a signal and waits for it; its exit code. */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
    const child = this.#server;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return child?.exitCode ?? null;
    const ended = once(child, 'exit');
    child.kill(signal);
    await ended;
    return child.exitCode;
  }

  person(name: string, password: string, extra: NodeJS.ProcessEnv = {}): Person {
    const person = new Person(name, password, this, extra);
    this.#people.push(person);
    return person;
  }

  async close(): Promise<void> {
    await Promise.all(this.#people.map((person) => person.leave()));
    await this.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

export interface Outcome extends Ended {
  /** What stood on stdout, when it is JSON. */
  readonly json: Record<string, unknown>;
  /** The error on stderr, when there is one. */
  readonly error: { code: string; message: string; retryable: boolean; retryAfterSeconds?: number } | undefined;
}

export class Person {
  readonly name: string;
  readonly folder: string;
  readonly home: string;
  readonly env: NodeJS.ProcessEnv;
  readonly #children = new Set<ChildProcess>();
  /** The process of this user's agent, as the command that started it said; 0 before. */
  agentPid = 0;

  constructor(name: string, password: string, cast: Cast, extra: NodeJS.ProcessEnv) {
    this.name = name;
    this.folder = join(cast.folder, `${name}-files`);
    this.home = join(cast.folder, `${name}-home`);
    this.begin();
    this.env = {
      ...process.env,
      PARLEY_USER: name,
      PARLEY_PASSWORD: password,
      PARLEY_SERVER: cast.address,
      PARLEY_HOME: this.home,
      PARLEY_LISTEN: '127.0.0.1:0',
      NO_COLOR: '1',
      ...extra,
    };
  }

  /** Makes this user's folder. */
  begin(): void {
    mkdirSync(this.folder, { recursive: true });
  }

  /** Runs one command with --json. */
  async run(...words: string[]): Promise<Outcome> {
    const ended = await runProcess([CLIENT_MAIN, '--json', ...words], { cwd: this.folder, env: this.env });
    this.agentPid = Number(/pid (\d+)/.exec(ended.stderr)?.[1] ?? this.agentPid);
    const last = ended.stderr.trim().split('\n').at(-1) ?? '';
    let error: Outcome['error'];
    if (last.startsWith('{"error"')) error = (JSON.parse(last) as { error: NonNullable<Outcome['error']> }).error;
    let json: Record<string, unknown> = {};
    if (ended.stdout.startsWith('{')) json = JSON.parse(ended.stdout.split('\n')[0] ?? '{}') as Record<string, unknown>;
    return { ...ended, json, error };
  }

  /** Runs one command that has to succeed; its result. */
  async ok(...words: string[]): Promise<Record<string, unknown>> {
    const outcome = await this.run(...words);
    if (outcome.code !== 0)
      throw new Error(`${this.name}: ${words.join(' ')} ended with ${outcome.code}: ${outcome.stderr}`);
    return outcome.json;
  }

  /** Runs one command that has to be refused; `exit code` of the process and code of the error, as `1 UNKNOWN_USER`. */
  async refused(...words: string[]): Promise<string> {
    const { code, error, stderr, stdout } = await this.run(...words);
    if (error === undefined)
      throw new Error(`${this.name}: ${words.join(' ')} was not refused: ${code} ${stdout} ${stderr}`);
    return `${code} ${error.code}`;
  }

  /** Runs the shell with these lines as its input. */
  async shell(...lines: string[]): Promise<Ended> {
    return runProcess([CLIENT_MAIN], {
      cwd: this.folder,
      env: this.env,
      input: lines.map((line) => `${line}\n`).join(''),
    });
  }

  /** Starts a command that goes on; its process. */
  start(...words: string[]): ChildProcess {
    const child = spawn(process.execPath, [CLIENT_MAIN, ...words], {
      cwd: this.folder,
      env: this.env,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#children.add(child);
    child.once('exit', () => this.#children.delete(child));
    return child;
  }

  /** A connection to this user's agent, which runs; closed by whoever asked for it. */
  async dial(): Promise<Connection> {
    const face = await dialAgent(this.home);
    if (face === undefined) throw new Error(`${this.name} has no agent`);
    return face;
  }

  /**
   * Waits until this user's running download of a file has at least so many bytes, and how many it has then. Asked of
   * the agent itself: while a command starts on a busy machine the download could end.
   */
  async hasFetched(file: string, least: number): Promise<number> {
    const face = await this.dial();
    let bytes = 0;
    try {
      await until(`${this.name} has ${least} bytes of ${file}`, async () => {
        const { transfers } = await face.call(agentCommands.transfers, {});
        bytes = transfers.find((each) => each.file === file && each.direction === 'download')?.bytes ?? 0;
        return bytes >= least;
      });
    } finally {
      await face.close();
    }
    return bytes;
  }

  async leave(): Promise<void> {
    for (const child of this.#children) child.kill('SIGKILL');
    await runProcess([CLIENT_MAIN, 'logout'], { env: this.env });
  }
}
