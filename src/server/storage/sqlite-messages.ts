/** Appending to inboxes in SQLite: order of a sender (R27), duplicates, and what an inbox takes (R20). */
import type { KeyFingerprint } from '../../protocol/values.js';
import { MAX_INBOX_BYTES, MAX_INBOX_ENTRIES, MAX_INBOX_ENTRIES_PER_SENDER } from './port.js';
import type { AppendOutcome, MessageStore, NewMessage, RecipientOutcome, UserId } from './port.js';
import type { SqliteConnection } from './sqlite-connection.js';
import { lastPositionOf } from './sqlite-fanouts.js';
import type { Inbox, Inboxes, Waiting } from './sqlite-fanouts.js';

/** What a batch has of an inbox. */
interface Touched {
  readonly inbox: Inbox;
  /** Entries that were put into it and its row does not know yet. */
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

export function messageAppender(
  db: SqliteConnection,
  inboxes: Inboxes,
): Pick<MessageStore, 'appendMessages' | 'nextNumber'> {
  const sql = prepare(db);
  return {
    appendMessages: (entries) =>
      db.write(() => {
        const batch = new Batch(sql, inboxes);
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
  readonly #inboxes: Inboxes;
  readonly #touched = new Map<UserId, Touched | undefined>();
  readonly #orders = new Map<string, Order>();

  constructor(sql: ReturnType<typeof prepare>, inboxes: Inboxes) {
    this.#sql = sql;
    this.#inboxes = inboxes;
    inboxes.refresh();
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
    for (const [userId, touched] of this.#touched) {
      if (touched === undefined || touched.added === 0) continue;
      const { inbox, added } = touched;
      this.#sql.updateInbox.run(inbox.lastPosition, inbox.lastBytes, added, userId);
    }
    this.#inboxes.limit();
    for (const { userId, device, last } of this.#orders.values()) {
      if (last > 0) this.#sql.setNumber.run(userId, device, last);
    }
  }

  #findDuplicate({ messageId, senderId }: NewMessage): AppendOutcome | undefined {
    const found = this.#sql.findMessage.get(Buffer.from(messageId, 'hex'), senderId);
    if (found === undefined) return undefined;
    const refused = found.refused === null ? [] : (JSON.parse(found.refused) as Refusal[]);
    return {
      kind: 'duplicate',
      recipients: [
        ...refused.map(toOutcome),
        ...this.#sql.positions.all(found.id),
        ...this.#inboxes.positionsOf(found.id),
      ],
    };
  }

  /** A message that was stored before is found by the conflict, so that one that was not costs no search. */
  #appendInOrder(entry: NewMessage): AppendOutcome {
    const { senderId } = entry;
    const text = Buffer.from(entry.text);
    const refused: Refusal[] = [];
    const accepted: Touched[] = [];
    for (const userId of new Set(entry.recipients)) {
      const touched = this.#touch(userId);
      if (touched === undefined) refused.push([userId, 'UNKNOWN_USER']);
      else if (this.#hasRoom(touched, senderId, text.length)) accepted.push(touched);
      else refused.push([userId, 'INBOX_FULL']);
    }
    const outcomes: RecipientOutcome[] = refused.map(toOutcome);
    const message = accepted.length === 0 ? undefined : this.#insertMessage(entry, text, refused);
    if (message === undefined) {
      const kind = refused.length === 0 ? 'stored' : 'refused';
      return this.#findDuplicate(entry) ?? { kind, recipients: outcomes };
    }
    for (const { undeliveredFrom } of accepted) {
      const fromSender = undeliveredFrom.get(senderId);
      if (fromSender !== undefined) undeliveredFrom.set(senderId, fromSender + 1);
    }
    const stored = { message, senderId, bytes: text.length };
    const [first] = accepted;
    if (first !== undefined && accepted.length === 1) this.#deliver(first, stored);
    else
      this.#inboxes.add(
        stored,
        accepted.map(({ inbox }) => inbox),
      );
    for (const { inbox } of accepted) outcomes.push({ userId: inbox.userId, position: lastPositionOf(inbox) });
    return { kind: 'stored', recipients: outcomes };
  }

  #deliver(touched: Touched, { message, senderId, bytes }: Waiting): void {
    const { inbox } = touched;
    this.#inboxes.write(inbox.userId);
    inbox.lastPosition += 1;
    inbox.lastBytes += bytes;
    touched.added += 1;
    this.#sql.insertDelivery.run(inbox.userId, inbox.lastPosition, message, senderId, inbox.lastBytes);
  }

  #insertMessage(entry: NewMessage, text: Buffer, refused: readonly Refusal[]): number | undefined {
    const { messageId, senderId, senderName, kind, to, sentAt } = entry;
    const note = refused.length === 0 ? null : JSON.stringify(refused);
    const id = Buffer.from(messageId, 'hex');
    return this.#sql.insertMessage.insert(id, senderId, senderName, kind, to, text, sentAt, note);
  }

  #hasRoom({ inbox, undeliveredFrom }: Touched, senderId: UserId, bytes: number): boolean {
    const { userId, deliveredPosition, deliveredBytes } = inbox;
    const undelivered = lastPositionOf(inbox) - deliveredPosition;
    if (undelivered >= MAX_INBOX_ENTRIES) return false;
    if (inbox.lastBytes + inbox.waitingBytes - deliveredBytes + bytes > MAX_INBOX_BYTES) return false;
    // Nobody can have more in it than there is.
    if (undelivered < MAX_INBOX_ENTRIES_PER_SENDER) return true;
    let fromSender = undeliveredFrom.get(senderId);
    if (fromSender === undefined) {
      this.#inboxes.write(userId);
      fromSender = this.#sql.undeliveredFrom.get(userId, senderId, deliveredPosition)?.entries ?? 0;
      undeliveredFrom.set(senderId, fromSender);
    }
    return fromSender < MAX_INBOX_ENTRIES_PER_SENDER;
  }

  #touch(userId: UserId): Touched | undefined {
    if (this.#touched.has(userId)) return this.#touched.get(userId);
    const inbox = this.#inboxes.inboxOf(userId);
    if (inbox !== undefined) this.#inboxes.keep(inbox);
    const touched = inbox && { inbox, added: 0, undeliveredFrom: new Map<UserId, number>() };
    this.#touched.set(userId, touched);
    return touched;
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
