/** The server's log on stderr. Fields are ids, names, addresses, counts and error codes: never texts, passwords, tokens or keys. */
import { destination, pino } from 'pino';
import { PinoPretty } from 'pino-pretty';
import type { LogFormat, LogLevel } from './config.js';

type Write = (fields: Readonly<Record<string, unknown>>, message: string) => void;

/** What the rest of the server logs with. */
export interface Log {
  readonly debug: Write;
  readonly info: Write;
  readonly warn: Write;
  readonly error: Write;
}

const STDERR = 2;

export function createLog(level: LogLevel, format: LogFormat): Log {
  const options = { level, base: null, timestamp: pino.stdTimeFunctions.isoTime };
  if (format === 'pretty') {
    const pretty = PinoPretty({
      destination: STDERR,
      sync: true,
      colorize: process.stderr.isTTY,
      translateTime: false,
    });
    return pino(options, pretty);
  }
  const stderr = destination({ dest: STDERR, sync: true });
  // Whoever read the log has gone; the server goes on.
  stderr.on('error', () => undefined);
  return pino(options, stderr);
}

/** For tests and for tools that say what they have to say themselves. */
export const silentLog: Log = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
};
