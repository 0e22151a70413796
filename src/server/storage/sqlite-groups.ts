/** Groups in SQLite. */
import { ParleyError } from '../../protocol/errors.js';
import { nameKey } from '../../protocol/values.js';
import type { UserName } from '../../protocol/values.js';
import { MAX_GROUPS_PER_USER } from './port.js';
import type {
  FocusMember,
  GroupId,
  GroupMember,
  GroupRecord,
  GroupStore,
  GroupSummary,
  Joined,
  NewGroup,
  UserId,
} from './port.js';
import type { SqliteConnection } from './sqlite-connection.js';
import type { Inboxes } from './sqlite-fanouts.js';

const RECORD = 'g.id, g.name, g.mode';

interface FocusRow extends GroupRecord {
  readonly userId: UserId;
  readonly userName: UserName;
  readonly heldFrom: number | null;
}

function prepare(db: SqliteConnection) {
  const focus = `SELECT ${RECORD}, u.id AS userId, u.name AS userName, i.held_from AS heldFrom
    FROM group_members m JOIN groups g ON g.id = m.group_id AND g.mode = 'focus'
    JOIN users u ON u.id = m.user_id JOIN inboxes i ON i.user_id = m.user_id`;
  return {
    made: db.statement<{ made: number }>('SELECT count(*) AS made FROM groups WHERE creator_id = ?'),
    insert: db.statement<GroupRecord>(
      `INSERT INTO groups (name_key, name, mode, creator_id, created_at, used_at) VALUES (?1, ?2, ?3, ?4, ?5, ?5)
       ON CONFLICT (name_key) DO NOTHING RETURNING id, name, mode`,
    ),
    byKey: db.statement<GroupRecord>(`SELECT ${RECORD} FROM groups g WHERE g.name_key = ?`),
    byId: db.statement<GroupRecord>(`SELECT ${RECORD} FROM groups g WHERE g.id = ?`),
    page: db.statement<GroupSummary>(
      `SELECT g.name, g.mode, (SELECT count(*) FROM group_members m WHERE m.group_id = g.id) AS members
       FROM groups g WHERE g.name_key > ? ORDER BY g.name_key LIMIT ?`,
    ),
    isMember: db.statement('SELECT 1 FROM group_members WHERE group_id = ? AND user_id = ?'),
    focusOf: db.statement<FocusRow>(`${focus} WHERE m.user_id = ?`),
    allFocus: db.statement<FocusRow>(focus),
    add: db.statement(
      'INSERT INTO group_members (group_id, user_id, joined_at) SELECT ?1, id, ?3 FROM users WHERE id = ?2',
    ),
    remove: db.statement('DELETE FROM group_members WHERE group_id = ? AND user_id = ?'),
    used: db.statement('UPDATE groups SET used_at = max(used_at, ?) WHERE id = ?'),
    members: db.statement<GroupMember>(
      `SELECT u.id, u.name FROM group_members m JOIN users u ON u.id = m.user_id WHERE m.group_id = ? ORDER BY u.name_key`,
    ),
    groupsOf: db.statement<GroupRecord>(
      `SELECT ${RECORD} FROM group_members m JOIN groups g ON g.id = m.group_id WHERE m.user_id = ? ORDER BY g.name_key`,
    ),
    heldFrom: db.statement<{ heldFrom: number | null; last: number }>(
      'SELECT held_from AS heldFrom, last_position AS last FROM inboxes WHERE user_id = ?',
    ),
    beginHolding: db.statement('UPDATE inboxes SET held_from = coalesce(held_from, last_position) WHERE user_id = ?'),
    endHolding: db.statement('UPDATE inboxes SET held_from = NULL WHERE user_id = ? AND held_from IS NOT NULL'),
    removeEmpty: db.statement(
      'DELETE FROM groups WHERE used_at < ? AND NOT EXISTS (SELECT 1 FROM group_members m WHERE m.group_id = groups.id)',
    ),
    held: db.statement<{ sender: UserName; entries: number; last: number }>(
      `SELECT m.sender_name AS sender, count(*) AS entries, max(d.position) AS last
       FROM deliveries d CROSS JOIN messages m ON m.id = d.message
       WHERE d.recipient_id = ?1 AND d.position > ?2 AND d.position <= (SELECT last_position FROM inboxes WHERE user_id = ?1)
         AND d.unread = 1 AND NOT (m.kind = 'group' AND m.to_name = ?3)
       GROUP BY m.sender_name ORDER BY min(d.position)`,
    ),
  };
}

function toMember({ id, name, mode, userId, userName, heldFrom }: FocusRow): FocusMember {
  return { user: { id: userId, name: userName }, group: { id, name, mode }, heldFrom: heldFrom ?? 0 };
}

export function groupStore(db: SqliteConnection, inboxes: Inboxes): GroupStore {
  const sql = prepare(db);

  const create = ({ name, mode, creatorId, createdAt }: NewGroup): GroupRecord | undefined => {
    if (sql.byKey.get(nameKey(name)) !== undefined) return undefined;
    if ((sql.made.get(creatorId)?.made ?? 0) >= MAX_GROUPS_PER_USER) {
      throw new ParleyError('TOO_MANY_GROUPS', { limit: MAX_GROUPS_PER_USER });
    }
    return sql.insert.get(nameKey(name), name, mode, creatorId, createdAt);
  };

  const join = (groupId: GroupId, userId: UserId, at: number): Joined => {
    const group = sql.byId.get(groupId);
    if (group === undefined) return { kind: 'gone' };
    if (sql.isMember.get(groupId, userId) !== undefined) return { kind: 'in', group };
    if (group.mode === 'focus') {
      const other = sql.focusOf.get(userId);
      if (other !== undefined) return { kind: 'in', group: toMember(other).group };
    }
    if (sql.add.run(groupId, userId, at) === 0) return { kind: 'gone' };
    sql.used.run(at, groupId);
    inboxes.write(userId);
    const before = sql.heldFrom.get(userId);
    if (group.mode === 'focus') sql.beginHolding.run(userId);
    const heldFrom = before?.heldFrom ?? before?.last ?? 0;
    return { kind: 'joined', heldFrom, isAgain: (before?.heldFrom ?? null) !== null };
  };

  return {
    createGroup: (group) => db.write(() => create(group)),
    findGroup: (name) => db.read(() => sql.byKey.get(nameKey(name))),
    listGroups: ({ after, limit }) => db.read(() => sql.page.all(after === undefined ? '' : nameKey(after), limit)),
    joinGroup: (groupId, userId, at) => db.write(() => join(groupId, userId, at)),
    leaveGroup: (groupId, userId, at, holding = 'kept') =>
      db.write(() => {
        if (sql.remove.run(groupId, userId) === 0) return false;
        sql.used.run(at, groupId);
        if (holding === 'ended') sql.endHolding.run(userId);
        return true;
      }),
    groupMembers: (groupId) => db.read(() => sql.members.all(groupId)),
    groupsOf: (userId) => db.read(() => sql.groupsOf.all(userId)),
    focusOf: (userId) =>
      db.read(() => {
        const row = sql.focusOf.get(userId);
        return row && toMember(row);
      }),
    focusMembers: () => db.read(() => sql.allFocus.all().map(toMember)),
    heldSummary: (userId) =>
      inboxes.read(userId, () => {
        const row = sql.focusOf.get(userId);
        const from = row?.heldFrom ?? 0;
        const senders = row === undefined ? [] : sql.held.all(userId, from, row.name);
        return {
          count: senders.reduce((sum, { entries }) => sum + entries, 0),
          senders: senders.map(({ sender }) => sender),
          upTo: Math.max(from, ...senders.map(({ last }) => last)),
        };
      }),
    endHolding: (userId) => db.write(() => void sql.endHolding.run(userId)),
    removeEmptyGroups: (usedBefore) => db.write(() => sql.removeEmpty.run(usedBefore)),
  };
}
