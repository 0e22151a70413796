/** Who holds which blocks: asked of the server now and then, and told by those who are linked as it comes. */
import { BitSet } from '../chunks/bits.js';
import type { BlockRange, Plan } from '../chunks/plan.js';
import { blocksOfChunks } from '../chunks/plan.js';
import type { Clock } from '../protocol/clock.js';
import type { HeldNews } from '../protocol/commands/peer/watchHeld.js';
import type { ParleyError } from '../protocol/errors.js';
import { toParleyError } from '../protocol/errors.js';
import type { Digest } from '../protocol/values.js';
import { watchHeld } from './fetch.js';
import type { Holder, Holders } from './holders.js';
import type { Picker } from './picker.js';

/** Milliseconds between questions to the server: who fetches the same soon knows of each other. */
export const REFRESH_MS = 1_000;

/** What the server says that a user holds: whole chunks (`bitmap`, base64) and, when `partial`, blocks of others. */
export interface Located {
  readonly user: string;
  readonly bitmap: string;
  readonly partial?: true | undefined;
}

export interface FindingOptions {
  readonly root: Digest;
  readonly plan: Plan;
  readonly clock: Clock;
  readonly holders: Holders;
  readonly picker: Picker;
  readonly locate: (signal: AbortSignal) => Promise<readonly Located[]>;
  readonly signal: AbortSignal;
  /** There may be more to link to, or to ask for. */
  readonly onNews: () => void;
}

export class Finding {
  readonly #options: FindingOptions;
  /** When to ask next; undefined while it is being asked. */
  #askAt: number | undefined;
  /** What was last said of each: most is said again unchanged, and taking a bitmap in costs some MB with many chunks. */
  readonly #said = new Map<string, string>();
  #error: ParleyError | undefined;

  constructor(options: FindingOptions) {
    this.#options = options;
    this.#askAt = options.clock.monotonicMs();
  }

  /** What the last question to the server failed with. */
  get error(): ParleyError | undefined {
    return this.#error;
  }

  /** Asks the server, when it is time to. */
  refresh(): void {
    const { clock, locate, signal, onNews } = this.#options;
    if (this.#askAt === undefined || clock.monotonicMs() < this.#askAt) return;
    this.#askAt = undefined;
    locate(signal)
      .then(
        (found) => {
          this.#error = undefined;
          for (const each of found) this.#learn(each);
        },
        (thrown: unknown) => (this.#error = toParleyError(thrown)),
      )
      .finally(() => {
        this.#askAt = clock.monotonicMs() + REFRESH_MS;
        if (!signal.aborted) onNews();
      })
      .catch(() => undefined);
  }

  /** Has somebody who was just linked tell what they hold, as long as the link stands. */
  watch(holder: Holder): void {
    if (holder.state.kind !== 'linked') return;
    const { holders, root, plan, signal } = this.#options;
    const { link } = holder.state;
    const isStill = (): boolean => holder.state.kind === 'linked' && holder.state.link === link;
    // Until the first word it owes us one.
    holder.awaiting += 1;
    let isOwed = true;
    const heard = (): void => {
      if (isOwed) holder.awaiting -= 1;
      isOwed = false;
    };
    watchHeld(link.connection, root, plan.blocks, signal, (news) => {
      heard();
      if (isStill()) this.#take(holder, news);
    })
      .catch((thrown: unknown) => {
        const error = toParleyError(thrown);
        if (!isStill() || error.code === 'CANCELLED') return;
        if (error.code === 'CHUNK_GONE') this.#take(holder, NOTHING_HELD);
        else holders.fail(holder, error);
      })
      .finally(heard)
      .catch(() => undefined);
  }

  #learn({ user, bitmap, partial }: Located): void {
    const { holders, plan, signal } = this.#options;
    const said = `${bitmap}${partial === true ? '+' : ''}`;
    if (signal.aborted || this.#said.get(user) === said) return;
    this.#said.set(user, said);
    const chunks = BitSet.of(Buffer.from(bitmap, 'base64'), plan.chunks);
    holders.learn(user, blocksOf(plan, chunks), partial === true);
  }

  #take(holder: Holder, { anew, blocks, given, coming }: HeldNews): void {
    const { holders, picker, onNews } = this.#options;
    const runs = holders.take(holder, blocks.map(toRange), anew === true);
    if (anew === true) picker.replace(holder.user, runs);
    else picker.offer(holder.user, runs);
    picker.given(holder.user, given.map(toRange));
    if (anew === true || coming !== undefined) picker.coming(holder.user, (coming ?? []).map(toRange));
    onNews();
  }
}

/** From somebody who has nothing of the file, or not any more. */
const NOTHING_HELD: HeldNews = { type: 'held', anew: true, blocks: [], given: [] };

function* blocksOf(plan: Plan, chunks: BitSet): Generator<BlockRange, void, void> {
  if (plan.blocks > 0) for (const run of chunks.runs()) yield blocksOfChunks(plan, run);
}

function toRange([first, count]: readonly [number, number]): BlockRange {
  return { first, count };
}
