/** The picker in virtual time: downloads from holders of known rates, and receivers who feed each other. */
import { expect } from 'chai';
import { BitSet } from '../../src/chunks/bits.js';
import type { BlockRange } from '../../src/chunks/plan.js';
import { HELD_PUSH_MS } from '../../src/p2p/heldwatch.js';
import type { Picker } from '../../src/p2p/picker.js';
import { fillRuns, land, makePicker, seeded, upTo } from './pickers.js';

const TICK_MS = 50;

/** Something that sends runs to those who ask, one after another, at a rate of its own. */
interface Sender {
  readonly id: string;
  /** Milliseconds that a block takes it. */
  readonly blockMs: number;
  /** Who asked for what. */
  queue: Asked[];
  /** When the first of the queue is there. */
  busyUntil: number;
  /** Blocks that it sent. */
  sent: number;
}
interface Asked {
  readonly to: Receiver;
  readonly run: BlockRange;
}
interface Receiver {
  readonly id: string;
  readonly picker: Picker;
}

const sender = (id: string, mibPerSecond: number): Sender => ({
  id,
  blockMs: 1000 / mibPerSecond,
  queue: [],
  busyUntil: 0,
  sent: 0,
});

/** The first of its queue leaves from now on. */
function begin(from: Sender, now: number): void {
  from.busyUntil = now + (from.queue[0]?.run.count ?? 0) * from.blockMs;
}

/** Plays until every receiver has all; milliseconds. `onArrival` and `onAsk` hear of each run. */
function play(
  receivers: readonly Receiver[],
  senders: readonly Sender[],
  {
    onArrival,
    onAsk,
    onTick,
  }: {
    onArrival?: (to: Receiver, run: BlockRange) => void;
    onAsk?: (of: Sender, run: BlockRange) => void;
    onTick?: (now: number) => void;
  } = {},
): number {
  let now = 0;
  let nextTick = 0;
  for (let step = 0; receivers.some(({ picker }) => !picker.finished); step += 1) {
    if (step > 1_000_000) throw new Error('it never ends');
    if (now >= nextTick) {
      onTick?.(now);
      nextTick = now + TICK_MS;
    }
    for (const to of receivers) {
      const fastestFirst = [...senders].sort((a, b) => to.picker.rateOf(b.id) - to.picker.rateOf(a.id));
      for (const from of fastestFirst) {
        for (const run of fillRuns(to.picker, from.id, now)) {
          from.queue.push({ to, run });
          if (from.queue.length === 1) begin(from, now);
          onAsk?.(from, run);
        }
      }
    }
    const busy = senders.filter(({ queue }) => queue.length > 0).sort((a, b) => a.busyUntil - b.busyUntil)[0];
    if (busy === undefined || busy.busyUntil > nextTick) {
      now = nextTick;
      continue;
    }
    now = Math.max(now, busy.busyUntil);
    const served = busy.queue.shift();
    if (served === undefined) continue;
    const { to, run } = served;
    busy.sent += run.count;
    begin(busy, now);
    const losers = land(to.picker, busy.id, run.first, now);
    if (losers === undefined) continue;
    onArrival?.(to, run);
    for (const loser of senders.filter(({ id }) => losers.includes(id))) {
      const [head] = loser.queue;
      loser.queue = loser.queue.filter((each) => each.to !== to || each.run.first !== run.first);
      if (loser.queue[0] !== head) begin(loser, now);
    }
  }
  return now;
}

function alone(blocks: number, holders: readonly (readonly [Sender, Iterable<BlockRange>])[]): number {
  const picker = makePicker(blocks);
  for (const [{ id }, has] of holders) picker.offer(id, has);
  return play([{ id: 'me', picker }], holders.map(([each]) => each)) / 1000; // prettier-ignore
}

describe('p2p/picker in simulation', () => {
  it('comes near the best time with a complete holder of 1 MiB/s and one of 50 that lacks a tenth', () => {
    // 26 blocks only the slow one has: 26 s, and the fast one is long done by then.
    const seconds = alone(256, [
      [sender('slow', 1), upTo(256)],
      [sender('fast', 50), upTo(230)],
    ]);
    expect(seconds).to.be.lessThan(26 * 1.15);
  });

  it('adds up the rates of equal holders and asks for almost nothing twice', () => {
    const senders = ['a', 'b', 'c', 'd'].map((id) => sender(id, 10));
    expect(alone(400, senders.map((each) => [each, upTo(400)]))).to.be.lessThan(10 * 1.1); // prettier-ignore
    expect(senders.reduce((sum, { sent }) => sum + sent, 0)).to.be.lessThan(400 * 1.02);
  });

  it('uses a slow holder beside a fast one without waiting for it at the end', () => {
    const [fast, slow] = [sender('fast', 20), sender('slow', 2)];
    const seconds = alone(200, [
      [fast, upTo(200)],
      [slow, upTo(200)],
    ]);
    expect(seconds).to.be.lessThan((200 / 22) * 1.1);
    expect(slow.sent).to.be.greaterThan(10);
  });

  it('is not held up by a holder that has all but stopped', () => {
    const seconds = alone(100, [
      [sender('a', 10), upTo(100)],
      [sender('b', 0.001), upTo(100)],
    ]);
    expect(seconds).to.be.lessThan(10 * 1.1);
  });

  for (const seed of [1, 2, 3]) {
    it(`loads the origin once when eight receivers feed each other (${seed})`, () => {
      const blocks = 256;
      const origin = sender('origin', 20);
      const given = new BitSet(blocks);
      const receivers = Array.from({ length: 8 }, (_, i) => ({
        id: `r${i}`,
        picker: makePicker(blocks, { random: seeded(seed * 100 + i) }),
      }));
      const senders = [origin, ...receivers.map(({ id }) => sender(id, 200))];
      for (const { picker } of receivers) picker.offer('origin', upTo(blocks));
      // What is new since the last look is told to everybody, as over standing links.
      let news: (() => void)[] = [];
      let toldAt = 0;
      const ms = play(receivers, senders, {
        onAsk: (of, run) => {
          if (of !== origin || given.lacks(run) === undefined) return;
          given.addRun(run);
          news.push(() => receivers.forEach(({ picker }) => picker.given('origin', [run])));
        },
        onArrival: (to, run) => {
          const others = receivers.filter((each) => each !== to);
          news.push(() => others.forEach(({ picker }) => picker.offer(to.id, [run])));
        },
        onTick: (now) => {
          if (now - toldAt < HELD_PUSH_MS) return;
          toldAt = now;
          for (const tell of news) tell();
          news = [];
          for (const { id, picker } of receivers) {
            for (const other of receivers) if (other.id !== id) other.picker.coming(id, picker.underWay);
          }
        },
      });
      expect(origin.sent / blocks).to.be.lessThan(1.1);
      expect(ms / 1000).to.be.lessThan((blocks / 20) * 1.25);
    });
  }
});
