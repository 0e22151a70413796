/**
 * Fetches chunks of one file from several holders at once. Whatever a holder sends is checked before it is written: the block
 * digests of a chunk against the manifest, each block against its digest. What fails goes to another holder; who lies is dropped.
 */
import { setMaxListeners } from 'node:events';
import PQueue from 'p-queue';
import { blocksOfChunk, chunkOfBlock, runEnd } from '../chunks/plan.js';
import type { BlockRange } from '../chunks/plan.js';
import { systemClock } from '../protocol/clock.js';
import type { Clock } from '../protocol/clock.js';
import { ParleyError, toParleyError } from '../protocol/errors.js';
import { BLOCK_BYTES } from '../protocol/limits.js';
import { CheckedBlocks } from './checked.js';
import { noHolder } from './diagnosis.js';
import type { DownloadView } from './diagnosis.js';
import type { DownloadOptions, DownloadResult } from './downloadoptions.js';
import { Finding } from './finding.js';
import { Holders } from './holders.js';
import type { Holder } from './holders.js';
import { Ledger } from './ledger.js';
import { Picker } from './picker.js';
import { RateLimit } from './rate.js';

/** Holders asked at once unless the user says otherwise. */
export const DEFAULT_JOBS = 8;
/** Bytes of blocks on the wire, being checked or being written in all, whatever the number of holders and the disk's speed. */
export const MAX_BYTES_UNDER_WAY = 32 * 1024 * 1024;
/** The same in requests, where blocks are small. */
export const MAX_REQUESTS_UNDER_WAY = 512;
/** Milliseconds between looks at what no event tells: stalls, retries, blocks to overtake. */
export const TICK_MS = 200;
/** Milliseconds without any holder to ask after which the download gives up: time for one that restarts to be back. */
export const NO_HOLDER_GRACE_MS = 5_000;
/** The same while the server cannot be asked who holds what: time for it to restart. */
export const NO_SERVER_GRACE_MS = 30_000;
/** Milliseconds that a holder without a free slot is left alone. */
const BUSY_PAUSE_MS = 1_000;

export type { DownloadOptions, DownloadResult } from './downloadoptions.js';

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
  readonly #queue = new PQueue({ concurrency: MAX_REQUESTS_UNDER_WAY });
  readonly #abort = new AbortController();
  readonly #ledger: Ledger;
  readonly #picker: Picker;
  readonly #holders: Holders;
  readonly #finding: Finding;
  readonly #limit: RateLimit | undefined;
  readonly #checked: CheckedBlocks;
  #bytesUnderWay = 0;
  #willPump = false;
  #fatal: ParleyError | undefined;
  #wake: () => void = () => undefined;
  /** When there was last somebody to ask. */
  #hopeAt: number;

  constructor(options: DownloadOptions) {
    const { part, manifest, limitRate, file, locate, random = Math.random } = options;
    const { blocks } = part.plan;
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    // Every link that is made or asked listens to it: no leak.
    const { signal } = this.#abort;
    setMaxListeners(0, signal);
    this.#hopeAt = this.#clock.monotonicMs();
    this.#limit = limitRate === undefined ? undefined : new RateLimit(limitRate, this.#clock);
    this.#ledger = new Ledger(part, options.chunks, this.#clock);
    const onUnwritable = (error: ParleyError): void => this.#fail(error);
    this.#checked = new CheckedBlocks({ file, root: manifest.root, part, clock: this.#clock, onUnwritable });
    this.#picker = new Picker({
      blocks,
      wanted: this.#ledger.missing,
      bytesOf: (block) => this.#ledger.bytesOf(block),
      runEnd: (block) => runEnd(part.plan, block),
      roomBytes: MAX_BYTES_UNDER_WAY,
      random,
    });
    this.#holders = new Holders({
      clock: this.#clock,
      random,
      blocks,
      jobs: options.jobs ?? DEFAULT_JOBS,
      connect: options.connect,
      signal,
      onLinking: ({ user, held }) => this.#picker.expect(user, held.runs()),
      onLinked: (holder) => this.#finding.watch(holder),
      onLost: (holder) => {
        this.#picker.remove(holder.user);
        this.#pump();
      },
    });
    this.#finding = new Finding({
      root: manifest.root,
      plan: part.plan,
      clock: this.#clock,
      holders: this.#holders,
      picker: this.#picker,
      locate,
      signal,
      onNews: () => {
        this.#holders.linkMore(this.#ledger.missing);
        this.#pump();
      },
    });
  }

  async run(): Promise<DownloadResult> {
    const { signal } = this.#options;
    const stop = (): void => this.#fail(new ParleyError('CANCELLED', {}, { cause: signal?.reason }));
    this.#options.onBegun?.({ view: () => this.#view(), coming: () => this.#picker.underWay });
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
    const unheld = this.#ledger.missing.copy();
    for (const { state, held } of this.#holders.all) if (state.kind !== 'dropped') unheld.subtract(held);
    return {
      file: this.#options.file,
      sizeBytes,
      bytes,
      rate,
      unheld: this.#ledger.chunksOf(unheld),
      isLimited: this.#limit?.isHolding ?? false,
      locateError: this.#finding.error,
      holders: await this.#holders.views(this.#ledger.missing, this.#abort.signal),
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
    this.#finding.refresh();
    this.#holders.linkMore(this.#ledger.missing);
    this.#pump();
    this.#giveUpWithoutHolders();
    this.#options.onProgress?.(this.#ledger.progress(this.#holders.all));
  }

  /** Nobody to ask for a while, and nobody on the way: says exactly which chunks are missing. */
  #giveUpWithoutHolders(): void {
    const now = this.#clock.monotonicMs();
    if (this.#picker.isWaiting || this.#holders.hopeful) this.#hopeAt = now;
    const { error } = this.#finding;
    if (now - this.#hopeAt < (error === undefined ? NO_HOLDER_GRACE_MS : NO_SERVER_GRACE_MS)) return;
    if (error !== undefined) {
      this.#fail(error);
      return;
    }
    const { missing } = this.#ledger;
    this.#fail(noHolder(this.#options.file, this.#ledger.chunksOf(missing), this.#holders.failuresFor(missing)));
  }

  /** Keeps every link busy, the fastest first. */
  #pump(): void {
    const now = this.#clock.monotonicMs();
    const rateOf = ({ user }: Holder): number => this.#picker.rateOf(user);
    for (const holder of [...this.#holders.linked].sort((a, b) => rateOf(b) - rateOf(a))) {
      if (now < holder.pausedUntil) continue;
      while (this.#hasRoom && !this.#abort.signal.aborted) {
        const run = this.#picker.next(holder.user, now, this.#roomBytes);
        if (run === undefined) break;
        const bytes = this.#ledger.bytesOfRun(run);
        this.#bytesUnderWay += bytes;
        void this.#queue.add(() => this.#fetch(holder, run, bytes));
      }
    }
  }

  /** Once for all blocks of this turn of the loop: what is asked for then leaves in one write. */
  #pumpSoon(): void {
    if (this.#willPump) return;
    this.#willPump = true;
    setImmediate(() => {
      this.#willPump = false;
      this.#pump();
    });
  }

  get #roomBytes(): number {
    return MAX_BYTES_UNDER_WAY - this.#bytesUnderWay;
  }

  get #hasRoom(): boolean {
    return this.#roomBytes >= BLOCK_BYTES && this.#queue.size + this.#queue.pending < MAX_REQUESTS_UNDER_WAY;
  }

  /** A run of blocks from one holder: asked for, checked, written. Never rejects. */
  async #fetch(holder: Holder, run: BlockRange, bytes: number): Promise<void> {
    const request = new AbortController();
    const { first } = run;
    holder.requests.set(first, request);
    try {
      if (this.#abort.signal.aborted) return;
      await this.#limit?.take(bytes, request.signal);
      const onCame = (): void => {
        this.#picker.received(holder.user, first, this.#clock.monotonicMs());
        this.#pumpSoon();
      };
      const { without, failure } = await this.#checked.fetch(holder, run, request.signal, onCame);
      if (without.length < run.count) this.#kept(holder, run, without);
      // Who lied lied, wanted or not.
      const isLie = failure?.error.code === 'HASH_MISMATCH';
      if (failure !== undefined && (isLie || !request.signal.aborted)) {
        this.#refused(holder, failure.blocks, failure.error);
      }
    } catch (thrown) {
      if (!request.signal.aborted) this.#refused(holder, run, toParleyError(thrown));
    } finally {
      this.#bytesUnderWay -= bytes;
      if (holder.requests.get(first) === request) holder.requests.delete(first);
      this.#picker.failed(holder.user, first);
      this.#pumpSoon();
    }
  }

  /** Counts blocks that were written, and takes them back from whoever else was asked for them. */
  #kept(holder: Holder, run: BlockRange, without: readonly number[]): void {
    holder.failures = 0;
    const arrival = this.#picker.arrived(holder.user, run, without);
    if (arrival === undefined) return;
    for (const user of arrival.alsoAsked) this.#holders.get(user)?.requests.get(run.first)?.abort();
    const whole = this.#ledger.note(run, arrival.without, holder);
    if (whole.length > 0) this.#options.onChunks?.(whole);
    if (this.#picker.finished) this.#wake();
  }

  /** What a holder's refusal means for it. */
  #refused(holder: Holder, run: BlockRange, error: ParleyError): void {
    const chunk = this.#chunkOf(run, error);
    switch (error.code) {
      case 'HASH_MISMATCH':
        // What else it had sent when it was found out is no news.
        if (holder.state.kind === 'dropped') return;
        this.#holders.drop(holder, error);
        this.#options.onReport?.(holder.user, chunk, 'HASH_MISMATCH');
        return;
      case 'CHUNK_GONE': {
        const blocks = blocksOfChunk(this.#options.part.plan, chunk);
        if (holder.gone.has(blocks.first)) return;
        this.#holders.disbelieve(holder, blocks);
        this.#picker.withdraw(holder.user, blocks);
        this.#options.onReport?.(holder.user, chunk, 'CHUNK_GONE');
        return;
      }
      case 'SERVER_BUSY':
        holder.pausedUntil = this.#clock.monotonicMs() + BUSY_PAUSE_MS;
        return;
      default:
        this.#holders.fail(holder, error);
    }
  }

  /** The chunk of a run that an error is about, as far as it says so. */
  #chunkOf({ first, count }: BlockRange, { details }: ParleyError): number {
    const { plan } = this.#options.part;
    const [from, to] = [chunkOfBlock(plan, first), chunkOfBlock(plan, first + count - 1)];
    const said = details['chunk'];
    return typeof said === 'number' && said >= from && said <= to ? said : from;
  }
}
