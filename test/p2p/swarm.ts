/** Holders in memory for tests of downloads: a file, whoever has some of its chunks, and how they misbehave. */
import { createHash } from 'node:crypto';
import type { Duplex } from 'node:stream';
import { BitSet } from '../../src/chunks/bits.js';
import { DIGEST_BYTES, blockDigest, chunkDigest, digestAt, manifestRoot } from '../../src/chunks/digest.js';
import { blockPlace, blocksOfChunk, chunkOfBlock, chunkRange, planChunks } from '../../src/chunks/plan.js';
import type { BlockRange, Plan } from '../../src/chunks/plan.js';
import type { Clock } from '../../src/protocol/clock.js';
import { Connection } from '../../src/protocol/connection.js';
import type { CommandSpec, IncomingCall } from '../../src/protocol/command.js';
import { ParleyError } from '../../src/protocol/errors.js';
import { makeHello } from '../../src/protocol/hello.js';
import type { Digest, Manifest } from '../../src/protocol/values.js';
import { askBlocks } from '../../src/p2p/fetch.js';
import { download } from '../../src/p2p/download.js';
import type { DownloadOptions, DownloadResult } from '../../src/p2p/download.js';
import type { PeerLink } from '../../src/p2p/link.js';
import { Provider } from '../../src/p2p/provider.js';
import type { Share } from '../../src/p2p/share.js';
import { linkedPair } from '../support/pair.js';

export const range = (n: number): number[] => Array.from({ length: n }, (_, i) => i);

export interface TestFile {
  readonly name: string;
  readonly bytes: Buffer;
  readonly plan: Plan;
  readonly manifest: Manifest;
  readonly blockDigests: Buffer;
}

/** A file of bytes that depend on the seed alone. */
export function makeFile(sizeBytes: number, chunks: number, seed = 1): TestFile {
  const bytes = Buffer.alloc(sizeBytes);
  const stamp = createHash('sha512').update(`${seed}`).digest();
  for (let at = 0; at < sizeBytes; at += 64) {
    stamp.copy(bytes, at);
    bytes.writeUInt8((at / 64) & 0xff, at);
    if (at + 4 < sizeBytes) bytes.writeUInt32LE((at * 2654435761) >>> 0, at);
  }
  const plan = planChunks(sizeBytes, chunks);
  const blockDigests = Buffer.concat(
    range(plan.blocks).map((block) => {
      const { offset, length } = blockPlace(plan, block);
      return blockDigest(bytes.subarray(offset, offset + length));
    }),
  );
  const chunkDigests = Buffer.concat(range(chunks).map((chunk) => chunkDigest(digestsOf(plan, blockDigests, chunk))));
  const root = manifestRoot({ sizeBytes, chunkDigests });
  return { name: 'a.bin', bytes, plan, manifest: { sizeBytes, chunkDigests, root }, blockDigests };
}

export function digestsOf(plan: Plan, blockDigests: Buffer, chunk: number): Buffer {
  const { first, count } = blocksOfChunk(plan, chunk);
  return blockDigests.subarray(first * DIGEST_BYTES, (first + count) * DIGEST_BYTES);
}

export function bitmapOf(chunks: Iterable<number>, size: number): Buffer {
  const bitmap = Buffer.alloc(Math.ceil(size / 8));
  for (const chunk of chunks) bitmap.writeUInt8((bitmap[chunk >> 3] ?? 0) | (1 << (chunk & 7)), chunk >> 3);
  return bitmap;
}

/** What a download writes to, without a disk. */
export class MemoryPart {
  readonly plan: Plan;
  readonly bytes: Buffer;
  readonly held = new Set<number>();
  readonly #file: TestFile;
  readonly #digests = new Map<number, Buffer>();
  /** Called before every write; may throw. */
  beforeWrite: (block: number) => void = () => undefined;

  constructor(file: TestFile) {
    this.plan = file.plan;
    this.bytes = Buffer.alloc(file.plan.sizeBytes);
    this.#file = file;
  }

  has(block: number): boolean {
    return this.held.has(block);
  }

  get heldBlocks(): BitSet {
    const blocks = new BitSet(this.plan.blocks);
    for (const block of this.held) blocks.add(block);
    return blocks;
  }

  hasChunk(chunk: number): boolean {
    return this.missing(chunk).length === 0;
  }

  missing(chunk = 0): number[] {
    const { first, count } = blocksOfChunk(this.plan, chunk);
    return range(count)
      .map((i) => first + i)
      .filter((block) => !this.held.has(block));
  }

  blockDigests(chunk: number): Buffer | undefined {
    return this.#digests.get(chunk);
  }

  learn(chunk: number, digests: Buffer): void {
    if (!chunkDigest(digests).equals(digestAt(this.#file.manifest.chunkDigests, chunk))) {
      throw new ParleyError('HASH_MISMATCH', { file: this.#file.name });
    }
    this.#digests.set(chunk, digests);
  }

  check({ first, count }: BlockRange, bytes: Buffer): number[] {
    const begin = blockPlace(this.plan, first).offset;
    return range(count)
      .map((i) => blockPlace(this.plan, first + i))
      .filter(({ chunk, indexInChunk, offset, length }) => {
        const digest = blockDigest(bytes.subarray(offset - begin, offset - begin + length));
        const known = this.#digests.get(chunk);
        if (known !== undefined) return !digest.equals(digestAt(known, indexInChunk));
        if (!chunkDigest(digest).equals(digestAt(this.#file.manifest.chunkDigests, chunk))) return true;
        this.#digests.set(chunk, digest);
        return false;
      })
      .map(({ block }) => block);
  }

  async write(block: number, bytes: Uint8Array, count = 1): Promise<boolean> {
    await Promise.resolve();
    return this.writeNow(block, bytes, count);
  }

  writeNow(first: number, bytes: Uint8Array, count = 1): boolean {
    let isWhole = false;
    const begin = blockPlace(this.plan, first).offset;
    for (const block of range(count).map((i) => first + i)) {
      this.beforeWrite(block);
      const { offset, length } = blockPlace(this.plan, block);
      isWhole = this.#put(block, bytes.subarray(offset - begin, offset - begin + length)) || isWhole;
    }
    return isWhole;
  }

  #put(block: number, bytes: Uint8Array): boolean {
    const { offset, chunk } = blockPlace(this.plan, block);
    this.bytes.set(bytes, offset);
    this.held.add(block);
    return this.hasChunk(chunk);
  }
}

export interface TestHolder {
  readonly user: string;
  readonly chunks: Set<number>;
  /** What the chunks it tells of are, when not the ones it has. */
  claims?: Iterable<number>;
  /** Spoils what it reads before it is sent. */
  spoil?: (block: number, bytes: Buffer) => void;
  /** Block digests instead of the true ones. */
  digests?: (chunk: number, digests: Buffer) => Buffer;
  /** Awaited before a block is read. */
  beforeRead?: (block: number) => Promise<void> | void;
  /** Refuses links. */
  unreachable?: boolean;
  /** Blocks it was asked for and read. */
  served: number;
  /** Its ends of links, the newest last. */
  readonly ends: Connection[];
  /** What the links run over. */
  readonly wires: [Duplex, Duplex][];
}

export function holder(user: string, chunks: Iterable<number>, more: Partial<TestHolder> = {}): TestHolder {
  return { user, chunks: new Set(chunks), served: 0, ends: [], wires: [], ...more };
}

export function shareOf(file: TestFile, from: TestHolder): Share {
  return {
    file: file.name,
    plan: file.plan,
    heldChunks: () => bitmapOf(from.claims ?? from.chunks, file.plan.chunks),
    heldBlocks: () => {
      const blocks = new BitSet(file.plan.blocks);
      for (const chunk of from.claims ?? from.chunks) blocks.addRun(blocksOfChunk(file.plan, chunk));
      return blocks;
    },
    lacks: ({ first, count }) =>
      range(count)
        .map((i) => first + i)
        .find((block) => block >= file.plan.blocks || !from.chunks.has(chunkOfBlock(file.plan, block))),
    coming: () => [],
    blockDigests: (chunk) => {
      const digests = digestsOf(file.plan, file.blockDigests, chunk);
      return from.digests?.(chunk, Buffer.from(digests)) ?? digests;
    },
    read: async (first, target, targetOffset, count) => {
      let read = 0;
      for (let block = first; block < first + count; block += 1) {
        await from.beforeRead?.(block);
        from.served += 1;
        const { offset, length } = blockPlace(file.plan, block);
        const bytes = Buffer.from(file.bytes.subarray(offset, offset + length));
        from.spoil?.(block, bytes);
        target.set(bytes, targetOffset + read);
        read += length;
      }
      return read;
    },
  };
}

/** A link to a holder, in memory; `serve` replaces the honest provider. */
export function connectTo(
  file: TestFile,
  to: TestHolder,
  serve?: (connection: Connection) => void,
  { me = 'me', clock }: { me?: string; clock?: Clock | undefined } = {},
): Pick<PeerLink, 'connection' | 'bytesReceived'> {
  const [ours, theirs] = linkedPair();
  to.wires.push([ours, theirs]);
  // As over a socket, what was written may be overwritten then.
  const write = theirs.write.bind(theirs) as (bytes: Buffer, done?: () => void) => boolean;
  theirs.write = ((bytes: Buffer, done?: () => void) => write(Buffer.from(bytes), done)) as Duplex['write'];
  let received = 0;
  ours.on('data', (bytes: Buffer) => (received += bytes.length));
  const end = new Connection(theirs, { hello: makeHello('peer'), end: 'listener', pauseAboveBytes: 8 * 1024 * 1024 });
  to.ends.push(end);
  const shares = { find: (root: Digest) => (root === file.manifest.root ? shareOf(file, to) : undefined) };
  if (serve !== undefined) serve(end);
  else new Provider({ shares, ...(clock === undefined ? {} : { clock }) }).serve(me, end);
  const connection = new Connection(ours, {
    hello: makeHello('peer'),
    end: 'dialer',
    lost: (reason) => new ParleyError('PEER_UNREACHABLE', { user: to.user, reason }),
  });
  return { connection, bytesReceived: () => received };
}

/** Blocks into a buffer of their size; undefined when something of another length came. */
export async function askBlock(
  connection: Connection,
  params: { root: Digest; chunk: number; block: number; count?: number },
  into: Buffer,
  signal: AbortSignal,
): Promise<Buffer | undefined> {
  const pieces = { bytes: [into.length], into: () => into, take: (bytes: Buffer) => bytes, goesOn: () => true };
  const { taken, failure } = await askBlocks(connection, params, pieces, signal);
  if (failure?.kind === 'refused') throw failure.error;
  return failure === undefined ? taken[0] : undefined;
}

export interface TestDownload {
  readonly part: MemoryPart;
  readonly reports: string[];
  readonly announced: number[];
  readonly result: Promise<DownloadResult>;
}

/** Downloads from these holders, who are all that `locate` knows. */
export function downloadFrom(
  file: TestFile,
  holders: readonly TestHolder[],
  more: Partial<DownloadOptions> & { part?: MemoryPart } = {},
): TestDownload {
  const part = more.part ?? new MemoryPart(file);
  const reports: string[] = [];
  const announced: number[] = [];
  const result = download({
    file: file.name,
    manifest: file.manifest,
    chunks: BitSet.full(file.plan.chunks),
    locate: () => {
      const found = holders.filter(({ chunks, claims }) => claims !== undefined || chunks.size > 0);
      return Promise.resolve(
        found.map(({ user, chunks, claims }) => ({
          user,
          bitmap: bitmapOf(claims ?? chunks, file.plan.chunks).toString('base64'),
        })),
      );
    },
    connect: (user) => {
      const to = holders.find((each) => each.user === user);
      if (to === undefined || to.unreachable === true) {
        return Promise.reject(new ParleyError('PEER_UNREACHABLE', { user, reason: 'refused' }));
      }
      return Promise.resolve(connectTo(file, to, undefined, { clock: more.clock }));
    },
    onChunks: (whole) => announced.push(...whole),
    onReport: (user, _chunk, code) => reports.push(`${user} ${code}`),
    ...more,
    part,
  });
  result.catch(() => undefined);
  return { part, reports, announced, result };
}

/** The bytes of these chunks, one after another. */
export function bytesOf(file: TestFile, from: Buffer, chunks: Iterable<number>): Buffer {
  return Buffer.concat(
    [...chunks].map((chunk) => {
      const { offset, length } = chunkRange(file.plan, chunk);
      return from.subarray(offset, offset + length);
    }),
  );
}

/** Tells as a peer does that these chunks are held, until the call is cancelled. */
export async function tellHeld(file: TestFile, chunks: Iterable<number>, call: IncomingCall): Promise<never> {
  const blocks = [...chunks].map((chunk) => blocksOfChunk(file.plan, chunk)).map(({ first, count }) => [first, count]);
  await call.emit({ type: 'held', anew: true, blocks, given: [] });
  return new Promise((_, reject) => call.signal.addEventListener('abort', () => reject(new ParleyError('CANCELLED'))));
}

/** Answers every call of these specs with one function. */
export function answering(
  specs: Readonly<Record<string, CommandSpec>>,
  answer: Parameters<Connection['serve']>[1],
): (connection: Connection) => void {
  return (connection) => connection.serve(specs, answer);
}
