/** Removing what is old from SQLite, in bounded steps. */
import { MIN_KNOWN_DAYS } from './port.js';
import type { Retention, RetentionStore, SweepPlace, UserId } from './port.js';
import type { SqliteConnection } from './sqlite-connection.js';

const DAY_MS = 24 * 60 * 60 * 1_000;
/** Entries looked at in one step: some milliseconds. */
const SWEEP_BATCH = 500;
/** Users whose inboxes are looked at in one step; most have nothing that is old. */
const USERS_A_STEP = 500;
/** `retention_days` of who keeps everything. */
const FOREVER = 0;
/** Behind every user: what is left is ids of removed messages. */
const LAST_USER = Number.MAX_SAFE_INTEGER;

interface Owner {
  readonly userId: UserId;
  readonly days: number | null;
  readonly delivered: number;
}

interface OldEntry {
  readonly position: number;
  readonly message: number;
  readonly unread: number;
  readonly sentAt: number;
}

/** Removes single entries, with their words, and messages that nobody has; to be used within one transaction, `finish` last. */
export function entryRemover(db: SqliteConnection) {
  const removeDelivery = db.statement('DELETE FROM deliveries WHERE recipient_id = ? AND position = ?');
  const removeWords = db.statement('DELETE FROM search WHERE rowid = ((? << 32) | ?)');
  const nobodyHasIt = `NOT EXISTS (SELECT 1 FROM deliveries WHERE message = ?1)
    AND NOT EXISTS (SELECT 1 FROM fanouts WHERE message = ?1)`;
  const removeMessage = db.statement(`DELETE FROM messages WHERE id = ?1 AND ${nobodyHasIt}`);
  const emptyMessage = db.statement(
    `UPDATE messages SET text = x'', to_name = '', refused = NULL
     WHERE id = ?1 AND ${nobodyHasIt}`,
  );
  // The row of the newest message is used again once that is removed; it must not seem to be in the index then.
  const stepBack = db.statement(
    `UPDATE search_progress SET message = (SELECT coalesce(max(id), 0) FROM messages), recipient_id = ${LAST_USER}
     WHERE message > (SELECT coalesce(max(id), 0) FROM messages)`,
  );
  return {
    removeEntry: (userId: UserId, position: number): void => {
      removeDelivery.run(userId, position);
      removeWords.run(userId, position);
    },
    removeMessage: (message: number): void => void removeMessage.run(message),
    /** Only its id stays. */
    emptyMessage: (message: number): void => void emptyMessage.run(message),
    finish: (): void => void stepBack.run(),
  };
}

function prepare(db: SqliteConnection) {
  return {
    set: db.statement('UPDATE users SET retention_days = ? WHERE id = ?'),
    get: db.statement<{ days: number | null }>('SELECT retention_days AS days FROM users WHERE id = ?'),
    owners: db.statement<Owner>(
      `SELECT u.id AS userId, u.retention_days AS days, i.delivered_position AS delivered
       FROM users u JOIN inboxes i ON i.user_id = u.id WHERE u.id >= ? ORDER BY u.id LIMIT ?`,
    ),
    // Whether an entry of a message to many was written is told by its being there.
    oldest: db.statement<OldEntry>(
      `SELECT d.position, d.message, d.unread, m.sent_at AS sentAt
       FROM deliveries d CROSS JOIN messages m ON m.id = d.message
       WHERE d.recipient_id = ? AND d.position > ? AND d.position <= ?
         AND NOT EXISTS (SELECT 1 FROM fanouts WHERE message = d.message) ORDER BY d.position LIMIT ?`,
    ),
    forgetIds: db.statement(
      `DELETE FROM messages WHERE id IN
         (SELECT id FROM messages INDEXED BY emptied_messages WHERE text = x'' AND sent_at < ? LIMIT ${SWEEP_BATCH})`,
    ),
  };
}

export function retentionStore(db: SqliteConnection): RetentionStore {
  const sql = prepare(db);
  const remover = entryRemover(db);

  /** Looks at `room` entries at most; says how many it looked at, and where in this inbox to go on when there may be more. */
  const sweepInbox = (
    { userId, delivered }: Owner,
    after: number,
    room: number,
    times: { readonly before: number; readonly knownFrom: number },
  ): { removed: number; looked: number; next: number | undefined } => {
    const entries = sql.oldest.all(userId, after, delivered, room);
    let removed = 0;
    for (const { position, message, unread, sentAt } of entries) {
      // They lie in the order of their times, but for a clock that was set back.
      if (sentAt >= times.before) return { removed, looked: entries.length, next: undefined };
      if (unread === 1) continue;
      remover.removeEntry(userId, position);
      if (sentAt < times.knownFrom) remover.removeMessage(message);
      else remover.emptyMessage(message);
      removed += 1;
    }
    return { removed, looked: entries.length, next: entries.length < room ? undefined : entries.at(-1)?.position };
  };

  const sweepUsers = (at: number, fallback: Retention, from: SweepPlace): { removed: number; next: SweepPlace } => {
    const owners = sql.owners.all(from.userId, USERS_A_STEP);
    let removed = 0;
    let room = SWEEP_BATCH;
    for (const owner of owners) {
      const days = owner.days === null ? fallback : toRetention(owner.days);
      if (days === 'forever') continue;
      const after = owner.userId === from.userId ? from.position : 0;
      const times = { before: at - days * DAY_MS, knownFrom: at - MIN_KNOWN_DAYS * DAY_MS };
      const swept = sweepInbox(owner, after, room, times);
      removed += swept.removed;
      room -= swept.looked;
      if (swept.next !== undefined) return { removed, next: { userId: owner.userId, position: swept.next } };
      if (room <= 0) return { removed, next: { userId: owner.userId + 1, position: 0 } };
    }
    const last = owners.length < USERS_A_STEP ? LAST_USER : (owners.at(-1)?.userId ?? LAST_USER) + 1;
    return { removed, next: { userId: last, position: 0 } };
  };

  return {
    setRetention: (userId, retention) => db.write(() => sql.set.run(toDays(retention), userId) > 0),
    getRetention: (userId) =>
      db.read(() => {
        const days = sql.get.get(userId)?.days ?? null;
        return days === null ? undefined : toRetention(days);
      }),
    removeOld: ({ at, fallback, from = { userId: 0, position: 0 } }) =>
      db.write(() => {
        if (from.userId < LAST_USER) {
          const swept = sweepUsers(at, fallback, from);
          if (swept.removed > 0) remover.finish();
          return swept;
        }
        const forgotten = sql.forgetIds.run(at - MIN_KNOWN_DAYS * DAY_MS);
        if (forgotten > 0) remover.finish();
        return { removed: 0, next: forgotten < SWEEP_BATCH ? undefined : from };
      }),
  };
}

function toRetention(days: number): Retention {
  return days === FOREVER ? 'forever' : days;
}

function toDays(retention: Retention | undefined): number | null {
  return retention === undefined ? null : retention === 'forever' ? FOREVER : retention;
}
