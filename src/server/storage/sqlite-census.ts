/** Counts for the operator in SQLite. */
import type { CensusStore } from './port.js';
import type { SqliteConnection } from './sqlite-connection.js';
import type { Inboxes } from './sqlite-fanouts.js';

export function censusStore(db: SqliteConnection, inboxes: Inboxes): CensusStore {
  const all = db.statement<{ users: number; files: number }>(
    'SELECT (SELECT count(*) FROM users) AS users, (SELECT count(*) FROM files) AS files',
  );
  // The inbox of a removed user stays until it is swept.
  const undelivered = db.statement<{ entries: number }>(
    `SELECT coalesce(sum(last_position - delivered_position), 0) AS entries FROM inboxes
     WHERE EXISTS (SELECT 1 FROM users WHERE id = user_id)`,
  );
  return {
    countAll: () => db.read(() => all.get() ?? { users: 0, files: 0 }),
    countUndelivered: () => db.read(() => (undelivered.get()?.entries ?? 0) + inboxes.waiting),
  };
}
