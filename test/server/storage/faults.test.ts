import { expect } from 'chai';
import { spawn, spawnSync } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import Database from 'libsql';
import { ParleyError } from '../../../src/protocol/errors.js';
import { parseUserName } from '../../../src/protocol/values.js';
import { parseSearch } from '../../../src/protocol/words.js';
import type { Storage } from '../../../src/server/storage/port.js';
import { openSqlite } from '../../../src/server/storage/sqlite.js';
import { addUser, message, T0 } from '../../support/storage.js';
import type { Order, Report } from './worker.js';

const WORKER = fileURLToPath(new URL('worker.js', import.meta.url));

async function errorOf(work: Promise<unknown>): Promise<ParleyError> {
  try {
    await work;
  } catch (error) {
    if (error instanceof ParleyError) return error;
  }
  return expect.fail('no ParleyError');
}

/** A worker process; `fileBlocks` limits the files it may write to so many KiB, softly. */
class Worker {
  readonly child: ChildProcess;
  readonly ids: string[] = [];
  #answered: ((report: Report) => void) | undefined;

  constructor(fileBlocks?: number) {
    const limit = fileBlocks === undefined ? '' : `ulimit -S -f ${fileBlocks}; `;
    this.child = spawn('bash', ['-c', `${limit}exec "$0" "$@"`, process.execPath, WORKER], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    this.child.on('message', (report: Report) => {
      if (report.id !== undefined) this.ids.push(report.id);
      if (report.done !== undefined) this.#answered?.(report);
    });
  }

  /** One at a time. */
  async order(order: Order): Promise<Report> {
    const answer = new Promise<Report>((resolve) => {
      this.#answered = resolve;
    });
    this.child.send(order);
    return answer;
  }

  async end(signal: NodeJS.Signals): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    this.child.kill(signal);
    await once(this.child, 'exit');
  }
}

describe('sqlite storage and its faults', () => {
  let dataDir: string;
  const workers: Worker[] = [];
  const storages: Storage[] = [];

  beforeEach(async () => {
    dataDir = join(await mkdtemp(join(tmpdir(), 'parley-faults-')), 'data');
  });
  afterEach(async () => {
    for (const worker of workers.splice(0)) await worker.end('SIGKILL');
    for (const storage of storages.splice(0)) await storage.close();
    await rm(join(dataDir, '..'), { recursive: true });
  });

  const startWorker = (fileBlocks?: number): Worker => {
    const worker = new Worker(fileBlocks);
    workers.push(worker);
    return worker;
  };
  const open = async (role: 'server' | 'tool'): Promise<Storage> => {
    const storage = await openSqlite({ dataDir, role });
    storages.push(storage);
    return storage;
  };
  const openWithUsers = async (): Promise<Storage> => {
    const storage = await open('tool');
    await addUser(storage, 'alice');
    await addUser(storage, 'bob');
    return storage;
  };

  it('lets nobody else read what it keeps', async () => {
    const storage = await open('server');
    await addUser(storage, 'alice');
    expect((await stat(dataDir)).mode & 0o777).to.equal(0o700);
    const files = await readdir(dataDir);
    expect(files).to.include.members(['parley.db', 'parley.db-wal', 'server.lock']);
    for (const name of files) expect((await stat(join(dataDir, name))).mode & 0o777, name).to.equal(0o600);
  });

  it('closes files that stood open to others', async () => {
    await (await open('server')).close();
    await chmod(join(dataDir, 'parley.db'), 0o644);
    await open('server');
    expect((await stat(join(dataDir, 'parley.db'))).mode & 0o777).to.equal(0o600);
  });

  it('is held by one server, beside which tools work', async () => {
    const server = await open('server');
    const error = await errorOf(open('server'));
    expect(error.code).to.equal('DATA_IN_USE');
    expect(error.message).to.contain(dataDir);
    const tool = await open('tool');
    const added = await addUser(tool, 'late');
    expect(await server.findUser('late')).to.deep.equal(added);
    await server.removeUser(added.id);
    expect(await tool.findUser('late')).to.equal(undefined);
    await server.close();
    await open('server');
  });

  it('is free again when a server was killed', async () => {
    const worker = startWorker();
    expect((await worker.order({ do: 'open', dataDir, role: 'server' })).error).to.equal(undefined);
    expect((await errorOf(open('server'))).code).to.equal('DATA_IN_USE');
    await worker.end('SIGKILL');
    await open('server');
  });

  it('finds every word once, wherever indexing was killed', async () => {
    const storage = await open('tool');
    const [alice, bob] = [await addUser(storage, 'alice'), await addUser(storage, 'bob')];
    for (let from = 0; from < 4_000; from += 200) {
      const texts = Array.from({ length: 200 }, (_, n) => `common w${from + n}`);
      await storage.appendMessages(texts.map((text) => message(alice, [bob], { text })));
      await storage.acknowledge(new Map([[bob.id, Infinity]]));
    }
    let killed = 0;
    for (let round = 0; round < 4; round++) {
      const worker = startWorker();
      await worker.order({ do: 'open', dataDir, role: 'server' });
      const indexing = { isDone: false };
      void worker.order({ do: 'index' }).then(() => (indexing.isDone = true));
      // In the middle of what comes after one more commit.
      while (worker.ids.length <= round && !indexing.isDone) await once(worker.child, 'message');
      if (!indexing.isDone) killed += 1;
      await worker.end('SIGKILL');
      expect(await storage.integrityOk()).to.equal(true);
      const found = await storage.inboxPage(bob.id, { words: parseSearch('common') }, { limit: 5_000 });
      expect(found?.length).to.be.within(1, 4_000);
    }
    expect(killed).to.be.at.least(1);
    while ((await storage.indexMessages()) > 0);
    const all: number[] = [];
    for (let before: string | undefined; ;) {
      const page = await storage.inboxPage(bob.id, { words: parseSearch('common'), before }, { limit: 500 });
      if (page === undefined || page.length === 0) break;
      all.unshift(...page.map(({ position }) => position));
      before = page[0]?.id;
    }
    expect(all).to.deep.equal(Array.from({ length: 4_000 }, (_, n) => n + 1));
    for (const n of [0, 777, 1_999, 3_999]) {
      expect(await storage.inboxPage(bob.id, { words: parseSearch(`w${n}`) }, { limit: 5 })).to.have.length(1);
    }
  });

  it('is made once by processes that start together', async () => {
    const racers = Array.from({ length: 4 }, () => startWorker());
    const reports = await Promise.all(racers.map((racer) => racer.order({ do: 'open', dataDir, role: 'tool' })));
    expect(reports.map(({ error }) => error)).to.deep.equal([undefined, undefined, undefined, undefined]);
    expect(await (await open('server')).integrityOk()).to.equal(true);
  });

  it('keeps every acknowledged message once and in order through kills (R27)', async () => {
    const storage = await openWithUsers();
    const bob = await storage.findUser('bob');
    const acknowledged: string[] = [];
    for (const kill of [1, 17, 40]) {
      const worker = startWorker();
      await worker.order({ do: 'open', dataDir, role: 'server' });
      worker.child.send({ do: 'append', count: 100, textBytes: 100 } satisfies Order);
      while (worker.ids.length < kill) await once(worker.child, 'message');
      await worker.end('SIGKILL');
      acknowledged.push(...worker.ids);
    }
    const kept = await storage.entriesAfter(bob?.id ?? 0, 0, { limit: 1_000 });
    expect(kept.map(({ position }) => position)).to.deep.equal(kept.map((_, index) => index + 1));
    const ids = kept.map(({ id }) => id);
    expect(new Set(ids).size).to.equal(ids.length);
    const known = new Set(acknowledged);
    expect(ids.filter((id) => known.has(id))).to.deep.equal(acknowledged);
    expect(await storage.integrityOk()).to.equal(true);
  });

  for (const to of [['bob'], ['bob', 'carol', 'dora']]) {
    it(`says DISK_FULL to who sends to ${to.length}, goes on reading, and recovers without a restart (R21)`, async function () {
      if (spawnSync('prlimit', ['--version']).status !== 0) this.skip();
      const users = await openWithUsers();
      for (const name of to.slice(1)) await addUser(users, name);
      await users.close();
      const worker = startWorker(1_000);
      await worker.order({ do: 'open', dataDir, role: 'server' });
      const full = await worker.order({ do: 'append', count: 190, textBytes: 10_000, to });
      expect(full.error).to.equal('DISK_FULL');
      const kept = worker.ids.length;
      expect(kept).to.be.greaterThan(0);
      expect(await worker.order({ do: 'read' })).to.deep.include({ entries: kept });
      expect((await worker.order({ do: 'append', count: 1, textBytes: 10_000, to })).error).to.equal('DISK_FULL');

      spawnSync('prlimit', ['--pid', String(worker.child.pid), '--fsize=unlimited']);
      expect(await worker.order({ do: 'append', count: 3, textBytes: 10_000, to })).to.deep.include({
        entries: kept + 3,
      });
      expect((await worker.order({ do: 'close' })).error).to.equal(undefined);
      const storage = await open('server');
      expect((await storage.findUser('bob'))?.lastPosition).to.equal(kept + 3);
      expect(await storage.integrityOk()).to.equal(true);
    });
  }

  it('says what to do where it cannot write', async () => {
    await mkdir(join(dataDir, '..', 'made'), { recursive: true });
    await writeFile(dataDir, 'a file, not a folder');
    const error = await errorOf(open('server'));
    expect(error.code).to.equal('DISK_FULL');
    expect(error.message).to.contain(dataDir);
  });

  it('refuses a file that is no database, and lets go of the folder', async () => {
    await mkdir(dataDir);
    await writeFile(join(dataDir, 'parley.db'), 'no database, '.repeat(1_000));
    for (let attempt = 0; attempt < 2; attempt++) {
      const error = await errorOf(open('server'));
      expect(error.code).to.equal('INTERNAL');
      expect(error.message).to.contain('parley.db is damaged or no database');
    }
  });

  it('refuses a database of a newer version', async () => {
    await (await open('server')).close();
    const database = new Database(join(dataDir, 'parley.db'));
    database.exec(`INSERT INTO kysely_migration VALUES ('9999-from-tomorrow', '2040-01-01')`);
    database.close();
    const error = await errorOf(open('server'));
    expect(error.code).to.equal('INTERNAL');
    expect(error.message).to.contain('newer version');
  });

  it('leaves nothing of a batch that failed', async () => {
    const storage = await openWithUsers();
    const [alice, bob] = await storage.listUsers({ limit: 2 });
    const good = message(alice!, [bob!]);
    const bad = { ...message(alice!, [bob!]), kind: 'unheard of' as 'message' };
    expect((await errorOf(storage.appendMessages([good, bad]))).code).to.equal('INTERNAL');
    expect(await storage.findUser('bob')).to.include({ lastPosition: 0 });
    expect(await storage.appendMessages([good])).to.deep.equal([
      { kind: 'stored', recipients: [{ userId: bob!.id, position: 1 }] },
    ]);
    expect(await storage.createUser(parseUserName('carol'), 'hash', T0)).to.not.equal(undefined);
  });
});
