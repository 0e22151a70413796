/** What distance and loss do to a stream of bytes: all comes later, and what was lost holds up all behind it. */
import { Duplex } from 'node:stream';
import { Chance } from '../test/crash/chance.js';

/** Bytes of a stream in one packet. */
const SEGMENT_BYTES = 1448;
/** Packets behind a lost one that make its sender send it again at once. */
const SEGMENTS_TO_NOTICE = 3;
/** Milliseconds beyond the round trip after which a sender sends again what nothing came behind of: TCP's least. */
const TIMEOUT_MS = 200;
/** Bytes under way, beyond which no more are taken. */
const MAX_UNDER_WAY = 8 * 1024 * 1024;

export interface Distance {
  readonly roundTripMs: number;
  /** Of packets, 0 to 1. */
  readonly loss: number;
  readonly seed: number;
}

/**
 * One direction. A lost packet, and what is behind it, comes one round trip later, since its sender learns of it by what came behind; where
 * nothing did, after a timeout. The sender is taken not to slow down by it, as BBR does not.
 */
export function farWire({ roundTripMs, loss, seed }: Distance): Duplex {
  const chance = new Chance(seed);
  const line: { readonly at: number; readonly bytes: Buffer }[] = [];
  let [underWay, lastAt, isWanted, isOver] = [0, 0, false, false];
  let timer: NodeJS.Timeout | undefined;
  let more: (() => void) | undefined;

  const lateMs = (segments: number): number => {
    let worst = 0;
    for (let i = 0; i < segments; i++) {
      let late = 0;
      const again = segments - i > SEGMENTS_TO_NOTICE ? roundTripMs : roundTripMs + TIMEOUT_MS;
      while (chance.isOne(loss)) late += again;
      worst = Math.max(worst, late);
    }
    return worst;
  };
  const deliver = (): void => {
    timer = undefined;
    const now = performance.now();
    for (let first = line[0]; isWanted && first !== undefined && first.at <= now; first = line[0]) {
      line.shift();
      underWay -= first.bytes.length;
      isWanted = wire.push(first.bytes);
    }
    if (line.length === 0 && isOver) wire.push(null);
    if (underWay < MAX_UNDER_WAY && more !== undefined) {
      const take = more;
      more = undefined;
      take();
    }
    if (isWanted && line[0] !== undefined) timer ??= setTimeout(deliver, Math.max(1, line[0].at - performance.now()));
  };
  const wire = new Duplex({
    write: (bytes: Buffer, _encoding, done) => {
      const segments = Math.ceil(bytes.length / SEGMENT_BYTES);
      lastAt = Math.max(lastAt, performance.now() + roundTripMs / 2 + lateMs(segments));
      line.push({ at: lastAt, bytes });
      underWay += bytes.length;
      more = done;
      if (timer === undefined) deliver();
      else if (underWay < MAX_UNDER_WAY) {
        more = undefined;
        done();
      }
    },
    final: (done) => {
      isOver = true;
      done();
      if (timer === undefined) deliver();
    },
    read: () => {
      isWanted = true;
      if (timer === undefined) timer = setTimeout(deliver, 0);
    },
    destroy: (error, done) => {
      clearTimeout(timer);
      done(error);
    },
  });
  return wire;
}
