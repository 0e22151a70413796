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
const MAX_GROWTH = 1.1;
const MAX_PEAK_MB = 150;

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

    const target = join(folder, 'fetched');
    const fetch = async (file: string, bytes: number, chunks?: number[], to = target): Promise<Cost> => {
      const cost = await agents.download({
        file,
        target: to,
        bytes,
        holders: agents.holders,
        ...(chunks && { chunks }),
      });
      const gib = bytes / GIB;
      return { seconds: cost.seconds / gib, cpuSeconds: cost.cpuSeconds / gib };
    };
    const [huge, small, many, fewer]: [Cost[], Cost[], Cost[], Cost[]] = [[], [], [], []];
    // Of agents that have fetched nothing of many chunks yet.
    let peak = 0;
    for (let round = 0; round < rounds; round++) {
      if (round === 0) {
        await fetch(SMALL.file, GIB, MOVED_OF_SMALL, `${target}-warm`);
        await dropPart(`${target}-warm`);
      }
      const smallTarget = `${target}-small-${round}`;
      small.push(await fetch(SMALL.file, GIB, MOVED_OF_SMALL, smallTarget));
      await dropPart(smallTarget);
      const first = round * moved;
      const chunks = Array.from({ length: moved }, (_, i) => (first + i) % HUGE.chunks);
      // What is held already is not fetched again, and a part is held until its agent ends.
      const hugeTarget = `${target}-${round}`;
      huge.push(await fetch(HUGE.file, (HUGE.bytes / HUGE.chunks) * moved, chunks, hugeTarget));
      if (round === 0) peak = Math.max(...Object.values(agents.peaks()));
      await dropPart(hugeTarget);
      // As of the sparse files: the first of each kind is not counted.
      for (const { file } of round === 0 ? [FEW, MANY] : []) {
        await fetch(file, mebibytes * 2 ** 20);
        await rm(target);
      }
      fewer.push(await fetch(FEW.file, mebibytes * 2 ** 20));
      await rm(target);
      many.push(await fetch(MANY.file, mebibytes * 2 ** 20));
      await rm(target);
    }
    const ratio = (a: readonly Cost[], b: readonly Cost[]): number =>
      median(a.map((each) => each.cpuSeconds)) / median(b.map((each) => each.cpuSeconds));
    const movedGb = (HUGE.bytes / HUGE.chunks / 1e9) * moved;
    return [
      atMostRow(
        `CPU a GiB of a sparse file of 100 GB (${movedGb} GB of it moved) against one of 1 GiB`,
        ratio(huge, small),
        MAX_GROWTH,
        'x',
        {
          ours: `a GiB: ${costText(huge)}`,
          peer: `a GiB: ${costText(small)}`,
        },
      ),
      atMostRow(
        `CPU a GiB of ${(mebibytes * MANY.chunksPerMebibyte).toLocaleString('en')} chunks against 5`,
        ratio(many, fewer),
        MAX_GROWTH,
        'x',
        {
          ours: `a GiB: ${costText(many)}`,
          peer: `a GiB: ${costText(fewer)}`,
        },
      ),
      atMostRow(
        `peak memory of an agent, a sparse file of 100 GB (${movedGb} GB of it moved)`,
        (peak * 2 ** 20) / MB,
        MAX_PEAK_MB,
        ' MB',
      ),
      atMostRow(
        `the same once ${(mebibytes * MANY.chunksPerMebibyte).toLocaleString('en')} chunks came as well`,
        (Math.max(...Object.values(agents.peaks())) * 2 ** 20) / MB,
        MAX_PEAK_MB,
        ' MB',
      ),
    ];
  } finally {
    await agents.close();
    await rm(folder, { recursive: true, force: true });
  }
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
