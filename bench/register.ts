/** How fast a file is registered: by a real agent against mktorrent with two threads, and the pass over its bytes against sha256sum. */
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { agentCommands } from '../src/protocol/commands/agent.js';
import { serverCommands } from '../src/protocol/commands/server.js';
import { Agents, scratchFolder } from './agents.js';
import { ROUNDS, median, writeRandom } from './measure.js';
import { peerVersions } from './peers.js';
import { costOf, costOfCommand, cpuSecondsOf } from './proc.js';
import { costText, ratioRow } from './rows.js';
import type { Cost, Row } from './rows.js';

/** The most that a file of 1 GiB can be cut into; of a smaller one, as many in proportion. */
const MANY_CHUNKS_A_MEBIBYTE = 64;

export async function benchRegister({
  mebibytes = Number(process.env['BENCH_MIB'] ?? 1024),
  rounds = ROUNDS,
} = {}): Promise<readonly Row[]> {
  const folder = await scratchFolder(tmpdir());
  const agents = await Agents.start(1);
  try {
    const path = join(folder, 'file.bin');
    const torrent = join(folder, 'file.torrent');
    await writeRandom(path, mebibytes);
    const isInstalled = peerVersions().mktorrent !== undefined;
    const [ours, many, mktorrent, sha256sum]: [Cost[], Cost[], Cost[], Cost[]] = [[], [], [], []];
    const manyChunks = mebibytes * MANY_CHUNKS_A_MEBIBYTE;
    let settledCpuSeconds = 0;
    for (let round = 0; round <= rounds; round++) {
      const { face, pid } = agents.holders[0] ?? agents.downloader;
      const manyCost = await costOf([pid], () => face.call(agentCommands.register, { path, chunks: manyChunks }));
      await face.call(serverCommands.unregister, { file: 'file.bin' });
      const before = cpuSecondsOf([pid]);
      const costs = {
        ours: await costOf([pid], () => face.call(agentCommands.register, { path, chunks: 5 })),
        sha256sum: await costOfCommand('sha256sum', [path]),
        mktorrent: isInstalled
          ? await costOfCommand('mktorrent', ['-t', '2', '-l', '20', '-a', 'http://127.0.0.1/', '-o', torrent, path])
          : undefined,
      };
      if (round === rounds) {
        await agents.settled();
        settledCpuSeconds = cpuSecondsOf([pid]) - before;
      }
      await face.call(serverCommands.unregister, { file: 'file.bin' });
      await rm(torrent, { force: true });
      if (round === 0) continue;
      ours.push(costs.ours);
      many.push(manyCost);
      sha256sum.push(costs.sha256sum);
      if (costs.mktorrent !== undefined) mktorrent.push(costs.mktorrent);
    }
    const gib = mebibytes / 1024;
    return [
      ratioRow('register against mktorrent with 2 threads', 1.5, ours, isInstalled ? mktorrent : 'not installed', gib),
      {
        what: 'register, CPU a GiB until the agent is quiet again',
        reached: `${(settledCpuSeconds / gib).toFixed(2)} s`,
      },
      {
        what: `register in ${manyChunks.toLocaleString('en')} chunks against 5: time`,
        reached: `${(secondsOf(many) / secondsOf(ours)).toFixed(2)}x`,
        ours: costText(many, gib),
        peer: costText(ours, gib),
      },
      ratioRow('register against sha256sum', undefined, ours, sha256sum, gib),
    ];
  } finally {
    await agents.close();
    await rm(folder, { recursive: true, force: true });
  }
}

function secondsOf(costs: readonly Cost[]): number {
  return median(costs.map(({ seconds }) => seconds));
}
