/** Reading inboxes in SQLite: the pump's entries, pages of history, what is delivered and what is read. */
import { setImmediate } from 'node:timers/promises';
import type { UserName } from '../../protocol/values.js';
import type { InboxEntry, InboxFilter, MessageKind, MessageStore, PageSize, ReadMark, UserId } from './port.js';
import type { SqliteConnection, Statement } from './sqlite-connection.js';

/** Entries fetched at a time, so that a page that ends by its bytes reads little more than it returns. */
const FETCH = 64;
/** Entries marked read in one transaction: some milliseconds; marking a whole history lets others in between. */
const MARK_BATCH = 2_000;

interface EntryRow {
  readonly position: number;
  readonly id: string;
  readonly kind: MessageKind;
  readonly fromId: UserId;
  readonly sender: UserName;
  readonly recipient: string;
  readonly text: ArrayBuffer;
  readonly sentAt: number;
  readonly unread: number;
}

const COLUMNS = `d.position, lower(hex(m.message_id)) AS id, m.kind, m.sender_id AS fromId, m.sender_name AS sender,
  m.to_name AS recipient, m.text, m.sent_at AS sentAt, d.unread`;

/** Up to `count` rows beyond the position of the last page's last row. */
type Fetch = (position: number, count: number) => EntryRow[];

function collect(fetch: Fetch, start: number, { limit, maxBytes = Infinity }: PageSize): InboxEntry[] {
  const entries: InboxEntry[] = [];
  let bytes = 0;
  let position = start;
  while (entries.length < limit) {
    const wanted = Math.min(FETCH, limit - entries.length);
    const rows = fetch(position, wanted);
    for (const row of rows) {
      bytes += row.text.byteLength;
      if (bytes > maxBytes && entries.length > 0) return entries;
      entries.push(toEntry(row));
      position = row.position;
    }
    if (rows.length < wanted) break;
  }
  return entries;
}

function toEntry(row: EntryRow): InboxEntry {
  const { position, id, kind, fromId, sender, recipient, text, sentAt, unread } = row;
  return {
    position,
    id,
    kind,
    fromId,
    from: sender,
    to: recipient,
    text: Buffer.from(text).toString('utf8'),
    sentAt,
    unread: unread === 1,
  };
}

/** The four pages, newest first, each on the index made for it whatever the planner guesses. */
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
  };
}

type PageReader = Pick<MessageStore, 'entriesAfter' | 'inboxPage' | 'countUnread'>;

export function inboxReader(db: SqliteConnection): PageReader {
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
  const unread = db.statement<{ unread: number }>('SELECT unread FROM inboxes WHERE user_id = ?');

  const fetchOf = (userId: UserId, { unreadOnly = false, senderId }: InboxFilter): Fetch => {
    if (senderId !== undefined) {
      const statement = unreadOnly ? pages.unreadFrom : pages.from;
      return (position, count) => statement.all(userId, senderId, position, count);
    }
    const statement = unreadOnly ? pages.unread : pages.all;
    return (position, count) => statement.all(userId, position, count);
  };

  const inboxPage = (userId: UserId, filter: InboxFilter, size: PageSize): InboxEntry[] | undefined => {
    let start = Number.MAX_SAFE_INTEGER;
    if (filter.before !== undefined) {
      const position = find.get(userId, Buffer.from(filter.before, 'hex'))?.position ?? undefined;
      if (position === undefined) return undefined;
      start = position;
    }
    return collect(fetchOf(userId, filter), start, size).reverse();
  };

  return {
    entriesAfter: (recipientId, position, size) =>
      db.read(() => collect((from, count) => after.all(recipientId, from, count), position, size)),
    inboxPage: (userId, filter, size) => db.read(() => inboxPage(userId, filter, size)),
    countUnread: (userId) => db.read(() => unread.get(userId)?.unread ?? 0),
  };
}

function prepareMarks(db: SqliteConnection) {
  return {
    advance: db.statement(
      `UPDATE inboxes SET (delivered_position, delivered_bytes) =
       (SELECT position, total_bytes FROM deliveries WHERE recipient_id = ?1 AND position = min(?2, last_position))
     WHERE user_id = ?1 AND min(?2, last_position) > delivered_position`,
    ),
    delivered: db.statement<{ position: number }>(
      'SELECT delivered_position AS position FROM inboxes WHERE user_id = ? AND EXISTS (SELECT 1 FROM users WHERE id = user_id)',
    ),
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

export function inboxMarker(db: SqliteConnection): Pick<MessageStore, 'acknowledge' | 'markRead'> {
  const { advance, delivered, markPositions, positionsOf, unreadUpTo, unreadFromUpTo, countDown } = prepareMarks(db);

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
    acknowledge: (userId, position) =>
      db.write(() => {
        advance.run(userId, position);
        return delivered.get(userId)?.position;
      }),
    markRead: (userId: UserId, mark: ReadMark) => {
      if ('upTo' in mark) return markUpTo(userId, mark.upTo, mark.senderId);
      return db.write(() => ('ids' in mark ? markIds(userId, mark.ids) : markBatch(userId, mark.positions)));
    },
  };
}
