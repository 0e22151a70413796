/** The server's own settings in SQLite. */
import type { SettingStore } from './port.js';
import type { SqliteConnection } from './sqlite-connection.js';

export function settingStore(db: SqliteConnection): SettingStore {
  const get = db.statement<{ value: string }>('SELECT value FROM settings WHERE key = ?');
  const set = db.statement(
    'INSERT INTO settings (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value',
  );
  return {
    getSetting: (key) => db.read(() => get.get(key)?.value),
    setSetting: (key, value) => db.write(() => void set.run(key, value)),
  };
}
