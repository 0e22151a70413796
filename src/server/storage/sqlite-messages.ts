/** Appending to inboxes in SQLite: order of a sender (R27), duplicates, and what an inbox takes (R20). */
import type { KeyFingerprint } from '../../protocol/values.js';
import { MAX_INBOX_BYTES, MAX_INBOX_ENTRIES, MAX_INBOX_ENTRIES_PER_SENDER } from './port.js';
import type { AppendOutcome, MessageStore, NewMessage, RecipientOutcome, UserId } from './port.js';
import type { SqliteConnection } from './sqlite-connection.js';

/** An inbox as far as it was changed in this batch. */
interface Inbox {
  lastPosition: number;
  lastBytes: number;
  readonly deliveredPosition: number;
  readonly deliveredBytes: number;
  added: number;
  /** Undelivered entries by sender, as far as they had to be counted. */
  readonly undeliveredFrom: Map<UserId, number>;
}

/** The last number of a sender's device. */
interface Order {
  readonly userId: UserId;
  readonly device: KeyFingerprint;
  last: number;
}

type Refusal = readonly [UserId, 'INBOX_FULL' | 'UNKNOWN_USER'];

function prepare(db: SqliteConnection) {
  return {
    lastNumber: db.statement<{ last: number }>('SELECT last FROM send_numbers WHERE user_id = ? AND device = ?'),
    setNumber: db.statement(
      `INSERT INTO send_numbers (user_id, device, last) SELECT id, ?2, ?3 FROM users WHERE id = ?1
       ON CONFLICT (user_id, device) DO UPDATE SET last = excluded.last`,
    ),
    findMessage: db.statement<{ id: number; refused: string | null }>(
      'SELECT id, refused FROM messages WHERE message_id = ? AND sender_id = ?',
    ),
    positions: db.statement<{ userId: UserId; position: number }>(
      'SELECT recipient_id AS userId, position FROM deliveries WHERE message = ?',
    ),
    inbox: db.statement<Omit<Inbox, 'added' | 'undeliveredFrom'>>(
      `SELECT last_position AS lastPosition, last_bytes AS lastBytes, delivered_position AS deliveredPosition,
         delivered_bytes AS deliveredBytes
       FROM inboxes WHERE user_id = ? AND EXISTS (SELECT 1 FROM users WHERE id = user_id)`,
    ),
    // At most MAX_INBOX_ENTRIES_PER_SENDER index entries, whatever the history.
    undeliveredFrom: db.statement<{ entries: number }>(
      'SELECT count(*) AS entries FROM deliveries WHERE recipient_id = ? AND sender_id = ? AND position > ?',
    ),
    insertMessage: db.statement(
      `INSERT INTO messages (message_id, sender_id, sender_name, kind, to_name, text, sent_at, refused)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (message_id, sender_id) DO NOTHING`,
    ),
    insertDelivery: db.statement(
      `INSERT INTO deliveries (recipient_id, position, message, sender_id, total_bytes, unread) VALUES (?, ?, ?, ?, ?, 1)`,
    ),
    updateInbox: db.statement(
      'UPDATE inboxes SET last_position = ?, last_bytes = ?, unread = unread + ? WHERE user_id = ?',
    ),
  };
}

export function messageAppender(db: SqliteConnection): Pick<MessageStore, 'appendMessages' | 'nextNumber'> {
  const sql = prepare(db);
  return {
    appendMessages: (entries) =>
      db.write(() => {
        const batch = new Batch(sql);
        const outcomes = entries.map((entry) => batch.append(entry));
        batch.finish();
        return outcomes;
      }),
    nextNumber: (userId, device) => db.read(() => (sql.lastNumber.get(userId, device)?.last ?? 0) + 1),
  };
}

/** One transaction's worth: reads each inbox and number once, writes it back once, and is thrown away. */
class Batch {
  readonly #sql: ReturnType<typeof prepare>;
  readonly #inboxes = new Map<UserId, Inbox | undefined>();
  readonly #orders = new Map<string, Order>();

  constructor(sql: ReturnType<typeof prepare>) {
    this.#sql = sql;
  }

  append(entry: NewMessage): AppendOutcome {
    if (entry.order === undefined) return this.#appendInOrder(entry);
    const order = this.#orderOf(entry.senderId, entry.order.device);
    const expected = order.last + 1;
    const { number } = entry.order;
    if (number !== expected) {
      return this.#findDuplicate(entry) ?? (number < expected ? { kind: 'used' } : { kind: 'gap', expected });
    }
    // Also a duplicate uses the next number up: it may come again after its sender was told to count anew.
    order.last = expected;
    return this.#appendInOrder(entry);
  }

  /** Writes what the batch has changed. */
  finish(): void {
    for (const [userId, inbox] of this.#inboxes) {
      if (inbox === undefined || inbox.added === 0) continue;
      this.#sql.updateInbox.run(inbox.lastPosition, inbox.lastBytes, inbox.added, userId);
    }
    for (const { userId, device, last } of this.#orders.values()) {
      if (last > 0) this.#sql.setNumber.run(userId, device, last);
    }
  }

  #findDuplicate({ messageId, senderId }: NewMessage): AppendOutcome | undefined {
    const found = this.#sql.findMessage.get(Buffer.from(messageId, 'hex'), senderId);
    if (found === undefined) return undefined;
    const refused = found.refused === null ? [] : (JSON.parse(found.refused) as Refusal[]);
    return { kind: 'duplicate', recipients: [...refused.map(toOutcome), ...this.#sql.positions.all(found.id)] };
  }

  /** A message that was stored before is found by the conflict, so that one that was not costs no search. */
  #appendInOrder(entry: NewMessage): AppendOutcome {
    const { senderId } = entry;
    const text = Buffer.from(entry.text);
    const refused: Refusal[] = [];
    const accepted: [UserId, Inbox][] = [];
    for (const userId of new Set(entry.recipients)) {
      const inbox = this.#inboxOf(userId);
      if (inbox === undefined) refused.push([userId, 'UNKNOWN_USER']);
      else if (this.#hasRoom(userId, inbox, senderId, text.length)) accepted.push([userId, inbox]);
      else refused.push([userId, 'INBOX_FULL']);
    }
    const outcomes: RecipientOutcome[] = refused.map(toOutcome);
    const message = accepted.length === 0 ? undefined : this.#insertMessage(entry, text, refused);
    if (message === undefined) {
      const kind = refused.length === 0 ? 'stored' : 'refused';
      return this.#findDuplicate(entry) ?? { kind, recipients: outcomes };
    }
    for (const [userId, inbox] of accepted) {
      inbox.lastPosition += 1;
      inbox.lastBytes += text.length;
      inbox.added += 1;
      const fromSender = inbox.undeliveredFrom.get(senderId);
      if (fromSender !== undefined) inbox.undeliveredFrom.set(senderId, fromSender + 1);
      this.#sql.insertDelivery.run(userId, inbox.lastPosition, message, senderId, inbox.lastBytes);
      outcomes.push({ userId, position: inbox.lastPosition });
    }
    return { kind: 'stored', recipients: outcomes };
  }

  #insertMessage(entry: NewMessage, text: Buffer, refused: readonly Refusal[]): number | undefined {
    const { messageId, senderId, senderName, kind, to, sentAt } = entry;
    const note = refused.length === 0 ? null : JSON.stringify(refused);
    const id = Buffer.from(messageId, 'hex');
    return this.#sql.insertMessage.insert(id, senderId, senderName, kind, to, text, sentAt, note);
  }

  #hasRoom(userId: UserId, inbox: Inbox, senderId: UserId, bytes: number): boolean {
    const undelivered = inbox.lastPosition - inbox.deliveredPosition;
    if (undelivered >= MAX_INBOX_ENTRIES) return false;
    if (inbox.lastBytes - inbox.deliveredBytes + bytes > MAX_INBOX_BYTES) return false;
    // Nobody can have more in it than there is.
    if (undelivered < MAX_INBOX_ENTRIES_PER_SENDER) return true;
    let fromSender = inbox.undeliveredFrom.get(senderId);
    if (fromSender === undefined) {
      fromSender = this.#sql.undeliveredFrom.get(userId, senderId, inbox.deliveredPosition)?.entries ?? 0;
      inbox.undeliveredFrom.set(senderId, fromSender);
    }
    return fromSender < MAX_INBOX_ENTRIES_PER_SENDER;
  }

  #inboxOf(userId: UserId): Inbox | undefined {
    if (this.#inboxes.has(userId)) return this.#inboxes.get(userId);
    const row = this.#sql.inbox.get(userId);
    const inbox = row && { ...row, added: 0, undeliveredFrom: new Map<UserId, number>() };
    this.#inboxes.set(userId, inbox);
    return inbox;
  }

  #orderOf(userId: UserId, device: KeyFingerprint): Order {
    const key = `${userId} ${device}`;
    const known = this.#orders.get(key);
    if (known !== undefined) return known;
    const order = { userId, device, last: this.#sql.lastNumber.get(userId, device)?.last ?? 0 };
    this.#orders.set(key, order);
    return order;
  }
}

function toOutcome([userId, refused]: Refusal): RecipientOutcome {
  return { userId, refused };
}
