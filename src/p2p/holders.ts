/** Those who hold a file, as one download knows them: found, being linked, linked, failed for now, or dropped for lying. */
import { BitSet } from '../chunks/bits.js';
import type { BlockRange } from '../chunks/plan.js';
import type { Clock } from '../protocol/clock.js';
import { ParleyError, toParleyError } from '../protocol/errors.js';
import { nameKey } from '../protocol/values.js';
import { Arrivals } from './arrivals.js';
import type { Failure, HolderView } from './diagnosis.js';
import { askQueue } from './fetch.js';
import type { HolderLink } from './link.js';
import { RateMeter } from './rate.js';

/** Milliseconds before a holder that failed is tried again; doubled with each failure in a row. */
const RETRY_MS = 1_000;
const LONGEST_RETRY_MS = 30_000;
/** Milliseconds in which a holder that was asked must have sent something (R25: refetched elsewhere within 5 s). */
export const STALL_MS = 2_500;
/** Bytes in that time below which a holder is as good as gone, if somebody else has what it was asked for. */
export const STALL_BYTES = 16 * 1024;

type State =
  | { readonly kind: 'known'; readonly retryAt: number }
  | { readonly kind: 'linking' }
  | { readonly kind: 'linked'; readonly link: HolderLink }
  | { readonly kind: 'dropped' };

export interface Holder {
  readonly user: string;
  /** Blocks it is said to hold, without those it could not give. */
  readonly held: BitSet;
  /** Blocks that it could not give although it said so. */
  readonly gone: BitSet;
  /** More of them may come to it: it fetches, too, or holds blocks of chunks that are not whole. */
  isPartial: boolean;
  /** Its turn among equals. */
  readonly order: number;
  /** Requests under way, by the block they ask for. */
  readonly requests: Map<number, AbortController>;
  /** Verified bytes it sent. */
  readonly meter: RateMeter;
  /** Bytes of any kind that its link brings while it is waited for. */
  readonly arrivals: Arrivals;
  state: State;
  failures: number;
  /** Why the last link or request failed. */
  lastError: ParleyError | undefined;
  /** Requests that wait for bytes, and how the link moved since they do. */
  awaiting: number;
  moved: { at: number; bytes: number };
  /** Asked for nothing before then: it had no slot for us. */
  pausedUntil: number;
}

export interface HoldersOptions {
  readonly clock: Clock;
  /** Uniform in [0, 1): spreads many who fetch over many who hold. */
  readonly random: () => number;
  /** How many blocks the file has. */
  readonly blocks: number;
  /** Links at once. */
  readonly jobs: number;
  readonly connect: (user: string, signal: AbortSignal) => Promise<HolderLink>;
  readonly signal: AbortSignal;
  /** It is being linked to; until it tells itself, it has what it is said to have. */
  readonly onLinking: (holder: Holder) => void;
  readonly onLinked: (holder: Holder) => void;
  /** The holder is no longer linked, nor being linked to; what it was asked for will not come. */
  readonly onLost: (holder: Holder) => void;
}

export class Holders {
  readonly #options: HoldersOptions;
  readonly #holders = new Map<string, Holder>();

  constructor(options: HoldersOptions) {
    this.#options = options;
  }

  get all(): readonly Holder[] {
    return [...this.#holders.values()];
  }

  get linked(): readonly Holder[] {
    return this.all.filter(({ state }) => state.kind === 'linked');
  }

  /** Whether somebody may still turn out to be of use: is linked to for the first time, or has no slot for us just now. */
  get hopeful(): boolean {
    const now = this.#options.clock.monotonicMs();
    return this.all.some(
      ({ state, failures, pausedUntil }) =>
        (state.kind === 'linking' && failures === 0) || (state.kind === 'linked' && now < pausedUntil),
    );
  }

  get(user: string): Holder | undefined {
    return this.#holders.get(nameKey(user));
  }

  /** Notes what the server says that a user holds. Who is linked tells it themselves, and more exactly. */
  learn(user: string, runs: Iterable<BlockRange>, isPartial: boolean): void {
    const holder = this.get(user) ?? newHolder(user, this.#options);
    this.#holders.set(nameKey(user), holder);
    holder.isPartial = isPartial;
    if (holder.state.kind !== 'linked') this.take(holder, runs, true);
  }

  /**
   * Notes what is held there, besides what was known or, `anew`, instead. Returns what is believed of it: not what could not be given
   * before.
   */
  take({ held, gone }: Holder, runs: Iterable<BlockRange>, anew: boolean): readonly BlockRange[] {
    if (anew) held.clear();
    const news = new BitSet(this.#options.blocks);
    for (const run of runs) news.addRun(run);
    const believed = [...news.runsWithout(gone)];
    for (const run of believed) held.addRun(run);
    return believed;
  }

  /** It could not give these although it said so. */
  disbelieve({ held, gone }: Holder, blocks: BlockRange): void {
    gone.addRun(blocks);
    held.subtract(gone);
  }

  /** Links to more of those who have what is `missing`, or may come to have it, up to `jobs`; a link without use makes room. */
  linkMore(missing: BitSet): void {
    if (this.#options.signal.aborted) return;
    const now = this.#options.clock.monotonicMs();
    const has = ({ held }: Holder): boolean => missing.find(0, held) !== undefined;
    // Those who have something first, and who failed least often.
    const candidates = this.all
      .filter(({ state }) => state.kind === 'known' && state.retryAt <= now)
      .map((holder) => ({ holder, rank: has(holder) ? 0 : holder.isPartial ? 1 : 2 }))
      .filter(({ rank }) => rank < 2)
      .sort((a, b) => a.rank - b.rank || a.holder.failures - b.holder.failures || a.holder.order - b.holder.order);
    let busy = this.all.filter(({ state }) => state.kind === 'linking' || state.kind === 'linked').length;
    for (const { holder, rank } of candidates) {
      if (busy >= this.#options.jobs) {
        const idle = this.linked.find(
          (each) => each.requests.size === 0 && !has(each) && (rank === 0 || !each.isPartial),
        );
        if (idle === undefined) return;
        this.#unlink(idle, { kind: 'known', retryAt: now });
        busy -= 1;
      }
      this.#link(holder).catch((thrown: unknown) => this.fail(holder, toParleyError(thrown)));
      busy += 1;
    }
  }

  /** The link or a request failed: the holder is tried again later. */
  fail(holder: Holder, error: ParleyError): void {
    if (holder.state.kind === 'dropped' || holder.state.kind === 'known') return;
    const retryMs = Math.min(LONGEST_RETRY_MS, RETRY_MS * 2 ** holder.failures);
    holder.failures += 1;
    holder.lastError = error;
    this.#unlink(holder, { kind: 'known', retryAt: this.#options.clock.monotonicMs() + retryMs });
  }

  /** The holder lied: nothing is asked of it again. */
  drop(holder: Holder, error: ParleyError): void {
    holder.lastError = error;
    this.#unlink(holder, { kind: 'dropped' });
  }

  /** Looks after links that do not move; `isReplaceable` says whether others have what the holder was asked for. */
  watch(isReplaceable: (holder: Holder) => boolean, stalled: (holder: Holder) => ParleyError): void {
    const now = this.#options.clock.monotonicMs();
    for (const holder of this.linked) {
      if (holder.state.kind !== 'linked') continue;
      const { link } = holder.state;
      const bytes = link.bytesReceived();
      holder.arrivals.note(holder.awaiting > 0, bytes);
      const came = bytes - holder.moved.bytes;
      if (holder.awaiting === 0 || came >= STALL_BYTES) holder.moved = { at: now, bytes };
      if (now - holder.moved.at < STALL_MS) continue;
      holder.moved = { at: now, bytes };
      const look = isReplaceable(holder) ? this.#hasReason(link) : came > 0 || link.connection.alive(STALL_MS);
      void Promise.resolve(look).then((isWell) => {
        if (!isWell && holder.state.kind === 'linked' && holder.state.link === link) this.fail(holder, stalled(holder));
      });
    }
  }

  /** Who answers that others come first, or that it may not send faster, is slow, not gone: others are asked besides, but it stays. */
  async #hasReason({ connection }: HolderLink): Promise<boolean> {
    const queue = await askQueue(connection, this.#options.signal);
    return queue !== undefined && (queue.isLimited || queue.ahead !== undefined);
  }

  /** How it stands with each; those who keep us waiting are asked how. */
  views(missing: BitSet, signal: AbortSignal): Promise<HolderView[]> {
    const now = this.#options.clock.monotonicMs();
    return Promise.all(
      this.all.map(async ({ user, state, meter, arrivals, requests, held, lastError, pausedUntil }) => {
        const until = state.kind === 'known' ? state.retryAt : pausedUntil;
        const isWaiting = state.kind === 'linked' && requests.size > 0;
        return {
          user,
          state: state.kind,
          rate: (state.kind === 'linked' ? arrivals.rate : undefined) ?? meter.rate(),
          asked: requests.size,
          waitingMs: state.kind === 'linked' ? arrivals.waitingMs : 0,
          isUseful: missing.find(0, held) !== undefined,
          error: lastError,
          retrySeconds: Math.max(0, Math.ceil((until - now) / 1000)),
          queue: isWaiting ? await askQueue(state.link.connection, signal) : undefined,
        };
      }),
    );
  }

  /** Those who are said to have some of what is `missing`, or may come to have it, and why nothing can be had from them. */
  failuresFor(missing: BitSet): Failure[] {
    return this.all.flatMap(({ user, state, held, isPartial, lastError: error }) => {
      const isOfUse = isPartial || missing.find(0, held) !== undefined;
      return error !== undefined && state.kind !== 'linked' && isOfUse ? [{ user, error }] : [];
    });
  }

  /** Ends all links at once. */
  close(): void {
    for (const holder of this.all) this.#unlink(holder, { kind: 'dropped' });
  }

  async #link(holder: Holder): Promise<void> {
    holder.state = { kind: 'linking' };
    this.#options.onLinking(holder);
    const link = await this.#options.connect(holder.user, this.#options.signal);
    if (this.#options.signal.aborted) {
      link.connection.destroy();
      return;
    }
    holder.state = { kind: 'linked', link };
    holder.moved = { at: this.#options.clock.monotonicMs(), bytes: link.bytesReceived() };
    holder.arrivals.note(false, holder.moved.bytes);
    void link.connection.closed.then((error) => {
      if (holder.state.kind !== 'linked' || holder.state.link !== link) return;
      const { user } = holder;
      this.fail(holder, error ?? new ParleyError('PEER_UNREACHABLE', { user, reason: 'they closed the link' }));
    });
    this.#options.onLinked(holder);
  }

  #unlink(holder: Holder, state: State): void {
    const before = holder.state;
    holder.state = state;
    if (before.kind !== 'linked' && before.kind !== 'linking') return;
    for (const request of holder.requests.values()) request.abort();
    if (before.kind === 'linked') before.link.connection.destroy();
    this.#options.onLost(holder);
  }
}

function newHolder(user: string, { blocks, clock, random }: HoldersOptions): Holder {
  return {
    user,
    held: new BitSet(blocks),
    gone: new BitSet(blocks),
    isPartial: false,
    order: random(),
    requests: new Map(),
    meter: new RateMeter(clock),
    arrivals: new Arrivals(clock),
    state: { kind: 'known', retryAt: 0 },
    failures: 0,
    lastError: undefined,
    awaiting: 0,
    moved: { at: 0, bytes: 0 },
    pausedUntil: 0,
  };
}
