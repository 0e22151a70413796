/**
 * `npm run bench -- seedonce`: eight agents download a file at once whose only holder sits behind a wire of 20 MB/s. What the holder
 * sends, and when the last of them is done, beside one that downloads alone. `BENCH_ROUNDS`, `BENCH_MIB` and `BENCH_CHUNKS` change it.
 */
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { agentCommands } from '../src/protocol/commands/agent.js';
import { Agents, emptied, scratchFolder } from './agents.js';
import type { Agent } from './agents.js';
import { CappedWire } from './capped.js';
import { ROUNDS, median, writeRandom } from './measure.js';
import { freePort } from './proc.js';
import { atMostRow } from './rows.js';
import type { Row } from './rows.js';

const MIB = 1024 * 1024;
const RECEIVERS = 8;
const ORIGIN = 'holder0';
/** Where the server says that the origin is, and where it really listens: the wire lies between them. */
const [SEEN_AT, LISTENS_AT] = ['127.0.0.1', '127.0.0.2'] as const;
const WIRE_BYTES_PER_SECOND = 20e6;
const MAX_SENT = 1.15;
const MAX_TIME = 1.5;

interface Taken {
  /** Until the last was done. */
  readonly seconds: number;
  /** Bytes that left the origin, of each byte of the file. */
  readonly sent: number;
}

export async function benchSeedOnce({
  rounds = ROUNDS,
  mebibytes = Number(process.env['BENCH_MIB'] ?? 256),
  chunks = Number(process.env['BENCH_CHUNKS'] ?? 5),
} = {}): Promise<readonly Row[]> {
  const folder = await scratchFolder(tmpdir());
  const port = await freePort();
  const wire = await CappedWire.open({
    host: SEEN_AT,
    to: LISTENS_AT,
    port,
    bytesPerSecond: WIRE_BYTES_PER_SECOND,
  });
  const alone: Taken[] = [];
  const together: Taken[] = [];
  try {
    const agents = await Agents.start(1 + RECEIVERS, (name) =>
      name === ORIGIN ? { PARLEY_LISTEN: `${LISTENS_AT}:${port}` } : {},
    );
    try {
      const receivers = agents.holders.slice(1);
      const fetch = async (name: string, who: readonly Agent[]): Promise<Taken> => {
        // New bytes each time: nobody holds anything of them but the origin.
        const path = join(await emptied(join(folder, 'origin')), name);
        await writeRandom(path, mebibytes);
        await agents.share(path, chunks);
        const into = await emptied(join(folder, 'fetched'));
        const before = wire.sent;
        const begin = performance.now();
        await Promise.all(who.map((each) => downloadAll(each, name, join(into, each.name))));
        const seconds = (performance.now() - begin) / 1000;
        await rm(into, { recursive: true });
        return { seconds, sent: (wire.sent - before) / (mebibytes * MIB) };
      };
      for (let round = 0; round < rounds; round++) {
        alone.push(await fetch(`alone${round}.bin`, [agents.downloader]));
        together.push(await fetch(`together${round}.bin`, receivers));
      }
    } finally {
      await agents.close();
    }
  } finally {
    await wire.close();
    await rm(folder, { recursive: true, force: true });
  }
  return rowsOf(`${mebibytes} MiB in ${chunks} ${chunks === 1 ? 'chunk' : 'chunks'}`, alone, together);
}

async function downloadAll({ name, face }: Agent, file: string, target: string): Promise<void> {
  const params = { file, output: target, directory: '/', chunks: [] };
  const { complete } = await face.call(agentCommands.download, params);
  if (!complete) throw new Error(`${name} did not get all of ${file}`);
}

function rowsOf(what: string, alone: readonly Taken[], together: readonly Taken[]): readonly Row[] {
  const text = (taken: readonly Taken[]): string => {
    const seconds = taken.map((each) => each.seconds);
    const sent = taken.map((each) => each.sent);
    const spread = (values: readonly number[], unit: string): string =>
      `${median(values).toFixed(2)}${unit} (${Math.min(...values).toFixed(2)} to ${Math.max(...values).toFixed(2)})`;
    return `${spread(seconds, ' s')}, sent ${spread(sent, 'x')}`;
  };
  const crowd = `1 origin at 20 MB/s, ${RECEIVERS} receivers, ${what}`;
  const figures = { ours: `together: ${text(together)}; alone: ${text(alone)}` };
  const sent = median(together.map((each) => each.sent));
  const seconds = (taken: readonly Taken[]): number => median(taken.map((each) => each.seconds));
  return [
    atMostRow(`${crowd}: what the origin sends, against the size`, sent, MAX_SENT, 'x', figures),
    atMostRow(`${crowd}: until the last is done, against one alone`, seconds(together) / seconds(alone), MAX_TIME, 'x'),
  ];
}
