/** Reading inboxes in SQLite: the pump's entries, pages of history, what is delivered and what is read. */
import { setImmediate } from 'node:timers/promises';
import type { InboxEntry, InboxFilter, MessageStore, PageSize, ReadMark, UserId } from './port.js';
import type { SqliteConnection, Statement } from './sqlite-connection.js';
import { COLUMNS, collect } from './sqlite-entries.js';
import type { EntryRow, Fetch } from './sqlite-entries.js';
import type { Inboxes } from './sqlite-fanouts.js';
import { searchReader } from './sqlite-search.js';

/** Entries marked read in one transaction: some milliseconds; marking a whole history lets others in between. */
const MARK_BATCH = 2_000;

/** Entries of a sender up to which unread ones are looked for among these, instead of that sender's among all unread. */
const FEW_OF_SENDER = 4_000;

/** The pages, newest first, each on the index made for it whatever the planner guesses. */
function preparePages(db: SqliteConnection) {
  const page = (index: string, where: string): Statement<EntryRow> =>
    db.statement(
      `SELECT ${COLUMNS} FROM deliveries d ${index} CROSS JOIN messages m ON m.id = d.message
       WHERE d.recipient_id = ? ${where} AND d.position < ? ORDER BY d.position DESC LIMIT ?`,
    );
  return {
    all: page('NOT INDEXED', ''),
    unread: page('INDEXED BY unread_deliveries', 'AND d.unread = 1'),
    from: page('INDEXED BY deliveries_by_sender', 'AND d.sender_id = ?'),
    unreadFrom: page('INDEXED BY unread_deliveries', 'AND d.unread = 1 AND d.sender_id = ?'),
    unreadOfFew: page('INDEXED BY deliveries_by_sender', 'AND d.unread = 1 AND d.sender_id = ?'),
  };
}

type PageReader = Pick<MessageStore, 'entriesAfter' | 'inboxPage' | 'countUnread'>;

export function inboxReader(db: SqliteConnection, inboxes: Inboxes): PageReader {
  const pages = preparePages(db);
  const after = db.statement<EntryRow>(
    `SELECT ${COLUMNS} FROM deliveries d CROSS JOIN messages m ON m.id = d.message
     WHERE d.recipient_id = ? AND d.position > ? ORDER BY d.position LIMIT ?`,
  );
  // The same id may come from two senders; then the newer one counts.
  const find = db.statement<{ position: number | null }>(
    `SELECT max(d.position) AS position FROM messages m CROSS JOIN deliveries d ON d.message = m.id AND d.recipient_id = ?
     WHERE m.message_id = ?`,
  );
  const countFrom = db.statement<{ entries: number }>(
    `SELECT count(*) AS entries FROM (SELECT 1 FROM deliveries INDEXED BY deliveries_by_sender
     WHERE recipient_id = ? AND sender_id = ? LIMIT ${FEW_OF_SENDER + 1})`,
  );
  const unread = db.statement<{ unread: number }>('SELECT unread FROM inboxes WHERE user_id = ?');
  const search = searchReader(db);

  const unreadPages = (userId: UserId, senderId: UserId): Statement<EntryRow> =>
    (countFrom.get(userId, senderId)?.entries ?? 0) > FEW_OF_SENDER ? pages.unreadFrom : pages.unreadOfFew;

  const fetchOf = (userId: UserId, { unreadOnly = false, senderId }: InboxFilter): Fetch => {
    if (senderId !== undefined) {
      const statement = unreadOnly ? unreadPages(userId, senderId) : pages.from;
      return (position, count) => statement.all(userId, senderId, position, count);
    }
    const statement = unreadOnly ? pages.unread : pages.all;
    return (position, count) => statement.all(userId, position, count);
  };

  /** Where the page begins; undefined when `before` is no entry of this inbox. */
  const startOf = (userId: UserId, { before }: InboxFilter): number | undefined =>
    before === undefined
      ? Number.MAX_SAFE_INTEGER
      : (find.get(userId, Buffer.from(before, 'hex'))?.position ?? undefined);

  const inboxPage = async (userId: UserId, filter: InboxFilter, size: PageSize): Promise<InboxEntry[] | undefined> => {
    const { words } = filter;
    if (words === undefined) {
      return inboxes.read(userId, () => {
        const start = startOf(userId, filter);
        return start === undefined ? undefined : collect(fetchOf(userId, filter), start, size).reverse();
      });
    }
    const from = await inboxes.read(userId, () => ({ start: startOf(userId, filter), fetch: fetchOf(userId, filter) }));
    if (from.start === undefined) return undefined;
    return (await search({ userId, filter, words, size, start: from.start, fetch: from.fetch })).reverse();
  };

  return {
    entriesAfter: (recipientId, position, size) =>
      inboxes.read(recipientId, () => collect((from, count) => after.all(recipientId, from, count), position, size)),
    inboxPage,
    countUnread: (userId) => db.read(() => (unread.get(userId)?.unread ?? 0) + inboxes.waitingFor(userId)),
  };
}

function prepareMarks(db: SqliteConnection) {
  return {
    markPositions: db.statement(
      `UPDATE deliveries SET unread = 0
     WHERE recipient_id = ? AND unread = 1 AND position IN (SELECT value FROM json_each(?))`,
    ),
    unreadUpTo: db.statement<{ position: number }>(
      `SELECT position FROM deliveries INDEXED BY unread_deliveries
     WHERE recipient_id = ? AND unread = 1 AND position <= ? ORDER BY position LIMIT ?`,
    ),
    unreadFromUpTo: db.statement<{ position: number }>(
      `SELECT position FROM deliveries INDEXED BY unread_deliveries
     WHERE recipient_id = ? AND sender_id = ? AND unread = 1 AND position <= ? ORDER BY position LIMIT ?`,
    ),
    positionsOf: db.statement<{ position: number }>(
      `SELECT d.position FROM messages m CROSS JOIN deliveries d ON d.message = m.id AND d.recipient_id = ?
     WHERE m.message_id = ?`,
    ),
    countDown: db.statement('UPDATE inboxes SET unread = unread - ? WHERE user_id = ?'),
  };
}

export function inboxMarker(db: SqliteConnection, inboxes: Inboxes): Pick<MessageStore, 'acknowledge' | 'markRead'> {
  const { markPositions, positionsOf, unreadUpTo, unreadFromUpTo, countDown } = prepareMarks(db);

  const markBatch = (userId: UserId, positions: readonly number[]): number => {
    const changed = markPositions.run(userId, JSON.stringify(positions));
    if (changed > 0) countDown.run(changed, userId);
    return changed;
  };

  const markIds = (userId: UserId, ids: readonly string[]): number =>
    markBatch(
      userId,
      ids.flatMap((id) => positionsOf.all(userId, Buffer.from(id, 'hex')).map(({ position }) => position)),
    );

  const markUpTo = async (userId: UserId, upTo: number, senderId: UserId | undefined): Promise<number> => {
    let marked = 0;
    for (;;) {
      const changed = await db.write(() => {
        inboxes.write(userId);
        const rows =
          senderId === undefined
            ? unreadUpTo.all(userId, upTo, MARK_BATCH)
            : unreadFromUpTo.all(userId, senderId, upTo, MARK_BATCH);
        const positions = rows.map(({ position }) => position);
        return markBatch(userId, positions);
      });
      marked += changed;
      if (changed < MARK_BATCH) return marked;
      await setImmediate();
    }
  };

  return {
    acknowledge: (reached) =>
      db.write(() => {
        for (const [userId, position] of reached) inboxes.acknowledge(userId, position);
      }),
    markRead: (userId: UserId, mark: ReadMark) => {
      if ('upTo' in mark) return markUpTo(userId, mark.upTo, mark.senderId);
      return db.write(() => {
        inboxes.write(userId);
        return 'ids' in mark ? markIds(userId, mark.ids) : markBatch(userId, mark.positions);
      });
    },
  };
}
