import fc from 'fast-check';
import { expect } from 'chai';
import {
  ENOUGH_AHEAD_MS,
  LEAST_REQUESTS,
  OVERTAKE_AFTER_MS,
  Picker,
  WINDOW_BYTES,
  WINDOW_REQUESTS,
} from '../../src/p2p/picker.js';
import type { BlockRef, PickerOptions } from '../../src/p2p/picker.js';

const MIB = 1024 * 1024;

/** A repeatable source of random numbers (mulberry32). */
function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const range = (n: number): number[] => Array.from({ length: n }, (_, i) => i);

function makePicker(chunks: number, blocks: number, options: Partial<PickerOptions> = {}): Picker {
  return new Picker({
    wanted: range(chunks),
    blocksOf: () => blocks,
    bytesOf: () => MIB,
    isHeld: () => false,
    random: seeded(1),
    ...options,
  });
}

/** A block that came and was written. */
function land(picker: Picker, id: string, ref: BlockRef, now: number): ReturnType<Picker['arrived']> {
  picker.received(id, ref, now);
  return picker.arrived(id, ref);
}

/** Gets one block through, so that the holder has shown that it can. */
function prove(picker: Picker, id: string, ms = 10): BlockRef {
  const ref = picker.next(id, 0);
  if (ref === undefined) throw new Error('nothing to ask for');
  land(picker, id, ref, ms);
  return ref;
}

/** Asks until the window is full; how many blocks were asked for. */
function fill(picker: Picker, id: string): number {
  let asked = 0;
  while (picker.next(id, 0) !== undefined) asked += 1;
  return asked;
}

describe('p2p/picker', () => {
  it('asks an unproven holder for one block, then for more with each that comes soon', () => {
    const picker = makePicker(1, 100);
    picker.offer('a', [0]);
    expect(picker.next('a', 0)).to.deep.equal({ chunk: 0, block: 0 });
    expect(picker.next('a', 0)).to.equal(undefined);
    land(picker, 'a', { chunk: 0, block: 0 }, 5);
    expect(fill(picker, 'a')).to.equal(LEAST_REQUESTS + 1);
    for (const ref of picker.flyingFrom('a')) land(picker, 'a', ref, 5);
    for (let i = 0; i < 20; i += 1) prove(picker, 'a');
    expect(fill(picker, 'a')).to.equal(WINDOW_BYTES / MIB);
  });

  it('bounds the requests for small blocks, too', () => {
    const picker = makePicker(200, 1, { bytesOf: () => 10 });
    picker.offer('a', range(200));
    for (let i = 0; i < 100; i += 1) prove(picker, 'a');
    expect(fill(picker, 'a')).to.equal(WINDOW_REQUESTS);
  });

  it('asks a slow holder for little ahead', () => {
    const picker = makePicker(200, 1, { bytesOf: () => 10 });
    picker.offer('a', range(200));
    for (let i = 0; i < 20; i += 1) prove(picker, 'a');
    for (let i = 0; i < 4; i += 1) prove(picker, 'a', ENOUGH_AHEAD_MS + 1);
    expect(fill(picker, 'a')).to.equal(LEAST_REQUESTS);
  });

  it('takes the rarest chunk first', () => {
    const picker = makePicker(3, 1);
    picker.offer('a', [0, 1, 2]);
    picker.offer('b', [0, 2]);
    picker.offer('c', [0]);
    expect(picker.next('a', 0)).to.include({ chunk: 1 });
    land(picker, 'a', { chunk: 1, block: 0 }, 1);
    expect(picker.next('a', 1)).to.include({ chunk: 2 });
    expect(picker.next('a', 1)).to.include({ chunk: 0 });
  });

  it('finishes a begun chunk before a rarer one', () => {
    const picker = makePicker(2, 3);
    picker.offer('a', [0]);
    picker.offer('b', [0, 1]);
    expect(picker.next('a', 0)).to.include({ chunk: 0, block: 0 });
    expect(picker.next('b', 0)).to.include({ chunk: 0, block: 1 });
  });

  it('breaks ties at random, so that receivers begin with different chunks', () => {
    const firsts = range(40).map((seed) => {
      const picker = makePicker(20, 1, { random: seeded(seed) });
      picker.offer('a', range(20));
      return picker.next('a', 0)?.chunk;
    });
    expect(new Set(firsts).size).to.be.greaterThan(10);
  });

  it('gives the blocks of a holder that fails or leaves to others', () => {
    const picker = makePicker(1, 3);
    picker.offer('a', [0]);
    picker.offer('b', [0]);
    prove(picker, 'a');
    prove(picker, 'b');
    expect(picker.next('a', 10)).to.include({ block: 2 });
    expect(picker.next('b', 10)).to.equal(undefined);
    picker.failed('a', { chunk: 0, block: 2 });
    expect(picker.next('b', 10)).to.include({ block: 2 });
    picker.remove('b');
    expect(picker.next('a', 10)).to.include({ block: 2 });
    expect(land(picker, 'a', { chunk: 0, block: 2 }, 11)).to.deep.equal({ chunkComplete: true, alsoAsked: [] });
    expect(picker.finished).to.equal(true);
  });

  it('ignores what arrives or fails without having been asked', () => {
    const picker = makePicker(1, 2);
    picker.offer('a', [0]);
    picker.failed('a', { chunk: 0, block: 1 });
    picker.failed('nobody', { chunk: 9, block: 9 });
    expect(land(picker, 'a', { chunk: 0, block: 1 }, 1)).to.equal(undefined);
    prove(picker, 'a');
    prove(picker, 'a');
    expect(picker.finished).to.equal(true);
  });

  it('takes one chunk away from a holder', () => {
    const picker = makePicker(3, 1);
    picker.offer('a', [0, 1]);
    picker.withdraw('a', 0);
    expect(picker.next('a', 0)).to.include({ chunk: 1 });
    expect(picker.next('a', 0)).to.equal(undefined);
  });

  it('overtakes a late block at the end, once, and names the loser', () => {
    const picker = makePicker(1, 3);
    for (const id of ['fast', 'slow', 'third']) picker.offer(id, [0]);
    prove(picker, 'fast', 10);
    prove(picker, 'third', 10);
    expect(picker.next('slow', 10)).to.include({ block: 2 });
    expect(picker.next('fast', 11)).to.equal(undefined);
    expect(picker.next('fast', 10 + OVERTAKE_AFTER_MS)).to.include({ block: 2 });
    expect(picker.next('third', 10 + OVERTAKE_AFTER_MS)).to.equal(undefined);
    const arrival = land(picker, 'fast', { chunk: 0, block: 2 }, 300);
    expect(arrival).to.deep.equal({ chunkComplete: true, alsoAsked: ['slow'] });
    expect(picker.flyingFrom('slow')).to.deep.equal([]);
  });

  it('does not overtake holders that are merely as slow as oneself', () => {
    const picker = makePicker(1, 3);
    for (const id of ['a', 'b']) picker.offer(id, [0]);
    prove(picker, 'a', 10_000);
    prove(picker, 'b', 10_000);
    expect(picker.next('b', 10_000)).to.include({ block: 2 });
    for (const now of [11_000, 15_000, 19_000]) expect(picker.next('a', now)).to.equal(undefined);
  });

  it('skips blocks that are held, and knows whether a holder can be replaced', () => {
    const picker = makePicker(1, 4, { isHeld: ({ block }) => block < 3 });
    picker.offer('a', [0]);
    expect(picker.next('a', 0)).to.deep.equal({ chunk: 0, block: 3 });
    expect(picker.isReplaceable('a')).to.equal(false);
    picker.offer('b', [0]);
    expect(picker.isReplaceable('a')).to.equal(true);
    expect(land(picker, 'a', { chunk: 0, block: 3 }, 1)?.chunkComplete).to.equal(true);
  });

  it('needs no longer for 65,536 chunks of which each holder has a part', () => {
    const chunks = 65_536;
    const picker = makePicker(chunks, 1, { bytesOf: () => 100 });
    picker.offer('a', range(chunks));
    picker.offer('b', range(chunks / 2));
    picker.offer('c', range(chunks / 4));
    const begin = performance.now();
    for (let fetched = 0; !picker.finished;) {
      for (const id of ['c', 'b', 'a']) {
        const ref = picker.next(id, fetched);
        if (ref === undefined) continue;
        land(picker, id, ref, fetched);
        fetched += 1;
      }
    }
    expect(performance.now() - begin).to.be.lessThan(5_000); // takes 0.1 s; quadratic search would take minutes
  });
});

interface Simulated {
  readonly id: string;
  readonly chunks: readonly number[];
  /** MiB per second; blocks come one after another. */
  readonly rate: number;
}

/** Plays a download in virtual time; how long it took in seconds, and who sent how many blocks. */
function simulate(picker: Picker, holders: readonly Simulated[], tickMs = 50): { seconds: number; asked: number } {
  const queues = holders.map((holder) => ({ ...holder, queue: [] as BlockRef[], busyUntil: 0 }));
  for (const { id, chunks } of holders) picker.offer(id, chunks);
  let now = 0;
  let asked = 0;
  for (let step = 0; !picker.finished; step += 1) {
    if (step > 1_000_000) throw new Error('the download never ends');
    for (const each of queues) {
      for (let ref = picker.next(each.id, now); ref !== undefined; ref = picker.next(each.id, now)) {
        if (each.queue.length === 0) each.busyUntil = now + 1000 / each.rate;
        each.queue.push(ref);
        asked += 1;
      }
    }
    const busy = queues.filter(({ queue }) => queue.length > 0).sort((a, b) => a.busyUntil - b.busyUntil)[0];
    if (busy === undefined || busy.busyUntil > now + tickMs) {
      now += tickMs;
      continue;
    }
    now = Math.max(now, busy.busyUntil);
    const ref = busy.queue.shift();
    if (ref === undefined) continue;
    busy.busyUntil = now + 1000 / busy.rate;
    const { alsoAsked = [] } = land(picker, busy.id, ref, now) ?? {};
    for (const loser of queues.filter(({ id }) => alsoAsked.includes(id))) {
      loser.queue = loser.queue.filter(({ chunk, block }) => chunk !== ref.chunk || block !== ref.block);
    }
  }
  return { seconds: now / 1000, asked };
}

describe('p2p/picker in simulation', () => {
  it('comes near the best time with a slow complete holder and a fast one that lacks a tenth', () => {
    const picker = makePicker(100, 4);
    const fast = { id: 'fast', chunks: range(90), rate: 50 };
    const slow = { id: 'slow', chunks: range(100), rate: 1 };
    // 40 blocks only the slow one has: 40 s, and the fast one is long done by then.
    expect(simulate(picker, [slow, fast]).seconds).to.be.lessThan(40 * 1.15);
  });

  it('adds up the rates of equal holders and asks for almost nothing twice', () => {
    const picker = makePicker(5, 80);
    const holders = ['a', 'b', 'c', 'd'].map((id) => ({ id, chunks: range(5), rate: 10 }));
    const { seconds, asked } = simulate(picker, holders);
    expect(seconds).to.be.lessThan(10 * 1.1);
    expect(asked).to.be.lessThan(400 * 1.02);
  });

  it('is not held up by a holder that has all but stopped', () => {
    const picker = makePicker(5, 20);
    const holders = [
      { id: 'a', chunks: range(5), rate: 10 },
      { id: 'b', chunks: range(5), rate: 0.001 },
    ];
    expect(simulate(picker, holders).seconds).to.be.lessThan(10 * 1.1);
  });

  it('fetches every block exactly once it arrives, whatever fails, leaves and joins', () => {
    const event = fc.record({ kind: fc.nat(5), holder: fc.nat(3), chunk: fc.nat(4), pick: fc.nat(9) });
    fc.assert(
      fc.property(fc.array(event, { maxLength: 120 }), fc.nat(1000), (events, seed) => {
        const picker = makePicker(5, 3, { random: seeded(seed) });
        const arrived = new Map<string, number>();
        const come = (id: string, ref: BlockRef, now: number): void => {
          land(picker, id, ref, now);
          arrived.set(`${ref.chunk}:${ref.block}`, (arrived.get(`${ref.chunk}:${ref.block}`) ?? 0) + 1);
        };
        events.forEach(({ kind, holder, chunk, pick }, i) => {
          const id = `h${holder}`;
          const flying = picker.flyingFrom(id);
          const ref = flying[pick % Math.max(1, flying.length)];
          if (kind === 0) picker.offer(id, [chunk, (chunk + 1) % 5]);
          if (kind === 1) picker.withdraw(id, chunk);
          if (kind === 2) picker.remove(id);
          if (kind === 3) picker.next(id, i * 100);
          if (kind === 4 && ref !== undefined) picker.failed(id, ref);
          if (kind === 5 && ref !== undefined) come(id, ref, i * 100);
        });
        for (let holder = 0; holder < 4; holder += 1) picker.remove(`h${holder}`);
        expect(picker.flying).to.equal(0);
        picker.offer('last', range(5));
        for (let now = 0; !picker.finished; now += 1) {
          const ref = picker.next('last', now);
          expect(ref).not.to.equal(undefined);
          if (ref !== undefined) come('last', ref, now);
        }
        expect([...arrived.values()]).to.deep.equal(Array<number>(15).fill(1));
      }),
      { numRuns: 300 },
    );
  });
});
