import { expect } from 'chai';
import { BitSet } from '../../src/chunks/bits.js';
import type { BlockRange } from '../../src/chunks/plan.js';
import { MAX_RUNS_PER_EVENT } from '../../src/protocol/limits.js';
import type { HeldNews } from '../../src/protocol/commands/peer/watchHeld.js';
import type { Connection } from '../../src/protocol/connection.js';
import { watchHeld } from '../../src/p2p/fetch.js';
import { HELD_PUSH_MS } from '../../src/p2p/heldwatch.js';
import { Provider } from '../../src/p2p/provider.js';
import type { Share } from '../../src/p2p/share.js';
import { FakeClock } from '../support/fakeclock.js';
import { refusal } from '../support/refusal.js';
import { askBlock, connectTo, holder, makeFile, range, tellHeld, answering } from './swarm.js';
import { peerCommands } from '../../src/protocol/commands/peer.js';

const BLOCKS = 40;

describe('p2p/heldwatch', () => {
  const file = makeFile(BLOCKS * 100, BLOCKS);
  const { root } = file.manifest;
  let coming: BlockRange[] = [];
  afterEach(() => (coming = []));

  /** A provider whose one share has these blocks. */
  function serving(held: () => BitSet): { clock: FakeClock; connect: (user: string) => Connection } {
    const clock = new FakeClock();
    const share: Share = {
      file: 'a.bin',
      plan: file.plan,
      heldChunks: () => held().toBytes(),
      heldBlocks: held,
      lacks: (blocks) => held().lacks(blocks),
      coming: () => coming,
      blockDigests: () => undefined,
      read: (block, target, at) => {
        target.set(file.bytes.subarray(block * 100, (block + 1) * 100), at);
        return Promise.resolve(100);
      },
    };
    const provider = new Provider({ shares: { find: () => share }, clock });
    return {
      clock,
      connect: (user) => connectTo(file, holder('alice', []), (end) => provider.serve(user, end)).connection,
    };
  }

  function watch(connection: Connection): { heard: HeldNews[]; stop: () => Promise<void> } {
    const heard: HeldNews[] = [];
    const abort = new AbortController();
    const over = watchHeld(connection, root, BLOCKS, abort.signal, (news) => heard.push(news));
    return {
      heard,
      stop: async () => {
        abort.abort();
        expect((await refusal(over)).code).to.equal('CANCELLED');
      },
    };
  }

  /** Lets everything be said. */
  async function turn(clock: FakeClock): Promise<void> {
    for (let step = 0; step < 4; step += 1) {
      await clock.advance(HELD_PUSH_MS / 2);
      for (let loop = 0; loop < 10; loop += 1) await new Promise(setImmediate);
    }
  }

  it('tells what is held at once, then what comes, and says nothing when nothing does', async () => {
    const held = new BitSet(BLOCKS);
    held.addRun({ first: 3, count: 2 });
    const { clock, connect } = serving(() => held);
    const { heard, stop } = watch(connect('bob'));
    await turn(clock);
    expect(heard).to.deep.equal([{ type: 'held', anew: true, blocks: [[3, 2]], given: [] }]);
    await turn(clock);
    expect(heard).to.have.length(1);
    for (const block of [2, 5, 9]) held.add(block);
    await turn(clock);
    expect(heard.slice(1)).to.deep.equal([{ type: 'held', blocks: [[2, 1], [5, 1], [9, 1]], given: [] }]); // prettier-ignore
    await stop();
  });

  it('tells what is on its way, whenever that changes', async () => {
    coming = [{ first: 4, count: 2 }];
    const { clock, connect } = serving(() => new BitSet(BLOCKS));
    const { heard, stop } = watch(connect('bob'));
    await turn(clock);
    coming = [];
    await turn(clock);
    expect(heard).to.deep.equal([
      { type: 'held', anew: true, blocks: [], given: [], coming: [[4, 2]] },
      { type: 'held', blocks: [], given: [], coming: [] },
    ]);
    await stop();
  });

  it('tells everything anew when something is held no more', async () => {
    let held = BitSet.full(BLOCKS);
    const { clock, connect } = serving(() => held);
    const { heard, stop } = watch(connect('bob'));
    await turn(clock);
    held = new BitSet(BLOCKS);
    await turn(clock);
    expect(heard).to.deep.equal([
      { type: 'held', anew: true, blocks: [[0, BLOCKS]], given: [] },
      { type: 'held', anew: true, blocks: [], given: [] },
    ]);
    await stop();
  });

  it('tells everybody what is given to one', async () => {
    const { clock, connect } = serving(() => BitSet.full(BLOCKS));
    const bob = connect('bob');
    const { heard, stop } = watch(connect('carol'));
    await turn(clock);
    for (const chunk of [7, 8])
      await askBlock(bob, { root, chunk, block: 0 }, Buffer.alloc(100), new AbortController().signal);
    await turn(clock);
    expect(heard.slice(1)).to.deep.equal([{ type: 'held', blocks: [], given: [[7, 2]] }]);
    await stop();
  });

  it('splits what no event has room for', async () => {
    const big = makeFile(4 * MAX_RUNS_PER_EVENT, 4 * MAX_RUNS_PER_EVENT);
    const held = new BitSet(big.plan.blocks);
    for (let block = 0; block < held.size; block += 2) held.add(block);
    const share: Share = {
      file: 'a.bin',
      plan: big.plan,
      heldChunks: () => held.toBytes(),
      heldBlocks: () => held,
      lacks: () => undefined,
      coming: () => [],
      blockDigests: () => undefined,
      read: () => Promise.resolve(1),
    };
    const provider = new Provider({ shares: { find: () => share } });
    const { connection } = connectTo(big, holder('alice', []), (end) => provider.serve('bob', end));
    const heard: HeldNews[] = [];
    const abort = new AbortController();
    const over = watchHeld(connection, big.manifest.root, held.size, abort.signal, (news) => {
      heard.push(news);
      if (heard.length === 2) abort.abort();
    });
    await refusal(over);
    expect(heard.map(({ anew, blocks }) => [anew, blocks.length])).to.deep.equal([
      [true, MAX_RUNS_PER_EVENT],
      [undefined, MAX_RUNS_PER_EVENT],
    ]);
    expect(heard[1]?.blocks[0]).to.deep.equal([2 * MAX_RUNS_PER_EVENT, 1]);
  });

  it('answers few watches over one link, and more when one ends', async () => {
    const { clock, connect } = serving(() => new BitSet(BLOCKS));
    const bob = connect('bob');
    const watches = range(4).map(() => watch(bob));
    await turn(clock);
    const never = new AbortController().signal;
    const more = watchHeld(bob, root, BLOCKS, never, () => undefined);
    expect((await refusal(more)).code).to.equal('SERVER_BUSY');
    await watches.pop()?.stop();
    await turn(clock);
    const again = watch(bob);
    await turn(clock);
    expect(again.heard).to.have.length(1);
    for (const { stop } of [...watches, again]) await stop();
  });

  it('does not believe in blocks that the file does not have', async () => {
    const beyond = makeFile(BLOCKS * 200, BLOCKS * 2);
    const serve = answering(peerCommands, (_spec, _params, call) => tellHeld(beyond, range(BLOCKS + 1), call));
    const { connection } = connectTo(file, holder('alice', []), serve);
    const over = watchHeld(connection, root, BLOCKS, new AbortController().signal, () => undefined);
    expect((await refusal(over)).code).to.equal('PROTOCOL_ERROR');
  });
});
