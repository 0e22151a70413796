/** Where the bytes of a file stand: chunks (the user's number) and blocks of BLOCK_BYTES under them. Pure arithmetic. */
import { ParleyError } from '../protocol/errors.js';
import { BLOCK_BYTES, MAX_FILE_BYTES } from '../protocol/limits.js';
import { checkChunkCount } from '../protocol/values.js';

/**
 * How a file is cut. The first `longChunks` chunks have `shortChunkBytes + 1` bytes, the others `shortChunkBytes`; only two
 * lengths exist, so every question is answered without a table. Blocks of all chunks are numbered on from 0.
 */
export interface Plan {
  readonly sizeBytes: number;
  /** Number of chunks, 1 to 65,536. */
  readonly chunks: number;
  /** Number of blocks in all chunks; 0 for an empty file. */
  readonly blocks: number;
  readonly longChunks: number;
  readonly shortChunkBytes: number;
  readonly blocksPerLongChunk: number;
  readonly blocksPerShortChunk: number;
  /** Bytes of the last block of a chunk, long or short; of all others BLOCK_BYTES. */
  readonly lastOfLongChunk: number;
  readonly lastOfShortChunk: number;
}

/** Bytes `offset` to `offset + length` of a file. */
export interface ByteRange {
  readonly offset: number;
  readonly length: number;
}

/** Blocks (or chunks, where that is said) `first` to `first + count`, by their number in the file. */
export interface BlockRange {
  readonly first: number;
  readonly count: number;
}

/** A block: its number in the file, its chunk, its number in that chunk, and its bytes. */
export interface BlockPlace extends ByteRange {
  readonly block: number;
  readonly chunk: number;
  readonly indexInChunk: number;
}

/** Blocks that follow one another and are read at once. */
export interface Span extends ByteRange {
  readonly blocks: BlockRange;
}

/** Blocks in a span: hashing so many tiny ones keeps the event loop for about a millisecond. */
const MAX_SPAN_BLOCKS = 256;

/**
 * Cuts a file of `sizeBytes` bytes into `chunks` chunks as evenly as whole bytes allow.
 * @throws ParleyError BAD_CHUNK_COUNT; BAD_REQUEST when the size is not a whole number of bytes
 */
export function planChunks(sizeBytes: number, chunks: number): Plan {
  if (!Number.isInteger(sizeBytes) || sizeBytes < 0 || sizeBytes > MAX_FILE_BYTES) {
    throw new ParleyError('BAD_REQUEST', { command: 'planChunks', reason: `${sizeBytes} is not the size of a file` });
  }
  checkChunkCount(sizeBytes, chunks);
  const longChunks = sizeBytes % chunks;
  const shortChunkBytes = (sizeBytes - longChunks) / chunks;
  const blocksPerLongChunk = Math.ceil((shortChunkBytes + 1) / BLOCK_BYTES);
  const blocksPerShortChunk = Math.ceil(shortChunkBytes / BLOCK_BYTES);
  const blocks = longChunks * blocksPerLongChunk + (chunks - longChunks) * blocksPerShortChunk;
  return {
    sizeBytes,
    chunks,
    blocks,
    longChunks,
    shortChunkBytes,
    blocksPerLongChunk,
    blocksPerShortChunk,
    lastOfLongChunk: shortChunkBytes + 1 - (blocksPerLongChunk - 1) * BLOCK_BYTES,
    lastOfShortChunk: shortChunkBytes - (blocksPerShortChunk - 1) * BLOCK_BYTES,
  };
}

/**
 * The bytes of chunk `chunk`.
 * @throws RangeError when the file has no such chunk
 */
export function chunkRange(plan: Plan, chunk: number): ByteRange {
  checkIndex('chunk', chunk, plan.chunks);
  return {
    offset: chunk * plan.shortChunkBytes + Math.min(chunk, plan.longChunks),
    length: plan.shortChunkBytes + (chunk < plan.longChunks ? 1 : 0),
  };
}

/**
 * The bytes of a run of chunks, which has at least one.
 * @throws RangeError when the file has no such chunks
 */
export function bytesOfChunks(plan: Plan, { first, count }: BlockRange): ByteRange {
  const { offset } = chunkRange(plan, first);
  const last = chunkRange(plan, first + count - 1);
  return { offset, length: last.offset + last.length - offset };
}

/**
 * The blocks of chunk `chunk`; none for the chunk of an empty file.
 * @throws RangeError when the file has no such chunk
 */
export function blocksOfChunk(plan: Plan, chunk: number): BlockRange {
  checkIndex('chunk', chunk, plan.chunks);
  const long = Math.min(chunk, plan.longChunks);
  return {
    first: long * plan.blocksPerLongChunk + (chunk - long) * plan.blocksPerShortChunk,
    count: chunk < plan.longChunks ? plan.blocksPerLongChunk : plan.blocksPerShortChunk,
  };
}

/**
 * The blocks of a run of chunks, which has at least one.
 * @throws RangeError when the file has no such chunks
 */
export function blocksOfChunks(plan: Plan, chunks: BlockRange): BlockRange {
  const { first } = blocksOfChunk(plan, chunks.first);
  const last = blocksOfChunk(plan, chunks.first + chunks.count - 1);
  return { first, count: last.first + last.count - first };
}

/**
 * The chunk that block `block` belongs to.
 * @throws RangeError when the file has no such block
 */
export function chunkOfBlock(plan: Plan, block: number): number {
  checkIndex('block', block, plan.blocks);
  const inLongChunks = plan.longChunks * plan.blocksPerLongChunk;
  return block < inLongChunks
    ? Math.floor(block / plan.blocksPerLongChunk)
    : plan.longChunks + Math.floor((block - inLongChunks) / plan.blocksPerShortChunk);
}

/**
 * Where block `block` stands: its chunk, its number there and its bytes (1 to BLOCK_BYTES; only a chunk's last is shorter).
 * @throws RangeError when the file has no such block
 */
export function blockPlace(plan: Plan, block: number): BlockPlace {
  const chunk = chunkOfBlock(plan, block);
  const bytes = chunkRange(plan, chunk);
  const indexInChunk = block - blocksOfChunk(plan, chunk).first;
  const skipped = indexInChunk * BLOCK_BYTES;
  const length = Math.min(BLOCK_BYTES, bytes.length - skipped);
  return { block, chunk, indexInChunk, offset: bytes.offset + skipped, length };
}

/**
 * Bytes of block `block`, 1 to BLOCK_BYTES.
 * @throws RangeError when the file has no such block
 */
export function blockLength(plan: Plan, block: number): number {
  checkIndex('block', block, plan.blocks);
  // Asked of each of thousands of blocks a second: numbers that fit 31 bits stay such, whatever the size of the file.
  const inLongChunks = plan.longChunks * plan.blocksPerLongChunk;
  return block < inLongChunks
    ? lengthAt(block, plan.blocksPerLongChunk, plan.lastOfLongChunk)
    : lengthAt(block - inLongChunks, plan.blocksPerShortChunk, plan.lastOfShortChunk);
}

function lengthAt(index: number, blocksPerChunk: number, last: number): number {
  return (index + 1) % blocksPerChunk === 0 ? last : BLOCK_BYTES;
}

/**
 * The bytes from the first to the last of the blocks of `range`, which has at least one.
 * @throws RangeError when the file has no such blocks
 */
export function bytesOfBlocks(plan: Plan, { first, count }: BlockRange): ByteRange {
  const { offset } = blockPlace(plan, first);
  const last = blockPlace(plan, first + count - 1);
  return { offset, length: last.offset + last.length - offset };
}

/**
 * The number in the file of block `indexInChunk` of chunk `chunk`.
 * @throws RangeError when the file has no such chunk, or the chunk no such block
 */
export function blockNumber(plan: Plan, chunk: number, indexInChunk: number): number {
  const { first, count } = blocksOfChunk(plan, chunk);
  checkIndex('block', indexInChunk, count);
  return first + indexInChunk;
}

/**
 * The end of a run from `block` on whose blocks can be checked together: those of its chunk, or those that are alone in theirs, whose digests
 * are in the manifest.
 * @throws RangeError when the file has no such block
 */
export function runEnd(plan: Plan, block: number): number {
  const { first, count } = blocksOfChunk(plan, chunkOfBlock(plan, block));
  // All chunks that follow one of one block have one, too.
  return count > 1 ? first + count : plan.blocks;
}

/** The blocks of `range` in spans of at most BLOCK_BYTES bytes, in order: one read each, however small the chunks are. */
export function* spansOf(
  plan: Plan,
  range: BlockRange = { first: 0, count: plan.blocks },
): Generator<Span, void, void> {
  const end = range.first + range.count;
  let first = range.first;
  while (first < end) {
    const { offset } = blockPlace(plan, first);
    let length = blockLength(plan, first);
    let next = first + 1;
    while (next < end && next - first < MAX_SPAN_BLOCKS) {
      const more = blockLength(plan, next);
      if (length + more > BLOCK_BYTES) break;
      length += more;
      next += 1;
    }
    yield { offset, length, blocks: { first, count: next - first } };
    first = next;
  }
}

function checkIndex(what: string, index: number, count: number): void {
  if (!Number.isInteger(index) || index < 0 || index >= count) {
    throw new RangeError(`there is no ${what} ${index}: the file has ${count}`);
  }
}
