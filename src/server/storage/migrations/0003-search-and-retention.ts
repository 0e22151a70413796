/** An index of the words of messages, and how long each user's are kept. */
import { sql } from 'kysely';
import type { Kysely, Migration } from 'kysely';

const CHANGES = [
  // A row for each delivery, its id (recipient << 32) | position: what one user got lies together. Without the text, which the
  // messages have, and without places of words: any word, whole or by its first 2 or 4 characters, and who has it. The words come
  // folded and apart by spaces (protocol/words.ts), so the simplest tokenizer does.
  `CREATE VIRTUAL TABLE search USING fts5 (
    words, content = '', contentless_delete = 1, detail = none, prefix = '2 4', tokenize = 'ascii'
  )`,
  // Parts of the index are merged in small steps of their own (sqlite-search.ts), never while something waits.
  `INSERT INTO search (search, rank) VALUES ('automerge', 0)`,
  `INSERT INTO search (search, rank) VALUES ('crisismerge', 1000)`,
  // Deliveries up to this one, in the order of message and recipient, are in the index.
  `CREATE TABLE search_progress (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    message INTEGER NOT NULL,
    recipient_id INTEGER NOT NULL
  ) STRICT`,
  `INSERT INTO search_progress VALUES (1, 0, 0)`,

  // Days; 0 is for ever, null what the server does by default.
  `ALTER TABLE users ADD COLUMN retention_days INTEGER`,
  // Of a message that was removed its id stays a while, so that it is known when it comes again.
  `CREATE INDEX emptied_messages ON messages (sent_at) WHERE text = x''`,
];

export const searchAndRetention: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    for (const change of CHANGES) await sql.raw(change).execute(db);
  },
};
