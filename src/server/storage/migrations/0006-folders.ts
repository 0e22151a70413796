/** Folders among the registered files. */
import { sql } from 'kysely';
import type { Kysely, Migration } from 'kysely';

const CHANGES = [
  // Bytes of a folder's index; NULL for a file.
  'ALTER TABLE files ADD COLUMN index_bytes INTEGER',
];

export const folders: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    for (const change of CHANGES) await sql.raw(change).execute(db);
  },
};
