/** The first tables. Times are epoch milliseconds. A migration that has been released is never edited; the next one mends it. */
import { sql } from 'kysely';
import type { Kysely, Migration } from 'kysely';

const TABLES = [
  // Ids are never used again (AUTOINCREMENT): what was sent by a removed user is never taken for that of a new one.
  `CREATE TABLE users (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name_key TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    password_hash TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    last_seen_at INTEGER
  ) STRICT`,
  `CREATE INDEX users_by_last_seen ON users (last_seen_at)`,

  // Positions count the entries of an inbox, bytes their texts; what lies between delivered and last is undelivered (R20).
  // Without a foreign key: the row of a removed user stays until the last of its deliveries is swept.
  `CREATE TABLE inboxes (
    user_id INTEGER PRIMARY KEY,
    last_position INTEGER NOT NULL DEFAULT 0,
    last_bytes INTEGER NOT NULL DEFAULT 0,
    delivered_position INTEGER NOT NULL DEFAULT 0,
    delivered_bytes INTEGER NOT NULL DEFAULT 0,
    unread INTEGER NOT NULL DEFAULT 0
  ) STRICT`,

  // ordinal counts the user's logins with a key: it orders them also when the clock was set back.
  `CREATE TABLE devices (
    user_id INTEGER NOT NULL REFERENCES users ON DELETE CASCADE,
    key_fingerprint TEXT NOT NULL,
    public_key TEXT NOT NULL,
    ordinal INTEGER NOT NULL,
    last_login_at INTEGER NOT NULL,
    PRIMARY KEY (user_id, key_fingerprint)
  ) STRICT, WITHOUT ROWID`,

  `CREATE TABLE send_numbers (
    user_id INTEGER NOT NULL REFERENCES users ON DELETE CASCADE,
    device TEXT NOT NULL,
    last INTEGER NOT NULL,
    PRIMARY KEY (user_id, device)
  ) STRICT, WITHOUT ROWID`,

  `CREATE TABLE resume_tokens (
    token_hash TEXT PRIMARY KEY,
    user_id INTEGER NOT NULL REFERENCES users ON DELETE CASCADE,
    key_fingerprint TEXT NOT NULL,
    expires_at INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID`,
  `CREATE INDEX resume_tokens_by_user ON resume_tokens (user_id, expires_at)`,
  `CREATE INDEX resume_tokens_by_end ON resume_tokens (expires_at)`,

  `CREATE TABLE blocks (
    blocker_id INTEGER NOT NULL REFERENCES users ON DELETE CASCADE,
    blocked_id INTEGER NOT NULL REFERENCES users ON DELETE CASCADE,
    blocked_at INTEGER NOT NULL,
    PRIMARY KEY (blocker_id, blocked_id)
  ) STRICT, WITHOUT ROWID`,
  `CREATE INDEX blocks_by_blocked ON blocks (blocked_id, blocker_id)`,

  // The text is a blob because a text may hold NUL. refused: JSON array of [user id, code], for the answer to a duplicate.
  `CREATE TABLE messages (
    id INTEGER PRIMARY KEY,
    message_id BLOB NOT NULL,
    sender_id INTEGER NOT NULL,
    sender_name TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('message', 'broadcast', 'group')),
    to_name TEXT NOT NULL,
    text BLOB NOT NULL,
    sent_at INTEGER NOT NULL,
    refused TEXT,
    UNIQUE (message_id, sender_id)
  ) STRICT`,

  // total_bytes: texts of the inbox up to and including this entry, so that acknowledging sums nothing up.
  `CREATE TABLE deliveries (
    recipient_id INTEGER NOT NULL,
    position INTEGER NOT NULL,
    message INTEGER NOT NULL REFERENCES messages,
    sender_id INTEGER NOT NULL,
    total_bytes INTEGER NOT NULL,
    unread INTEGER NOT NULL,
    PRIMARY KEY (recipient_id, position)
  ) STRICT, WITHOUT ROWID`,
  `CREATE UNIQUE INDEX deliveries_by_message ON deliveries (message, recipient_id)`,
  `CREATE INDEX deliveries_by_sender ON deliveries (recipient_id, sender_id, position)`,
  // One index for what is unread, also from one sender: each more costs an append another page of the log.
  `CREATE INDEX unread_deliveries ON deliveries (recipient_id, position, sender_id) WHERE unread = 1`,

  `CREATE TABLE files (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    owner_id INTEGER NOT NULL REFERENCES users ON DELETE CASCADE,
    size_bytes INTEGER NOT NULL,
    chunks INTEGER NOT NULL,
    root TEXT NOT NULL,
    registered_at INTEGER NOT NULL
  ) STRICT`,
  `CREATE INDEX files_by_owner ON files (owner_id, chunks)`,
  // Apart from files: up to 2 MiB a row, which a list should not read past.
  `CREATE TABLE file_digests (
    file_id INTEGER PRIMARY KEY REFERENCES files ON DELETE CASCADE,
    chunk_digests BLOB NOT NULL
  ) STRICT`,

  `CREATE TABLE settings (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID`,
];

export const firstTables: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    for (const table of TABLES) await sql.raw(table).execute(db);
  },
};
