/** Those who hold a file, as one download knows them: found, being linked, linked, failed for now, or dropped for lying. */
import type { Clock } from '../protocol/clock.js';
import type { Connection } from '../protocol/connection.js';
import type { ParleyError } from '../protocol/errors.js';
import { toParleyError } from '../protocol/errors.js';
import { nameKey } from '../protocol/values.js';
import type { HolderView } from './diagnosis.js';
import { askQueue } from './fetch.js';
import { RateMeter } from './rate.js';

/** What a download needs of a link; a `PeerLink` is one. */
export interface HolderLink {
  readonly connection: Connection;
  bytesReceived(): number;
}

/** Milliseconds before a holder that failed is tried again; doubled with each failure in a row. */
const RETRY_MS = 1_000;
const LONGEST_RETRY_MS = 30_000;
/** Milliseconds in which a holder that was asked must have sent something (R25: refetched elsewhere within 5 s). */
export const STALL_MS = 3_000;
/** Bytes in that time below which a holder is as good as gone, if somebody else has what it was asked for. */
export const STALL_BYTES = 16 * 1024;

type State =
  | { readonly kind: 'known'; readonly retryAt: number }
  | { readonly kind: 'linking' }
  | { readonly kind: 'linked'; readonly link: HolderLink }
  | { readonly kind: 'dropped' };

export interface Holder {
  readonly user: string;
  /** Chunks it says it holds, without those it could not give. */
  readonly chunks: Set<number>;
  /** Chunks that it could not give although it said so. */
  readonly gone: Set<number>;
  /** Requests under way, by what they ask for. */
  readonly requests: Map<string, AbortController>;
  /** Verified bytes it sent. */
  readonly meter: RateMeter;
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
  /** Links at once. */
  readonly jobs: number;
  readonly connect: (user: string, signal: AbortSignal) => Promise<HolderLink>;
  readonly signal: AbortSignal;
  readonly onLinked: (holder: Holder) => void;
  /** The holder is no longer linked; what it was asked for will not come. */
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

  /** Notes which chunks a user is said to hold; what was lied about or could not be given is not believed again. */
  learn(user: string, chunks: Iterable<number>): Holder {
    const known = this.get(user);
    const holder = known ?? newHolder(user, this.#options.clock);
    if (known === undefined) this.#holders.set(nameKey(user), holder);
    holder.chunks.clear();
    for (const chunk of chunks) if (!holder.gone.has(chunk)) holder.chunks.add(chunk);
    return holder;
  }

  /** Links to more holders of what `isWanted`, up to `jobs`; a link that `isIdle` makes room for a better one. */
  linkMore(isWanted: (chunk: number) => boolean, isIdle: (holder: Holder) => boolean): void {
    if (this.#options.signal.aborted) return;
    const now = this.#options.clock.monotonicMs();
    const useful = ({ chunks }: Holder): boolean => {
      for (const chunk of chunks) if (isWanted(chunk)) return true;
      return false;
    };
    const candidates = this.all
      .filter((holder) => holder.state.kind === 'known' && holder.state.retryAt <= now && useful(holder))
      .sort((a, b) => a.failures - b.failures);
    let busy = this.all.filter(({ state }) => state.kind === 'linking' || state.kind === 'linked').length;
    for (const holder of candidates) {
      if (busy >= this.#options.jobs) {
        const idle = this.linked.find((each) => isIdle(each) && !useful(each));
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
      const came = bytes - holder.moved.bytes;
      if (holder.awaiting === 0 || came >= STALL_BYTES) holder.moved = { at: now, bytes };
      if (now - holder.moved.at < STALL_MS) continue;
      if (isReplaceable(holder)) {
        this.fail(holder, stalled(holder));
        continue;
      }
      // Nobody else has it: a holder that is slow is better than none, one that is dead is not.
      holder.moved = { at: now, bytes };
      if (came > 0) continue;
      void link.connection.alive(STALL_MS).then((alive) => {
        if (!alive && holder.state.kind === 'linked' && holder.state.link === link) this.fail(holder, stalled(holder));
      });
    }
  }

  /** How it stands with each; those who keep us waiting are asked how. */
  views(isWanted: (chunk: number) => boolean, signal: AbortSignal): Promise<HolderView[]> {
    const now = this.#options.clock.monotonicMs();
    return Promise.all(
      this.all.map(async ({ user, state, meter, requests, chunks, lastError, pausedUntil }) => {
        const until = state.kind === 'known' ? state.retryAt : pausedUntil;
        const isWaiting = state.kind === 'linked' && requests.size > 0;
        return {
          user,
          state: state.kind,
          rate: meter.rate(),
          asked: requests.size,
          isUseful: [...chunks].some(isWanted),
          error: lastError,
          retrySeconds: Math.max(0, Math.ceil((until - now) / 1000)),
          queue: isWaiting ? await askQueue(state.link.connection, signal) : undefined,
        };
      }),
    );
  }

  /** Ends all links at once. */
  close(): void {
    for (const holder of this.all) this.#unlink(holder, { kind: 'dropped' });
  }

  async #link(holder: Holder): Promise<void> {
    holder.state = { kind: 'linking' };
    const link = await this.#options.connect(holder.user, this.#options.signal);
    if (this.#options.signal.aborted) {
      link.connection.destroy();
      return;
    }
    holder.state = { kind: 'linked', link };
    holder.moved = { at: this.#options.clock.monotonicMs(), bytes: link.bytesReceived() };
    void link.connection.closed.then((error) => {
      if (holder.state.kind !== 'linked' || holder.state.link !== link) return;
      this.fail(holder, error ?? toParleyError(new Error('it closed the link')));
    });
    this.#options.onLinked(holder);
  }

  #unlink(holder: Holder, state: State): void {
    const before = holder.state;
    holder.state = state;
    if (before.kind !== 'linked') return;
    for (const request of holder.requests.values()) request.abort();
    before.link.connection.destroy();
    this.#options.onLost(holder);
  }
}

function newHolder(user: string, clock: Clock): Holder {
  return {
    user,
    chunks: new Set(),
    gone: new Set(),
    requests: new Map(),
    meter: new RateMeter(clock),
    state: { kind: 'known', retryAt: 0 },
    failures: 0,
    lastError: undefined,
    awaiting: 0,
    moved: { at: 0, bytes: 0 },
    pausedUntil: 0,
  };
}
