import fc from 'fast-check';
import { expect } from 'chai';
import { LEAST_REQUESTS, WINDOW_BYTES, WINDOW_REQUESTS } from '../../src/p2p/linkspeed.js';
import { OVERTAKE_AFTER_MS, PATIENCE_MS } from '../../src/p2p/pickedholder.js';
import { runsOf } from '../../src/chunks/bits.js';
import type { Picker } from '../../src/p2p/picker.js';
import {
  MIB,
  fill,
  fillRuns,
  land,
  makePicker,
  next,
  oneByOne,
  only,
  prove,
  range,
  seeded,
  upTo,
  wanted,
} from './pickers.js';

describe('p2p/picker', () => {
  it('asks an unproven holder for one block, then for one more with each that comes', () => {
    const picker = makePicker(100, oneByOne);
    picker.offer('a', upTo(100));
    expect(fill(picker, 'a')).to.have.length(1);
    land(picker, 'a', picker.flyingFrom('a')[0]!.first, 5);
    expect(fill(picker, 'a', 5)).to.have.length(LEAST_REQUESTS + 1);
    for (const { first } of picker.flyingFrom('a')) land(picker, 'a', first, 10);
    for (let i = 0; i < 20; i += 1) prove(picker, 'a', 5, 10 + 5 * i);
    // 1 MiB in 5 ms is worth the whole window.
    expect(fill(picker, 'a', 110)).to.have.length(WINDOW_BYTES / MIB);
  });

  it('leaves room for every holder that has something to give', () => {
    const picker = makePicker(400, { ...oneByOne, roomBytes: 12 * MIB });
    for (const id of ['a', 'b', 'c']) picker.offer(id, upTo(300));
    for (let i = 0; i < 20; i += 1) for (const id of ['a', 'b', 'c']) prove(picker, id, 5, 5 * i);
    expect(['a', 'b', 'c'].map((id) => fill(picker, id, 100).length)).to.deep.equal([4, 4, 4]);
    // One who has nothing to give takes none.
    const other = makePicker(400, { ...oneByOne, roomBytes: 8 * MIB });
    other.offer('a', upTo(400));
    other.offer('b', []);
    for (let i = 0; i < 20; i += 1) prove(other, 'a', 5, 5 * i);
    expect(fill(other, 'a', 100)).to.have.length(8);
  });

  it('bounds the requests for small blocks, too', () => {
    // Every other one, so that no two are one request.
    const picker = makePicker(600, { bytesOf: () => 1000, wanted: wanted(600, ...range(300).map((i) => 2 * i)) });
    picker.offer('a', upTo(600));
    for (let i = 0; i < 100; i += 1) prove(picker, 'a', 1, i);
    expect(fill(picker, 'a', 100)).to.have.length(WINDOW_REQUESTS);
  });

  it('asks for small blocks that stand side by side at once: as many as have been good, and up to 4 MiB', () => {
    const picker = makePicker(4_096, { bytesOf: () => MIB / 64, random: () => 0 });
    picker.offer('a', upTo(4_096));
    let now = 0;
    const counts: number[] = [];
    for (let good = 0; good < 1_000; now += 5) {
      const run = picker.next('a', now);
      if (run === undefined) throw new Error('nothing to ask for');
      expect(run.count).to.be.at.most(good + 1);
      good += run.count;
      counts.push(run.count);
      land(picker, 'a', run.first, now + 5);
    }
    expect(counts[0]).to.equal(1);
    expect(counts.at(-1)).to.equal(256);
    expect(fillRuns(picker, 'a', now).map(({ count }) => count)).to.deep.equal([256, 256]);
  });

  it('asks for large blocks together, too, as far as they may be', () => {
    const picker = makePicker(100, { random: () => 0, runEnd: (block) => (block < 10 ? 10 : 100) });
    picker.offer('a', upTo(100));
    const counts: number[] = [];
    for (let now = 0; now < 60; now += 10) {
      const run = picker.next('a', now);
      land(picker, 'a', run?.first ?? 0, now + 10);
      counts.push(run?.count ?? 0);
    }
    expect(counts).to.deep.equal([1, 2, 4, 3, 4, 4]);
    // No more than there is room for.
    expect(picker.next('a', 60, 3 * MIB)).to.deep.equal({ first: 18, count: 3 });
    expect(picker.next('a', 60, MIB)).to.deep.equal({ first: 21, count: 1 });
  });

  it('asks a slow holder for little at once, although its blocks are small', () => {
    const picker = makePicker(4_096, { bytesOf: () => MIB / 64, random: () => 0 });
    picker.offer('a', upTo(4_096));
    // 16 KiB a second.
    for (let i = 0; i < 8; i += 1) {
      const run = picker.next('a', i * 1_000);
      land(picker, 'a', run?.first ?? 0, (i + (run?.count ?? 0)) * 1_000);
    }
    expect(fillRuns(picker, 'a', 60_000).map(({ count }) => count)).to.deep.equal([1, 1]);
  });

  it('ends a run where something else begins', () => {
    const proven = (...holes: number[]): Picker => {
      const picker = makePicker(64, { bytesOf: () => 1000, random: () => 0 });
      picker.offer('a', runsOf(range(64).filter((block) => !holes.includes(block))));
      for (let first = 0; first < 8;) {
        const run = picker.next('a', first);
        land(picker, 'a', first, first + 1);
        first += run?.count ?? 64;
      }
      return picker;
    };
    const nextOf = (picker: Picker): unknown => picker.next('a', 20);
    expect(nextOf(proven())).to.deep.include({ first: 15 });
    expect(nextOf(proven(20))).to.deep.equal({ first: 15, count: 5 });
    const given = proven();
    given.given('a', only(21));
    expect(nextOf(given)).to.deep.equal({ first: 15, count: 6 });
    const rarer = proven();
    rarer.offer('b', [{ first: 18, count: 9 }]);
    expect(nextOf(rarer)).to.deep.equal({ first: 15, count: 3 });
    // What failed goes first, and alone.
    const failed = proven();
    const run = failed.next('a', 20);
    failed.next('a', 20);
    failed.failed('a', run?.first ?? 0);
    expect(failed.next('a', 21)).to.deep.equal(run);
  });

  it('frees the blocks of a run that were bad, and only them', () => {
    const picker = makePicker(16, { bytesOf: () => 1000, random: () => 0 });
    picker.offer('a', upTo(16));
    prove(picker, 'a');
    prove(picker, 'a', 10, 10);
    const run = picker.next('a', 20);
    expect(run).to.deep.equal({ first: 3, count: 4 });
    picker.received('a', 3, 30);
    expect(picker.arrived('a', { first: 3, count: 4 }, [4, 6])).to.deep.equal({ alsoAsked: [], without: [4, 6] });
    picker.remove('a');
    picker.offer('b', upTo(16));
    const left: number[] = [];
    for (let now = 40; !picker.finished; now += 1) {
      const next = picker.next('b', now);
      if (next === undefined) throw new Error('nothing to ask for');
      left.push(...range(next.count).map((i) => next.first + i));
      land(picker, 'b', next.first, now + 1);
    }
    expect(left.sort((x, y) => x - y)).to.deep.equal([4, 6, ...range(9).map((i) => 7 + i)]);
  });

  it('takes what came from a holder that was taken away meanwhile, unless somebody else is asked for it', () => {
    const picker = makePicker(8, { bytesOf: () => 1000, random: () => 0 });
    picker.offer('a', upTo(8));
    prove(picker, 'a');
    prove(picker, 'a', 10, 10);
    expect(picker.next('a', 20)).to.deep.equal({ first: 3, count: 4 });
    picker.received('a', 3, 30);
    picker.remove('a');
    picker.offer('b', upTo(8));
    expect(picker.next('b', 40)).to.deep.equal({ first: 3, count: 1 });
    expect(picker.arrived('a', { first: 3, count: 4 }, [5])).to.deep.equal({ alsoAsked: [], without: [3, 5] });
    expect(picker.arrived('a', { first: 3, count: 4 }, [5])).to.equal(undefined);
    expect(land(picker, 'b', 3, 50)).to.deep.equal([]);
    const left = [];
    for (let block = next(picker, 'b', 60); block !== undefined; block = next(picker, 'b', 60)) {
      left.push(block);
      land(picker, 'b', block, 61);
    }
    expect(left).to.deep.equal([5, 7]);
    expect(picker.finished).to.equal(true);
  });

  it('asks a slow holder for little ahead', () => {
    const picker = makePicker(200);
    picker.offer('a', upTo(200));
    for (let i = 0; i < 5; i += 1) prove(picker, 'a', 1_000, i * 1_000);
    expect(fill(picker, 'a', 5_000)).to.have.length(LEAST_REQUESTS);
  });

  it('takes first what those who are being linked to are not said to have', () => {
    const picker = makePicker(100, { ...oneByOne, random: () => 0 });
    picker.expect('b', upTo(90));
    picker.offer('a', upTo(100));
    expect(picker.next('b', 0)).to.equal(undefined);
    expect(picker.next('a', 0)).to.deep.equal({ first: 90, count: 1 });
    // Nobody can be asked instead yet, and all of the room is this one's.
    expect(picker.isReplaceable('a')).to.equal(false);
    picker.offer('b', only(90));
    expect(picker.isReplaceable('a')).to.equal(true);
    land(picker, 'a', 90, 5);
    // Gone before it was linked to: all is as rare.
    picker.remove('b');
    expect(picker.next('a', 5)).to.deep.equal({ first: 91, count: 1 });
    picker.failed('a', 91);
    picker.expect('c', upTo(100));
    expect(picker.next('a', 5)).to.deep.equal({ first: 91, count: 1 });
  });

  it('takes the rarest block first', () => {
    const picker = makePicker(3);
    picker.offer('a', upTo(3));
    picker.offer('b', only(0, 2));
    picker.offer('c', only(0));
    expect(prove(picker, 'a')).to.equal(1);
    expect(fill(picker, 'a', 10)).to.deep.equal([2, 0]);
  });

  it('asks for runs, and begins them anywhere, so that receivers begin with different parts', () => {
    const firsts = range(40).map((seed) => {
      const picker = makePicker(1_000, { ...oneByOne, random: seeded(seed) });
      picker.offer('a', upTo(1_000));
      const first = prove(picker, 'a', 1);
      expect(fill(picker, 'a', 1)).to.deep.equal(range(3).map((i) => (first + 1 + i) % 1_000));
      return first;
    });
    expect(new Set(firsts).size).to.be.greaterThan(30);
  });

  it('asks last for what its only holder has given to others, and not before they may have it', () => {
    const picker = makePicker(4);
    picker.offer('origin', upTo(4));
    picker.given('origin', only(1, 2));
    expect([prove(picker, 'origin', 100), prove(picker, 'origin', 100, 100)].sort()).to.deep.equal([0, 3]);
    expect(next(picker, 'origin', 200)).to.equal(undefined);
    // Whoever has it gives it.
    picker.offer('other', only(2));
    expect(next(picker, 'other', 210)).to.equal(2);
    expect(next(picker, 'origin', 200 + PATIENCE_MS)).to.equal(undefined);
    expect(next(picker, 'origin', 200 + PATIENCE_MS + 250)).to.equal(1);
  });

  it('asks last for what only one holder has and is on its way to another receiver', () => {
    const picker = makePicker(4);
    picker.offer('origin', upTo(4));
    picker.coming('other', only(0, 1, 2));
    expect(prove(picker, 'origin')).to.equal(3);
    expect(next(picker, 'origin', 10)).to.equal(undefined);
    // It came to nothing, or the other left.
    picker.coming('other', only(0, 2));
    expect(next(picker, 'origin', 20)).to.equal(1);
    picker.remove('other');
    expect(fill(picker, 'origin', 30)).to.have.length(2);
  });

  it('gives the blocks of a holder that fails or leaves to others', () => {
    const picker = makePicker(3);
    picker.offer('a', upTo(3));
    picker.offer('b', upTo(3));
    const left = 3 - prove(picker, 'a') - prove(picker, 'b');
    expect(next(picker, 'a', 10)).to.equal(left);
    expect(next(picker, 'b', 10)).to.equal(undefined);
    picker.failed('a', left);
    expect(next(picker, 'b', 10)).to.equal(left);
    picker.remove('b');
    expect(next(picker, 'a', 10)).to.equal(left);
    expect(land(picker, 'a', left, 11)).to.deep.equal([]);
    expect(picker.finished).to.equal(true);
  });

  it('ignores what fails without having been asked, and what arrives again', () => {
    const picker = makePicker(2);
    picker.offer('a', upTo(1));
    picker.failed('a', 1);
    picker.failed('nobody', 9);
    picker.offer('a', upTo(2));
    const first = prove(picker, 'a');
    expect(land(picker, 'a', first, 1)).to.equal(undefined);
    expect(picker.finished).to.equal(false);
    prove(picker, 'a');
    expect(picker.finished).to.equal(true);
  });

  it('takes blocks away from a holder', () => {
    const picker = makePicker(3);
    picker.offer('a', only(0, 1));
    picker.withdraw('a', { first: 0, count: 1 });
    expect(prove(picker, 'a')).to.equal(1);
    expect(next(picker, 'a', 0)).to.equal(undefined);
  });

  it('takes what a holder says anew instead of what it said, and goes on with what was asked of it there', () => {
    const picker = makePicker(6, oneByOne);
    picker.offer('a', upTo(4));
    prove(picker, 'a');
    const asked = [next(picker, 'a', 10), next(picker, 'a', 10)] as [number, number];
    const [kept, lost] = asked;
    picker.replace('a', only(kept, 5));
    expect(picker.underWay).to.deep.equal(only(kept));
    expect(next(picker, 'a', 20)).to.equal(5);
    expect(next(picker, 'a', 20)).to.equal(undefined);
    picker.offer('b', upTo(6));
    expect(next(picker, 'b', 20)).to.equal(lost);
  });

  it('overtakes a late block at the end, once, and names the loser', () => {
    const picker = makePicker(3);
    for (const id of ['fast', 'slow', 'third']) picker.offer(id, upTo(3));
    const last = 3 - prove(picker, 'fast') - prove(picker, 'third');
    expect(next(picker, 'slow', 10)).to.equal(last);
    expect(next(picker, 'fast', 11)).to.equal(undefined);
    expect(next(picker, 'fast', 10 + OVERTAKE_AFTER_MS)).to.equal(last);
    expect(next(picker, 'third', 10 + OVERTAKE_AFTER_MS)).to.equal(undefined);
    expect(land(picker, 'fast', last, 300)).to.deep.equal(['slow']);
    expect(picker.flyingFrom('slow')).to.deep.equal([]);
  });

  it('does not overtake holders that are merely as slow as oneself', () => {
    const picker = makePicker(3);
    for (const id of ['a', 'b']) picker.offer(id, upTo(3));
    prove(picker, 'a', 10_000);
    prove(picker, 'b', 10_000);
    expect(next(picker, 'b', 10_000)).not.to.equal(undefined);
    for (const now of [11_000, 15_000, 19_000]) expect(next(picker, 'a', now)).to.equal(undefined);
  });

  it('asks only for what is wanted, and knows whether a holder can be replaced', () => {
    const picker = makePicker(4, { wanted: wanted(4, 3) });
    picker.offer('a', upTo(4));
    expect(next(picker, 'a', 0)).to.equal(3);
    expect(picker.isReplaceable('a')).to.equal(false);
    picker.offer('b', upTo(4));
    expect(picker.isReplaceable('a')).to.equal(true);
    land(picker, 'a', 3, 1);
    expect(picker.finished).to.equal(true);
  });

  it('needs no longer for 65,536 blocks of which each holder has a part', () => {
    const blocks = 65_536;
    const picker = makePicker(blocks, { bytesOf: () => 100 });
    picker.offer('a', upTo(blocks));
    picker.offer('b', upTo(blocks / 2));
    picker.offer('c', upTo(blocks / 4));
    const begin = performance.now();
    for (let fetched = 0; !picker.finished;) {
      for (const id of ['c', 'b', 'a']) {
        const run = picker.next(id, fetched);
        if (run === undefined) continue;
        land(picker, id, run.first, fetched);
        fetched += run.count;
      }
    }
    expect(performance.now() - begin).to.be.lessThan(5_000); // takes 0.05 s; quadratic search would take minutes
  });

  it('fetches every block exactly once it arrives, whatever fails, leaves and joins', () => {
    const blocks = 15;
    const event = fc.record({ kind: fc.nat(7), holder: fc.nat(3), block: fc.nat(blocks - 3), pick: fc.nat(9) });
    fc.assert(
      fc.property(fc.array(event, { maxLength: 120 }), fc.nat(1000), (events, seed) => {
        const picker = makePicker(blocks, { random: seeded(seed) });
        const arrived = new Map<number, number>();
        const come = (id: string, block: number, now: number): void => {
          const { count } = picker.flyingFrom(id).find(({ first }) => first === block) ?? { count: 0 };
          land(picker, id, block, now);
          for (const each of range(count)) arrived.set(block + each, (arrived.get(block + each) ?? 0) + 1);
        };
        events.forEach(({ kind, holder, block, pick }, i) => {
          const id = `h${holder}`;
          const flying = picker.flyingFrom(id);
          const chosen = flying[pick % Math.max(1, flying.length)]?.first;
          if (kind === 0) picker.offer(id, [{ first: block, count: 3 }]);
          if (kind === 1) picker.withdraw(id, { first: block, count: 1 });
          if (kind === 2) picker.remove(id);
          if (kind === 3) picker.next(id, i * 100);
          if (kind === 4 && chosen !== undefined) picker.failed(id, chosen);
          if (kind === 5 && chosen !== undefined) come(id, chosen, i * 100);
          if (kind === 6) picker.given(id, only(block));
          if (kind === 7) picker.replace(id, [{ first: block, count: 2 }]);
        });
        for (let holder = 0; holder < 4; holder += 1) picker.remove(`h${holder}`);
        expect(picker.underWay).to.deep.equal([]);
        picker.offer('last', upTo(blocks));
        for (let now = 0; !picker.finished; now += 1) {
          const block = next(picker, 'last', now);
          expect(block).not.to.equal(undefined);
          if (block !== undefined) come('last', block, now);
        }
        expect([...arrived.values()]).to.deep.equal(Array<number>(blocks).fill(1));
      }),
      { numRuns: 300 },
    );
  });
});
