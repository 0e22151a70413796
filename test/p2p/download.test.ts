import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { BitSet } from '../../src/chunks/bits.js';
import { openPart } from '../../src/chunks/part.js';
import { peerCommands } from '../../src/protocol/commands/peer.js';
import { deferred } from '../../src/protocol/deferred.js';
import { ParleyError } from '../../src/protocol/errors.js';
import { NO_HOLDER_GRACE_MS, NO_SERVER_GRACE_MS, download } from '../../src/p2p/download.js';
import type { DownloadProgress } from '../../src/p2p/ledger.js';
import { STALL_MS } from '../../src/p2p/holders.js';
import type { PeerLink } from '../../src/p2p/link.js';
import { Provider } from '../../src/p2p/provider.js';
import { FakeClock } from '../support/fakeclock.js';
import { refusal } from '../support/refusal.js';
import {
  answering,
  bitmapOf,
  bytesOf,
  connectTo,
  downloadFrom,
  holder,
  makeFile,
  MemoryPart,
  range,
  shareOf,
  tellHeld,
} from './swarm.js';
import type { TestHolder } from './swarm.js';

const MIB = 1024 * 1024;

/** Lets the loop turn until `done`; fails loudly instead of hanging. */
async function until(done: () => boolean, what: string): Promise<void> {
  for (let turn = 0; !done(); turn += 1) {
    if (turn > 100_000) throw new Error(`never came: ${what}`);
    await new Promise(setImmediate);
  }
}

/** Turns the clock in small steps until the promise settles; how far it went in milliseconds. */
async function turnUntilSettled(clock: FakeClock, promise: Promise<unknown>, limitMs = 120_000): Promise<number> {
  let settled = false;
  promise.then(
    () => (settled = true),
    () => (settled = true),
  );
  const begin = clock.monotonicMs();
  while (!settled) {
    if (clock.monotonicMs() - begin > limitMs) throw new Error('not settled in time');
    await clock.advance(100);
    for (let turn = 0; turn < 20; turn += 1) await new Promise(setImmediate);
  }
  return clock.monotonicMs() - begin;
}

describe('p2p/download', () => {
  it('fetches from several holders at once, and every byte is right', async () => {
    const file = makeFile(6 * MIB + 12_345, 3);
    const holders = ['a', 'b', 'c'].map((user) => holder(user, range(3)));
    const { part, announced, result, reports } = downloadFrom(file, holders);
    const { chunks, sources } = await result;
    expect(part.bytes.equals(file.bytes)).to.equal(true);
    expect(chunks.numbers()).to.deep.equal([0, 1, 2]);
    expect(announced.sort()).to.deep.equal([0, 1, 2]);
    expect(sources.reduce((sum, { bytes }) => sum + bytes, 0)).to.equal(file.bytes.length);
    expect(sources.map(({ user }) => user).sort()).to.deep.equal(['a', 'b', 'c']);
    expect(reports).to.deep.equal([]);
    for (const { ends } of holders) for (const end of ends) await end.closed;
  });

  it('fetches only the chunks that are wanted, and nothing that is there', async () => {
    const file = makeFile(40_000, 10);
    const from = holder('a', range(10));
    const first = downloadFrom(file, [from], { chunks: BitSet.from([2, 5], 10) });
    expect((await first.result).chunks.numbers()).to.deep.equal([2, 5]);
    expect(bytesOf(file, first.part.bytes, [2, 5])).to.deep.equal(bytesOf(file, file.bytes, [2, 5]));
    expect(from.served).to.equal(2);
    const again = downloadFrom(file, [from], { chunks: BitSet.from([2, 5, 6], 10), part: first.part });
    expect((await again.result).chunks.numbers()).to.deep.equal([6]);
    expect(from.served).to.equal(3);
    const none = downloadFrom(file, [], { chunks: BitSet.from([2], 10), part: first.part });
    expect((await none.result).chunks.count).to.equal(0);
  });

  it('handles an empty file, files of one byte, and chunks of one byte', async () => {
    for (const [size, chunks] of [
      [0, 1],
      [1, 1],
      [200, 200],
      [MIB + 1, 1],
    ] as const) {
      const file = makeFile(size, chunks);
      const { part, result } = downloadFrom(file, [holder('a', range(chunks))]);
      await result;
      expect(part.bytes.equals(file.bytes), `${size} bytes`).to.equal(true);
    }
  });

  it('takes each chunk from where it is', async () => {
    const file = makeFile(40_000, 4);
    const { part, result } = downloadFrom(file, [holder('a', [0, 1]), holder('b', [2]), holder('c', [3])]);
    const { sources } = await result;
    expect(part.bytes.equals(file.bytes)).to.equal(true);
    expect(sources.map(({ bytes }) => bytes)).to.deep.equal([20_000, 10_000, 10_000]);
  });

  it('asks whoever is linked to first for what the others are not said to have', async () => {
    const file = makeFile(8 * MIB, 8);
    const isAsked = deferred<number>();
    const holders = [
      holder('slow', range(8), { beforeRead: (block) => isAsked.resolve(block) }),
      holder(
        'fast',
        range(8).filter((chunk) => chunk !== 5),
      ),
    ];
    const { part, result } = downloadFrom(file, holders, {
      random: () => 0,
      connect: async (user) => {
        if (user === 'fast') await isAsked.promise;
        return connectTo(
          file,
          holders.find((each) => each.user === user)!,
        );
      },
    });
    expect(await isAsked.promise).to.equal(5);
    await result;
    expect(part.bytes.equals(file.bytes)).to.equal(true);
  });

  it('asks no more holders at once than it may, and still gets what only others have', async () => {
    const file = makeFile(40_000, 4);
    const links: Pick<PeerLink, 'connection' | 'bytesReceived'>[] = [];
    let most = 0;
    const holders = range(4).map((i) => holder(`h${i}`, [i]));
    const { part, result } = downloadFrom(file, holders, {
      jobs: 2,
      connect: (user) => {
        links.push(
          connectTo(
            file,
            holders.find((each) => each.user === user)!,
          ),
        );
        most = Math.max(most, links.filter(({ connection }) => connection.isOpen).length);
        return Promise.resolve(links.at(-1)!);
      },
    });
    await result;
    expect(part.bytes.equals(file.bytes)).to.equal(true);
    expect(most).to.equal(2);
  });

  it('writes into a real .part that finishes as the file', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'parley-download-'));
    try {
      const file = makeFile(3 * MIB, 2);
      const target = join(folder, 'a.bin');
      const part = await openPart({ target, manifest: file.manifest });
      const from = holder('a', [0, 1]);
      await download({
        file: 'a.bin',
        manifest: file.manifest,
        part,
        chunks: BitSet.full(2),
        locate: () => Promise.resolve([{ user: 'a', bitmap: bitmapOf([0, 1], 2).toString('base64') }]),
        connect: () => Promise.resolve(connectTo(file, from)),
      });
      await part.finish();
      await part.close();
      expect((await readFile(target)).equals(file.bytes)).to.equal(true);
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it('tells how far it is', async () => {
    const file = makeFile(5 * MIB, 5);
    const seen: DownloadProgress[] = [];
    const { result } = downloadFrom(file, [holder('a', range(5))], { onProgress: (each) => seen.push(each) });
    await result;
    const last = seen.at(-1);
    expect(last).to.deep.include({ sizeBytes: 5 * MIB, bytes: 5 * MIB, secondsLeft: 0 });
    expect(last?.sources.map(({ user, bytes }) => ({ user, bytes }))).to.deep.equal([{ user: 'a', bytes: 5 * MIB }]);
    expect(seen[0]?.bytes).to.be.lessThan(5 * MIB);
  });

  it('keeps to its rate', async () => {
    const file = makeFile(400_000, 40);
    const clock = new FakeClock();
    const { result } = downloadFrom(file, [holder('a', range(40))], { limitRate: 50_000, clock });
    const tookMs = await turnUntilSettled(clock, result);
    expect(tookMs).to.be.within(6_000, 9_000);
    await result;
  });
});

describe('p2p/download and blame (R14)', () => {
  const lies: Record<string, Partial<TestHolder>> = {
    'spoils blocks': { spoil: (_block, bytes) => bytes.writeUInt8(bytes.readUInt8(0) ^ 1, 0) },
    'spoils some blocks only': { spoil: (block, bytes) => block % 2 === 1 && bytes.fill(0) },
    'sends wrong digests': { digests: (_chunk, digests) => Buffer.alloc(digests.length, 7) },
    'sends too few digests': { digests: (_chunk, digests) => digests.subarray(32) },
  };
  for (const [what, lie] of Object.entries(lies)) {
    it(`drops a holder who ${what}`, async () => {
      const file = makeFile(2 * MIB + 70_000, 1, 3);
      const liar = holder('liar', [0], lie);
      const honest = holder('honest', [0]);
      const { part, result, reports } = downloadFrom(file, [liar, honest]);
      await result;
      expect(part.bytes.equals(file.bytes)).to.equal(true);
      expect(reports.filter((each) => !each.startsWith('liar'))).to.deep.equal([]);
      expect(liar.ends.length).to.equal(1);
    });
  }

  it('drops a holder who sends too many bytes, or too few, or another block', async () => {
    const file = makeFile(300_000, 3);
    for (const extra of [1, -1, MIB]) {
      const serve = answering(peerCommands, async (spec, _params, call) => {
        if (spec.name === 'watchHeld') return tellHeld(file, range(3), call);
        await call.write(Buffer.alloc(Math.min(MIB, 100_000 + extra)));
        if (extra === MIB) await call.write(Buffer.alloc(MIB));
        return {};
      });
      const liar = holder('liar', range(3));
      const honest = holder('honest', range(3), { beforeRead: () => new Promise((resolve) => setTimeout(resolve, 5)) });
      const { part, result, reports } = downloadFrom(file, [liar, honest], {
        connect: (user) =>
          Promise.resolve(connectTo(file, user === 'liar' ? liar : honest, user === 'liar' ? serve : undefined)),
      });
      await result;
      expect(part.bytes.equals(file.bytes)).to.equal(true);
      expect(reports).to.deep.equal(['liar HASH_MISMATCH']);
    }
  });

  it('asks a holder whose chunk is gone for the others, and does not believe it again', async () => {
    const file = makeFile(40_000, 4);
    const some = holder('some', [0, 1], { claims: range(4) });
    const rest = holder('rest', [2, 3]);
    const { part, result, reports } = downloadFrom(file, [some, rest]);
    await result;
    expect(part.bytes.equals(file.bytes)).to.equal(true);
    expect(reports.every((each) => each === 'some CHUNK_GONE')).to.equal(true);
    expect(reports.length).to.be.at.most(2);
  });

  it('keeps what is good of a run of small blocks, and asks others for the bad one only', async () => {
    const file = makeFile(640_000, 640);
    const spoil = (block: number, bytes: Buffer): void => {
      if (liar.served > 600) bytes.writeUInt8(bytes.readUInt8(0) ^ 1, 0);
      bad ??= liar.served > 600 ? block : undefined;
    };
    let bad: number | undefined;
    const liar: TestHolder = holder('liar', range(640), { spoil });
    const honest = holder('honest', range(640), { unreachable: true });
    const { part, result, reports } = downloadFrom(file, [liar, honest]);
    while (reports.length === 0) await new Promise(setImmediate);
    expect(reports).to.deep.equal(['liar HASH_MISMATCH']);
    expect(part.held.size).to.equal(600);
    expect(bad === undefined || part.has(bad)).to.equal(false);
    honest.unreachable = false;
    const { sources } = await result;
    expect(part.bytes.equals(file.bytes)).to.equal(true);
    expect(sources).to.deep.include({ user: 'honest', bytes: 40_000 });
  });

  it('takes back what else it asked for together with a block that is not right, and keeps what came before', async () => {
    const file = makeFile(16 * MIB, 1);
    // By then it is asked for four blocks at a time: the second of them is wrong.
    const spoil = (block: number, bytes: Buffer): void => {
      if (liar.served > 8 && block % 4 === 2) bytes.writeUInt8(bytes.readUInt8(0) ^ 1, 0);
    };
    const liar: TestHolder = holder('liar', [0], { spoil });
    const honest = holder('honest', [0], { unreachable: true });
    const { part, result, reports } = downloadFrom(file, [liar, honest]);
    while (reports.length === 0) await new Promise(setImmediate);
    expect(reports).to.deep.equal(['liar HASH_MISMATCH']);
    const [lie] = range(16).filter((block) => block % 4 === 2 && !part.has(block));
    expect(lie).to.not.equal(undefined);
    expect(part.held.size).to.be.at.least(8);
    honest.unreachable = false;
    const { sources } = await result;
    expect(part.bytes.equals(file.bytes)).to.equal(true);
    const kept = sources.find(({ user }) => user === 'liar')?.bytes ?? 0;
    expect(kept + (sources.find(({ user }) => user === 'honest')?.bytes ?? 0)).to.equal(16 * MIB);
    expect(kept).to.be.at.least(8 * MIB);
  });

  it('keeps what came of a request that is refused in its middle, or whose link breaks there', async () => {
    const file = makeFile(32 * MIB, 1);
    for (const end of ['refused', 'lost'] as const) {
      const breaking: TestHolder = holder('breaking', [0]);
      let hasEnded = false;
      const serve = answering(peerCommands, async (spec, params, call) => {
        if (spec.name === 'watchHeld') return tellHeld(file, [0], call);
        if (spec.name === 'blockDigests') {
          await call.write(file.blockDigests);
          return {};
        }
        const { block, count = 1 } = params as { block: number; count?: number };
        for (let at = block; at < block + count; at += 1) {
          if (at === block + 2) {
            hasEnded = true;
            if (end === 'refused') throw new ParleyError('SERVER_BUSY');
            // What was written is on its way: it comes before the end.
            await new Promise(setImmediate);
            breaking.ends.at(-1)?.destroy();
          }
          await call.write(file.bytes.subarray(at * MIB, (at + 1) * MIB));
        }
        return {};
      });
      const again = deferred<void>();
      const { part, result, reports } = downloadFrom(file, [breaking], {
        connect: async () => {
          if (!hasEnded) return connectTo(file, breaking, serve);
          await again.promise;
          return connectTo(file, breaking);
        },
      });
      while (!hasEnded) await new Promise(setImmediate);
      // One block of the first request, two of the second, and two of the third, which was for more.
      await until(() => part.held.size >= 5, 'what came');
      if (end === 'refused') for (const each of breaking.ends) each.destroy();
      again.resolve();
      await result;
      expect(part.bytes.equals(file.bytes)).to.equal(true);
      expect(reports).to.deep.equal([]);
    }
  });

  it('goes on asking a holder for the rest of a run of which it has lost a block', async () => {
    const file = makeFile(640_000, 640);
    const has = range(640).filter((chunk) => chunk !== 100);
    const some = holder('some', has, { claims: range(640) });
    const rest = holder('rest', [100]);
    const { part, result, reports } = downloadFrom(file, [some, rest]);
    const { sources } = await result;
    expect(part.bytes.equals(file.bytes)).to.equal(true);
    expect(reports.length).to.be.at.most(1);
    expect(sources).to.have.deep.members([
      { user: 'some', bytes: 639_000 },
      { user: 'rest', bytes: 1_000 },
    ]);
  });

  it('with 3 liars of 8: no wrong byte, one wasted block a liar, and no honest one is blamed, 150 times', async () => {
    for (let run = 0; run < 150; run += 1) {
      const chunks = 1 + (run % 7);
      const file = makeFile(60_000 + run * 331, chunks, run);
      const bad = new Map<string, number>();
      const holders = range(8).map((i) => {
        const user = `h${i}`;
        if ((i * 3 + run) % 8 >= 3) return holder(user, range(chunks));
        const spoil = (block: number, bytes: Buffer): void => {
          if ((block + run) % 3 === 0 && run % 2 === 0) return; // Some lie only now and then.
          bytes.writeUInt8(bytes.readUInt8(bytes.length - 1) ^ (1 + (run % 255)), bytes.length - 1);
          bad.set(user, (bad.get(user) ?? 0) + 1);
        };
        return holder(user, range(chunks), { spoil });
      });
      const { part, result, reports } = downloadFrom(file, holders);
      const { sources } = await result;
      expect(part.bytes.equals(file.bytes), `run ${run}`).to.equal(true);
      const blamed = reports.map((report) => report.split(' ')[0]!);
      expect(new Set(blamed).size, 'blamed once').to.equal(blamed.length);
      for (const user of blamed) expect(bad.has(user), `${user} lied`).to.equal(true);
      expect(sources.reduce((sum, { bytes }) => sum + bytes, 0)).to.equal(file.bytes.length);
    }
  });
});

describe('p2p/download when holders fail', () => {
  it('goes on with others when a link breaks in the middle of a block', async () => {
    const file = makeFile(4 * MIB, 2);
    const never = new Promise<void>(() => undefined);
    const vanishing = holder('vanishing', [0, 1], { beforeRead: () => never });
    const steady = holder('steady', [0, 1], { unreachable: true });
    const { part, result } = downloadFrom(file, [vanishing, steady]);
    await until(() => vanishing.ends.length > 0, 'a link');
    steady.unreachable = false;
    vanishing.chunks.clear();
    for (const end of vanishing.ends) end.destroy();
    const { sources } = await result;
    expect(part.bytes.equals(file.bytes)).to.equal(true);
    expect(sources).to.deep.equal([{ user: 'steady', bytes: 4 * MIB }]);
  });

  it('takes the blocks of a frozen holder elsewhere within 5 s, while there is much else to do (R25)', async () => {
    const file = makeFile(8_000_000, 400);
    const clock = new FakeClock();
    let askedOfFrozen: number | undefined;
    const frozen = holder('frozen', range(400), {
      beforeRead: (block) => {
        askedOfFrozen ??= block;
        return new Promise<void>(() => undefined);
      },
    });
    const delay = (): Promise<void> => new Promise((resolve) => void clock.after(100, resolve));
    const steady = holder('steady', range(400), { beforeRead: delay });
    const { part, result } = downloadFrom(file, [frozen, steady], { clock });
    while (clock.monotonicMs() < 5_000) {
      await clock.advance(100);
      for (let turn = 0; turn < 20; turn += 1) await new Promise(setImmediate);
    }
    expect(askedOfFrozen).not.to.equal(undefined);
    expect(part.has(askedOfFrozen!)).to.equal(true);
    expect(part.held.size).to.be.lessThan(300);
    await turnUntilSettled(clock, result);
    expect((await result).sources.map(({ user }) => user)).to.deep.equal(['steady']);
  });

  it('keeps its links with holders that limit what they send, however long they keep it waiting', async () => {
    const file = makeFile(160_000, 8);
    const clock = new FakeClock();
    const holders = ['one', 'other'].map((user) => holder(user, range(8)));
    const { part, result } = downloadFrom(file, holders, {
      clock,
      connect: (user) => {
        const to = holders.find((each) => each.user === user)!;
        const shares = { find: () => shareOf(file, to) };
        // 4 s for each piece of a block: longer than the silence after which a link is looked at.
        const provider = new Provider({ shares, limitRate: 4_000, clock });
        return Promise.resolve(connectTo(file, to, (end) => provider.serve('me', end), { clock }));
      },
    });
    expect(await turnUntilSettled(clock, result)).to.be.within(9_000, 25_000);
    expect(part.bytes.equals(file.bytes)).to.equal(true);
    expect(holders.map(({ ends }) => ends.length)).to.deep.equal([1, 1]);
  });

  it('overtakes a frozen holder at the end, long before it is given up', async () => {
    const file = makeFile(4 * MIB, 2);
    const clock = new FakeClock();
    const frozen = holder('frozen', [0, 1], { beforeRead: () => new Promise<void>(() => undefined) });
    const { part, result } = downloadFrom(file, [frozen, holder('steady', [0, 1])], { clock });
    expect(await turnUntilSettled(clock, result)).to.be.lessThan(STALL_MS / 2);
    expect(part.bytes.equals(file.bytes)).to.equal(true);
    await result;
  });

  it('takes the blocks of a holder that crawls elsewhere within 5 s, but keeps it when nobody else has them', async () => {
    for (const others of [[holder('steady', [0, 1])], []]) {
      const file = makeFile(2 * MIB, 2);
      const clock = new FakeClock();
      let crawling = true;
      const crawl = answering(peerCommands, async (spec, _params, call) => {
        if (spec.name === 'watchHeld') return tellHeld(file, [0, 1], call);
        const { chunk } = _params as { chunk: number };
        const all = bytesOf(file, file.bytes, [chunk]);
        let at = 0;
        while (crawling && !call.signal.aborted && at < 1000) {
          await call.write(all.subarray(at, at + 1));
          at += 1;
          await new Promise<void>((resolve) => void clock.after(1_000, resolve));
        }
        await call.write(all.subarray(at));
        return {};
      });
      const slow = holder('slow', [0, 1]);
      const holders = [slow, ...others];
      const { part, result } = downloadFrom(file, holders, {
        clock,
        connect: (user) =>
          Promise.resolve(user === 'slow' ? connectTo(file, slow, crawl) : connectTo(file, others[0]!)),
      });
      if (others.length > 0) {
        expect(await turnUntilSettled(clock, result)).to.be.at.most(5_000);
      } else {
        for (let i = 0; i < 200; i += 1) await clock.advance(100);
        expect(slow.wires.length).to.equal(1); // 20 s later it is still the same link.
        crawling = false;
        await turnUntilSettled(clock, result);
      }
      await result;
      expect(part.bytes.equals(file.bytes)).to.equal(true);
    }
  });

  it('uses holders and chunks that are announced while it runs, with and without the server', async () => {
    const file = makeFile(40_000, 4);
    const clock = new FakeClock();
    const early = holder('early', [0]);
    const late = holder('late', []);
    let serverAway = false;
    const { part, result } = downloadFrom(file, [early, late], {
      clock,
      locate: () => {
        if (serverAway) return Promise.reject(new ParleyError('SERVER_UNREACHABLE', { server: 's', reason: 'down' }));
        return Promise.resolve(
          [early, late]
            .filter(({ chunks }) => chunks.size > 0)
            .map(({ user, chunks }) => ({ user, bitmap: bitmapOf(chunks, 4).toString('base64') })),
        );
      },
    });
    await clock.advance(1_000);
    expect(part.held.size).to.equal(1);
    late.chunks.add(1).add(2);
    await clock.advance(2_000);
    await until(() => part.held.size === 3, 'the chunks of a new holder');
    serverAway = true;
    early.chunks.add(3); // Told over the standing link only.
    await turnUntilSettled(clock, result);
    await result;
    expect(part.bytes.equals(file.bytes)).to.equal(true);
  });

  it('says exactly which chunks nobody has, once it has all others', async () => {
    const file = makeFile(100_000, 10);
    const clock = new FakeClock();
    const { part, result, announced } = downloadFrom(file, [holder('a', [0, 1, 2]), holder('b', [5])], { clock });
    const tookMs = await turnUntilSettled(clock, result);
    const error = await refusal(result);
    expect(error.code).to.equal('NO_HOLDER');
    expect(error.message).to.equal(
      'nobody who can be reached holds chunks 3-4, 6-9 of a.bin; try again when a holder is back',
    );
    expect(error.details['chunks']).to.deep.equal([3, 4, 6, 7, 8, 9]);
    expect(announced.sort()).to.deep.equal([0, 1, 2, 5]);
    expect(part.held.size).to.equal(4);
    expect(tookMs).to.be.within(NO_HOLDER_GRACE_MS - 500, NO_HOLDER_GRACE_MS + 2_000);
  });

  it('gives up on holders that cannot be reached, and names them', async () => {
    const file = makeFile(100, 1);
    const clock = new FakeClock();
    const { result } = downloadFrom(file, [holder('a', [0], { unreachable: true })], { clock });
    await turnUntilSettled(clock, result);
    const error = await refusal(result);
    expect(error.code).to.equal('NO_HOLDER');
    expect(error.details['failed']).to.deep.equal(['a PEER_UNREACHABLE']);
    expect(error.message).to.equal(
      'nobody who can be reached holds chunk 0 of a.bin (a could not be reached: refused); try again when a holder is back',
    );
  });

  it('does not name holders that have nothing of what is missing, or could be had from after all', async () => {
    const file = makeFile(30_000, 3);
    const clock = new FakeClock();
    const [gone, late] = [holder('gone', [0], { unreachable: true }), holder('late', [0, 1], { unreachable: true })];
    const { part, result } = downloadFrom(file, [gone, late, holder('liar', [2], { spoil: (_, b) => b.fill(0) })], {
      clock,
    });
    await clock.advance(500);
    late.unreachable = false;
    await turnUntilSettled(clock, result);
    const error = await refusal(result);
    expect([...part.held].sort()).to.deep.equal([0, 1]);
    expect(error.details['failed']).to.deep.equal(['liar HASH_MISMATCH']);
    expect(error.message).to.contain('holds chunk 2 of a.bin (liar sent other bytes);');
  });

  it('waits longer for a server that is away, then says so', async () => {
    const file = makeFile(100, 1);
    const clock = new FakeClock();
    const away = new ParleyError('SERVER_UNREACHABLE', { server: 's', reason: 'down' });
    const { result } = downloadFrom(file, [], { clock, locate: () => Promise.reject(away) });
    const tookMs = await turnUntilSettled(clock, result);
    expect((await refusal(result)).code).to.equal('SERVER_UNREACHABLE');
    expect(tookMs).to.be.within(NO_SERVER_GRACE_MS - 1_000, NO_SERVER_GRACE_MS + 2_000);
  });

  it('pauses for a holder without a free slot', async () => {
    const file = makeFile(30_000, 3);
    const clock = new FakeClock();
    let refusals = 8;
    const from = holder('a', range(3), {
      beforeRead: () => {
        if (refusals-- > 0) throw new ParleyError('SERVER_BUSY');
      },
    });
    const { part, result, reports } = downloadFrom(file, [from], { clock });
    await turnUntilSettled(clock, result);
    await result;
    expect(part.bytes.equals(file.bytes)).to.equal(true);
    expect(from.ends.length).to.equal(1);
    expect(reports).to.deep.equal([]);
  });

  it('stops at once when told to, with nothing under way and every written block kept', async () => {
    const file = makeFile(8 * MIB, 8);
    const abort = new AbortController();
    const from = holder('a', range(8));
    const part = new MemoryPart(file);
    part.beforeWrite = () => {
      if (part.held.size === 3) abort.abort();
    };
    const { result } = downloadFrom(file, [from], { signal: abort.signal, part });
    expect((await refusal(result)).code).to.equal('CANCELLED');
    const held = part.held.size;
    for (const end of from.ends) await end.closed;
    await new Promise(setImmediate);
    expect(part.held.size).to.equal(held);
    await downloadFrom(file, [from], { part }).result;
    expect(part.bytes.equals(file.bytes)).to.equal(true);
    expect((await refusal(downloadFrom(file, [from], { signal: abort.signal }).result)).code).to.equal('CANCELLED');
  });

  it('ends with what the disk says when a block cannot be written', async () => {
    const file = makeFile(3 * MIB, 3);
    const part = new MemoryPart(file);
    part.beforeWrite = () => {
      if (part.held.size > 0) throw new ParleyError('DISK_FULL', { path: 'a.bin.part', reason: 'no space' });
    };
    const { result, reports } = downloadFrom(file, [holder('a', range(3))], { part });
    expect((await refusal(result)).code).to.equal('DISK_FULL');
    expect(reports).to.deep.equal([]);
  });
});
