/**
 * Messages to more than one: stored as one row that names their recipients, and written into the inboxes later, many entries of an inbox
 * together. A row in each of a thousand inboxes at once would be a thousand pages of the log.
 *
 * What waits for an inbox comes behind all that is in it, in the order of messages, so positions and bytes follow from the row
 * alone: after a crash `load` makes the same of it. Whoever reads or changes the entries of an inbox writes those that wait first.
 */
import type { UserId } from './port.js';
import type { SqliteConnection } from './sqlite-connection.js';

/** Entries that may wait: what a start after a crash has to read stays below a second, and so does what a stop has to write. */
const MAX_WAITING = 512 * 1024;
/** Entries that are written in one step while the server is idle: some milliseconds. */
const WRITE_BATCH = 1_000;

/** A message to many, shared by all inboxes that it waits for. */
export interface Waiting {
  readonly message: number;
  readonly senderId: UserId;
  readonly bytes: number;
}

interface InboxRow {
  lastPosition: number;
  lastBytes: number;
  deliveredPosition: number;
  deliveredBytes: number;
}

/** An inbox as its row says, and what waits to be written behind it. */
export interface Inbox extends InboxRow {
  readonly userId: UserId;
  waiting: Waiting[];
  waitingBytes: number;
  /** Of the database when it was last looked whether the user exists. */
  version: number;
}

/** Of the newest entry, whether it is written or waits. */
export function lastPositionOf({ lastPosition, waiting }: Inbox): number {
  return lastPosition + waiting.length;
}

/** Field by field: a thousand inboxes that are all of one shape are read several times faster. */
function newInbox(userId: UserId, row: InboxRow, version: number): Inbox {
  const { lastPosition, lastBytes, deliveredPosition, deliveredBytes } = row;
  return { userId, lastPosition, lastBytes, deliveredPosition, deliveredBytes, waiting: [], waitingBytes: 0, version };
}

interface Left {
  readonly message: number;
  readonly senderId: UserId;
  readonly bytes: number;
  readonly userId: UserId;
}

function prepare(db: SqliteConnection) {
  return {
    inbox: db.statement<InboxRow>(
      `SELECT last_position AS lastPosition, last_bytes AS lastBytes, delivered_position AS deliveredPosition,
         delivered_bytes AS deliveredBytes
       FROM inboxes WHERE user_id = ? AND EXISTS (SELECT 1 FROM users WHERE id = user_id)`,
    ),
    exists: db.statement('SELECT 1 FROM users WHERE id = ?'),
    insert: db.statement('INSERT INTO fanouts (message, recipients) VALUES (?, ?)'),
    remove: db.statement('DELETE FROM fanouts WHERE message = ?'),
    // All who got it were removed meanwhile.
    removeMessage: db.statement(
      'DELETE FROM messages WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM deliveries WHERE message = ?1)',
    ),
    insertDelivery: db.statement(
      'INSERT INTO deliveries (recipient_id, position, message, sender_id, total_bytes, unread) VALUES (?, ?, ?, ?, ?, 1)',
    ),
    updateInbox: db.statement(
      'UPDATE inboxes SET last_position = ?, last_bytes = ?, unread = unread + ? WHERE user_id = ?',
    ),
    advance: db.statement(
      `UPDATE inboxes SET (delivered_position, delivered_bytes) =
         (SELECT position, total_bytes FROM deliveries WHERE recipient_id = ?1 AND position = min(?2, last_position))
       WHERE user_id = ?1 AND min(?2, last_position) > delivered_position`,
    ),
    acknowledge: db.statement('UPDATE inboxes SET delivered_position = ?, delivered_bytes = ? WHERE user_id = ?'),
    messages: db.statement<{ message: number }>('SELECT message FROM fanouts ORDER BY message'),
    left: db.statement<Left>(
      `SELECT f.message, m.sender_id AS senderId, length(m.text) AS bytes, r.value AS userId
       FROM fanouts f CROSS JOIN messages m ON m.id = f.message CROSS JOIN json_each(f.recipients) r
       WHERE EXISTS (SELECT 1 FROM users WHERE id = r.value)
         AND NOT EXISTS (SELECT 1 FROM deliveries WHERE message = f.message AND recipient_id = r.value)
       ORDER BY f.message`,
    ),
  };
}

export class Inboxes {
  readonly #db: SqliteConnection;
  readonly #sql: ReturnType<typeof prepare>;
  /** Those for which something waits, the one that has waited longest first. */
  readonly #waiting = new Map<UserId, Inbox>();
  /** For how many inboxes a message waits. */
  readonly #left = new Map<number, number>();
  #count = 0;
  #version = 0;

  constructor(db: SqliteConnection) {
    this.#db = db;
    this.#sql = prepare(db);
  }

  /** Entries that wait, of all inboxes. */
  get waiting(): number {
    return this.#count;
  }

  /** Entries that wait for this inbox. */
  waitingFor(userId: UserId): number {
    return this.#waiting.get(userId)?.waiting.length ?? 0;
  }

  /** Where in which inbox this message waits. */
  positionsOf(message: number): { userId: UserId; position: number }[] {
    if (!this.#left.has(message)) return [];
    return [...this.#waiting.values()].flatMap(({ userId, lastPosition, waiting }) => {
      const at = waiting.findIndex((each) => each.message === message);
      return at < 0 ? [] : [{ userId, position: lastPosition + at + 1 }];
    });
  }

  /** Takes up what a server before this one left. */
  load(): void {
    this.#db.transaction(() => {
      this.#version = this.#db.dataVersion;
      for (const { message } of this.#sql.messages.all()) this.#left.set(message, 0);
      for (const { userId, ...entry } of this.#sql.left.all()) {
        const inbox = this.inboxOf(userId);
        if (inbox === undefined) continue;
        this.#append(inbox, entry);
        this.#countLeft(entry.message, 1);
      }
      for (const [message, left] of [...this.#left]) if (left === 0) this.#written(message);
    });
  }

  /** Before a batch: whether users exist is looked up again when another process has changed something. */
  refresh(): void {
    this.#version = this.#db.dataVersion;
  }

  /** undefined when there is no such user. */
  inboxOf(userId: UserId): Inbox | undefined {
    const known = this.#waiting.get(userId);
    if (known?.version === this.#version) return known;
    const row = this.#sql.inbox.get(userId);
    if (row === undefined) return undefined;
    if (known === undefined) return newInbox(userId, row, this.#version);
    known.version = this.#version;
    return known;
  }

  /** Stores a message for these inboxes, as one row; each is `kept` already. */
  add(entry: Waiting, inboxes: readonly Inbox[]): void {
    this.#sql.insert.run(entry.message, JSON.stringify(inboxes.map(({ userId }) => userId)));
    this.#db.onRollback(() => this.#left.delete(entry.message));
    this.#left.set(entry.message, inboxes.length);
    for (const inbox of inboxes) this.#append(inbox, entry);
  }

  /** Should the transaction fail, the inbox is as it was before. To be called before it is changed, once in a transaction is enough. */
  keep(inbox: Inbox): void {
    const { lastPosition, lastBytes, deliveredPosition, deliveredBytes, waiting } = inbox;
    const { length } = waiting;
    this.#db.onRollback(() => {
      this.#leave(inbox);
      waiting.length = length;
      Object.assign(inbox, {
        lastPosition,
        lastBytes,
        deliveredPosition,
        deliveredBytes,
        waiting: [],
        waitingBytes: 0,
      });
      for (const entry of waiting) {
        this.#append(inbox, entry);
        this.#countLeft(entry.message, 1);
      }
    });
  }

  /** Reads entries of this inbox. Rejects with ParleyError. */
  read<T>(userId: UserId, work: () => T): Promise<T> {
    return this.#waiting.has(userId) ? this.#db.readAfter(() => this.write(userId), work) : this.#db.read(work);
  }

  /** Within a transaction: writes what waits for this inbox into it. */
  write(userId: UserId): void {
    const inbox = this.#waiting.get(userId);
    if (inbox === undefined) return;
    this.keep(inbox);
    const { waiting } = inbox;
    const exists = this.#sql.exists.get(userId) !== undefined;
    if (exists) {
      for (const { message, senderId, bytes } of waiting) {
        inbox.lastPosition += 1;
        inbox.lastBytes += bytes;
        this.#sql.insertDelivery.run(userId, inbox.lastPosition, message, senderId, inbox.lastBytes);
      }
      this.#sql.updateInbox.run(inbox.lastPosition, inbox.lastBytes, waiting.length, userId);
    }
    this.#leave(inbox);
    inbox.waiting = [];
    inbox.waitingBytes = 0;
    for (const { message } of waiting) if (this.#left.get(message) === 0) this.#written(message);
  }

  /** Writes some milliseconds' worth of what waits; returns how many entries. */
  writeSome(): number {
    return this.#writeDownTo(Math.max(0, this.#count - WRITE_BATCH));
  }

  /** Before the database is closed; what cannot be written waits for the next start. */
  writeAll(): void {
    if (this.#count === 0) return;
    try {
      this.#db.transaction(() => this.#writeDownTo(0));
    } catch {
      // Nothing is lost by it.
    }
  }

  /** After a batch: no more waits than may. */
  limit(): void {
    this.#writeDownTo(MAX_WAITING);
  }

  /** The inbox has been delivered up to `position`, or as far as it goes: never back. What was delivered may wait still. */
  acknowledge(userId: UserId, position: number): void {
    const inbox = this.#waiting.get(userId);
    if (inbox !== undefined) this.keep(inbox);
    if (inbox === undefined || position <= inbox.lastPosition) {
      this.#sql.advance.run(userId, position);
      if (inbox !== undefined) Object.assign(inbox, this.#sql.inbox.get(userId));
      return;
    }
    const reached = inbox.waiting.slice(0, position - inbox.lastPosition);
    const deliveredPosition = inbox.lastPosition + reached.length;
    if (deliveredPosition <= inbox.deliveredPosition) return;
    const deliveredBytes = reached.reduce((sum, { bytes }) => sum + bytes, inbox.lastBytes);
    Object.assign(inbox, { deliveredPosition, deliveredBytes });
    this.#sql.acknowledge.run(deliveredPosition, deliveredBytes, userId);
  }

  #writeDownTo(count: number): number {
    const before = this.#count;
    for (const userId of this.#waiting.keys()) {
      if (this.#count <= count) break;
      this.write(userId);
    }
    return before - this.#count;
  }

  #append(inbox: Inbox, entry: Waiting): void {
    if (inbox.waiting.length === 0) this.#waiting.set(inbox.userId, inbox);
    inbox.waiting.push(entry);
    inbox.waitingBytes += entry.bytes;
    this.#count += 1;
  }

  #countLeft(message: number, by: 1 | -1): void {
    this.#left.set(message, (this.#left.get(message) ?? 0) + by);
  }

  /** Nothing of this inbox is counted as waiting any more. */
  #leave(inbox: Inbox): void {
    for (const { message } of inbox.waiting) if (this.#left.has(message)) this.#countLeft(message, -1);
    this.#count -= inbox.waiting.length;
    this.#waiting.delete(inbox.userId);
  }

  /** Every inbox has it. */
  #written(message: number): void {
    this.#sql.remove.run(message);
    this.#sql.removeMessage.run(message);
    this.#left.delete(message);
  }
}
