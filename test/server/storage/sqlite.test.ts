import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openSqlite } from '../../../src/server/storage/sqlite.js';
import { groupsContract } from '../../contracts/groups.js';
import { historyContract } from '../../contracts/history.js';
import { storageContract } from '../../contracts/storage.js';

describe('sqlite storage in memory', () => {
  storageContract(async () => ({ storage: await openSqlite(':memory:'), dispose: () => Promise.resolve() }));
  groupsContract(() => openSqlite(':memory:'));
});

describe('sqlite storage in a folder', () => {
  storageContract(async () => {
    const dataDir = await mkdtemp(join(tmpdir(), 'parley-storage-'));
    const storage = await openSqlite({ dataDir, role: 'server' });
    return { storage, dispose: () => rm(dataDir, { recursive: true }) };
  });
});

describe('sqlite history', () => {
  historyContract(async () => ({ storage: await openSqlite(':memory:'), dispose: () => Promise.resolve() }));
});
