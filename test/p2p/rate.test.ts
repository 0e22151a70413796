import { expect } from 'chai';
import { RateLimit, RateMeter } from '../../src/p2p/rate.js';
import { FakeClock } from '../support/fakeclock.js';
import { refusal } from '../support/refusal.js';

describe('p2p/rate', () => {
  let clock: FakeClock;
  let limit: RateLimit;
  /** What went, and when: `user bytes @ms`. */
  let gone: string[];
  beforeEach(() => {
    clock = new FakeClock();
    limit = new RateLimit(1_000, clock);
    gone = [];
  });

  function take(bytes: number, user?: string, signal?: AbortSignal): Promise<void> {
    return limit.take(bytes, signal, user).then(() => void gone.push(`${user ?? ''} ${bytes} @${clock.monotonicMs()}`));
  }

  it('lets bytes through at its rate, in the order they came', async () => {
    const all = [take(500), take(1_000), take(250), take(1)];
    await clock.advance(0);
    await clock.advance(10_000);
    await Promise.all(all);
    expect(gone).to.deep.equal([' 500 @0', ' 1000 @500', ' 250 @1500', ' 1 @1750']);
  });

  it('catches up with at most a second after a pause', async () => {
    await clock.advance(60_000);
    const all = [1, 2, 3, 4].map(() => take(500));
    await clock.advance(0);
    await clock.advance(2_000);
    await Promise.all(all);
    expect(gone).to.deep.equal([' 500 @60000', ' 500 @60000', ' 500 @60000', ' 500 @60500']);
  });

  it('gives each user as many bytes, whoever asks for more or in larger pieces', async () => {
    const given = { greedy: 0, modest: 0, small: 0 };
    const asked = [];
    const ask = (user: keyof typeof given, bytes: number): Promise<void> =>
      limit.take(bytes, undefined, user).then(() => void (given[user] += bytes));
    for (let i = 0; i < 40; i += 1) asked.push(ask('greedy', 1_000));
    for (let i = 0; i < 12; i += 1) asked.push(ask('modest', 1_000));
    for (let i = 0; i < 100; i += 1) asked.push(ask('small', 100));
    await clock.advance(30_000);
    for (const bytes of Object.values(given)) expect(bytes).to.be.within(9_000, 11_000);
    await clock.advance(60_000);
    await Promise.all(asked);
    expect(given).to.deep.equal({ greedy: 40_000, modest: 12_000, small: 10_000 });
  });

  it('saves nothing up for a user who did not ask, and holds nothing against one who was alone', async () => {
    const alone = Array.from({ length: 20 }, () => take(1_000, 'first'));
    await clock.advance(10_000);
    const late = Array.from({ length: 5 }, () => take(1_000, 'late'));
    await clock.advance(10_000);
    // From the second that both wait in they take turns.
    const since = gone.slice(11, 20).map((each) => each.split(' ')[0]);
    expect(since.filter((user) => user === 'late')).to.have.lengthOf.within(4, 5);
    await clock.advance(10_000);
    await Promise.all([...alone, ...late]);
  });

  it('takes nothing for what gave up waiting: those behind move up at once', async () => {
    const abort = new AbortController();
    const first = take(100);
    const dropped = take(600_000, 'b', abort.signal);
    const behind = take(100, 'c');
    await clock.advance(0);
    await clock.advance(50);
    abort.abort();
    expect((await refusal(dropped)).code).to.equal('CANCELLED');
    await clock.advance(50);
    await Promise.all([first, behind]);
    expect(gone).to.deep.equal([' 100 @0', 'c 100 @100']);
    expect((await refusal(take(1, 'b', abort.signal))).code).to.equal('CANCELLED');
    await clock.advance(100);
    expect(limit.isHolding).to.equal(false);
  });

  it('gives back what did not go', async () => {
    const long = take(50_000);
    const next = take(10);
    await long;
    expect(limit.isHolding).to.equal(true);
    await clock.advance(1_000);
    expect(gone).to.have.lengthOf(1);
    limit.refund(50_000);
    await next;
    expect(gone).to.have.lengthOf(2);
  });

  it('takes another rate at once: what went already is paid for at it, and what waits goes by it', async () => {
    const all = [take(10_000), take(100), take(100)];
    await clock.advance(0);
    await clock.advance(5_000);
    // 5,000 of the first are still to be paid for.
    limit.bytesPerSecond = 10_000;
    await clock.advance(1_000);
    expect(gone).to.deep.equal([' 10000 @0', ' 100 @5500', ' 100 @5510']);
    await Promise.all(all);
  });

  it('lets all through while there is no limit, and holds nothing of it against a later one', async () => {
    const waiting = [take(50_000), take(50_000), take(50_000)];
    await clock.advance(0);
    await clock.advance(100);
    limit.bytesPerSecond = Infinity;
    waiting.push(take(1e9));
    await clock.advance(0);
    expect(gone.slice(1)).to.have.members([' 50000 @100', ' 50000 @100', ' 1000000000 @100']);
    expect(limit.isHolding).to.equal(false);
    limit.bytesPerSecond = 1_000;
    waiting.push(take(2_000), take(1));
    await clock.advance(10_000);
    expect(gone.slice(-1)).to.deep.equal([' 1 @2100']);
    await Promise.all(waiting);
  });

  it('measures what came over the last seconds', async () => {
    const meter = new RateMeter(clock);
    for (let i = 0; i < 40; i += 1) {
      meter.add(100);
      await clock.advance(100);
    }
    expect(meter.rate()).to.be.within(900, 1_100);
    await clock.advance(5_000);
    expect([meter.rate(), meter.total]).to.deep.equal([0, 4_000]);
  });
});
