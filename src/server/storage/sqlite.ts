/** The storage port on SQLite (libsql): one file, one connection, write-ahead log. */
import type { Storage } from './port.js';
import { lockDataDir, prepareDataDir } from './data-dir.js';
import { migrate } from './migrate.js';
import { blockStore } from './sqlite-blocks.js';
import { censusStore } from './sqlite-census.js';
import { SqliteConnection } from './sqlite-connection.js';
import { deviceStore, resumeTokenStore } from './sqlite-devices.js';
import { Inboxes } from './sqlite-fanouts.js';
import { fileStore } from './sqlite-files.js';
import { groupStore } from './sqlite-groups.js';
import { inboxMarker, inboxReader } from './sqlite-inbox.js';
import { messageAppender } from './sqlite-messages.js';
import { retentionStore } from './sqlite-retention.js';
import { indexReader, indexStore } from './sqlite-search.js';
import { settingStore } from './sqlite-settings.js';
import { userStore } from './sqlite-users.js';

/**
 * A folder that is made when it is not there, or memory that ends with the process. As `server` the folder is held until `close`
 * or the end of the process, and a second server is refused; a `tool` (`server user add`) works beside it, and what it commits
 * is seen by the server's next verb.
 */
export type SqlitePlace = { readonly dataDir: string; readonly role: 'server' | 'tool' } | ':memory:';

/**
 * Opens the storage and brings its tables up to date.
 * @throws ParleyError DATA_IN_USE, DISK_FULL, SERVER_BUSY, INTERNAL (damaged, or of a newer version)
 */
export async function openSqlite(place: SqlitePlace): Promise<Storage> {
  if (place === ':memory:') return openStorage(place, true, () => undefined);
  const path = await prepareDataDir(place.dataDir);
  const unlock = place.role === 'server' ? await lockDataDir(place.dataDir) : () => undefined;
  try {
    return await openStorage(path, place.role === 'server', unlock);
  } catch (error) {
    unlock();
    throw error;
  }
}

async function openStorage(path: string, isServer: boolean, unlock: () => void): Promise<Storage> {
  const db = new SqliteConnection(path);
  try {
    await migrate(db);
    const inboxes = new Inboxes(db);
    if (isServer) inboxes.load();
    const readIndex = indexReader(db);
    return {
      ...userStore(db, inboxes),
      ...deviceStore(db),
      ...resumeTokenStore(db),
      ...blockStore(db),
      ...messageAppender(db, inboxes),
      ...inboxReader(db, inboxes),
      ...inboxMarker(db, inboxes),
      ...indexStore(db, inboxes),
      ...retentionStore(db),
      ...groupStore(db, inboxes),
      ...fileStore(db),
      ...settingStore(db),
      ...censusStore(db, inboxes),
      integrityOk: () =>
        db.read(() => {
          readIndex();
          return db.isIntact();
        }),
      close: () => {
        db.close(() => inboxes.writeAll());
        unlock();
        return Promise.resolve();
      },
    };
  } catch (error) {
    db.close();
    throw error;
  }
}
