/**
 * `npm run bench -- transfer`: what a download by real agents takes beside the tools that people use, in turn, on fresh files and on one
 * that was written before. `BENCH_ROUNDS` and `BENCH_MIB` shorten it.
 */
import { createHash } from 'node:crypto';
import { createReadStream, existsSync } from 'node:fs';
import { copyFile, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { Agents, WrittenBefore, alsoNamed, emptied, scratchFolder } from './agents.js';
import { Bare } from './bare.js';
import { ROUNDS, median, writeRandom } from './measure.js';
import { Nginx, Torrents, iperf3, peerVersions } from './peers.js';
import { atMostRow, ratioRow } from './rows.js';
import type { Cost, Row } from './rows.js';

const MIB = 1024 * 1024;
const HOLDERS = 4;
/** The same bytes twice, in different numbers of chunks: one file has one holder, the other four. */
const ONE = { file: 'one.bin', chunks: 5 };
const FOUR = { file: 'four.bin', chunks: 8 };
/** Of each agent, in MB. */
const MAX_PEAK_MB = 150;
const MAX_CPU_A_GIB = 1.75;
/**
 * Milliseconds before a contender writes a new file: some virtual machines take back memory two seconds after it was freed, and whoever came
 * later, or took longer, would pay for what the one before had freed.
 */
const PAUSE_MS = 3_000;

type Contender = 'ours1' | 'bare1' | 'curl' | 'ours4' | 'bare4' | 'aria2' | 'libtorrent' | 'iperf3';
type Costs = Partial<Record<Contender, Cost[]>>;

interface Stage {
  readonly mebibytes: number;
  readonly rounds: number;
  readonly agents: Agents;
  readonly nginx: Nginx | undefined;
  readonly torrents: Torrents | undefined;
  readonly bare1: Bare;
  readonly bare4: Bare;
  readonly hasAria2: boolean;
  readonly hasCurl: boolean;
  readonly hasIperf3: boolean;
  readonly sha256: string;
  /** With the file under both names. */
  readonly folder: string;
  readonly peaks: { downloader: number; holder: number };
}

export async function benchTransfer({
  mebibytes = Number(process.env['BENCH_MIB'] ?? 1024),
  rounds = ROUNDS,
} = {}): Promise<readonly Row[]> {
  const folder = await scratchFolder(tmpdir());
  const versions = peerVersions();
  const opened: { close(): Promise<void> }[] = [];
  const owned = <T extends { close(): Promise<void> }>(each: T): T => {
    opened.push(each);
    return each;
  };
  try {
    const path = join(folder, ONE.file);
    await writeRandom(path, mebibytes);
    await alsoNamed(path, join(folder, FOUR.file));
    const scratch = await emptied(join(folder, 'scratch'));
    const agents = owned(await Agents.start(HOLDERS));
    await agents.share(path, ONE.chunks);
    await agents.share(join(folder, FOUR.file), FOUR.chunks, HOLDERS);
    await agents.settled();
    const stage: Stage = {
      mebibytes,
      rounds,
      folder,
      agents,
      nginx: versions.nginx === undefined ? undefined : owned(await Nginx.start(folder, scratch)),
      torrents: versions.libtorrent === undefined ? undefined : owned(await Torrents.start(path, scratch, HOLDERS)),
      bare1: owned(await Bare.start(path, 1)),
      bare4: owned(await Bare.start(path, HOLDERS)),
      hasAria2: versions.aria2 !== undefined,
      hasCurl: versions.curl !== undefined,
      hasIperf3: versions.iperf3 !== undefined,
      sha256: await sha256(path),
      peaks: { downloader: 0, holder: 0 },
    };
    return await measureAll(stage);
  } finally {
    for (const each of opened.reverse()) await each.close();
    await rm(folder, { recursive: true, force: true });
  }
}

async function measureAll(stage: Stage): Promise<readonly Row[]> {
  const gib = stage.mebibytes / 1024;
  const shm = existsSync('/dev/shm') ? '/dev/shm' : undefined;
  const rows: Row[] = [];
  const add = (where: string, costs: Costs, comparisons: readonly Comparison[]): void => {
    for (const { what, goal, ours, peer } of comparisons) {
      const theirs = costs[peer] ?? 'not installed';
      rows.push(ratioRow(`${what}, ${where}`, goal, costs[ours] ?? [], theirs, gib));
    }
  };
  for (const [where, into] of [
    ['fresh files on disk', tmpdir()],
    ['fresh files on tmpfs', shm],
  ] as const) {
    if (into === undefined) continue;
    add(where, await measureFresh(stage, into), FRESH_COMPARISONS);
  }
  const before = await measureWrittenBefore(stage, shm ?? tmpdir());
  add(BEFORE, before, COMPARISONS);
  const cpu = median((before.ours1 ?? []).map(({ cpuSeconds }) => cpuSeconds / gib));
  rows.push(atMostRow(`CPU a GiB of both ends, 1 holder, ${BEFORE}`, cpu, MAX_CPU_A_GIB, ' s'));
  const { downloader, holder } = stage.peaks;
  const each = `downloader ${megabytes(downloader).toFixed(0)} MB, the largest holder ${megabytes(holder).toFixed(0)} MB`;
  rows.push(
    atMostRow('peak memory of an agent, 1 GiB', megabytes(Math.max(downloader, holder)), MAX_PEAK_MB, ' MB', {
      ours: each,
    }),
  );
  return rows;
}

const BEFORE = 'onto a file on tmpfs that was written before';

interface Comparison {
  readonly what: string;
  /** At least so many times as fast. */
  readonly goal?: number;
  readonly ours: Contender;
  readonly peer: Contender;
}

const BARE = 'for comparison, a bare Node program (TLS, BLAKE3, one write)';
const AGAINST_CURL: readonly Comparison[] = [
  { what: '1 holder against curl from nginx over HTTPS', goal: 1, ours: 'ours1', peer: 'curl' },
  { what: `${BARE}, 1 link, against curl`, ours: 'bare1', peer: 'curl' },
];
const FRESH_COMPARISONS: readonly Comparison[] = [
  ...AGAINST_CURL,
  { what: '4 holders against aria2c -x4 with SHA-256 over HTTPS', goal: 2.5, ours: 'ours4', peer: 'aria2' },
  { what: `${BARE}, 4 links in 2 threads, against aria2c`, ours: 'bare4', peer: 'aria2' },
  { what: '4 holders against libtorrent with 4 seeders, not encrypted', goal: 2.5, ours: 'ours4', peer: 'libtorrent' },
  { what: `${BARE}, 4 links in 2 threads, against libtorrent`, ours: 'bare4', peer: 'libtorrent' },
];
const COMPARISONS: readonly Comparison[] = [
  ...AGAINST_CURL,
  { what: '1 holder against iperf3', goal: 0.4, ours: 'ours1', peer: 'iperf3' },
  { what: `${BARE}, 1 link, against iperf3`, ours: 'bare1', peer: 'iperf3' },
  { what: '4 holders against iperf3', goal: 0.4, ours: 'ours4', peer: 'iperf3' },
  { what: `${BARE}, 4 links in 2 threads, against iperf3`, ours: 'bare4', peer: 'iperf3' },
];

async function measureFresh(stage: Stage, into: string): Promise<Costs> {
  const folder = await scratchFolder(into);
  const { nginx, torrents, hasAria2, hasCurl, mebibytes } = stage;
  const target = join(folder, 'fetched');
  try {
    const contenders: Partial<Record<Contender, () => Promise<Cost>>> = {
      ours1: () => ours(stage, 'ours1', target),
      bare1: () => stage.bare1.fetch(target, mebibytes),
      ...(nginx !== undefined && hasCurl && { curl: () => nginx.curl(ONE.file, target, false) }),
      ours4: () => ours(stage, 'ours4', target),
      bare4: () => stage.bare4.fetch(target, mebibytes),
      ...(nginx !== undefined && hasAria2 && { aria2: () => nginx.aria2(ONE.file, target, stage.sha256) }),
      ...(torrents !== undefined && { libtorrent: () => torrents.fetch(folder) }),
    };
    // Each finds an empty folder: what the one before left is neither there nor being written back.
    return await inTurn(stage, contenders, async () => {
      await emptied(folder);
      await sleep(PAUSE_MS);
    });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function measureWrittenBefore(stage: Stage, into: string): Promise<Costs> {
  const folder = await scratchFolder(into);
  const { nginx, hasCurl, hasIperf3, mebibytes } = stage;
  const used = join(folder, 'used');
  const target = join(folder, 'fetched');
  try {
    const path = join(stage.folder, ONE.file);
    await copyFile(path, used);
    const prepared = {
      ours1: await WrittenBefore.prepare(path, ONE.chunks, target, stage.folder),
      ours4: await WrittenBefore.prepare(path, FOUR.chunks, target, stage.folder),
    };
    const onto = async (which: 'ours1' | 'ours4'): Promise<Cost> => {
      await prepared[which].begin(used);
      const cost = await ours(stage, which, target);
      await rename(target, used);
      return cost;
    };
    return await inTurn(stage, {
      ours1: () => onto('ours1'),
      bare1: () => stage.bare1.fetch(used, mebibytes),
      ...(nginx !== undefined && hasCurl && { curl: () => nginx.curl(ONE.file, used, true) }),
      ours4: () => onto('ours4'),
      bare4: () => stage.bare4.fetch(used, mebibytes),
      ...(hasIperf3 && { iperf3: () => iperf3(mebibytes * MIB) }),
    });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function ours(stage: Stage, which: 'ours1' | 'ours4', target: string): Promise<Cost> {
  const { agents, mebibytes, peaks } = stage;
  const { file } = which === 'ours1' ? ONE : FOUR;
  const holders = which === 'ours1' ? agents.holders.slice(0, 1) : agents.holders;
  const cost = await agents.download({ file, target, bytes: mebibytes * MIB, holders });
  const { downloader, holder } = agents.peaks();
  peaks.downloader = Math.max(peaks.downloader, downloader);
  peaks.holder = Math.max(peaks.holder, holder);
  return cost;
}

/** Every contender once a round; the first round does not count. */
async function inTurn(
  { rounds }: Stage,
  contenders: Partial<Record<Contender, () => Promise<Cost>>>,
  between: () => Promise<unknown> = () => Promise.resolve(),
): Promise<Costs> {
  const costs: Costs = {};
  for (let round = 0; round <= rounds; round++) {
    for (const [name, run] of Object.entries(contenders) as [Contender, () => Promise<Cost>][]) {
      await between();
      const cost = await run();
      if (process.stderr.isTTY || process.env['BENCH_VERBOSE'] !== undefined)
        console.error(`  ${round} ${name} ${cost.seconds.toFixed(2)} s, CPU ${cost.cpuSeconds.toFixed(2)} s`);
      if (round > 0) (costs[name] ??= []).push(cost);
    }
  }
  return costs;
}

async function sha256(path: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path, { highWaterMark: MIB }), hash);
  return hash.digest('hex');
}

function megabytes(mebibytes: number): number {
  return (mebibytes * MIB) / 1e6;
}
