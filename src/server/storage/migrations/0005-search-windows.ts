/** The index of words is made anew: its rows say whose they are, and in which window of the inbox. */
import { sql } from 'kysely';
import type { Kysely, Migration } from 'kysely';

const CHANGES = [
  `INSERT INTO search (search) VALUES ('delete-all')`,
  `UPDATE search_progress SET message = 0, recipient_id = 0`,
];

export const searchWindows: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    for (const change of CHANGES) await sql.raw(change).execute(db);
  },
};
