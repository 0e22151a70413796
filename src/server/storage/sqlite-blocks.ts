/** Who blocks whom, in SQLite. */
import type { UserName } from '../../protocol/values.js';
import type { BlockStore, UserId } from './port.js';
import type { SqliteConnection } from './sqlite-connection.js';

export function blockStore(db: SqliteConnection): BlockStore {
  const add = db.statement(
    `INSERT INTO blocks (blocker_id, blocked_id, blocked_at)
     SELECT a.id, b.id, ? FROM users a, users b WHERE a.id = ? AND b.id = ? ON CONFLICT DO NOTHING`,
  );
  const remove = db.statement('DELETE FROM blocks WHERE blocker_id = ? AND blocked_id = ?');
  const list = db.statement<{ id: UserId; name: UserName }>(
    `SELECT u.id, u.name FROM blocks b JOIN users u ON u.id = b.blocked_id WHERE b.blocker_id = ? ORDER BY u.name_key`,
  );
  const blockers = db.statement<{ id: UserId }>('SELECT blocker_id AS id FROM blocks WHERE blocked_id = ?');
  return {
    addBlock: (blockerId, blockedId, at) => db.write(() => add.run(at, blockerId, blockedId) > 0),
    removeBlock: (blockerId, blockedId) => db.write(() => remove.run(blockerId, blockedId) > 0),
    listBlocked: (blockerId) => db.read(() => list.all(blockerId)),
    blockersOf: (blockedId) => db.read(() => new Set(blockers.all(blockedId).map(({ id }) => id))),
  };
}
