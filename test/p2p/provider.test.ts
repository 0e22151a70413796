import { setMaxListeners } from 'node:events';
import { mkdtemp, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { BitSet } from '../../src/chunks/bits.js';
import { digestAt } from '../../src/chunks/digest.js';
import { buildManifest } from '../../src/chunks/manifest.js';
import { openPart } from '../../src/chunks/part.js';
import { blockPlace } from '../../src/chunks/plan.js';
import { openSource } from '../../src/chunks/source.js';
import { peerCommands } from '../../src/protocol/commands/peer.js';
import type { Connection } from '../../src/protocol/connection.js';
import type { Digest } from '../../src/protocol/values.js';
import { askDigests, watchHeld } from '../../src/p2p/fetch.js';
import { Provider, SERVED_AT_ONCE, SERVED_AT_ONCE_PER_USER, WAITING_PER_USER } from '../../src/p2p/provider.js';
import { partShare, sourceShare } from '../../src/p2p/share.js';
import type { Share } from '../../src/p2p/share.js';
import { Slots } from '../../src/p2p/slots.js';
import { FakeClock } from '../support/fakeclock.js';
import { refusal } from '../support/refusal.js';
import { cleanUp, linkedPair, makeEnd } from './ends.js';
import { askBlock, bitmapOf, connectTo, digestsOf, holder, makeFile, range, shareOf } from './swarm.js';

const never = new AbortController().signal;
setMaxListeners(0, never);

function connect(file: ReturnType<typeof makeFile>, provider: Provider, user = 'bob'): Connection {
  return connectTo(file, holder('alice', []), (end) => provider.serve(user, end)).connection;
}

/** The blocks that the other end tells of first, as runs. */
async function heldAt(connection: Connection, root: Digest, blocks: number): Promise<[number, number][]> {
  const abort = new AbortController();
  return new Promise((resolve, reject) => {
    watchHeld(connection, root, blocks, abort.signal, (news) => {
      resolve(news.blocks);
      abort.abort();
    }).catch(reject);
  });
}

describe('p2p/provider', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'parley-provider-'));
  });
  afterEach(() => rm(folder, { recursive: true }));

  async function openShare(
    chunks: number,
    bytes: Buffer,
  ): Promise<{ share: Share; path: string; close: () => Promise<void> }> {
    const path = join(folder, 'a.bin');
    await writeFile(path, bytes);
    const { plan, identity, blockDigests } = await buildManifest(path, chunks);
    const source = await openSource({ path, identity, plan });
    return { share: sourceShare('a.bin', source, blockDigests), path, close: () => source.close() };
  }

  it('serves the blocks, digests and bitmap of a registered file', async () => {
    const file = makeFile(2_500_000, 2);
    const { share, close } = await openShare(2, file.bytes);
    const { root } = file.manifest;
    const provider = new Provider({ shares: { find: (asked) => (asked === root ? share : undefined) } });
    const connection = connect(file, provider);
    expect(await heldAt(connection, root, 4)).to.deep.equal([[0, 4]]);
    for (const chunk of [0, 1]) {
      const digests = await askDigests(connection, { root, chunk }, 2, never);
      expect(digests).to.deep.equal(digestsOf(file.plan, file.blockDigests, chunk));
      for (const block of [0, 1]) {
        const { offset, length } = blockPlace(file.plan, chunk * 2 + block);
        const answer = await askBlock(connection, { root, chunk, block }, Buffer.alloc(length), never);
        expect(answer).to.deep.equal(file.bytes.subarray(offset, offset + length));
      }
    }
    // The last block is counted when the system has taken it, which may be after it came.
    while ((provider.uploads()[0]?.bytes ?? 0) < 2_500_000) await new Promise(setImmediate);
    const [upload] = provider.uploads();
    expect(upload).to.include({ user: 'bob', file: 'a.bin', bytes: 2_500_000, sizeBytes: 2_500_000 });
    connection.destroy();
    await close();
  });

  it('serves blocks that stand side by side at once, up to 4 MiB', async () => {
    const file = makeFile(5_000_000, 100);
    const { share, close } = await openShare(100, file.bytes);
    const { root } = file.manifest;
    const connection = connect(file, new Provider({ shares: { find: () => share } }));
    const fetch = (chunk: number, count: number): ReturnType<typeof askBlock> =>
      askBlock(connection, { root, chunk, block: 0, count }, Buffer.alloc(count * 50_000), never);
    expect(await fetch(7, 83)).to.deep.equal(file.bytes.subarray(350_000, 4_500_000));
    expect((await refusal(fetch(7, 84))).code).to.equal('BAD_REQUEST');
    expect((await refusal(fetch(95, 6))).code).to.equal('CHUNK_GONE');
    await close();
  });

  it('says CHUNK_GONE for what it does not have, and to strange numbers', async () => {
    const file = makeFile(2_500_000, 2);
    const { share, close } = await openShare(2, file.bytes);
    const { root } = file.manifest;
    const connection = connect(
      file,
      new Provider({ shares: { find: (asked) => (asked === root ? share : undefined) } }),
    );
    const other = 'ab'.repeat(32) as Digest;
    const asked = [
      askBlock(connection, { root: other, chunk: 0, block: 0 }, Buffer.alloc(1), never),
      askBlock(connection, { root, chunk: 2, block: 0 }, Buffer.alloc(1), never),
      askBlock(connection, { root, chunk: 1, block: 2 }, Buffer.alloc(1), never),
      askBlock(connection, { root, chunk: 65_535, block: Number.MAX_SAFE_INTEGER }, Buffer.alloc(1), never),
      askDigests(connection, { root, chunk: 2 }, 2, never),
      watchHeld(connection, other, 4, never, () => undefined),
    ];
    for (const answer of asked) expect((await refusal(answer)).code).to.equal('CHUNK_GONE');
    expect((await refusal(connection.call(peerCommands.endPrivate, {}))).code).to.equal('UNKNOWN_COMMAND');
    connection.destroy();
    await close();
  });

  it('serves nothing of a file that changed (R16)', async () => {
    const file = makeFile(2_500_000, 2);
    const { share, path, close } = await openShare(2, file.bytes);
    const { root } = file.manifest;
    const connection = connect(file, new Provider({ shares: { find: () => share } }));
    await askBlock(connection, { root, chunk: 0, block: 0 }, Buffer.alloc(1024 * 1024), never);
    await truncate(path, 100);
    expect((await refusal(askBlock(connection, { root, chunk: 0, block: 0 }, Buffer.alloc(1), never))).code).to.equal(
      'CHUNK_GONE',
    );
    expect(await heldAt(connection, root, 4)).to.deep.equal([]);
    connection.destroy();
    await close();
  });

  it('serves the blocks of a file that is still being fetched', async () => {
    const file = makeFile(30_000, 3);
    const { root } = file.manifest;
    const part = await openPart({ target: join(folder, 'b.bin'), manifest: file.manifest });
    part.learn(1, digestAt(file.blockDigests, 1));
    await part.write(1, file.bytes.subarray(10_000, 20_000));
    const connection = connect(file, new Provider({ shares: { find: () => partShare('b.bin', part) } }));
    expect(await heldAt(connection, root, 3)).to.deep.equal([[1, 1]]);
    const answer = await askBlock(connection, { root, chunk: 1, block: 0 }, Buffer.alloc(10_000), never);
    expect(answer).to.deep.equal(file.bytes.subarray(10_000, 20_000));
    expect((await refusal(askBlock(connection, { root, chunk: 0, block: 0 }, Buffer.alloc(1), never))).code).to.equal(
      'CHUNK_GONE',
    );
    connection.destroy();
    await part.close();
  });

  it('serves a block of a chunk that is not whole', async () => {
    const file = makeFile(2_500_000, 1);
    const { root } = file.manifest;
    const part = await openPart({ target: join(folder, 'b.bin'), manifest: file.manifest });
    part.learn(0, file.blockDigests);
    const { offset, length } = blockPlace(file.plan, 1);
    const second = file.bytes.subarray(offset, offset + length);
    await part.write(1, second);
    const connection = connect(file, new Provider({ shares: { find: () => partShare('b.bin', part) } }));
    expect(await heldAt(connection, root, 3)).to.deep.equal([[1, 1]]);
    const digests = await askDigests(connection, { root, chunk: 0 }, 3, never);
    expect(digests).to.deep.equal(file.blockDigests);
    const answer = await askBlock(connection, { root, chunk: 0, block: 1 }, Buffer.alloc(length), never);
    expect(answer).to.deep.equal(second);
    const missing = askBlock(connection, { root, chunk: 0, block: 2 }, Buffer.alloc(1), never);
    expect((await refusal(missing)).code).to.equal('CHUNK_GONE');
    connection.destroy();
    await part.close();
  });

  it('takes turns between users, so that one who asks for much does not hold up another', async () => {
    const file = makeFile(100_000, 100);
    const clock = new FakeClock();
    const order: string[] = [];
    const shareFor = (user: string): Share => ({
      file: 'a.bin',
      plan: file.plan,
      heldChunks: () => bitmapOf(range(100), 100),
      heldBlocks: () => BitSet.full(100),
      lacks: () => undefined,
      coming: () => [],
      blockDigests: () => undefined,
      read: async (block, target, at) => {
        await new Promise<void>((resolve) => void clock.after(10, resolve));
        order.push(user);
        target.set(file.bytes.subarray(block * 1000, (block + 1) * 1000), at);
        return 1000;
      },
    });
    let asking = '';
    const provider = new Provider({ shares: { find: () => shareFor(asking) }, clock });
    const [greedy, modest] = ['greedy', 'modest'].map((user) => connect(file, provider, user));
    const { root } = file.manifest;
    asking = 'greedy';
    const much = range(80).map((chunk) => askBlock(greedy!, { root, chunk, block: 0 }, Buffer.alloc(1000), never));
    for (let turn = 0; turn < 20; turn += 1) await new Promise(setImmediate);
    asking = 'modest';
    const little = range(3).map((chunk) => askBlock(modest!, { root, chunk, block: 0 }, Buffer.alloc(1000), never));
    for (let i = 0; i < 100; i += 1) await clock.advance(10);
    await Promise.all([...much, ...little]);
    expect(order.lastIndexOf('modest')).to.be.lessThan(3 + 3 * SERVED_AT_ONCE_PER_USER);
    greedy?.destroy();
    modest?.destroy();
  });

  it('keeps to its rate, all users together', async () => {
    const file = makeFile(100_000, 10);
    const clock = new FakeClock();
    const { share, close } = await openShare(10, file.bytes);
    const provider = new Provider({ shares: { find: () => share }, limitRate: 20_000, clock });
    const connections = ['bob', 'carol'].map((user) => connect(file, provider, user));
    const { root } = file.manifest;
    const all = range(10).map((chunk) =>
      askBlock(connections[chunk % 2]!, { root, chunk, block: 0 }, Buffer.alloc(10_000), never),
    );
    let done = false;
    void Promise.all(all).then(() => (done = true));
    while (!done) {
      await clock.advance(100);
      for (let turn = 0; turn < 10; turn += 1) await new Promise((resolve) => setTimeout(resolve, 0));
    }
    expect(clock.monotonicMs()).to.be.within(4_000, 5_500);
    for (const connection of connections) connection.destroy();
    await close();
  });

  it('shares its rate between users as they are, however much one asks for, and keeps each link to its own', async () => {
    const file = makeFile(400_000, 40);
    const { share, close } = await openShare(40, file.bytes);
    const { root } = file.manifest;
    /** Bytes that came to each within `ms`. */
    const came = async (limits: { limitRate?: number; linkLimitRate?: number }, ms: number): Promise<number[]> => {
      const clock = new FakeClock();
      const provider = new Provider({ shares: { find: () => share }, clock, ...limits });
      const connections = ['greedy', 'modest'].map((user) => connect(file, provider, user));
      const bytes = [0, 0];
      const asked = [40, 20].flatMap((count, i) =>
        range(count).map((chunk) =>
          askBlock(connections[i]!, { root, chunk, block: 0 }, Buffer.alloc(10_000), never).then(
            () => (bytes[i]! += 10_000),
            () => undefined,
          ),
        ),
      );
      while (clock.monotonicMs() < ms) {
        await clock.advance(100);
        for (let turn = 0; turn < 5; turn += 1) await new Promise((resolve) => setTimeout(resolve, 0));
      }
      const { isLimited } = await connections[0]!.call(peerCommands.queue, {});
      expect(isLimited).to.equal(true);
      for (const connection of connections) connection.destroy();
      await Promise.all(asked);
      return bytes;
    };
    const [greedy = 0, modest = 0] = await came({ limitRate: 50_000 }, 4_000);
    expect(greedy + modest).to.be.within(180_000, 220_000);
    expect(modest).to.be.within(80_000, 120_000);
    for (const bytes of await came({ linkLimitRate: 20_000 }, 5_000)) expect(bytes).to.be.within(90_000, 120_000);
    await close();
  });

  describe('under a limit', () => {
    const MIB = 1024 * 1024;
    const RATE = 100_000;
    let clock: FakeClock;
    beforeEach(() => {
      clock = new FakeClock();
    });

    /** Each step is a tenth of a second. */
    async function steps(count: number, each: () => void = () => undefined): Promise<void> {
      for (let i = 0; i < count; i += 1) {
        await clock.advance(100);
        for (let turn = 0; turn < 10; turn += 1) await new Promise(setImmediate);
        each();
      }
    }

    it('sends blocks in pieces, evenly in time, one after the other', async () => {
      const file = makeFile(3 * MIB, 1);
      const share = shareOf(file, holder('alice', [0]));
      const provider = new Provider({ shares: { find: () => share }, limitRate: RATE, clock });
      const link = connectTo(file, holder('alice', []), (end) => provider.serve('bob', end));
      const { root } = file.manifest;
      const doneAt: number[] = [];
      const answers = range(3).map(async (block) => {
        const answer = await askBlock(link.connection, { root, chunk: 0, block }, Buffer.alloc(MIB), never);
        doneAt.push(clock.monotonicMs());
        return answer;
      });
      const came: number[] = [];
      let before = 0;
      await steps(330, () => {
        came.push(link.bytesReceived() - before);
        before = link.bytesReceived();
      });
      for (const [at, answer] of (await Promise.all(answers)).entries()) {
        expect(answer).to.deep.equal(file.bytes.subarray(at * MIB, (at + 1) * MIB));
      }
      // Two pieces at most in a tenth of a second, and not long without one.
      expect(Math.max(...came.slice(1))).to.be.at.most(2 * 16_500);
      const seconds = range(31).map((at) => came.slice(at * 10, at * 10 + 10).reduce((sum, bytes) => sum + bytes, 0));
      for (const bytes of seconds.slice(1)) expect(bytes).to.be.within(RATE - 17_000, RATE + 17_000);
      for (const [at, ms] of doneAt.entries()) expect(ms).to.be.within((at + 1) * 10_000, (at + 1) * 10_600);
      link.connection.destroy();
    });

    it('stops in the middle of a block that is taken back, and spends no more on it', async () => {
      const file = makeFile(2 * MIB, 1);
      const share = shareOf(file, holder('alice', [0]));
      const provider = new Provider({ shares: { find: () => share }, limitRate: RATE, clock });
      const connection = connect(file, provider);
      const { root } = file.manifest;
      const abort = new AbortController();
      const first = refusal(askBlock(connection, { root, chunk: 0, block: 0 }, Buffer.alloc(MIB), abort.signal));
      let secondAt = 0;
      const second = askBlock(connection, { root, chunk: 0, block: 1 }, Buffer.alloc(MIB), never).then((answer) => {
        secondAt = clock.monotonicMs();
        return answer;
      });
      await steps(20);
      abort.abort();
      await steps(120);
      expect((await first).code).to.equal('CANCELLED');
      expect(await second).to.deep.equal(file.bytes.subarray(MIB));
      expect(secondAt).to.be.within(12_000, 13_000);
      connection.destroy();
    });

    it('takes other limits at once, also in the middle of a block', async () => {
      const file = makeFile(3 * MIB, 1);
      const share = shareOf(file, holder('alice', [0]));
      const provider = new Provider({ shares: { find: () => share }, limitRate: RATE, clock });
      const link = connectTo(file, holder('alice', []), (end) => provider.serve('bob', end));
      const { root } = file.manifest;
      const answers = range(3).map((block) =>
        askBlock(link.connection, { root, chunk: 0, block }, Buffer.alloc(MIB), never),
      );
      const cameIn = async (tenths: number): Promise<number> => {
        const before = link.bytesReceived();
        await steps(tenths);
        return link.bytesReceived() - before;
      };
      expect(await cameIn(30)).to.be.within(3 * RATE - 20_000, 3 * RATE + 40_000);
      provider.setLimits({ limitRate: 2 * RATE });
      expect(provider.limits).to.deep.equal({ limitRate: 2 * RATE, linkLimitRate: Infinity });
      expect(await cameIn(30)).to.be.within(6 * RATE - 40_000, 6 * RATE + 40_000);
      provider.setLimits({ linkLimitRate: RATE / 2 });
      expect(provider.limits).to.deep.equal({ limitRate: 2 * RATE, linkLimitRate: RATE / 2 });
      expect(await cameIn(30)).to.be.within(1.5 * RATE - 20_000, 1.5 * RATE + 40_000);
      provider.setLimits({ limitRate: Infinity, linkLimitRate: Infinity });
      expect(await cameIn(2)).to.be.above(1.5 * MIB);
      for (const [at, answer] of (await Promise.all(answers)).entries()) {
        expect(answer).to.deep.equal(file.bytes.subarray(at * MIB, (at + 1) * MIB));
      }
      link.connection.destroy();
    });

    it('has a slot for others while one asks for much, and refuses what would wait too long', async () => {
      const file = makeFile(MIB, 1);
      const share = shareOf(file, holder('alice', [0]));
      const provider = new Provider({ shares: { find: () => share }, limitRate: RATE, clock });
      const { root } = file.manifest;
      const links = range(SERVED_AT_ONCE).map((n) =>
        connectTo(file, holder('alice', []), (end) => provider.serve(`user${n}`, end)),
      );
      const ask = ({ connection }: (typeof links)[number]): ReturnType<typeof askBlock> =>
        askBlock(connection, { root, chunk: 0, block: 0 }, Buffer.alloc(MIB), never);
      const asked = links.flatMap((link) => range(SERVED_AT_ONCE_PER_USER).map(() => refusal(ask(link))));
      await steps(50);
      for (const link of links) expect(link.bytesReceived()).to.be.above(16_000);
      const [greedy] = links as [(typeof links)[number]];
      const codes: string[] = [];
      for (let n = 0; n < WAITING_PER_USER; n += 1) asked.push(refusal(ask(greedy)));
      for (const each of asked.slice(-SERVED_AT_ONCE_PER_USER)) void each.then(({ code }) => codes.push(code));
      await steps(1);
      expect(codes).to.include('SERVER_BUSY');
      for (const { connection } of links) connection.destroy();
      await Promise.all(asked);
    });
  });

  describe('over a real link', () => {
    afterEach(cleanUp);

    it('sends whole blocks in pieces out of buffers that are used again', async () => {
      const file = makeFile(4 * 1024 * 1024, 1);
      const { share, close } = await openShare(1, file.bytes);
      const [alice, bob] = await Promise.all([makeEnd('alice'), makeEnd('bob')]);
      const { dialled, accepted } = await linkedPair(alice, bob);
      new Provider({ shares: { find: () => share }, linkLimitRate: 10_000_000 }).serve('alice', accepted.connection);
      const { root } = file.manifest;
      const MIB = 1024 * 1024;
      const answers = await Promise.all(
        range(8).map((i) => askBlock(dialled.connection, { root, chunk: 0, block: i % 4 }, Buffer.alloc(MIB), never)),
      );
      for (const [i, answer] of answers.entries()) {
        const right = file.bytes.subarray((i % 4) * MIB, ((i % 4) + 1) * MIB);
        expect(answer?.equals(right)).to.equal(true);
      }
      await close();
    });

    it('sends blocks that are whole although its buffers are used again', async () => {
      const file = makeFile(8 * 1024 * 1024, 1);
      const { share, close } = await openShare(1, file.bytes);
      const [alice, bob] = await Promise.all([makeEnd('alice'), makeEnd('bob')]);
      const { dialled, accepted } = await linkedPair(alice, bob);
      new Provider({ shares: { find: () => share } }).serve('alice', accepted.connection);
      const { root } = file.manifest;
      const MIB = 1024 * 1024;
      const answers = await Promise.all(
        range(24).map((i) => askBlock(dialled.connection, { root, chunk: 0, block: i % 8 }, Buffer.alloc(MIB), never)),
      );
      for (const [i, answer] of answers.entries()) {
        const right = file.bytes.subarray((i % 8) * MIB, ((i % 8) + 1) * MIB);
        expect(answer?.equals(right)).to.equal(true);
      }
      await close();
    });
  });
});

describe('p2p/slots', () => {
  it('bounds what runs in all and for each user, refuses what waits too much, and forgets who gave up', async () => {
    const slots = new Slots({ total: 3, perUser: 2, waitingPerUser: 2 });
    const running: string[] = [];
    const finish: (() => void)[] = [];
    const run = (user: string, signal = never): Promise<void> =>
      slots.run(user, { signal }, async () => {
        running.push(user);
        await new Promise<void>((resolve) => finish.push(resolve));
      });
    const abort = new AbortController();
    const a = [run('a'), run('a'), run('a'), run('a', abort.signal)];
    expect((await refusal(run('a'))).code).to.equal('SERVER_BUSY');
    const b = [run('b'), run('b')];
    await new Promise(setImmediate);
    expect(running).to.deep.equal(['a', 'a', 'b']);
    abort.abort();
    expect((await refusal(a[3]!)).code).to.equal('CANCELLED');
    finish.shift()?.();
    await new Promise(setImmediate);
    expect(running.slice(3)).to.have.lengthOf(1);
    while (finish.length > 0) {
      finish.shift()?.();
      await new Promise(setImmediate);
    }
    await Promise.all([...a.slice(0, 3), ...b]);
    expect(running.sort()).to.deep.equal(['a', 'a', 'a', 'b', 'b']);
    const full = [run('a'), run('a')];
    expect((await refusal(run('a', abort.signal))).code).to.equal('CANCELLED');
    for (const done of finish) done();
    await Promise.all(full);
  });
});
