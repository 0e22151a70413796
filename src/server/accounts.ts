/** How a running server learns that `server user` has changed accounts: a setting beside them that changes with them. */
import { randomUUID } from 'node:crypto';
import type { Clock } from '../protocol/clock.js';
import { ACCOUNTS_INTERVAL_MS } from './limits.js';
import type { Log } from './log.js';
import type { SettingStore } from './storage/port.js';

const SETTING = 'accounts-changed';

/** To be called after accounts were changed by another process than the server. */
export async function noteAccountsChanged(storage: SettingStore): Promise<void> {
  await storage.setSetting(SETTING, randomUUID());
}

/** Calls `onChange` soon after accounts were changed; the returned function stops it. */
export async function watchAccounts(
  storage: Pick<SettingStore, 'getSetting'>,
  clock: Clock,
  log: Log,
  onChange: () => Promise<void>,
): Promise<() => void> {
  let known = await storage.getSetting(SETTING);
  let cancel = (): void => undefined;
  let stopped = false;
  const look = async (): Promise<void> => {
    const now = await storage.getSetting(SETTING);
    if (now === known) return;
    known = now;
    await onChange();
  };
  const repeat = (): void => {
    cancel = clock.after(ACCOUNTS_INTERVAL_MS, () => {
      look()
        .catch((error: unknown) => log.warn({ err: error }, 'could not look whether accounts have changed'))
        .finally(() => {
          if (!stopped) repeat();
        })
        .catch(() => undefined);
    });
  };
  repeat();
  return () => {
    stopped = true;
    cancel();
  };
}
