/**
 * `npm run bench -- slowholder`: a file that one agent holds whole behind a wire of 1 MB/s, and another 90% of behind one of 50 MB/s, against
 * the best that can be: the slow one sends the rest all the time. `BENCH_ROUNDS` and `BENCH_MIB` change it.
 */
import { randomBytes } from 'node:crypto';
import { readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildManifest } from '../src/chunks/manifest.js';
import { DIGEST_BYTES } from '../src/chunks/digest.js';
import { openPart } from '../src/chunks/part.js';
import { blockPlace, blocksOfChunk, chunkRange } from '../src/chunks/plan.js';
import { agentCommands } from '../src/protocol/commands/agent.js';
import { Agents, emptied, scratchFolder } from './agents.js';
import { CappedWire } from './capped.js';
import { ROUNDS, median, writeRandom } from './measure.js';
import { freePort } from './proc.js';
import { atMostRow } from './rows.js';
import type { Row } from './rows.js';

const MB = 1e6;
/** Where the server says that the holders are, and where they really listen: the wires lie between them. */
const [SEEN_AT, LISTENS_AT] = ['127.0.0.1', '127.0.0.2'] as const;
const SLOW = { name: 'holder0', bytesPerSecond: MB };
const FAST = { name: 'holder1', bytesPerSecond: 50 * MB };
const CHUNKS = 20;
/** The tenth that only the slow one has. */
const RARE = new Set([9, 19]);
const MAX_RATIO = 1.15;

export async function benchSlowHolder({
  rounds = ROUNDS,
  mebibytes = Number(process.env['BENCH_MIB'] ?? 64),
} = {}): Promise<readonly Row[]> {
  const folder = await scratchFolder(tmpdir());
  const wires: CappedWire[] = [];
  const listening: Record<string, string> = {};
  for (const { name, bytesPerSecond } of [SLOW, FAST]) {
    const port = await freePort();
    wires.push(await CappedWire.open({ host: SEEN_AT, to: LISTENS_AT, port, bytesPerSecond }));
    listening[name] = `${LISTENS_AT}:${port}`;
  }
  const ratios: number[] = [];
  const seconds: number[] = [];
  try {
    const agents = await Agents.start(2, (name) => {
      const address = listening[name];
      return address === undefined ? {} : { PARLEY_LISTEN: address };
    });
    try {
      // Not counted: links are made, and rates are not known yet.
      for (let round = 0; round <= rounds; round++) {
        const { took, best } = await measureOnce(agents, folder, mebibytes);
        if (round === 0) continue;
        seconds.push(took);
        ratios.push(took / best);
      }
    } finally {
      await agents.close();
    }
  } finally {
    for (const wire of wires) await wire.close();
    await rm(folder, { recursive: true, force: true });
  }
  const range = (values: readonly number[]): string =>
    `${Math.min(...values).toFixed(2)} to ${Math.max(...values).toFixed(2)}`;
  return [
    atMostRow(
      `a complete holder at 1 MB/s and one at 50 MB/s with 90%, ${mebibytes} MiB: time against the best that can be`,
      median(ratios),
      MAX_RATIO,
      'x',
      { ours: `${median(seconds).toFixed(2)} s (${range(seconds)}), ratio ${range(ratios)}` },
    ),
  ];
}

/** Of a new file each time: the seconds that it took, and the fewest that it can take. */
async function measureOnce(
  agents: Agents,
  folder: string,
  mebibytes: number,
): Promise<{ readonly took: number; readonly best: number }> {
  const [slow, fast] = agents.holders;
  if (slow === undefined || fast === undefined) throw new Error('a holder is missing');
  const file = `${randomBytes(8).toString('hex')}.bin`;
  const path = join(await emptied(join(folder, 'slow')), file);
  await writeRandom(path, mebibytes);
  await slow.face.call(agentCommands.register, { path, chunks: CHUNKS });

  const rareBytes = await hold90(path, join(await emptied(join(folder, 'fast')), file));
  const common = Array.from({ length: CHUNKS }, (_, chunk) => chunk).filter((chunk) => !RARE.has(chunk));
  const output = join(folder, 'fast', file);
  const { held } = await fast.face.call(agentCommands.download, { file, output, directory: '/', chunks: common });
  if (held.length !== common.length) throw new Error(`${fast.name} holds ${held.length} chunks`);

  const target = join(await emptied(join(folder, 'fetched')), file);
  const begin = performance.now();
  const params = { file, output: target, directory: '/', chunks: [] };
  const { complete } = await agents.downloader.face.call(agentCommands.download, params);
  const took = (performance.now() - begin) / 1000;
  if (!complete || !(await readFile(target)).equals(await readFile(path))) throw new Error('not all of it came');
  const commonBytes = mebibytes * 2 ** 20 - rareBytes;
  // What both have is the fast one's to send, as long as that takes less than the rest takes the slow one.
  const best = Math.max(rareBytes / SLOW.bytesPerSecond, commonBytes / FAST.bytesPerSecond);
  return { took, best };
}

/** Leaves a `.part` of all but the rare chunks, which a download goes on with; the bytes of those. */
async function hold90(path: string, target: string): Promise<number> {
  const { manifest, plan, blockDigests } = await buildManifest(path, CHUNKS);
  const bytes = await readFile(path);
  const part = await openPart({ target, manifest });
  let rareBytes = 0;
  for (let chunk = 0; chunk < CHUNKS; chunk++) {
    if (RARE.has(chunk)) {
      rareBytes += chunkRange(plan, chunk).length;
      continue;
    }
    const { first, count } = blocksOfChunk(plan, chunk);
    part.learn(chunk, blockDigests.subarray(first * DIGEST_BYTES, (first + count) * DIGEST_BYTES));
    for (let block = first; block < first + count; block++) {
      const { offset, length } = blockPlace(plan, block);
      part.writeNow(block, bytes.subarray(offset, offset + length));
    }
  }
  await part.close();
  return rareBytes;
}
