/**
 * Which block to ask of whom. Pure: no clock, no network, no disk; the caller says what happened and when.
 *
 * A begun chunk is finished before another is begun, so that it can soon be announced and served to others; of those not
 * begun the rarest comes first, so that what only one holder has is fetched while that holder is there.
 */

/** Bytes asked of one holder and not yet there: enough to keep a fast link busy while both ends are, little enough to give back. */
export const WINDOW_BYTES = 8 * 1024 * 1024;
/** Requests open at one holder: small blocks would otherwise wait for the round trip instead of the wire. */
export const WINDOW_REQUESTS = 32;
/** Requests open at a holder however slow it is: one is answered while the next one travels. */
export const LEAST_REQUESTS = 2;
/** Milliseconds from asking to arrival that are enough: asking further ahead of a slow holder only makes its blocks late. */
export const ENOUGH_AHEAD_MS = 500;
/** Milliseconds a block was under way before a second holder may be asked for it. */
export const OVERTAKE_AFTER_MS = 250;
/** How many times sooner a second holder should have the block to be asked for it, too. */
const OVERTAKE_GAIN = 2;
/** Weight of the newest block in a holder's typical time. */
const NEWEST_WEIGHT = 0.3;

export interface BlockRef {
  readonly chunk: number;
  readonly block: number;
}

export interface PickerOptions {
  /** The chunks to fetch, each with at least one missing block. */
  readonly wanted: Iterable<number>;
  readonly blocksOf: (chunk: number) => number;
  readonly bytesOf: (ref: BlockRef) => number;
  /** Whether a block is on disk already. */
  readonly isHeld: (ref: BlockRef) => boolean;
  /** Uniform in [0, 1): breaks ties, so that receivers that start together fetch different chunks. */
  readonly random: () => number;
}

interface Chunk {
  readonly index: number;
  /** How many holders have it. */
  holders: number;
  /** Undefined until the first of its blocks was asked for. */
  begun: BegunChunk | undefined;
}
interface BegunChunk {
  /** Blocks from here on were never asked for. */
  cursor: number;
  /** Blocks that were asked for and came to nothing. */
  readonly returned: number[];
  /** Blocks that are not on disk. */
  missing: number;
}
interface Flight extends BlockRef {
  readonly bytes: number;
  /** Holders asked, with the time of asking. */
  readonly asked: Map<string, number>;
}
interface Holder {
  readonly id: string;
  readonly chunks: Set<number>;
  /** How many of its chunks that are not begun have 1, 2, ... holders: rarities it has nothing of are not searched. */
  readonly ofRarity: number[];
  /** What it was asked for and is not written. */
  readonly flights: Set<Flight>;
  /** Those of them that have not come. */
  readonly onTheWire: Set<Flight>;
  wireBytes: number;
  /** Milliseconds from asking to the block, smoothed; undefined until the first one. */
  typicalMs: number | undefined;
  /** Requests that may be open: one more with each block that came soon, half as many after a late one. */
  window: number;
  /** Nothing free was found, and nothing has come free since. */
  idle: boolean;
}

export interface Arrival {
  /** Whether the chunk is complete now. */
  readonly chunkComplete: boolean;
  /** Other holders who were asked for the same block: their requests are to be cancelled. */
  readonly alsoAsked: readonly string[];
}

export class Picker {
  readonly #options: PickerOptions;
  /** Chunks with missing blocks, in random order. */
  readonly #chunks = new Map<number, Chunk>();
  /** Begun chunks that still have blocks to ask for. */
  readonly #open = new Set<Chunk>();
  /** Chunks not begun, by the number of their holders. */
  readonly #byRarity: Set<Chunk>[] = [new Set()];
  readonly #holders = new Map<string, Holder>();
  readonly #flights = new Map<string, Flight>();

  constructor(options: PickerOptions) {
    this.#options = options;
    for (const index of shuffled([...options.wanted], options.random)) {
      const chunk: Chunk = { index, holders: 0, begun: undefined };
      this.#chunks.set(index, chunk);
      this.#byRarity[0]?.add(chunk);
    }
  }

  /** Whether every wanted block is there. */
  get finished(): boolean {
    return this.#chunks.size === 0;
  }

  /** Blocks under way. */
  get flying(): number {
    return this.#flights.size;
  }

  /** Adds a holder, or more chunks to one that is known. */
  offer(id: string, chunks: Iterable<number>): void {
    const holder = this.#holders.get(id) ?? newHolder(id);
    this.#holders.set(id, holder);
    const offered = new Set(chunks);
    // In the shuffled order, so that equally rare chunks stay in random order.
    const known = offered.size < this.#chunks.size / 8 ? offered : this.#chunks.keys();
    for (const index of known) {
      const chunk = this.#chunks.get(index);
      if (chunk === undefined || !offered.has(index) || holder.chunks.has(index)) continue;
      this.#unlist(chunk);
      holder.chunks.add(index);
      chunk.holders += 1;
      this.#list(chunk);
      holder.idle = false;
    }
  }

  /** Takes one chunk away from a holder; what was asked of it there goes back. */
  withdraw(id: string, index: number): void {
    const holder = this.#holders.get(id);
    if (holder === undefined) return;
    for (const flight of [...holder.flights]) if (flight.chunk === index) this.#giveBack(holder, flight);
    this.#takeAway(holder, index);
  }

  /** Takes a holder away with all it was asked for. */
  remove(id: string): void {
    const holder = this.#holders.get(id);
    if (holder === undefined) return;
    for (const flight of [...holder.flights]) this.#giveBack(holder, flight);
    for (const index of holder.chunks) this.#takeAway(holder, index);
    this.#holders.delete(id);
  }

  /**
   * The next block to ask of this holder, noted as asked at `now` (milliseconds, any monotonic clock). Undefined when its
   * window is full or there is nothing for it: ask again after the next event, or some time later for a block to overtake.
   */
  next(id: string, now: number): BlockRef | undefined {
    const holder = this.#holders.get(id);
    if (holder === undefined || isFull(holder)) return undefined;
    const flight = this.#freeBlock(holder) ?? this.#blockToOvertake(holder, now);
    if (flight === undefined) return undefined;
    flight.asked.set(id, now);
    holder.flights.add(flight);
    holder.onTheWire.add(flight);
    holder.wireBytes += flight.bytes;
    return { chunk: flight.chunk, block: flight.block };
  }

  /** The block came from this holder, right: more may be asked of it. It is not there for good until it `arrived`. */
  received(id: string, ref: BlockRef, now: number): void {
    const flight = this.#flights.get(flightKey(ref));
    const holder = this.#holders.get(id);
    const askedAt = flight?.asked.get(id);
    if (flight === undefined || holder === undefined || askedAt === undefined) return;
    noteTime(holder, now - askedAt);
    if (holder.onTheWire.delete(flight)) holder.wireBytes -= flight.bytes;
  }

  /** The block came from this holder, was verified and written; undefined when it had come from another before. */
  arrived(id: string, ref: BlockRef): Arrival | undefined {
    const flight = this.#flights.get(flightKey(ref));
    const chunk = this.#chunks.get(ref.chunk);
    if (flight === undefined || chunk?.begun === undefined) return undefined;
    for (const asked of flight.asked.keys()) land(this.#holders.get(asked), flight);
    this.#flights.delete(flightKey(ref));
    chunk.begun.missing -= 1;
    const chunkComplete = chunk.begun.missing === 0;
    if (chunkComplete) this.#chunks.delete(ref.chunk);
    return { chunkComplete, alsoAsked: [...flight.asked.keys()].filter((asked) => asked !== id) };
  }

  /** The block will not come from this holder; unless it is under way from another, it is free again. */
  failed(id: string, ref: BlockRef): void {
    const holder = this.#holders.get(id);
    const flight = this.#flights.get(flightKey(ref));
    if (holder !== undefined && flight !== undefined && holder.flights.has(flight)) this.#giveBack(holder, flight);
  }

  /** Blocks asked of this holder that have not come, oldest first. */
  flyingFrom(id: string): readonly BlockRef[] {
    return [...(this.#holders.get(id)?.onTheWire ?? [])];
  }

  /** Whether somebody else has all the chunks that blocks were asked of from this holder. */
  isReplaceable(id: string): boolean {
    const flights = this.flyingFrom(id);
    return flights.every(({ chunk }) => (this.#chunks.get(chunk)?.holders ?? 0) > 1);
  }

  #freeBlock(holder: Holder): Flight | undefined {
    if (holder.idle) return undefined;
    for (const chunk of this.#open) {
      const flight = holder.chunks.has(chunk.index) ? this.#takeFrom(chunk) : undefined;
      if (flight !== undefined) return flight;
    }
    for (const [rarity, equallyRare] of this.#byRarity.entries()) {
      if ((holder.ofRarity[rarity] ?? 0) === 0) continue;
      for (const chunk of equallyRare) {
        if (!holder.chunks.has(chunk.index)) continue;
        this.#begin(chunk);
        const flight = this.#takeFrom(chunk);
        if (flight !== undefined) return flight;
      }
    }
    holder.idle = true;
    return undefined;
  }

  #begin(chunk: Chunk): void {
    let missing = 0;
    const blocks = this.#options.blocksOf(chunk.index);
    for (let block = 0; block < blocks; block += 1) {
      if (!this.#options.isHeld({ chunk: chunk.index, block })) missing += 1;
    }
    this.#unlist(chunk);
    chunk.begun = { cursor: 0, returned: [], missing };
    this.#open.add(chunk);
  }

  #takeFrom(chunk: Chunk): Flight | undefined {
    const { begun, index } = chunk;
    if (begun === undefined) return undefined;
    let block = begun.returned.pop();
    const blocks = this.#options.blocksOf(index);
    while (block === undefined && begun.cursor < blocks) {
      if (!this.#options.isHeld({ chunk: index, block: begun.cursor })) block = begun.cursor;
      begun.cursor += 1;
    }
    if (block === undefined) {
      this.#open.delete(chunk);
      return undefined;
    }
    const ref = { chunk: index, block };
    const flight: Flight = { ...ref, bytes: this.#options.bytesOf(ref), asked: new Map() };
    this.#flights.set(flightKey(ref), flight);
    return flight;
  }

  /**
   * The end game, and the rescue from a slow holder: when nothing is free for this holder, the block that has been under
   * way longest from one other holder, if this one should have it much sooner.
   */
  #blockToOvertake(holder: Holder, now: number): Flight | undefined {
    for (const flight of this.#flights.values()) {
      const [other, ...more] = flight.asked;
      if (other === undefined || more.length > 0 || other[0] === holder.id) continue;
      if (!holder.chunks.has(flight.chunk)) continue;
      const slow = this.#holders.get(other[0]);
      if (worthOvertaking(holder, slow?.typicalMs, now - other[1])) return flight;
    }
    return undefined;
  }

  #giveBack(holder: Holder, flight: Flight): void {
    land(holder, flight);
    flight.asked.delete(holder.id);
    if (flight.asked.size > 0) return;
    this.#flights.delete(flightKey(flight));
    const chunk = this.#chunks.get(flight.chunk);
    if (chunk?.begun === undefined) return;
    chunk.begun.returned.push(flight.block);
    this.#open.add(chunk);
    for (const each of this.#holders.values()) each.idle = false;
  }

  #takeAway(holder: Holder, index: number): void {
    const chunk = this.#chunks.get(index);
    if (!holder.chunks.has(index) || chunk === undefined) return;
    this.#unlist(chunk);
    holder.chunks.delete(index);
    chunk.holders -= 1;
    this.#list(chunk);
  }

  /** Enters a chunk that is not begun under its rarity. */
  #list(chunk: Chunk): void {
    if (chunk.begun !== undefined) return;
    while (this.#byRarity.length <= chunk.holders) this.#byRarity.push(new Set());
    this.#byRarity[chunk.holders]?.add(chunk);
    this.#count(chunk, 1);
  }

  #unlist(chunk: Chunk): void {
    if (this.#byRarity[chunk.holders]?.delete(chunk) === true) this.#count(chunk, -1);
  }

  #count(chunk: Chunk, change: 1 | -1): void {
    for (const { chunks, ofRarity } of this.#holders.values()) {
      if (chunks.has(chunk.index)) ofRarity[chunk.holders] = (ofRarity[chunk.holders] ?? 0) + change;
    }
  }
}

function newHolder(id: string): Holder {
  return {
    id,
    chunks: new Set(),
    ofRarity: [],
    flights: new Set(),
    onTheWire: new Set(),
    wireBytes: 0,
    typicalMs: undefined,
    window: LEAST_REQUESTS,
    idle: false,
  };
}

/** A holder that has not sent one good block is asked for one at a time: a liar wastes no more than that. */
function isFull(holder: Holder): boolean {
  if (holder.typicalMs === undefined) return holder.onTheWire.size > 0;
  return holder.wireBytes >= WINDOW_BYTES || holder.onTheWire.size >= holder.window;
}

function noteTime(holder: Holder, took: number): void {
  const before = holder.typicalMs ?? took;
  holder.typicalMs = before + NEWEST_WEIGHT * (took - before);
  holder.window =
    took > ENOUGH_AHEAD_MS
      ? Math.max(LEAST_REQUESTS, Math.floor(holder.window / 2))
      : Math.min(WINDOW_REQUESTS, holder.window + 1);
}

function land(holder: Holder | undefined, flight: Flight): void {
  if (holder === undefined) return;
  holder.flights.delete(flight);
  if (holder.onTheWire.delete(flight)) holder.wireBytes -= flight.bytes;
}

/** A block that is late already is taken to need as long again as it has taken so far. */
function worthOvertaking(holder: Holder, otherTypicalMs: number | undefined, elapsedMs: number): boolean {
  if (holder.typicalMs === undefined || elapsedMs < OVERTAKE_AFTER_MS) return false;
  const typical = otherTypicalMs ?? 0;
  const leftMs = elapsedMs < typical ? typical - elapsedMs : elapsedMs;
  return leftMs > OVERTAKE_GAIN * holder.typicalMs;
}

function flightKey({ chunk, block }: BlockRef): string {
  return `${chunk}:${block}`;
}

/** Fisher-Yates. */
function shuffled<T>(items: T[], random: () => number): T[] {
  for (let last = items.length - 1; last > 0; last -= 1) {
    const other = Math.floor(random() * (last + 1));
    const [a, b] = [items[last] as T, items[other] as T];
    [items[last], items[other]] = [b, a];
  }
  return items;
}
