/** Users in SQLite. */
import { setImmediate } from 'node:timers/promises';
import { nameKey } from '../../protocol/values.js';
import type { UserName } from '../../protocol/values.js';
import type { SeenUser, UserId, UserRecord, UserStore } from './port.js';
import type { SqliteConnection } from './sqlite-connection.js';
import type { Inboxes } from './sqlite-fanouts.js';
import { entryRemover } from './sqlite-retention.js';

/** Deliveries of a removed user that are deleted in one transaction: some milliseconds, so that a server beside goes on. */
const SWEEP_BATCH = 1_000;

interface UserRow extends Omit<UserRecord, 'lastSeenAt'> {
  readonly lastSeenAt: number | null;
}

const SELECT = `SELECT u.id, u.name, u.password_hash AS passwordHash, u.last_seen_at AS lastSeenAt,
    i.last_position AS lastPosition, i.delivered_position AS deliveredPosition
  FROM users u JOIN inboxes i ON i.user_id = u.id`;

export function userStore(db: SqliteConnection, inboxes: Inboxes): UserStore {
  const insert = db.statement<{ id: UserId }>(
    `INSERT INTO users (name_key, name, password_hash, created_at) VALUES (?, ?, ?, ?)
     ON CONFLICT (name_key) DO NOTHING RETURNING id`,
  );
  const insertInbox = db.statement('INSERT INTO inboxes (user_id) VALUES (?)');
  const byKey = db.statement<UserRow>(`${SELECT} WHERE u.name_key = ?`);
  const byKeys = db.statement<UserRow>(`${SELECT} WHERE u.name_key IN (SELECT value FROM json_each(?))`);
  const byId = db.statement<UserRow>(`${SELECT} WHERE u.id = ?`);
  const page = db.statement<UserRow>(`${SELECT} WHERE u.name_key > ? ORDER BY u.name_key LIMIT ?`);
  const setHash = db.statement('UPDATE users SET password_hash = ? WHERE id = ?');
  const revoke = db.statement('DELETE FROM resume_tokens WHERE user_id = ?');
  const touch = db.statement('UPDATE users SET last_seen_at = ? WHERE id IN (SELECT value FROM json_each(?))');
  const seen = db.statement<SeenUser>(
    `SELECT id, name, last_seen_at AS lastSeenAt FROM users WHERE last_seen_at >= ? ORDER BY last_seen_at DESC, id`,
  );
  const remove = db.statement('DELETE FROM users WHERE id = ?');
  const sweep = inboxSweeper(db);

  const createUser = (name: UserName, passwordHash: string, at: number): UserRecord | undefined => {
    const created = insert.get(nameKey(name), name, passwordHash, at);
    if (created === undefined) return undefined;
    insertInbox.run(created.id);
    return { id: created.id, name, passwordHash, lastSeenAt: undefined, lastPosition: 0, deliveredPosition: 0 };
  };
  const toRecord = (row: UserRow): UserRecord => ({
    ...row,
    lastSeenAt: row.lastSeenAt ?? undefined,
    lastPosition: row.lastPosition + inboxes.waitingFor(row.id),
  });
  const one = (row: UserRow | undefined): UserRecord | undefined => row && toRecord(row);

  return {
    createUser: (name, passwordHash, at) => db.write(() => createUser(name, passwordHash, at)),
    findUser: (name) => db.read(() => one(byKey.get(nameKey(name)))),
    findUsers: (names) => db.read(() => byKeys.all(JSON.stringify(names.map(nameKey))).map(toRecord)),
    getUser: (id) => db.read(() => one(byId.get(id))),
    setPasswordHash: (id, passwordHash) =>
      db.write(() => {
        revoke.run(id);
        return setHash.run(passwordHash, id) > 0;
      }),
    async removeUser(id) {
      const removed = await db.write(() => {
        const isRemoved = remove.run(id) > 0;
        inboxes.write(id);
        return isRemoved;
      });
      // From here on the user is gone; what a crash leaves of the inbox goes with the next removal.
      while (await db.write(sweep)) await setImmediate();
      return removed;
    },
    listUsers: ({ after, limit }) =>
      db.read(() => page.all(after === undefined ? '' : nameKey(after), limit).map(toRecord)),
    touchLastSeen: (ids, at) => db.write(() => void touch.run(at, JSON.stringify(ids))),
    usersSeenSince: (since) => db.read(() => seen.all(since)),
  };
}

/** Deletes a batch of what inboxes of removed users hold, and messages that nobody has any more; says whether there may be more. */
function inboxSweeper(db: SqliteConnection): () => boolean {
  const orphan = db.statement<{ userId: UserId }>(
    'SELECT user_id AS userId FROM inboxes WHERE user_id NOT IN (SELECT id FROM users) LIMIT 1',
  );
  const batch = db.statement<{ position: number; message: number }>(
    'SELECT position, message FROM deliveries WHERE recipient_id = ? ORDER BY position LIMIT ?',
  );
  const remover = entryRemover(db);
  const removeInbox = db.statement('DELETE FROM inboxes WHERE user_id = ?');
  return () => {
    const owner = orphan.get();
    if (owner === undefined) return false;
    const entries = batch.all(owner.userId, SWEEP_BATCH);
    for (const { position, message } of entries) {
      remover.removeEntry(owner.userId, position);
      remover.removeMessage(message);
    }
    remover.finish();
    if (entries.length < SWEEP_BATCH) removeInbox.run(owner.userId);
    return true;
  };
}
