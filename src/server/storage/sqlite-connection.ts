/** One SQLite connection: how it is set up, its statements and transactions, and what its errors become. */
import Database from 'libsql';
import { ParleyError } from '../../protocol/errors.js';

/** How long a statement waits for another process's transaction (`server user add`); those take milliseconds. */
const BUSY_TIMEOUT_MS = 5_000;
/** KiB of pages kept in memory: the inner pages of the indexes of some ten million messages, and where the logs of thousands of users end. */
const CACHE_KIB = 64 * 1024;
/** Pages of log after which they are written back (64 MiB): sixteen times SQLite's own, as appends touch the same pages again and again. */
const CHECKPOINT_PAGES = 16_000;
/** Bytes the log may keep on disk once it was written back. */
const LOG_KEPT_BYTES = 64 * 1024 * 1024;

/** Writes in one commit: some milliseconds, then reads get their turn. */
const MAX_COMMIT_WRITES = 256;

export type SqlValue = string | number | Buffer | null;

/** A prepared statement. Blobs come as Buffer from `get` and as ArrayBuffer from `all`. */
export interface Statement<Row> {
  all(...values: SqlValue[]): Row[];
  get(...values: SqlValue[]): Row | undefined;
  /** For statements that return no rows; returns how many rows changed. */
  run(...values: SqlValue[]): number;
  /** For an INSERT of one row; returns its rowid, or undefined when a conflict kept it out. */
  insert(...values: SqlValue[]): number | undefined;
}

interface QueuedWrite {
  readonly work: () => unknown;
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: ParleyError) => void;
}

/** What became of one write of a commit, to be said once the commit stands. */
type Settle = () => void;

/**
 * Every read, and every commit, is synchronous and runs to its end in one turn of the loop, so no two verbs can get into each other's
 * way. (That is also why a query builder that awaits between BEGIN and COMMIT is used for migrations only.)
 */
export class SqliteConnection {
  /** For the migrator, before anything else uses the connection. */
  readonly database: Database.Database;
  readonly #path: string;
  /** Prepared: parsing them would be half of what a small write costs. */
  readonly #savepoint: Statement<object>;
  readonly #release: Statement<object>;
  readonly #begin: Statement<object>;
  readonly #commit: Statement<object>;
  readonly #dataVersion: Statement<{ data_version: number }>;
  /** What takes back in memory what the open transaction did there. */
  #undos: (() => void)[] = [];
  #open = true;
  #writes: QueuedWrite[] = [];

  /** @throws ParleyError DISK_FULL, INTERNAL, SERVER_BUSY */
  constructor(path: string) {
    this.#path = path;
    this.database = this.#attempt('write', () => {
      const database = new Database(path, { timeout: BUSY_TIMEOUT_MS });
      // FULL: the log is synced before a commit returns, which is what an acknowledgement stands on (R27).
      for (const setting of [
        'journal_mode = WAL',
        'synchronous = FULL',
        'foreign_keys = ON',
        `wal_autocheckpoint = ${CHECKPOINT_PAGES}`,
        `cache_size = -${CACHE_KIB}`,
        `journal_size_limit = ${LOG_KEPT_BYTES}`,
        'trusted_schema = OFF',
      ])
        database.pragma(setting);
      return database;
    });
    this.#savepoint = this.statement('SAVEPOINT one');
    this.#release = this.statement('RELEASE one');
    // IMMEDIATE: a transaction that reads first and then has to wait for a writer could only fail.
    this.#begin = this.statement('BEGIN IMMEDIATE');
    this.#commit = this.statement('COMMIT');
    this.#dataVersion = this.statement('PRAGMA data_version');
  }

  /** Changes when another process has changed the database. */
  get dataVersion(): number {
    return this.#dataVersion.get()?.data_version ?? 0;
  }

  /** Within a transaction: `undo` takes back what was done in memory, should it not be committed. */
  onRollback(undo: () => void): void {
    this.#undos.push(undo);
  }

  /** Prepares a statement that is kept as long as the connection; its tables must exist. */
  statement<Row = object>(sql: string): Statement<Row> {
    const prepared = this.database.prepare(sql);
    return {
      all: (...values) => prepared.all(values) as Row[],
      get: (...values) => withoutMetadata(prepared.get(values)) as Row | undefined,
      run: (...values) => prepared.run(values).changes,
      insert: (...values) => {
        const { changes, lastInsertRowid } = prepared.run(values);
        return changes === 0 ? undefined : Number(lastInsertRowid);
      },
    };
  }

  /** One or more reads. Rejects with ParleyError. */
  read<T>(work: () => T): Promise<T> {
    try {
      return Promise.resolve(this.#attempt('read', work));
    } catch (error) {
      // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors -- always a ParleyError
      return Promise.reject(error);
    }
  }

  /**
   * Reads and writes, all or nothing: durable when the promise resolves. What is asked for in one turn of the loop is one commit,
   * since what a commit costs is the sync of the log: a thousand logins or acknowledgements at once are a few of them.
   */
  write<T>(work: () => T): Promise<T> {
    if (!this.#open) return Promise.reject(closed());
    return new Promise<T>((resolve, reject) => {
      this.#writes.push({ work, resolve: resolve as (result: unknown) => void, reject });
      if (this.#writes.length === 1) setImmediate(() => this.#commitQueued());
    });
  }

  #commitQueued(): void {
    const writes = this.#writes.splice(0, MAX_COMMIT_WRITES);
    if (this.#writes.length > 0) setImmediate(() => this.#commitQueued());
    const settles: Settle[] = [];
    try {
      this.transaction(() => {
        for (const write of writes) settles.push(writes.length === 1 ? alone(write) : this.#inSavepoint(write));
      });
    } catch (thrown) {
      const error = this.toError(thrown, 'write');
      for (const { reject } of writes) reject(error);
      return;
    }
    for (const settle of settles) settle();
  }

  /** One write that undoes only itself when it fails. */
  #inSavepoint(write: QueuedWrite): Settle {
    const { database } = this;
    const before = this.#undos.length;
    this.#savepoint.run();
    try {
      const settle = alone(write);
      this.#release.run();
      return settle;
    } catch (thrown) {
      // After a full disk SQLite has undone everything, the other writes too.
      if (!database.inTransaction) throw thrown;
      database.exec('ROLLBACK TO one; RELEASE one');
      this.#undo(before);
      return () => write.reject(this.toError(thrown, 'write'));
    }
  }

  /** As `write`, in this turn; throws what `work` or SQLite throws. */
  transaction<T>(work: () => T): T {
    this.#begin.run();
    try {
      const result = work();
      this.#commit.run();
      this.#undos = [];
      return result;
    } catch (error) {
      this.rollback();
      throw error;
    }
  }

  /** As `read`, of what `prepare` wrote just before; what that wrote is kept when it can be, also when the disk is full reads go on (R21). */
  readAfter<T>(prepare: () => void, work: () => T): Promise<T> {
    return this.read(() => {
      this.#begin.run();
      try {
        prepare();
        const result = work();
        try {
          this.#commit.run();
          this.#undos = [];
        } catch (error) {
          if (this.toError(error, 'write').code !== 'DISK_FULL') throw error;
          this.rollback();
        }
        return result;
      } catch (error) {
        this.rollback();
        throw error;
      }
    });
  }

  /** After a full disk SQLite has rolled back by itself; a second time would hide the first error. */
  rollback(): void {
    if (this.database.inTransaction) this.database.exec('ROLLBACK');
    this.#undo(0);
  }

  /** Takes back what was done in memory, the newest first. */
  #undo(from: number): void {
    for (const undo of this.#undos.splice(from).reverse()) undo();
  }

  /** Reads every page; foreign keys too. */
  isIntact(): boolean {
    const [row] = this.database.prepare('PRAGMA integrity_check(1)').all([]) as { integrity_check?: unknown }[];
    return row?.integrity_check === 'ok' && this.database.prepare('PRAGMA foreign_key_check').all([]).length === 0;
  }

  /** Does what was asked for and then `last`, which throws nothing. May be called more than once. */
  close(last: () => void = () => undefined): void {
    if (!this.#open) return;
    while (this.#writes.length > 0) this.#commitQueued();
    last();
    this.#open = false;
    this.rollback();
    this.database.close();
  }

  /** What SQLite or `work` threw, as a ParleyError. */
  toError(thrown: unknown, during: 'read' | 'write'): ParleyError {
    return storageError(thrown, during, this.#path);
  }

  #attempt<T>(during: 'read' | 'write', work: () => T): T {
    // Statements would go on working after the connection was closed.
    if (!this.#open) throw closed();
    try {
      return work();
    } catch (error) {
      throw this.toError(error, during);
    }
  }
}

function alone({ work, resolve }: QueuedWrite): Settle {
  const result = work();
  return () => resolve(result);
}

function closed(): ParleyError {
  return new ParleyError('INTERNAL', { reason: 'the storage is closed' });
}

/** `get` adds the statement's duration to the row. */
function withoutMetadata(row: unknown): unknown {
  if (typeof row !== 'object' || row === null) return row;
  const columns: Record<string, unknown> = { ...row };
  delete columns['_metadata'];
  return columns;
}

const CANNOT_WRITE = /^SQLITE_(FULL|READONLY|IOERR|CANTOPEN|PERM)/;

/** No space, no permission and failed writes are DISK_FULL (R21); who cannot get at the lock in time is told SERVER_BUSY. */
export function storageError(thrown: unknown, during: 'read' | 'write', path: string): ParleyError {
  if (thrown instanceof ParleyError) return thrown;
  const code = thrown instanceof Error && 'code' in thrown ? String(thrown.code) : 'unknown';
  const text = thrown instanceof Error ? thrown.message : 'a value was thrown';
  if (code.startsWith('SQLITE_FULL') || (during === 'write' && CANNOT_WRITE.test(code))) {
    return new ParleyError('DISK_FULL', { path, reason: text }, { cause: thrown });
  }
  if (code.startsWith('SQLITE_BUSY') || code.startsWith('SQLITE_LOCKED')) {
    return new ParleyError('SERVER_BUSY', {}, { cause: thrown });
  }
  if (code.startsWith('SQLITE_NOTADB') || code.startsWith('SQLITE_CORRUPT')) {
    const reason = `${path} is damaged or no database; restore it from a backup, or move it away to begin anew`;
    return new ParleyError('INTERNAL', { reason }, { cause: thrown });
  }
  return new ParleyError('INTERNAL', { reason: `storage: ${text} (${code})` }, { cause: thrown });
}
