/** What a client may be told of what went wrong. */
import { ParleyError, toParleyError } from '../protocol/errors.js';
import type { Log } from './log.js';

/** What is wrong with the server itself is for its log; a client is told no more than that. */
export function tellable(thrown: unknown, log: Log, fields: Readonly<Record<string, unknown>>): unknown {
  const { code, message: reason } = toParleyError(thrown);
  if (code !== 'DISK_FULL' && code !== 'INTERNAL') return thrown;
  log.error({ ...fields, code, reason }, 'a command failed');
  return new ParleyError(code, { path: 'the server’s storage', reason: 'the server’s log says more' });
}
