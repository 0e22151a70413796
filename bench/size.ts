/**
 * `npm run bench -- size`: whether a big file or many chunks cost more a GiB. Of a sparse file of 100 GB one chunk is moved, 4 GB;
 * `BENCH_CHUNKS_OF_100_GB` says how many of its 25.
 */
import { existsSync } from 'node:fs';
import { open, rm, truncate } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Agents, alsoNamed, scratchFolder } from './agents.js';
import { ROUNDS, median, writeRandom } from './measure.js';
import { atMostRow, costText } from './rows.js';
import type { Cost, Row } from './rows.js';

const GIB = 2 ** 30;
const MB = 1e6;
const HUGE = { file: 'huge.bin', bytes: 100e9, chunks: 25 };
/** One chunk more than is moved: neither file is finished then, which would be a pass over one of them alone. */
const SMALL = { file: 'small.bin', bytes: Math.ceil(GIB / 24) * 25, chunks: 25 };
const MOVED_OF_SMALL = Array.from({ length: 24 }, (_, chunk) => chunk);
const FEW = { file: 'few.bin', chunks: 5 };
/** Of 16 KiB each: 65,536 in a file of 1 GiB, which is the most. */
const MANY = { file: 'many.bin', chunksPerMebibyte: 64 };
/** Of few and many chunks. */
const PAIRS_A_ROUND = 3;
const MAX_GROWTH = 1.1;
const MAX_PEAK_MB = 150;

/** Fetches so many bytes of a file, to be given as a GiB. */
type Fetch = (file: string, bytes: number, target: string, chunks?: readonly number[]) => Promise<Cost>;

export async function benchSize({
  rounds = ROUNDS,
  moved = Number(process.env['BENCH_CHUNKS_OF_100_GB'] ?? 1),
  mebibytes = Number(process.env['BENCH_MIB'] ?? 1024),
} = {}): Promise<readonly Row[]> {
  const folder = await scratchFolder(existsSync('/dev/shm') ? '/dev/shm' : tmpdir());
  const agents = await Agents.start(1);
  try {
    for (const { file, bytes, chunks } of [HUGE, SMALL]) {
      const path = join(folder, file);
      await sparse(path, bytes);
      await agents.share(path, chunks);
    }
    const few = join(folder, FEW.file);
    await writeRandom(few, mebibytes);
    await agents.share(few, FEW.chunks);
    await agents.share(await alsoNamed(few, join(folder, MANY.file)), mebibytes * MANY.chunksPerMebibyte);
    await agents.settled();
    const fetch: Fetch = async (file, bytes, target, chunks) => {
      const { holders } = agents;
      const cost = await agents.download({ file, target, bytes, holders, ...(chunks && { chunks }) });
      const gib = bytes / GIB;
      return { seconds: cost.seconds / gib, cpuSeconds: cost.cpuSeconds / gib };
    };
    const peak = (): number => (Math.max(...Object.values(agents.peaks())) * 2 ** 20) / MB;
    const target = join(folder, 'fetched');
    const movedGb = (HUGE.bytes / HUGE.chunks / 1e9) * moved;
    const many = (mebibytes * MANY.chunksPerMebibyte).toLocaleString('en');
    // Of agents that have fetched nothing of many chunks yet.
    const big = await hugeAgainstSmall(fetch, target, { rounds, moved, peak });
    return [
      ratioRow(`CPU a GiB of a sparse file of 100 GB (${movedGb} GB of it moved) against one of 1 GiB`, big),
      ratioRow(`CPU a GiB of ${many} chunks against 5`, await manyAgainstFew(fetch, target, { rounds, mebibytes })),
      atMostRow(
        `peak memory of an agent, a sparse file of 100 GB (${movedGb} GB of it moved)`,
        big.peak,
        MAX_PEAK_MB,
        ' MB',
      ),
      atMostRow(`the same once ${many} chunks came as well`, peak(), MAX_PEAK_MB, ' MB'),
    ];
  } finally {
    await agents.close();
    await rm(folder, { recursive: true, force: true });
  }
}

interface Compared {
  readonly ours: readonly Cost[];
  readonly peer: readonly Cost[];
}

function ratioRow(name: string, { ours, peer }: Compared): Row {
  const cpu = (costs: readonly Cost[]): number => median(costs.map((each) => each.cpuSeconds));
  const [mine, theirs] = [`a GiB: ${costText(ours)}`, `a GiB: ${costText(peer)}`];
  return atMostRow(name, cpu(ours) / cpu(peer), MAX_GROWTH, 'x', { ours: mine, peer: theirs });
}

/** `peak`: what is asked after the first download of the huge one. */
async function hugeAgainstSmall(
  fetch: Fetch,
  target: string,
  { rounds, moved, peak }: { rounds: number; moved: number; peak: () => number },
): Promise<Compared & { readonly peak: number }> {
  const [ours, peer]: [Cost[], Cost[]] = [[], []];
  let first = 0;
  // The first is not counted: of a new agent it is dear.
  for (let round = -1; round < rounds; round++) {
    const small = `${target}-small-${round}`;
    const cost = await fetch(SMALL.file, GIB, small, MOVED_OF_SMALL);
    await dropPart(small);
    if (round < 0) continue;
    peer.push(cost);
    // What is held already is not fetched again, and a part is held until its agent ends.
    const huge = `${target}-${round}`;
    const chunks = Array.from({ length: moved }, (_, i) => (round * moved + i) % HUGE.chunks);
    ours.push(await fetch(HUGE.file, (HUGE.bytes / HUGE.chunks) * moved, huge, chunks));
    if (round === 0) first = peak();
    await dropPart(huge);
  }
  return { ours, peer, peak: first };
}

/** The order changes each time, and there are more rounds: they differ by less than two downloads of the same do. */
async function manyAgainstFew(
  fetch: Fetch,
  target: string,
  { rounds, mebibytes }: { rounds: number; mebibytes: number },
): Promise<Compared> {
  const few = { file: FEW.file, costs: [] as Cost[] };
  const many = { file: MANY.file, costs: [] as Cost[] };
  for (let round = -1; round < rounds * PAIRS_A_ROUND; round++) {
    for (const { file, costs } of round % 2 === 0 ? [few, many] : [many, few]) {
      const cost = await fetch(file, mebibytes * 2 ** 20, target);
      await rm(target);
      if (round >= 0) costs.push(cost);
    }
  }
  return { ours: many.costs, peer: few.costs };
}

async function sparse(path: string, bytes: number): Promise<void> {
  const file = await open(path, 'w');
  await file.truncate(bytes);
  await file.close();
}

/** Its agent has it open still: its space is given back first. */
async function dropPart(target: string): Promise<void> {
  await truncate(`${target}.part`);
  await rm(`${target}.part`);
}
