/** Ids of messages. */
import { randomBytes } from 'node:crypto';

/** Bytes of the time in an id: milliseconds for the next 8,900 years. */
const TIME_BYTES = 6;
const RANDOM_BYTES = 10;

/**
 * A new id: the time, then random bytes. The server knows messages again by an index of ids, and ids that grow go to its end:
 * with random ones each message of a commit would change a page of its own once there are millions.
 */
export function newMessageId(epochMs: number): string {
  const time = Buffer.alloc(TIME_BYTES);
  time.writeUIntBE(Math.min(Math.max(Math.trunc(epochMs), 0), 256 ** TIME_BYTES - 1), 0, TIME_BYTES);
  return time.toString('hex') + randomBytes(RANDOM_BYTES).toString('hex');
}
