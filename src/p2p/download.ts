/**
 * Fetches chunks of one file from several holders at once. Whatever a holder sends is checked before it is written: the block
 * digests of a chunk against the manifest, each block against its digest. What fails goes to another holder; who lies is dropped.
 */
import { setMaxListeners } from 'node:events';
import PQueue from 'p-queue';
import { runsOf } from '../chunks/bits.js';
import type { Part } from '../chunks/part.js';
import { systemClock } from '../protocol/clock.js';
import type { Clock } from '../protocol/clock.js';
import { ParleyError, toParleyError } from '../protocol/errors.js';
import type { Manifest } from '../protocol/values.js';
import { BlockWriter } from './blockwriter.js';
import { CheckedBlocks } from './checked.js';
import type { DownloadView } from './diagnosis.js';
import { askHeld, numbersIn } from './fetch.js';
import { Holders } from './holders.js';
import type { Holder, HolderLink } from './holders.js';
import { Ledger } from './ledger.js';
import type { DownloadProgress } from './ledger.js';
import { Picker } from './picker.js';
import type { BlockRef } from './picker.js';
import { RateLimit } from './rate.js';

/** Holders asked at once unless the user says otherwise. */
export const DEFAULT_JOBS = 8;
/** Blocks on the wire, being checked or being written in all: 32 MiB at most, whatever the number of holders and the disk's speed. */
export const MAX_BLOCKS_UNDER_WAY = 32;
/** Milliseconds between looks at what no event tells: stalls, retries, blocks to overtake. */
export const TICK_MS = 200;
/** Milliseconds between questions for new holders and newly held chunks: receivers soon serve each other. */
export const REFRESH_MS = 1_000;
/** Milliseconds without any holder to ask after which the download gives up: time for one that restarts to be back. */
export const NO_HOLDER_GRACE_MS = 5_000;
/** The same while the server cannot be asked who holds what: time for it to restart. */
export const NO_SERVER_GRACE_MS = 30_000;
/** Milliseconds that a holder without a free slot is left alone. */
const BUSY_PAUSE_MS = 1_000;
/** Runs of chunk numbers that a sentence names. */
const MAX_NAMED_RUNS = 20;
/** Chunk numbers that an error names one by one. */
const MAX_NAMED_CHUNKS = 1_000;

export interface DownloadOptions {
  /** The file's name, for messages. */
  readonly file: string;
  readonly manifest: Manifest;
  /** Where blocks go. Neither finished nor closed here. */
  readonly part: Pick<Part, 'plan' | 'has' | 'hasChunk' | 'missing' | 'learn' | 'blockDigests' | 'write' | 'writeNow'>;
  /** The chunks to fetch; those that are there already cost nothing. */
  readonly chunks: Iterable<number>;
  /** Who holds what now (`locate` of the server); may fail while the server is away. `bitmap` is base64. */
  readonly locate: (signal: AbortSignal) => Promise<readonly { readonly user: string; readonly bitmap: string }[]>;
  /** Introduces and dials; the link belongs to the download from then on. */
  readonly connect: (user: string, signal: AbortSignal) => Promise<HolderLink>;
  readonly signal?: AbortSignal | undefined;
  /** Holders asked at once, 1 to 64. */
  readonly jobs?: number | undefined;
  /** Bytes a second; no limit when absent. */
  readonly limitRate?: number | undefined;
  /** A chunk is whole and verified: announce it. */
  readonly onChunk?: (chunk: number) => void;
  /** A holder's bytes or promises were wrong: report it. */
  readonly onReport?: (user: string, chunk: number, code: 'HASH_MISMATCH' | 'CHUNK_GONE') => void;
  /** Called a few times a second. */
  readonly onProgress?: (progress: DownloadProgress) => void;
  /** Called once, before anything is asked for: what shows how it stands. */
  readonly onBegun?: (view: () => Promise<DownloadView>) => void;
  readonly clock?: Clock;
  /** Uniform in [0, 1). */
  readonly random?: () => number;
}

export interface DownloadResult {
  /** Chunks made whole by this download, ascending. */
  readonly chunks: readonly number[];
  /** Who sent at least one good block. */
  readonly sources: readonly { readonly user: string; readonly bytes: number }[];
}

/**
 * Fetches the wanted chunks into `part`. Whatever the end, nothing of it is under way any more and what was verified stays.
 * @throws ParleyError NO_HOLDER naming the chunks nobody has (`chunks`) once all others are there; DISK_FULL; CANCELLED; what `locate`
 * fails with, when it does for 30 s and nobody is left to ask
 */
export async function download(options: DownloadOptions): Promise<DownloadResult> {
  return new Download(options).run();
}

class Download {
  readonly #options: DownloadOptions;
  readonly #clock: Clock;
  readonly #queue = new PQueue({ concurrency: MAX_BLOCKS_UNDER_WAY });
  readonly #abort = new AbortController();
  readonly #ledger: Ledger;
  readonly #picker: Picker;
  readonly #holders: Holders;
  readonly #limit: RateLimit | undefined;
  readonly #checked: CheckedBlocks;
  readonly #writer: BlockWriter;
  /** Room for blocks that nobody uses now: never more than MAX_BLOCKS_UNDER_WAY. */
  readonly #slots: Buffer[] = [];
  #fatal: ParleyError | undefined;
  #wake: () => void = () => undefined;
  /** When to ask next who holds what; not while it is being asked. */
  #refreshAt: number;
  #refreshing = false;
  /** The bitmap last told of each holder: most are told again unchanged, and taking one in costs some MB with many chunks. */
  readonly #told = new Map<string, Buffer>();
  /** What the last question for holders failed with. */
  #locateError: ParleyError | undefined;
  /** When there was last somebody to ask. */
  #hopeAt: number;

  constructor(options: DownloadOptions) {
    const { part, limitRate } = options;
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    // Every link that is made or asked listens to it: no leak.
    setMaxListeners(0, this.#abort.signal);
    this.#refreshAt = this.#hopeAt = this.#clock.monotonicMs();
    this.#limit = limitRate === undefined ? undefined : new RateLimit(limitRate, this.#clock);
    this.#ledger = new Ledger(part, options.chunks, this.#clock);
    const { file, manifest } = options;
    this.#checked = new CheckedBlocks({ file, root: manifest.root, part, ledger: this.#ledger });
    this.#writer = new BlockWriter(part, this.#clock);
    this.#picker = new Picker({
      wanted: this.#ledger.wanted,
      blocksOf: (chunk) => this.#ledger.blocksOf(chunk),
      bytesOf: (ref) => this.#ledger.bytesOf(ref),
      isHeld: (ref) => this.#ledger.isHeld(ref),
      random: options.random ?? Math.random,
    });
    this.#holders = new Holders({
      clock: this.#clock,
      jobs: options.jobs ?? DEFAULT_JOBS,
      connect: options.connect,
      signal: this.#abort.signal,
      onLinked: (holder) => {
        this.#picker.offer(holder.user, holder.chunks);
        this.#pump();
      },
      onLost: (holder) => {
        this.#picker.remove(holder.user);
        this.#pump();
      },
    });
  }

  async run(): Promise<DownloadResult> {
    const { signal } = this.#options;
    const stop = (): void => this.#fail(new ParleyError('CANCELLED', {}, { cause: signal?.reason }));
    this.#options.onBegun?.(() => this.#view());
    if (signal?.aborted === true) stop();
    signal?.addEventListener('abort', stop, { once: true });
    try {
      while (!this.#picker.finished) {
        if (this.#fatal !== undefined) throw this.#fatal;
        this.#tick();
        await this.#nextTick();
      }
    } finally {
      signal?.removeEventListener('abort', stop);
      this.#abort.abort();
      this.#holders.close();
      await this.#queue.onIdle();
      this.#options.onProgress?.(this.#ledger.progress(this.#holders.all));
    }
    const { sources } = this.#ledger.progress(this.#holders.all);
    return { chunks: this.#ledger.finished, sources: sources.map(({ user, bytes }) => ({ user, bytes })) };
  }

  async #view(): Promise<DownloadView> {
    const { sizeBytes, bytes, rate } = this.#ledger.progress([]);
    const held = new Set(
      this.#holders.all.flatMap(({ state, chunks }) => (state.kind === 'dropped' ? [] : [...chunks])),
    );
    const unheld = [...this.#ledger.wanted].filter((chunk) => !held.has(chunk)).sort((a, b) => a - b);
    const isWanted = (chunk: number): boolean => this.#ledger.wanted.has(chunk);
    return {
      file: this.#options.file,
      sizeBytes,
      bytes,
      rate,
      unheld,
      isLimited: this.#limit?.isHolding ?? false,
      locateError: this.#locateError,
      holders: await this.#holders.views(isWanted, this.#abort.signal),
    };
  }

  #fail(error: ParleyError): void {
    this.#fatal ??= error;
    this.#abort.abort();
    this.#wake();
  }

  #nextTick(): Promise<void> {
    return new Promise((resolve) => {
      const cancel = this.#clock.after(TICK_MS, resolve);
      this.#wake = () => {
        cancel();
        resolve();
      };
      if (this.#picker.finished || this.#fatal !== undefined) this.#wake();
    });
  }

  #tick(): void {
    this.#holders.watch(
      (holder) => this.#picker.isReplaceable(holder.user),
      ({ user }) => new ParleyError('PEER_UNREACHABLE', { user, reason: 'it stopped sending' }),
    );
    this.#refreshHolders();
    this.#linkMore();
    this.#pump();
    this.#giveUpWithoutHolders();
    this.#options.onProgress?.(this.#ledger.progress(this.#holders.all));
  }

  #linkMore(): void {
    this.#holders.linkMore(
      (chunk) => this.#ledger.wanted.has(chunk),
      ({ user }) => this.#picker.flyingFrom(user).length === 0,
    );
  }

  /** Asks the server for holders, and those who are linked for chunks they have finished since: that works without it, too. */
  #refreshHolders(): void {
    const now = this.#clock.monotonicMs();
    if (this.#refreshing || now < this.#refreshAt) return;
    this.#refreshing = true;
    const { manifest } = this.#options;
    const linked = this.#holders.linked.map(async (holder) => {
      if (holder.state.kind !== 'linked') return;
      this.#learn(holder.user, await askHeld(holder.state.link.connection, manifest.root, this.#abort.signal));
    });
    const located = this.#options.locate(this.#abort.signal).then(
      (found) => {
        this.#locateError = undefined;
        for (const { user, bitmap } of found) this.#learn(user, Buffer.from(bitmap, 'base64'));
      },
      (thrown: unknown) => (this.#locateError = toParleyError(thrown)),
    );
    void Promise.allSettled([located, ...linked]).then(() => {
      this.#refreshAt = this.#clock.monotonicMs() + REFRESH_MS;
      this.#refreshing = false;
    });
    void located.then(() => this.#linkMore());
  }

  #learn(user: string, bitmap: Buffer): void {
    if (this.#abort.signal.aborted || this.#told.get(user)?.equals(bitmap) === true) return;
    this.#told.set(user, bitmap);
    const holder = this.#holders.learn(user, numbersIn(bitmap, this.#options.part.plan.chunks));
    if (holder.state.kind !== 'linked') return;
    this.#picker.offer(holder.user, holder.chunks);
    this.#pump();
  }

  /** Nobody to ask for a while, and nobody on the way: says exactly which chunks are missing. */
  #giveUpWithoutHolders(): void {
    const now = this.#clock.monotonicMs();
    if (this.#picker.flying > 0 || this.#holders.hopeful) this.#hopeAt = now;
    const graceMs = this.#locateError === undefined ? NO_HOLDER_GRACE_MS : NO_SERVER_GRACE_MS;
    if (now - this.#hopeAt < graceMs) return;
    if (this.#locateError !== undefined) {
      this.#fail(this.#locateError);
      return;
    }
    const { file } = this.#options;
    const chunks = [...this.#ledger.wanted].sort((a, b) => a - b);
    const failed = this.#holders.all.flatMap(({ user, lastError }) => (lastError ? [`${user} ${lastError.code}`] : []));
    const what = `${chunks.length === 1 ? 'chunk' : 'chunks'} ${namedRanges(chunks)} of ${file}`;
    this.#fail(new ParleyError('NO_HOLDER', { what, file, chunks: chunks.slice(0, MAX_NAMED_CHUNKS), failed }));
  }

  /** Keeps every link busy. */
  #pump(): void {
    const now = this.#clock.monotonicMs();
    for (const holder of this.#holders.linked) {
      if (now < holder.pausedUntil) continue;
      while (this.#queue.size + this.#queue.pending < MAX_BLOCKS_UNDER_WAY && !this.#abort.signal.aborted) {
        const ref = this.#picker.next(holder.user, now);
        if (ref === undefined) break;
        void this.#queue.add(() => this.#fetch(holder, ref));
      }
    }
  }

  /** One block from one holder: asked for, checked, written. Never rejects. */
  async #fetch(holder: Holder, ref: BlockRef): Promise<void> {
    const key = requestKey(ref);
    const request = new AbortController();
    holder.requests.set(key, request);
    try {
      if (this.#abort.signal.aborted) return;
      const length = this.#ledger.bytesOf(ref);
      await this.#limit?.take(length, request.signal);
      const slot = this.#slots.pop() ?? Buffer.allocUnsafeSlow(this.#ledger.largestBlock);
      const bytes = slot.subarray(0, length);
      await this.#checked.fetch(holder, ref, bytes, request.signal);
      this.#picker.received(holder.user, ref, this.#clock.monotonicMs());
      this.#pump();
      await this.#keep(holder, ref, bytes);
      this.#slots.push(slot);
    } catch (thrown) {
      if (!request.signal.aborted) this.#refused(holder, ref.chunk, toParleyError(thrown));
    } finally {
      if (holder.requests.get(key) === request) holder.requests.delete(key);
      this.#picker.failed(holder.user, ref);
      this.#pump();
    }
  }

  /** Writes a checked block, and takes it back from whoever else was asked for it. */
  async #keep(holder: Holder, ref: BlockRef, bytes: Buffer): Promise<void> {
    try {
      await this.#writer.write(this.#ledger.numberOf(ref), bytes);
    } catch (thrown) {
      this.#fail(toParleyError(thrown));
      return;
    }
    holder.failures = 0;
    const arrival = this.#picker.arrived(holder.user, ref);
    if (arrival === undefined) return;
    this.#ledger.note(ref, holder, arrival.chunkComplete);
    for (const user of arrival.alsoAsked) this.#holders.get(user)?.requests.get(requestKey(ref))?.abort();
    if (arrival.chunkComplete) this.#options.onChunk?.(ref.chunk);
    if (this.#picker.finished) this.#wake();
  }

  /** What a holder's refusal means for it. */
  #refused(holder: Holder, chunk: number, error: ParleyError): void {
    switch (error.code) {
      case 'HASH_MISMATCH':
        this.#holders.drop(holder, error);
        this.#options.onReport?.(holder.user, chunk, 'HASH_MISMATCH');
        return;
      case 'CHUNK_GONE':
        holder.gone.add(chunk);
        holder.chunks.delete(chunk);
        this.#picker.withdraw(holder.user, chunk);
        this.#options.onReport?.(holder.user, chunk, 'CHUNK_GONE');
        return;
      case 'SERVER_BUSY':
        holder.pausedUntil = this.#clock.monotonicMs() + BUSY_PAUSE_MS;
        return;
      default:
        this.#holders.fail(holder, error);
    }
  }
}

function requestKey({ chunk, block }: BlockRef): string {
  return `${chunk}:${block}`;
}

/** `0, 3-5, 9`, and no longer than a line or two. */
function namedRanges(chunks: readonly number[]): string {
  const runs = runsOf(chunks).map(({ first, count }) => (count === 1 ? `${first}` : `${first}-${first + count - 1}`));
  return runs.length > MAX_NAMED_RUNS ? `${runs.slice(0, MAX_NAMED_RUNS).join(', ')} and more` : runs.join(', ');
}
