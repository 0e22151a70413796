/** Every migration, in order; the key is what a database remembers of it and never changes. */
import type { Migration } from 'kysely';
import { firstTables } from './0001-first-tables.js';
import { groups } from './0002-groups.js';
import { searchAndRetention } from './0003-search-and-retention.js';
import { fanouts } from './0004-fanouts.js';
import { searchWindows } from './0005-search-windows.js';
import { folders } from './0006-folders.js';

export const MIGRATIONS: Readonly<Record<string, Migration>> = {
  '0001-first-tables': firstTables,
  '0002-groups': groups,
  '0003-search-and-retention': searchAndRetention,
  '0004-fanouts': fanouts,
  '0005-search-windows': searchWindows,
  '0006-folders': folders,
};
