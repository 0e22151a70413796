/** Brings the tables of a database to what this version expects. */
import { Kysely, Migrator, SqliteDialect } from 'kysely';
import { ParleyError } from '../../protocol/errors.js';
import { MIGRATIONS } from './migrations/index.js';
import type { SqliteConnection } from './sqlite-connection.js';

/**
 * All missing migrations in one transaction, so that two processes that start at once make the tables once, and a crash leaves
 * none half made. The connection must be used by nobody else meanwhile.
 * @throws ParleyError DISK_FULL, SERVER_BUSY, INTERNAL (also for a database of a newer version)
 */
export async function migrate(connection: SqliteConnection): Promise<void> {
  const kysely = new Kysely<unknown>({ dialect: new SqliteDialect({ database: connection.database }) });
  const migrator = new Migrator({ db: kysely, provider: { getMigrations: () => Promise.resolve({ ...MIGRATIONS }) } });
  try {
    connection.database.exec('BEGIN IMMEDIATE');
    const { error } = await migrator.migrateToLatest();
    if (error !== undefined) throw explain(connection, error);
    connection.database.exec('COMMIT');
  } catch (error) {
    connection.rollback();
    throw explain(connection, error);
  }
  // Not kysely.destroy(): it would close the connection.
}

function explain(connection: SqliteConnection, error: unknown): ParleyError {
  // The migrator's word for a database that knows migrations which this program does not.
  if (!(error instanceof Error) || !error.message.startsWith('corrupted migrations')) {
    return connection.toError(error, 'write');
  }
  const reason = 'the data directory was written by a newer version of the server; update this one';
  return new ParleyError('INTERNAL', { reason }, { cause: error });
}
