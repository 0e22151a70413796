/** A server process on one folder and one port, killed and started again; and what its database holds meanwhile. */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { copyFile, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import Database from 'libsql';
import type { Storage } from '../../src/server/storage/port.js';
import { openSqlite } from '../../src/server/storage/sqlite.js';
import { SERVER_MAIN } from '../support/server.js';
import { endsWithUs } from './children.js';

/** Entries read at a time. */
const PAGE = 1_000;

export interface HouseOptions {
  readonly users: Readonly<Record<string, string>>;
  /** Another program than the server's own, with words before the server's. */
  readonly main?: readonly [string, ...string[]];
  /** Where it listens; 127.0.0.1 when absent. */
  readonly host?: string;
  /** What the program is run under. */
  readonly under?: readonly string[];
}

export class House {
  readonly folder: string;
  readonly #options: HouseOptions;
  #child: ChildProcess | undefined;
  #port = 0;

  private constructor(folder: string, options: HouseOptions) {
    this.folder = folder;
    this.#options = options;
  }

  static async build(options: HouseOptions): Promise<House> {
    const folder = await mkdtemp(join(tmpdir(), 'parley-crash-'));
    const lines = Object.entries(options.users).map(([name, password]) => `${name} ${password}\n`);
    await writeFile(join(folder, 'Credentials.txt'), lines.join(''));
    return new House(folder, options);
  }

  get dataDir(): string {
    return join(this.folder, 'data');
  }

  /** Where the server listens; undefined while it does not. */
  get at(): { host: string; port: number } | undefined {
    return this.#child === undefined ? undefined : { host: this.#host, port: this.#port };
  }

  get address(): string {
    return `${this.#host}:${this.#port}`;
  }

  get #host(): string {
    return this.#options.host ?? '127.0.0.1';
  }

  async start(): Promise<void> {
    const { main = [SERVER_MAIN], under = [], host } = this.#options;
    const words = [...under.slice(1), ...(under.length > 0 ? [process.execPath] : []), ...main, String(this.#port)];
    const program = under[0] ?? process.execPath;
    const more = [
      ...(host === undefined ? [] : ['--host', host]),
      '--data',
      this.dataDir,
      '--credentials',
      join(this.folder, 'Credentials.txt'),
      '--log-level',
      'error',
    ];
    const child = endsWithUs(spawn(program, [...words, ...more], { stdio: ['ignore', 'pipe', 'pipe'] }));
    let complaint = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => (complaint += text));
    const line = await new Promise<string>((resolve, reject) => {
      createInterface({ input: child.stdout }).once('line', resolve);
      child.once('exit', (code) => reject(new Error(`the server ended with ${code}: ${complaint}`)));
    });
    this.#port = Number(/:(\d+) SHA256/.exec(line)?.[1]);
    this.#child = child;
  }

  /** Sends the signal and waits for the end. */
  async stop(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill(signal);
    await ended;
  }

  /** Looks at a copy, so that the log is recovered by the next server and not by whoever looks. */
  async isIntactWhileDown(): Promise<boolean> {
    const copy = await mkdtemp(join(tmpdir(), 'parley-copy-'));
    try {
      const files = (await readdir(this.dataDir)).filter((name) => name.startsWith('parley.db'));
      for (const name of files) await copyFile(join(this.dataDir, name), join(copy, name));
      const storage = await openSqlite({ dataDir: copy, role: 'tool' });
      try {
        return await storage.integrityOk();
      } finally {
        await storage.close();
      }
    } finally {
      await rm(copy, { recursive: true, force: true });
    }
  }

  /** Beside the running server. */
  isIntactWhileUp(): boolean {
    const database = new Database(join(this.dataDir, 'parley.db'), { timeout: 5_000 });
    try {
      const [row] = database.prepare('PRAGMA integrity_check').all([]) as { integrity_check?: unknown }[];
      return row?.integrity_check === 'ok';
    } finally {
      database.close();
    }
  }

  /** Texts in each user's inbox, oldest first, and those that are unread. */
  async inboxes(users: readonly string[]): Promise<Inboxes> {
    const storage = await this.#openCopy();
    const all = new Map<string, string[]>();
    const unread = new Map<string, Set<string>>();
    try {
      for (const name of users) {
        const user = await storage.findUser(name);
        if (user === undefined) throw new Error(`${name} is gone`);
        const entries = [];
        for (let position = 0; ;) {
          const page = await storage.entriesAfter(user.id, position, { limit: PAGE });
          entries.push(...page);
          const last = page.at(-1);
          if (last === undefined) break;
          position = last.position;
        }
        all.set(
          name,
          entries.map(({ text }) => text),
        );
        unread.set(name, new Set(entries.flatMap((entry) => (entry.unread ? [entry.text] : []))));
      }
    } finally {
      await storage.close();
    }
    return { all, unread };
  }

  /** What a server would make of it now. */
  async #openCopy(): Promise<Storage> {
    const copy = await mkdtemp(join(this.folder, 'copy-'));
    const database = new Database(join(this.dataDir, 'parley.db'), { timeout: 5_000 });
    try {
      database.prepare('VACUUM INTO ?').run(join(copy, 'parley.db'));
    } finally {
      database.close();
    }
    return openSqlite({ dataDir: copy, role: 'server' });
  }

  async clear(): Promise<void> {
    await this.stop();
    await rm(this.folder, { recursive: true, force: true });
  }
}

export interface Inboxes {
  readonly all: ReadonlyMap<string, readonly string[]>;
  readonly unread: ReadonlyMap<string, ReadonlySet<string>>;
}
