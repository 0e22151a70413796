/** Memory that blocks land in: shared with the thread that checks them, and used again by whichever download is next. */
import { BLOCK_BYTES } from '../protocol/limits.js';

/** Buffers that are kept while nobody uses them: one for each of as many links as a download has, usually. */
const KEPT = 32;
/** Less than this gets memory of its own size, which is not kept. */
const LEAST_POOLED_BYTES = BLOCK_BYTES / 4;

const free: Buffer[] = [];

/** Room for `bytes` bytes, at most a block. Not to be given back while something may still be written to it. */
export function takeBuffer(bytes: number): Buffer {
  if (bytes < LEAST_POOLED_BYTES) return Buffer.from(new SharedArrayBuffer(bytes));
  const buffer = free.pop() ?? Buffer.from(new SharedArrayBuffer(BLOCK_BYTES));
  return buffer.subarray(0, bytes);
}

export function giveBuffer(buffer: Buffer): void {
  if (buffer.buffer.byteLength === BLOCK_BYTES && free.length < KEPT) free.push(Buffer.from(buffer.buffer));
}
