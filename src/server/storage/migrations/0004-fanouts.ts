/** Messages to more than one, until every recipient's inbox has them. */
import { sql } from 'kysely';
import type { Kysely, Migration } from 'kysely';

const CHANGES = [
  // recipients: JSON array of user ids. Those who have no delivery of it yet get one in the order of messages, behind what they have.
  `CREATE TABLE fanouts (
    message INTEGER PRIMARY KEY REFERENCES messages,
    recipients TEXT NOT NULL
  ) STRICT`,
];

export const fanouts: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    for (const change of CHANGES) await sql.raw(change).execute(db);
  },
};
