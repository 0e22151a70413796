/** The demo's real processes: a server, and clients that are run one command at a time. */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const SERVER = fileURLToPath(new URL('../server/main.js', import.meta.url));
const CLIENT = fileURLToPath(new URL('../client/main.js', import.meta.url));
/** How long a process of the demo may take to end when it is told to. */
const STOP_MS = 10_000;

export interface Stage {
  /** `host:port`. */
  readonly address: string;
  readonly fingerprint: string;
  /** Sends SIGTERM and waits for the server's end; resolves to its exit code. */
  stop(): Promise<number | null>;
}

/** Starts a server on a free port of this machine. */
export async function startServer(folder: string): Promise<Stage> {
  const args = [
    SERVER,
    '0',
    '--data',
    join(folder, 'server'),
    '--credentials',
    join(folder, 'Credentials.txt'),
    '--log-level',
    'warn',
  ];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const line = await firstLine(child);
  const [, address, fingerprint] = /^parley server listening on (\S+) (SHA256:\S+)$/.exec(line) ?? [];
  if (address === undefined || fingerprint === undefined) throw new Error(`the server said: ${line}`);
  return {
    address,
    fingerprint,
    stop: async () => {
      if (child.exitCode !== null) return child.exitCode;
      const ended = once(child, 'exit');
      child.kill('SIGTERM');
      const timer = setTimeout(() => child.kill('SIGKILL'), STOP_MS);
      await ended;
      clearTimeout(timer);
      return child.exitCode;
    },
  };
}

async function firstLine(child: ChildProcess): Promise<string> {
  if (child.stdout === null) throw new Error('the server has no output');
  const lines = createInterface({ input: child.stdout });
  return new Promise((resolve, reject) => {
    lines.once('line', resolve);
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`the server ended with exit code ${code}`)));
  });
}

/** One user of the demo, with a home and a folder of their own. */
export class Person {
  readonly name: string;
  readonly folder: string;
  readonly #environment: NodeJS.ProcessEnv;

  constructor(name: string, password: string, folder: string, stage: Stage) {
    this.name = name;
    this.folder = join(folder, name);
    this.#environment = {
      ...process.env,
      PARLEY_USER: name,
      PARLEY_PASSWORD: password,
      PARLEY_SERVER: stage.address,
      PARLEY_HOME: join(folder, `${name}-home`),
      PARLEY_LISTEN: '127.0.0.1:0',
    };
  }

  /** Logs in; the agent that this starts stays until `leave`. */
  async arrive(): Promise<void> {
    await mkdir(this.folder, { recursive: true });
    await this.run('login', '--quiet');
  }

  /** Runs one command as this user would type it; its JSON result. Rejects when it fails. */
  async run(...words: string[]): Promise<Record<string, unknown>> {
    const { code, output } = await this.#spawn([...words, '--json']);
    if (code !== 0) throw new Error(`${this.name}: client ${words.join(' ')} ended with exit code ${code}`);
    return JSON.parse(output) as Record<string, unknown>;
  }

  /** Ends this user's session and agent; never fails. */
  async leave(): Promise<void> {
    await this.#spawn(['logout', '-q']);
  }

  async #spawn(words: string[]): Promise<{ code: number | null; output: string }> {
    const child = spawn(process.execPath, [CLIENT, ...words], {
      cwd: this.folder,
      env: this.#environment,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let output = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
    await once(child, 'close');
    return { code: child.exitCode, output };
  }
}
