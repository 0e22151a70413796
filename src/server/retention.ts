/** Removes messages that are older than their readers, or the server, want to keep them. */
import type { Clock } from '../protocol/clock.js';
import { toParleyError } from '../protocol/errors.js';
import { DEFAULTS } from './config.js';
import { RETENTION_FIRST_MS, RETENTION_INTERVAL_MS } from './limits.js';
import type { Log } from './log.js';
import type { Retention, RetentionStore, SettingStore, SweepPlace } from './storage/port.js';

/** What the running server, or the last one, does by default: for `server user retention`, another process. */
const SETTING = 'retention';

export interface RetentionParts {
  readonly storage: RetentionStore & SettingStore;
  readonly clock: Clock;
  readonly log: Log;
  /** For users without a setting of their own. */
  readonly fallback: Retention;
}

/** Sweeps soon and then every hour, in steps of some milliseconds; the returned function ends that when a step is through. Idempotent. */
export async function startRetention(parts: RetentionParts): Promise<() => Promise<void>> {
  const { storage, clock, log, fallback } = parts;
  await storage.setSetting(SETTING, String(fallback));
  let isClosed = false;
  let cancel: () => void = () => undefined;
  let running: Promise<void> | undefined;
  const sweep = async (): Promise<void> => {
    try {
      const removed = await sweepAll(parts, () => isClosed);
      if (removed > 0) log.info({ removed }, 'messages that were read and old enough are removed');
    } catch (thrown) {
      const { code, message: reason } = toParleyError(thrown);
      log.warn({ code, reason }, 'old messages could not be removed');
    }
    if (!isClosed) again(RETENTION_INTERVAL_MS);
  };
  const again = (delayMs: number): void => {
    cancel = clock.after(delayMs, () => {
      running = sweep();
    });
  };
  again(RETENTION_FIRST_MS);
  return async () => {
    isClosed = true;
    cancel();
    await running;
  };
}

/** What users without a setting of their own get, as far as it is known in the data directory. */
export async function defaultRetention(storage: SettingStore): Promise<Retention> {
  return parseStored(await storage.getSetting(SETTING)) ?? DEFAULTS.retentionDays;
}

async function sweepAll({ storage, clock, fallback }: RetentionParts, isClosed: () => boolean): Promise<number> {
  // One moment for the whole sweep: what it may remove is decided when it begins.
  const at = clock.epochMs();
  let removed = 0;
  let from: SweepPlace | undefined;
  do {
    const step = await storage.removeOld({ at, fallback, from });
    removed += step.removed;
    from = step.next;
    await new Promise(setImmediate);
  } while (from !== undefined && !isClosed());
  return removed;
}

function parseStored(text: string | undefined): Retention | undefined {
  if (text === 'forever') return text;
  const days = Number(text);
  return Number.isSafeInteger(days) && days > 0 ? days : undefined;
}
