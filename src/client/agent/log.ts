/** The agent's log: what happened, for whoever looks for a fault. Never secrets, message texts or keys. */
import { mkdir, stat, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { destination, pino } from 'pino';
import { unwritable } from '../../chunks/fserrors.js';

/** What the rest of the agent needs of a log. */
export interface Log {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

export const LOG_FILE = 'agent.log';
/** Bytes of a log that the next start goes on with; a larger one begins anew, so that it never fills a disk. */
const MAX_KEPT_BYTES = 5 * 1024 * 1024;

export interface AgentLog extends Log {
  /** Writes out what waits. May be called again. */
  close(): void;
}

/**
 * Opens `<home>/agent.log` to append to; `level` is one of pino's (`info` unless told).
 * @throws ParleyError DISK_FULL when it cannot be written, for want of space or permission
 */
export async function openAgentLog(home: string, level = 'info'): Promise<AgentLog> {
  const path = join(home, LOG_FILE);
  await mkdir(home, { recursive: true, mode: 0o700 }).catch((thrown: unknown) => {
    throw unwritable(home, thrown);
  });
  const size = await stat(path).then(
    (stats) => stats.size,
    () => 0,
  );
  if (size > MAX_KEPT_BYTES) await truncate(path).catch(() => undefined);
  // Synchronous: an agent says little, and what it says last matters most.
  const target = openTarget(path);
  target.on('error', () => undefined); // A full disk must not end the agent.
  const log = pino({ level, base: { pid: process.pid } }, target);
  return {
    debug: (fields, message) => log.debug(fields, message),
    info: (fields, message) => log.info(fields, message),
    warn: (fields, message) => log.warn(fields, message),
    error: (fields, message) => log.error(fields, message),
    close: () => target.end(),
  };
}

function openTarget(path: string): ReturnType<typeof destination> {
  try {
    return destination({ dest: path, mode: 0o600, sync: true });
  } catch (thrown) {
    throw unwritable(path, thrown);
  }
}

export const silentLog: Log = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
};
