/** Tells those who fetch which blocks are held here, over links that stand: as they come, and which others will soon be where. */
import { isDeepStrictEqual } from 'node:util';
import { BitSet } from '../chunks/bits.js';
import type { BlockRange } from '../chunks/plan.js';
import { pause } from '../protocol/clock.js';
import type { Clock } from '../protocol/clock.js';
import type { IncomingCall } from '../protocol/command.js';
import type { Connection } from '../protocol/connection.js';
import { ParleyError } from '../protocol/errors.js';
import { MAX_RUNS_PER_EVENT } from '../protocol/limits.js';
import type { Digest } from '../protocol/values.js';

import type { Shares } from './share.js';

/** Milliseconds between looks at what is new: receivers feed each other soon, and some blocks go into one event. */
export const HELD_PUSH_MS = 100;

/** Watches over one link; a download needs one. */
const WATCHES_PER_LINK = 4;

interface Watched {
  /** Blocks that were sent, or are about to be, since somebody watches. */
  readonly given: BitSet;
  watchers: number;
}

/** What was told last. */
interface Told {
  readonly held: BitSet;
  readonly given: BitSet;
  readonly coming: readonly BlockRange[];
}

type Run = [first: number, count: number];

export class HeldWatch {
  readonly #shares: Shares;
  readonly #clock: Clock;
  readonly #watched = new Map<Digest, Watched>();
  readonly #watches = new WeakMap<Connection, number>();

  constructor(shares: Shares, clock: Clock) {
    this.#shares = shares;
    this.#clock = clock;
  }

  /** Blocks are about to be sent to somebody. */
  give(root: Digest, blocks: BlockRange): void {
    this.#watched.get(root)?.given.addRun(blocks);
  }

  /** Tells one who watches until they cancel. @throws ParleyError CHUNK_GONE when nothing is known of it; SERVER_BUSY; CANCELLED */
  async tell(root: Digest, connection: Connection, call: IncomingCall): Promise<never> {
    const watches = this.#watches.get(connection) ?? 0;
    if (watches >= WATCHES_PER_LINK) throw new ParleyError('SERVER_BUSY');
    this.#watches.set(connection, watches + 1);
    try {
      return await this.#tell(root, call);
    } finally {
      this.#watches.set(connection, (this.#watches.get(connection) ?? 1) - 1);
    }
  }

  async #tell(root: Digest, call: IncomingCall): Promise<never> {
    const share = this.#shares.find(root);
    if (share === undefined) throw new ParleyError('CHUNK_GONE', { chunk: 0 });
    const nothing = new BitSet(share.plan.blocks);
    const watched = this.#watched.get(root) ?? { given: nothing.copy(), watchers: 0 };
    this.#watched.set(root, watched);
    watched.watchers += 1;
    try {
      let told: Told | undefined;
      for (;;) {
        const now = this.#shares.find(root);
        // The first two go on growing while they are sent.
        const held = now?.heldBlocks() ?? nothing;
        const coming = (now?.coming() ?? []).slice(0, MAX_RUNS_PER_EVENT);
        const hasNews =
          told === undefined ||
          !held.equals(told.held) ||
          !watched.given.equals(told.given) ||
          !isDeepStrictEqual(coming, told.coming);
        if (hasNews) {
          const next = { held: held.copy(), given: watched.given.copy(), coming };
          await tellNews(call, told, next);
          told = next;
        }
        await pause(this.#clock, HELD_PUSH_MS, call.signal);
        if (call.signal.aborted) throw new ParleyError('CANCELLED');
      }
    } finally {
      watched.watchers -= 1;
      if (watched.watchers === 0) this.#watched.delete(root);
    }
  }
}

/** What is new, in as many events as it needs; all of it when something is not held any more. */
async function tellNews(call: IncomingCall, before: Told | undefined, { held, given, coming }: Told): Promise<void> {
  const isLess = before !== undefined && before.held.runsWithout(held).next().done !== true;
  const told = isLess ? undefined : before;
  const nothing = new BitSet(held.size);
  const blocks = paged(held.runsWithout(told?.held ?? nothing));
  const givenAway = paged(given.runsWithout(told?.given ?? nothing));
  const isOther = !isDeepStrictEqual(coming, told?.coming ?? []);
  for (let first = true; first || blocks.length > 0 || givenAway.length > 0; first = false) {
    await call.emit({
      type: 'held',
      ...(first && told === undefined ? { anew: true } : {}),
      blocks: blocks.shift() ?? [],
      given: givenAway.shift() ?? [],
      ...(first && isOther ? { coming: coming.map(toRun) } : {}),
    });
  }
}

/** Runs in lists that fit an event. */
function paged(runs: Iterable<BlockRange>): Run[][] {
  const pages: Run[][] = [];
  for (const { first, count } of runs) {
    let page = pages.at(-1);
    if (page === undefined || page.length === MAX_RUNS_PER_EVENT) pages.push((page = []));
    page.push(toRun({ first, count }));
  }
  return pages;
}

function toRun({ first, count }: BlockRange): Run {
  return [first, count];
}
