/** Holders who lie, against real `.part` files: what takes the file's name is right, and who lied is known by one block. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { BitSet } from '../../src/chunks/bits.js';
import { openPart } from '../../src/chunks/part.js';
import { download } from '../../src/p2p/download.js';
import type { HolderLink } from '../../src/p2p/link.js';
import { bitmapOf, connectTo, holder, makeFile, range } from './swarm.js';
import type { TestFile, TestHolder } from './swarm.js';

const MIB = 1024 * 1024;
const RUNS = 100;
const HOLDERS = 8;
const LIARS = 3;
/** Blocks that are asked of a holder after two good ones. */
const MOST_ASKED = 4 * 3;
/** Bytes of a link that are no block: hello, bitmaps, block digests, headers. */
const MAX_OVERHEAD = 4 * 1024;
/** Blocks of 1 MiB in one chunk and in several, and chunks of one block of 20 kB. */
const FILES = [makeFile(2 * MIB + 777, 1, 1), makeFile(3 * MIB + 12_345, 2, 2), makeFile(800_000, 40, 3)] as const;

interface Outcome {
  readonly bytes: Buffer;
  readonly reports: readonly string[];
  /** By user: what came over the links and is no good block. */
  readonly wasted: ReadonlyMap<string, number>;
}

/** Downloads into a real `.part`, finishes it, and reads what is under the name then. */
async function fetchFinished(file: TestFile, holders: readonly TestHolder[], target: string): Promise<Outcome> {
  const part = await openPart({ target, manifest: file.manifest });
  const links = new Map<string, HolderLink[]>();
  const reports: string[] = [];
  try {
    const { sources } = await download({
      file: file.name,
      manifest: file.manifest,
      part,
      chunks: BitSet.full(file.plan.chunks),
      locate: () =>
        Promise.resolve(
          holders.map(({ user, chunks }) => ({ user, bitmap: bitmapOf(chunks, file.plan.chunks).toString('base64') })),
        ),
      connect: (user) => {
        const link = connectTo(
          file,
          holders.find((each) => each.user === user)!,
        );
        links.set(user, [...(links.get(user) ?? []), link]);
        return Promise.resolve(link);
      },
      onReport: (user, _chunk, code) => reports.push(`${user} ${code}`),
    });
    await part.finish();
    const good = new Map(sources.map(({ user, bytes }) => [user, bytes]));
    const wasted = [...links].map(([user, theirs]): [string, number] => {
      const came = theirs.reduce((sum, each) => sum + each.bytesReceived(), 0);
      return [user, came - (good.get(user) ?? 0)];
    });
    return { bytes: await readFile(target), reports, wasted: new Map(wasted) };
  } finally {
    await part.close();
  }
}

describe('p2p/download with 3 liars of 8, into real files', () => {
  let folder: string;
  beforeEach(async () => (folder = await mkdtemp(join(tmpdir(), 'parley-liars-'))));
  afterEach(() => rm(folder, { recursive: true, force: true }));

  it(`finishes with no wrong byte, and each liar wastes at most one block, ${RUNS} times`, async function () {
    this.timeout(60_000);
    let caught = 0;
    for (let run = 0; run < RUNS; run += 1) {
      const file = FILES[run % FILES.length]!;
      const liars = new Set(range(LIARS).map((i) => `h${(run + i * 3) % HOLDERS}`));
      const holders = range(HOLDERS).map((i) => {
        const user = `h${i}`;
        return holder(
          user,
          range(file.plan.chunks),
          liars.has(user) ? { spoil: (_block, bytes) => flip(bytes, run) } : {},
        );
      });
      const { bytes, reports, wasted } = await fetchFinished(file, holders, join(folder, `${run}.bin`));
      expect(bytes.equals(file.bytes), `run ${run}`).to.equal(true);
      expect(new Set(reports).size, `run ${run}: reported once each`).to.equal(reports.length);
      for (const report of reports) {
        const [user, code] = report.split(' ');
        expect(liars.has(user!), `run ${run}: ${report}`).to.equal(true);
        expect(code).to.equal('HASH_MISMATCH');
      }
      const block = Math.min(MIB, file.plan.shortChunkBytes + 1);
      for (const user of liars) {
        expect(wasted.get(user) ?? 0, `run ${run}: ${user}`).to.be.at.most(block + MAX_OVERHEAD);
      }
      caught += reports.length;
      await rm(join(folder, `${run}.bin`));
    }
    // Whoever was asked was caught; most are asked.
    expect(caught).to.be.at.least(RUNS);
  });

  it('reports who lies after good blocks by the first bad one, once, and never asks it again', async function () {
    this.timeout(60_000);
    const file = FILES[2];
    let caught = 0;
    let most = 0;
    for (let run = 0; run < 10; run += 1) {
      const served = new Map<string, number>();
      const holders = range(HOLDERS).map((i) => {
        const user = `h${i}`;
        const spoil = (_block: number, bytes: Buffer): void => {
          const before = served.get(user) ?? 0;
          served.set(user, before + 1);
          if (before >= 2) flip(bytes, run);
        };
        return holder(user, range(file.plan.chunks), i < LIARS ? { spoil } : {});
      });
      const { bytes, reports, wasted } = await fetchFinished(file, holders, join(folder, `${run}.bin`));
      expect(bytes.equals(file.bytes), `run ${run}`).to.equal(true);
      expect(new Set(reports).size, `run ${run}: reported once each`).to.equal(reports.length);
      for (const report of reports) expect(report).to.match(/^h[0-2] HASH_MISMATCH$/);
      for (const { user, ends } of holders.slice(0, LIARS)) expect(ends.length, user).to.be.at.most(1);
      for (const user of ['h0', 'h1', 'h2']) most = Math.max(most, wasted.get(user) ?? 0);
      caught += reports.length;
    }
    // What was on its way from it when the first bad block came is lost, and no more: two good ones are worth four requests for three each.
    expect(most).to.be.at.most(MOST_ASKED * (file.plan.shortChunkBytes + 1) + MAX_OVERHEAD);
    expect(caught).to.be.at.least(10);
  });
});

function flip(bytes: Buffer, run: number): void {
  const at = (run * 7919) % bytes.length;
  bytes.writeUInt8(bytes.readUInt8(at) ^ (1 + (run % 255)), at);
}
