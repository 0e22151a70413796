/** What is done with consecutive blocks off the loop: check them and write them, or read them again and check. On any thread. */
import { readSync } from 'node:fs';
import { BLOCK_BYTES } from '../protocol/limits.js';
import { DIGEST_BYTES, digestAt, hashInto, isDigestAt } from './digest.js';
import { writeFullySync } from './files.js';

/** Plain data, so that it can be given to another thread. */
export interface BlockJob {
  /** An open file. */
  readonly fd: number;
  /** Where the first of the blocks stands in it. */
  readonly position: number;
  /** Bytes of each block; they stand one behind another. */
  readonly lengths: readonly number[];
  /** 32 bytes for each block. */
  readonly expected: Uint8Array;
  /** Whether those are the blocks' own digests, or the digests of chunks that are one block each. */
  readonly of: 'block' | 'chunk';
  /** The bytes of the blocks, which are written when they are good; undefined when those in the file are to be looked at. */
  readonly bytes: Uint8Array | undefined;
}

/** A job for whoever gets the bytes. */
export type BlockWork = Omit<BlockJob, 'bytes'>;

export interface BlockJobResult {
  /** Which of the blocks have the bytes they should have; of as many as were looked at, from the first on. */
  readonly good: readonly boolean[];
  /** Their own digests, 32 bytes each. */
  readonly digests: Uint8Array;
}

/** @throws what the file system refuses, as it comes */
export function runBlockJob(job: BlockJob): BlockJobResult {
  const result = checkBlockJob(job);
  const { fd, position, bytes } = job;
  if (bytes === undefined) return result;
  for (const { begin, end } of goodSpans(job, result)) {
    writeFullySync(fd, bytes.subarray(begin, end), position + begin);
  }
  return result;
}

/** All of a job but the writing. @throws as `runBlockJob` */
export function checkBlockJob(job: BlockJob): BlockJobResult {
  const good: boolean[] = [];
  const digests = Buffer.alloc(job.expected.length);
  const ofChunk = Buffer.alloc(DIGEST_BYTES);
  const each = job.bytes === undefined ? blocksInFile(job) : blocksIn(bufferOf(job.bytes), job.lengths);
  for (const bytes of each) {
    const index = good.length;
    hashInto(bytes, digests, index * DIGEST_BYTES);
    const digest = digestAt(digests, index);
    if (job.of === 'chunk') hashInto(digest, ofChunk);
    const isEqual = isDigestAt(job.expected, index, job.of === 'chunk' ? ofChunk : digest);
    good.push(isEqual && bytes.length === job.lengths[index]);
  }
  return { good, digests };
}

/** Where in a job's bytes the good blocks are: those that stand side by side leave in one write. */
export function* goodSpans(
  { lengths }: BlockWork,
  { good }: BlockJobResult,
): Generator<{ readonly begin: number; readonly end: number }, void, void> {
  let begin = 0;
  let end = 0;
  for (const [index, length] of lengths.entries()) {
    if (good[index] !== true) {
      if (end > begin) yield { begin, end };
      begin = end + length;
    }
    end += length;
  }
  if (end > begin) yield { begin, end };
}

/** Bytes of all the blocks of a job. */
export function bytesOfWork({ lengths }: Pick<BlockWork, 'lengths'>): number {
  return lengths.reduce((sum, length) => sum + length, 0);
}

/** A job in parts of at most BLOCK_BYTES bytes, in order. */
export function piecesOf(work: BlockWork): BlockWork[] {
  const pieces: BlockWork[] = [];
  let { position } = work;
  for (let first = 0; first < work.lengths.length;) {
    let next = first;
    let bytes = 0;
    do bytes += work.lengths[next++] ?? 0;
    while (next < work.lengths.length && bytes + (work.lengths[next] ?? 0) <= BLOCK_BYTES);
    const expected = work.expected.subarray(first * DIGEST_BYTES, next * DIGEST_BYTES);
    pieces.push({ ...work, position, lengths: work.lengths.slice(first, next), expected });
    position += bytes;
    first = next;
  }
  return pieces;
}

/** What came of the first parts of a job, as of one. */
export function joinResults(results: readonly BlockJobResult[]): BlockJobResult {
  const [only] = results;
  if (results.length === 1 && only !== undefined) return only;
  return { good: results.flatMap(({ good }) => good), digests: Buffer.concat(results.map(({ digests }) => digests)) };
}

function* blocksIn(bytes: Buffer, lengths: readonly number[]): Generator<Buffer, void, void> {
  let at = 0;
  for (const length of lengths) yield bytes.subarray(at, (at += length));
}

/** Room for what is read again; made by the first thread that does. */
let room: Buffer | undefined;

/** As many blocks at a time as the room holds; shorter ones where the file ends. */
function* blocksInFile(job: BlockJob): Generator<Buffer, void, void> {
  room ??= Buffer.allocUnsafeSlow(BLOCK_BYTES);
  for (const { position, lengths } of piecesOf(job)) {
    const have = readFullySync(job.fd, room.subarray(0, bytesOfWork({ lengths })), position);
    yield* blocksIn(room.subarray(0, have), lengths);
  }
}

function readFullySync(fd: number, target: Buffer, position: number): number {
  let done = 0;
  while (done < target.length) {
    const read = readSync(fd, target, done, target.length - done, position + done);
    if (read === 0) break;
    done += read;
  }
  return done;
}

function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
