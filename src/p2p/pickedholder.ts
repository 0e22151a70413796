/** A holder and the runs asked of it, as the picker knows them. Pure. */
import { BitSet } from '../chunks/bits.js';
import type { BlockRange } from '../chunks/plan.js';
import { LEAST_REQUESTS, LinkSpeed } from './linkspeed.js';

/** Milliseconds a block was under way before a second holder may be asked for it. */
export const OVERTAKE_AFTER_MS = 250;
/** How many times sooner a second holder should have the block to be asked for it, too. */
export const OVERTAKE_GAIN = 2;
/** Milliseconds beside twice the usual time to a block in which it should be known who got what was given away. */
export const PATIENCE_MS = 250;

/** A run that was asked for; known by its first block, which is in no other. */
export interface Flight extends BlockRange {
  readonly bytes: number;
  /** Holders asked, with the time of asking. */
  readonly asked: Map<string, number>;
}
export interface PickedHolder {
  readonly id: string;
  /** It can be asked; before that it is only said what it has. */
  isLinked: boolean;
  readonly has: BitSet;
  /** What it has given to others, or to us. */
  readonly given: BitSet;
  /** What is on its way to it. */
  coming: readonly BlockRange[];
  readonly speed: LinkSpeed;
  /** Blocks of it that came and were right. */
  good: number;
  /** What it was asked for and is not written. */
  readonly flights: Set<Flight>;
  /** Those of them that have not come. */
  readonly onTheWire: Set<Flight>;
  wireBytes: number;
  /** The block after the last one asked for. */
  cursor: number;
  /** Since when all that only it has is known to come to others; undefined while something is not. */
  exhaustedAt: number | undefined;
  /** Nothing free was found, and nothing has come free since. */
  idle: boolean;
}

export function newHolder(id: string, blocks: number): PickedHolder {
  return {
    id,
    isLinked: false,
    has: new BitSet(blocks),
    given: new BitSet(blocks),
    coming: [],
    speed: new LinkSpeed(),
    good: 0,
    flights: new Set(),
    onTheWire: new Set(),
    wireBytes: 0,
    cursor: blocks,
    exhaustedAt: undefined,
    idle: false,
  };
}

/** A holder that has not sent one good block is asked for one at a time: a liar wastes no more than that. */
export function isFull({ speed, onTheWire, wireBytes }: PickedHolder, windowBytes: number): boolean {
  if (speed.typicalMs === undefined) return onTheWire.size > 0;
  if (onTheWire.size < LEAST_REQUESTS) return false;
  return wireBytes >= windowBytes || onTheWire.size >= speed.windowRequests;
}

/** Milliseconds after which what was given away is not waited for any longer. */
export function patienceWith({ speed }: PickedHolder): number {
  return PATIENCE_MS + 2 * (speed.typicalMs ?? 0);
}

export function land(holder: PickedHolder | undefined, flight: Flight): void {
  if (holder === undefined) return;
  holder.flights.delete(flight);
  if (holder.onTheWire.delete(flight)) holder.wireBytes -= flight.bytes;
}

/** Whether much faster holders of this block, who are busy sending, will have sent all that is missing before this one sends it. */
export function isBetterElsewhere(
  { speed: { typicalMs } }: PickedHolder,
  block: number,
  missingBytes: number,
  all: Iterable<PickedHolder>,
): boolean {
  if (typicalMs === undefined) return false;
  let rate = 0;
  for (const { has, onTheWire, speed } of all) {
    const isFaster = OVERTAKE_GAIN * (speed.typicalMs ?? Infinity) < typicalMs;
    if (isFaster && onTheWire.size > 0 && has.has(block)) rate += speed.rate;
  }
  return missingBytes < rate * typicalMs;
}

/**
 * The end game, and the rescue from a slow holder: when nothing is free for this holder, the run that has been under way longest from one
 * other holder, if this one should have it much sooner. `flights` are in the order in which they were asked for.
 */
export function flightToOvertake(
  holder: PickedHolder,
  flights: Iterable<Flight>,
  all: ReadonlyMap<string, PickedHolder>,
  roomBytes: number,
  now: number,
): Flight | undefined {
  for (const flight of flights) {
    if (flight.bytes > roomBytes) continue;
    const [other, ...more] = flight.asked;
    if (other === undefined || more.length > 0 || other[0] === holder.id) continue;
    if (!holder.has.hasRun(flight)) continue;
    const slow = all.get(other[0]);
    if (worthOvertaking(holder, slow?.speed.typicalMs, now - other[1])) return flight;
  }
  return undefined;
}

/** A block that is late already is taken to need as long again as it has taken so far. */
function worthOvertaking({ speed }: PickedHolder, otherTypicalMs: number | undefined, elapsedMs: number): boolean {
  if (speed.typicalMs === undefined || elapsedMs < OVERTAKE_AFTER_MS) return false;
  const typical = otherTypicalMs ?? 0;
  const leftMs = elapsedMs < typical ? typical - elapsedMs : elapsedMs;
  return leftMs > OVERTAKE_GAIN * speed.typicalMs;
}
