/**
 * `npm run bench -- folder`: a folder of 10,000 files, 1 GiB in all, against one file of that size, each time onto fresh files: until it
 * has its name, and until it is registered. `BENCH_ROUNDS` and `BENCH_MIB` shorten it.
 */
import { randomFillSync } from 'node:crypto';
import { closeSync, mkdirSync, openSync, readdirSync, readFileSync, statSync, truncateSync, writeSync } from 'node:fs';
import { mkdir, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createHasher } from '../src/chunks/digest.js';
import { agentCommands } from '../src/protocol/commands/agent.js';
import { serverCommands } from '../src/protocol/commands/server.js';
import { Agents, scratchFolder } from './agents.js';
import { ROUNDS, command, median, writeRandom } from './measure.js';
import { costOf } from './proc.js';
import { atMostRow, costText } from './rows.js';
import type { Cost, Row } from './rows.js';

const FILES = 10_000;
const FOLDERS = 100;
const CHUNKS = 20;
const MAX_RATIO = 2;
const ONE = 'one.bin';
const MANY = 'many';

type Name = typeof ONE | typeof MANY;
type Costs = Record<Name, Cost[]>;

export async function benchFolder({
  mebibytes = Number(process.env['BENCH_MIB'] ?? 1024),
  rounds = ROUNDS,
} = {}): Promise<readonly Row[]> {
  const folder = await scratchFolder(tmpdir());
  const agents = await Agents.start(1);
  try {
    const originals = join(folder, 'originals');
    await mkdir(originals);
    await writeRandom(join(originals, ONE), mebibytes);
    const bytes = makeFolder(join(originals, MANY), mebibytes);
    await command('sync', []);
    const registered: Costs = { [ONE]: [], [MANY]: [] };
    for (let round = 0; round <= rounds; round++) {
      for (const name of [ONE, MANY] as const) {
        const cost = await register(agents, join(originals, name), round < rounds);
        if (round > 0) registered[name].push(cost);
      }
    }
    await agents.settled();

    const wanted = { [ONE]: digestOf(join(originals, ONE)), [MANY]: digestOf(join(originals, MANY)) };
    const fetched: Costs = { [ONE]: [], [MANY]: [] };
    let wrong = 0;
    for (let round = 0; round <= rounds; round++) {
      for (const name of [ONE, MANY] as const) {
        const target = join(folder, name);
        const cost = await agents.download({ file: name, target, bytes, holders: agents.holders });
        if (round > 0) fetched[name].push(cost);
        const aside = join(folder, `${round} ${name}`);
        await rename(target, aside);
        if (digestOf(aside) !== wanted[name]) wrong += 1;
        emptyAll(aside);
        // What the disk put off would be counted as the next one's.
        await command('sync', []);
      }
    }
    return rowsOf(registered, fetched, wrong, mebibytes);
  } finally {
    await agents.close();
    await rm(folder, { recursive: true, force: true });
  }
}

/** Files of different sizes around the mean, in folders; how many bytes they have in all. */
function makeFolder(path: string, mebibytes: number): number {
  const mean = Math.floor((mebibytes * 1024 * 1024) / FILES);
  const bytes = Buffer.alloc(2 * mean);
  let sum = 0;
  for (let folder = 0; folder < FOLDERS; folder++) mkdirSync(join(path, `folder ${folder}`), { recursive: true });
  for (let i = 0; i < FILES; i++) {
    const file = openSync(join(path, `folder ${i % FOLDERS}`, `file ${i}.bin`), 'wx');
    sum += writeSync(file, randomFillSync(bytes.subarray(0, 1 + ((i * 7919) % (2 * mean - 1)))));
    closeSync(file);
  }
  return sum;
}

async function register(agents: Agents, path: string, again: boolean): Promise<Cost> {
  const { face, pid } = agents.holders[0] ?? agents.downloader;
  const cost = await costOf([pid], () => face.call(agentCommands.register, { path, chunks: CHUNKS }));
  if (again) await face.call(serverCommands.unregister, { file: path.endsWith(ONE) ? ONE : MANY });
  return cost;
}

/** All below a path, in one order. */
function filesAt(path: string): string[] {
  if (statSync(path).isFile()) return [path];
  const names = readdirSync(path, { recursive: true, encoding: 'utf8' }).sort();
  return names.map((name) => join(path, name));
}

/** A digest of all names and bytes. */
function digestOf(path: string): string {
  const hasher = createHasher();
  for (const each of filesAt(path)) {
    hasher.update(Buffer.from(`${each.slice(path.length)}\n`));
    hasher.update(statSync(each).isFile() ? readFileSync(each) : Buffer.from('a folder'));
  }
  return hasher.digest().toString('hex');
}

/** Gives the space back. Removed, they would slow the next round down: ext4 goes round inodes that were in use a minute ago. */
function emptyAll(path: string): void {
  for (const each of filesAt(path)) if (statSync(each).isFile()) truncateSync(each);
}

function rowsOf(registered: Costs, fetched: Costs, wrong: number, mebibytes: number): readonly Row[] {
  const what = `a folder of ${FILES.toLocaleString('en')} files, ${mebibytes} MiB in all, against one file of that size`;
  const gib = mebibytes / 1024;
  const figures = (costs: Costs): Partial<Row> => ({
    ours: costText(costs[MANY], gib),
    peer: costText(costs[ONE], gib),
  });
  const ratio = (costs: Costs): number => {
    const [many, one] = [costs[MANY], costs[ONE]].map((each) => median(each.map(({ seconds }) => seconds)));
    return (many ?? NaN) / (one ?? NaN);
  };
  return [
    atMostRow(`download ${what}: time`, ratio(fetched), MAX_RATIO, 'x', figures(fetched)),
    atMostRow('the same: copies that have other names or bytes', wrong, 0, ''),
    { what: `register ${what}: time`, reached: `${ratio(registered).toFixed(2)}x`, ...figures(registered) },
  ];
}
