/**
 * Which blocks to ask of whom. Pure: no clock, no network, no disk; the caller says what happened and when.
 *
 * Blocks are known by their number in the file. What is asked for at once is a run: blocks that stand side by side, as many as a request may
 * have and as the holder sends in no time. The rarest comes first, so that what only one holder has is fetched while that
 * holder is there. Among equally rare ones a holder is asked for runs, from a place that chance chooses: receivers that start together
 * fetch different parts and give them to each other. What only one holder has and another receiver is about to get, as the holder or
 * that receiver says, will soon be had from there, so it is asked for last.
 */
import { BitSet, mergeRuns } from '../chunks/bits.js';
import type { BlockRange } from '../chunks/plan.js';
import { MAX_REQUEST_BYTES } from '../protocol/limits.js';
import { LEAST_REQUESTS } from './linkspeed.js';
import { flightToOvertake, isBetterElsewhere, isFull, land, newHolder, patienceWith } from './pickedholder.js';
import type { Flight, PickedHolder } from './pickedholder.js';
import { Rarity } from './rarity.js';

export interface PickerOptions {
  /** How many blocks the file has. */
  readonly blocks: number;
  /** Those to fetch; is not changed. */
  readonly wanted: BitSet;
  readonly bytesOf: (block: number) => number;
  /** The first block behind this one that is never asked for with it; behind the last when absent. */
  readonly runEnd?: (block: number) => number;
  /** Bytes that may be under way in all: shared evenly by those who have something to give. */
  readonly roomBytes: number;
  /** Uniform in [0, 1): where runs begin. */
  readonly random: () => number;
}

export interface Arrival {
  /** Who else was asked for the run: their requests are to be cancelled. */
  readonly alsoAsked: readonly string[];
  /** Blocks of the run that are not there by this. */
  readonly without: readonly number[];
}

export class Picker {
  readonly #options: PickerOptions;
  /** Wanted blocks that are not there. */
  readonly #missing: BitSet;
  readonly #rarity: Rarity;
  /** Those that were asked for and came to nothing: late already, so they are asked for first. */
  readonly #returned: BitSet;
  /** What is on its way to somebody whom we are linked to. */
  #coming: BitSet;
  readonly #holders = new Map<string, PickedHolder>();
  readonly #flights = new Map<number, Flight>();

  constructor(options: PickerOptions) {
    this.#options = options;
    this.#missing = options.wanted.copy();
    this.#rarity = new Rarity(options.wanted);
    this.#returned = new BitSet(options.blocks);
    this.#coming = new BitSet(options.blocks);
  }

  /** Whether every wanted block is there. */
  get finished(): boolean {
    return this.#missing.count === 0;
  }

  /** Whether any block is under way. */
  get isWaiting(): boolean {
    return this.#flights.size > 0;
  }

  /** What is under way, in order. */
  get underWay(): readonly BlockRange[] {
    return mergeRuns(this.#flights.values());
  }

  /** Bytes a millisecond that came from a holder lately; 0 when none did. */
  rateOf(id: string): number {
    return this.#holders.get(id)?.speed.rate ?? 0;
  }

  /** Somebody is being linked to, and said to have these: they are less rare, and nothing is asked for there until it is offered. */
  expect(id: string, runs: Iterable<BlockRange>): void {
    this.#add(this.#holderOf(id), runs);
  }

  /** Adds a holder, or says anew what one has: these, and no others. */
  replace(id: string, runs: readonly BlockRange[]): void {
    const now = new BitSet(this.#options.blocks);
    for (const run of runs) now.addRun(run);
    for (const lost of [...this.#holderOf(id).has.runsWithout(now)]) this.withdraw(id, lost);
    this.offer(id, runs);
  }

  /** Adds a holder, or more blocks to one that is known. */
  offer(id: string, runs: Iterable<BlockRange>): void {
    const holder = this.#holderOf(id);
    holder.isLinked = true;
    this.#add(holder, runs);
  }

  /** The holder sent, or is sending, these blocks to somebody. */
  given(id: string, runs: Iterable<BlockRange>): void {
    const holder = this.#holderOf(id);
    for (const run of runs) holder.given.addRun(run);
  }

  /** These blocks, and no others, are on their way to a holder. */
  coming(id: string, runs: readonly BlockRange[]): void {
    this.#holderOf(id).coming = runs;
    this.#coming = new BitSet(this.#options.blocks);
    for (const { coming } of this.#holders.values()) for (const run of coming) this.#coming.addRun(run);
  }

  /** Takes blocks away from a holder; what was asked of it there goes back. */
  withdraw(id: string, blocks: BlockRange): void {
    const { first, count } = blocks;
    const holder = this.#holders.get(id);
    if (holder === undefined) return;
    for (const flight of [...holder.flights]) {
      if (flight.first < first + count && first < flight.first + flight.count) this.#giveBack(holder, flight);
    }
    for (const run of holder.has.runs(true, blocks)) this.#rarity.count(run, -1);
    holder.has.deleteRun(blocks);
  }

  /** Takes a holder away with all it was asked for. */
  remove(id: string): void {
    if (!this.#holders.has(id)) return;
    this.withdraw(id, { first: 0, count: this.#options.blocks });
    this.coming(id, []);
    this.#holders.delete(id);
  }

  /**
   * What to ask of this holder next, noted as asked at `now` (milliseconds, any monotonic clock). Undefined when its
   * window is full or there is nothing for it of at most `roomBytes` bytes (at least a block): ask again after the next event, or some time
   * later for a run to overtake.
   */
  next(id: string, now: number, roomBytes = Infinity): BlockRange | undefined {
    const holder = this.#holders.get(id);
    if (holder?.isLinked !== true) return undefined;
    const windowBytes = Math.min(holder.speed.windowBytes, this.#shareOf(holder));
    if (isFull(holder, windowBytes)) return undefined;
    const mostBytes = Math.min(MAX_REQUEST_BYTES, windowBytes / LEAST_REQUESTS, roomBytes);
    const flight =
      this.#freeRun(holder, mostBytes, now) ??
      flightToOvertake(holder, this.#flights.values(), this.#holders, roomBytes, now);
    if (flight === undefined) return undefined;
    flight.asked.set(id, now);
    holder.flights.add(flight);
    holder.onTheWire.add(flight);
    holder.wireBytes += flight.bytes;
    return { first: flight.first, count: flight.count };
  }

  /** The run that begins with `first` came from this holder, right: more may be asked of it. It is not there for good until it `arrived`. */
  received(id: string, first: number, now: number): void {
    const flight = this.#flights.get(first);
    const holder = this.#holders.get(id);
    const askedAt = flight?.asked.get(id);
    if (flight === undefined || holder === undefined || askedAt === undefined) return;
    holder.speed.note(flight.bytes, askedAt, now);
    holder.good += flight.count;
    if (holder.onTheWire.delete(flight)) holder.wireBytes -= flight.bytes;
  }

  /**
   * A run came from this holder, was verified and written, but for its `bad` blocks, which are free again. Undefined when all of it had come
   * from another before.
   */
  arrived(id: string, run: BlockRange, bad: readonly number[] = []): Arrival | undefined {
    const flight = this.#flights.get(run.first);
    if (flight?.asked.has(id) !== true || flight.count !== run.count) return this.#arrivedLate(run, bad);
    for (const asked of flight.asked.keys()) land(this.#holders.get(asked), flight);
    this.#flights.delete(run.first);
    this.#missing.deleteRun(run);
    for (const block of bad) {
      this.#missing.add(block);
      this.#free({ first: block, count: 1 });
    }
    return { alsoAsked: [...flight.asked.keys()].filter((asked) => asked !== id), without: bad };
  }

  /** The run that begins with `first` will not come from this holder; unless it is under way from another, it is free again. */
  failed(id: string, first: number): void {
    const holder = this.#holders.get(id);
    const flight = this.#flights.get(first);
    if (holder !== undefined && flight !== undefined && holder.flights.has(flight)) this.#giveBack(holder, flight);
  }

  /** What was asked of this holder and has not come, oldest first. */
  flyingFrom(id: string): readonly BlockRange[] {
    return [...(this.#holders.get(id)?.onTheWire ?? [])];
  }

  /** Whether somebody else has all the blocks that were asked of this holder. */
  isReplaceable(id: string): boolean {
    const others = this.#othersThan(id);
    return this.flyingFrom(id).every(({ first, count }) => {
      for (let block = first; block < first + count; block += 1) {
        if (!others.some(({ has }) => has.has(block))) return false;
      }
      return true;
    });
  }

  /** It has these, too. */
  #add(holder: PickedHolder, runs: Iterable<BlockRange>): void {
    for (const blocks of runs) {
      for (const run of holder.has.runs(false, blocks)) {
        this.#rarity.count(run, 1);
        if (this.#missing.hasAny(run)) holder.idle = false;
      }
      holder.has.addRun(blocks);
    }
  }

  #holderOf(id: string): PickedHolder {
    const holder = this.#holders.get(id) ?? newHolder(id, this.#options.blocks);
    this.#holders.set(id, holder);
    return holder;
  }

  /** Bytes of the room that one holder may take: fast ones would leave nothing to the others. */
  #shareOf({ id }: PickedHolder): number {
    const giving = this.#othersThan(id).filter(({ idle, has }) => !idle && has.count > 0);
    return this.#options.roomBytes / (1 + giving.length);
  }

  /** All who can be asked but this one. */
  #othersThan(id: string): PickedHolder[] {
    return [...this.#holders.values()].filter((other) => other.id !== id && other.isLinked);
  }

  #freeRun(holder: PickedHolder, mostBytes: number, now: number): Flight | undefined {
    if (holder.idle) return undefined;
    const take = (first: number, from: BitSet): Flight => this.#take(holder, first, from, mostBytes);
    const returned = this.#returned.count === 0 ? undefined : this.#returned.find(0, holder.has);
    if (returned !== undefined) return take(returned, this.#returned);
    let isHeldBack = false;
    for (const [at, free] of this.#rarity.rarestFirst.entries()) {
      if (free.count === 0) continue;
      const from = this.#isFor(holder, holder.cursor, free) ? holder.cursor : this.#anywhere();
      if (at > 0) {
        const block = free.find(from, holder.has);
        if (block !== undefined && !this.#isBetterElsewhere(holder, block)) return take(block, free);
        isHeldBack ||= block !== undefined;
        continue;
      }
      // Nobody else has these: whoever was given one will have it soon.
      const block = free.find(from, holder.has, holder.given, this.#coming);
      if (block !== undefined) {
        holder.exhaustedAt = undefined;
        return take(block, free);
      }
      const given = free.find(from, holder.has);
      if (given === undefined) continue;
      holder.exhaustedAt ??= now;
      if (now - holder.exhaustedAt >= patienceWith(holder)) return take(given, free);
      isHeldBack = true;
    }
    holder.idle = !isHeldBack;
    return undefined;
  }

  #isBetterElsewhere(holder: PickedHolder, block: number): boolean {
    return isBetterElsewhere(holder, block, this.#missing.count * this.#options.bytesOf(block), this.#holders.values());
  }

  /** Whether a holder's run goes on at this block. */
  #isFor(holder: PickedHolder, block: number, free: BitSet): boolean {
    const isThere = block < this.#options.blocks && free.has(block) && holder.has.has(block);
    return isThere && !this.#isPromised(holder, block);
  }

  /** Whether another receiver has it soon. */
  #isPromised({ given }: PickedHolder, block: number): boolean {
    return given.has(block) || this.#coming.has(block);
  }

  #anywhere(): number {
    return Math.floor(this.#options.random() * this.#options.blocks);
  }

  /** The run from `first` on of what is in `from`, of one block at least: no more blocks than one and those that the holder has shown to be good. */
  #take(holder: PickedHolder, first: number, from: BitSet, mostBytes: number): Flight {
    const { bytesOf, blocks, runEnd } = this.#options;
    const isPromised = this.#isPromised(holder, first);
    const most = Math.min((runEnd?.(first) ?? blocks) - first, 1 + holder.good);
    let bytes = bytesOf(first);
    let count = 1;
    for (let block = first + 1; count < most && bytes < mostBytes; block += 1, count += 1) {
      const more = bytesOf(block);
      if (bytes + more > mostBytes || !from.has(block) || !holder.has.has(block)) break;
      if (this.#isPromised(holder, block) !== isPromised) break;
      bytes += more;
    }
    const flight: Flight = { first, count, bytes, asked: new Map() };
    for (let block = first; block < first + count; block += 1) this.#rarity.take(block);
    this.#returned.deleteRun(flight);
    holder.cursor = first + count;
    this.#flights.set(first, flight);
    return flight;
  }

  /** From a holder that is asked for nothing any more: what nobody else is asked for is there now. */
  #arrivedLate({ first, count }: BlockRange, bad: readonly number[]): Arrival | undefined {
    const without: number[] = [];
    for (let block = first; block < first + count; block += 1) {
      if (bad.includes(block) || !this.#rarity.isFree(block) || !this.#missing.delete(block)) {
        without.push(block);
        continue;
      }
      this.#rarity.take(block);
      this.#returned.delete(block);
    }
    return without.length === count ? undefined : { alsoAsked: [], without };
  }

  #giveBack(holder: PickedHolder, flight: Flight): void {
    land(holder, flight);
    flight.asked.delete(holder.id);
    if (flight.asked.size > 0) return;
    this.#flights.delete(flight.first);
    this.#free(flight);
  }

  #free({ first, count }: BlockRange): void {
    for (let block = first; block < first + count; block += 1) {
      this.#rarity.free(block);
      this.#returned.add(block);
    }
    for (const each of this.#holders.values()) each.idle = false;
  }
}
