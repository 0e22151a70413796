/** Reading files: what a file is to us, positional reads, and one pass over it that notices a change. */
import { constants, writeSync } from 'node:fs';
import type { BigIntStats } from 'node:fs';
import { open, stat } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { ParleyError } from '../protocol/errors.js';
import { BLOCK_BYTES } from '../protocol/limits.js';
import { unreadable } from './fserrors.js';
import type { Span } from './plan.js';

/** By what a file is recognised without reading it. Plain JSON, so that an index can keep it. */
export interface FileIdentity {
  readonly sizeBytes: number;
  /** Time of the last change in nanoseconds, as decimal text. */
  readonly mtimeNs: string;
  /** Number of the file in its file system, as decimal text. */
  readonly ino: string;
}

/** Reads under way while the loop hashes: two saturate it, the others even out a slow disk; each holds one block of memory. */
const READ_AHEAD = 4;
/** Bytes in one call of a write on this thread: a kernel gets memory for a new file as large as the write, and that is dear on some machines. */
const WRITTEN_AT_ONCE = 64 * 1024;
/**
 * How old a file's last change must be before its identity counts: file systems stamp changes with a clock that ticks every 1 to
 * 10 ms, and a second change within one tick would leave no trace.
 */
export const SETTLE_MS = 20;

export function identityOf(stats: BigIntStats): FileIdentity {
  return { sizeBytes: Number(stats.size), mtimeNs: String(stats.mtimeNs), ino: String(stats.ino) };
}

export function sameIdentity(a: FileIdentity, b: FileIdentity): boolean {
  return a.sizeBytes === b.sizeBytes && a.mtimeNs === b.mtimeNs && a.ino === b.ino;
}

/**
 * The identity of the regular file at `path` (links are followed).
 * @throws ParleyError FILE_MISSING
 */
export async function fileIdentity(path: string): Promise<FileIdentity> {
  const stats = await stat(path, { bigint: true }).catch((error: unknown) => {
    throw unreadable(path, error);
  });
  return identityOf(checkRegular(path, stats));
}

/**
 * Opens the regular file at `path` for reading; a folder, pipe or device is refused before it could block or be emptied.
 * @throws ParleyError FILE_MISSING
 */
export async function openRegular(path: string): Promise<FileHandle> {
  await fileIdentity(path);
  let file: FileHandle | undefined;
  try {
    file = await open(path, constants.O_RDONLY | nonBlocking());
    checkRegular(path, await file.stat({ bigint: true }));
    return file;
  } catch (error) {
    await file?.close();
    throw unreadable(path, error);
  }
}

/** Read at positions, as a FileHandle is. */
export interface Readable {
  read(target: Uint8Array, start: number, length: number, position: number): Promise<{ readonly bytesRead: number }>;
}

/** Fills `target[start, start + length)` from `position` on; fewer bytes are read only at the end of the file. */
export async function readFully(
  file: Readable,
  target: Uint8Array,
  start: number,
  length: number,
  position: number,
): Promise<number> {
  let done = 0;
  while (done < length) {
    const { bytesRead } = await file.read(target, start + done, length - done, position + done);
    if (bytesRead === 0) break;
    done += bytesRead;
  }
  return done;
}

/** Written at positions, as a FileHandle is. */
export interface Writable {
  write(bytes: Uint8Array, start: number, length: number, position: number): Promise<{ readonly bytesWritten: number }>;
}

/** Writes all bytes at `position`; what was written before a failure may stay. */
export async function writeFully(file: Writable, bytes: Uint8Array, position: number): Promise<void> {
  let done = 0;
  while (done < bytes.length) {
    const { bytesWritten } = await file.write(bytes, done, bytes.length - done, position + done);
    done += bytesWritten;
  }
}

/** As `writeFully`, on this thread. */
export function writeFullySync(fd: number, bytes: Uint8Array, position: number): void {
  for (let done = 0; done < bytes.length;) {
    done += writeSync(fd, bytes, done, Math.min(WRITTEN_AT_ONCE, bytes.length - done), position + done);
  }
}

/**
 * Reads spans in order, a few ahead of the consumer. `bytes` is valid until the next one is asked for, and shorter than the span
 * only where the file ends.
 */
export async function* readSpans(
  file: Readable,
  spans: Iterable<Span>,
  signal?: AbortSignal,
): AsyncGenerator<{ span: Span; bytes: Buffer }, void, void> {
  const iterator = spans[Symbol.iterator]();
  const underWay: { span: Span; slot: Buffer; read: Promise<number> }[] = [];
  const readNext = (slot?: Buffer): void => {
    const next = iterator.next();
    if (next.done === true) return;
    const span = next.value;
    const into = slot ?? Buffer.allocUnsafeSlow(BLOCK_BYTES);
    const read = readFully(file, into, 0, span.length, span.offset);
    read.catch(() => undefined); // Awaited in its turn; until then a failure is not "unhandled".
    underWay.push({ span, slot: into, read });
  };
  try {
    for (let i = 0; i < READ_AHEAD; i++) readNext();
    for (let head = underWay.shift(); head !== undefined; head = underWay.shift()) {
      yield { span: head.span, bytes: head.slot.subarray(0, await head.read) };
      signal?.throwIfAborted();
      readNext(head.slot);
    }
  } finally {
    await Promise.allSettled(underWay.map(({ read }) => read));
  }
}

/**
 * Runs `pass` over the file at `path` such that its result and the identity belong to the same bytes: when the file changes
 * meanwhile, or `pass` returns undefined because it ended early, once more, then no more.
 * @throws ParleyError FILE_MISSING
 */
export async function stablePass<T>(
  path: string,
  signal: AbortSignal | undefined,
  pass: (file: FileHandle, identity: FileIdentity) => Promise<T | undefined>,
): Promise<{ identity: FileIdentity; result: T }> {
  for (let attempt = 0; attempt < 2; attempt++) {
    signal?.throwIfAborted();
    await settle(path, signal);
    const file = await openRegular(path);
    try {
      const before = identityOf(await file.stat({ bigint: true }));
      const result = await pass(file, before);
      // The path, not the handle: a file that was replaced is another one, too.
      if (result !== undefined && sameIdentity(before, await fileIdentity(path))) return { identity: before, result };
    } catch (error) {
      throw unreadable(path, error);
    } finally {
      await file.close();
    }
  }
  throw new ParleyError('FILE_MISSING', { path, reason: 'it keeps changing while it is read' });
}

async function settle(path: string, signal: AbortSignal | undefined): Promise<void> {
  const { mtimeNs } = await fileIdentity(path);
  const age = Date.now() - Number(BigInt(mtimeNs) / 1_000_000n);
  if (age >= 0 && age < SETTLE_MS) await sleep(SETTLE_MS - age, undefined, signal && { signal });
}

function checkRegular(path: string, stats: BigIntStats): BigIntStats {
  if (stats.isFile()) return stats;
  const reason = stats.isDirectory() ? 'it is a folder' : 'it is a pipe, socket or device';
  throw new ParleyError('FILE_MISSING', { path, reason });
}

/** The flag that refuses a symbolic link in place of a file that is ours. */
export function noFollow(): number {
  return process.platform === 'win32' ? 0 : constants.O_NOFOLLOW;
}

/** The flag that opens a pipe, which took a file's place, without waiting for its other end. */
export function nonBlocking(): number {
  return process.platform === 'win32' ? 0 : constants.O_NONBLOCK;
}
