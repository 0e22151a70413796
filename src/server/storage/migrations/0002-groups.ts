/** Groups and who is in them. */
import { sql } from 'kysely';
import type { Kysely, Migration } from 'kysely';

const CHANGES = [
  // used_at: when it was made, or last entered or left; empty groups go some time after it.
  `CREATE TABLE groups (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name_key TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    mode TEXT NOT NULL CHECK (mode IN ('focus', 'open')),
    creator_id INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    used_at INTEGER NOT NULL
  ) STRICT`,
  `CREATE INDEX groups_by_creator ON groups (creator_id)`,
  `CREATE TABLE group_members (
    group_id INTEGER NOT NULL REFERENCES groups ON DELETE CASCADE,
    user_id INTEGER NOT NULL REFERENCES users ON DELETE CASCADE,
    joined_at INTEGER NOT NULL,
    PRIMARY KEY (group_id, user_id)
  ) STRICT, WITHOUT ROWID`,
  `CREATE INDEX group_members_by_user ON group_members (user_id, group_id)`,
  // The inbox's last position when the user entered a focus group; null while nothing is held.
  `ALTER TABLE inboxes ADD COLUMN held_from INTEGER`,
];

export const groups: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    for (const change of CHANGES) await sql.raw(change).execute(db);
  },
};
