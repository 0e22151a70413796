/**
 * `npm run bench [-- name …] [-- --write]`: measures, prints ratios, asserts nothing. A bench that gives rows has them printed here and,
 * with `--write`, kept in `bench/RESULTS.md`.
 */
import { printMachine } from './measure.js';
import { peerVersions } from './peers.js';
import { printRows, writeRows } from './rows.js';
import type { Row } from './rows.js';

type Bench = () => Promise<readonly Row[] | void>;

const BENCHES: Readonly<Record<string, Bench>> = {
  transfer: async () => (await import('./transfer.js')).benchTransfer(),
  register: async () => (await import('./register.js')).benchRegister(),
  size: async () => (await import('./size.js')).benchSize(),
  seedonce: async () => (await import('./seedonce.js')).benchSeedOnce(),
  wan: async () => (await import('./wan.js')).benchWan(),
  slowholder: async () => (await import('./slowholder.js')).benchSlowHolder(),
  pipe: async () => (await import('./pipe.js')).printPipe(),
  part: async () => (await import('./part.js')).benchPart(),
  folder: async () => (await import('./folder.js')).benchFolder(),
  server: async () => (await import('./server.js')).benchServer(),
  saturation: async () => (await import('./chat.js')).benchSaturation(),
  online: async () => (await import('./chat.js')).benchOnline(),
  pace: async () => (await import('./chat.js')).benchPace(),
  resume: async () => (await import('./resume.js')).benchResume(),
  fanout: async () => (await import('./fanout.js')).benchFanOut(),
  history: async () => (await import('./history.js')).benchHistory(),
  growth: async () => (await import('./growth.js')).benchGrowth(),
  whoelse: async () => (await import('./whoelse.js')).benchWhoelse(),
};

function versions(): string[] {
  return Object.entries(peerVersions()).map(([name, version]) => `${name} ${version ?? 'not installed'}`);
}

const words = process.argv.slice(2);
const isKept = words.includes('--write');
const wanted = words.filter((word) => word !== '--write');
const unknown = wanted.filter((name) => !Object.hasOwn(BENCHES, name));
if (unknown.length > 0) {
  console.error(`no bench is named ${unknown.join(', ')}; there are ${Object.keys(BENCHES).join(', ')}`);
  process.exitCode = 2;
} else {
  printMachine();
  for (const [name, bench] of Object.entries(BENCHES)) {
    if (wanted.length > 0 && !wanted.includes(name)) continue;
    const rows = await bench();
    if (rows === undefined) continue;
    console.log(`\n${name}`);
    printRows(rows);
    if (isKept) await writeRows(name, rows, versions());
  }
}
