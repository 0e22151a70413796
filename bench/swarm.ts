/**
 * `npm run swarm [-- MiB]`: real processes and a file of 1 GiB. Two download at the same time and serve each other; the origin is killed
 * in the middle; a downloader is killed at 50% and resumes. Prints what was reached; exits 1 when a byte is wrong.
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { Cast } from '../test/support/cast.js';
import type { Outcome, Person } from '../test/support/cast.js';
import { printMachine, writeRandom } from './measure.js';

const MIB = 1024 * 1024;
const CHUNKS = '5';
const FILE = 'big.bin';

interface Downloaded {
  readonly complete: boolean;
  readonly sources: readonly { user: string; bytes: number }[];
}

const mib = (bytes: number): string => `${(bytes / MIB).toFixed(0)} MiB`;

async function sha256(path: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash);
  return hash.digest('hex');
}

function report(who: string, outcome: Outcome): number {
  const { complete, sources = [] } = outcome.json as unknown as Partial<Downloaded>;
  if (outcome.code !== 0) {
    console.log(`  ${who}: exit code ${outcome.code}, ${outcome.error?.code}: ${outcome.error?.message}`);
    return 0;
  }
  console.log(
    `  ${who}: ${complete === true ? 'complete' : 'not complete'}, from ${sources.map(({ user, bytes }) => `${user} ${mib(bytes)}`).join(', ')}`,
  );
  return sources.reduce((sum, { bytes }) => sum + bytes, 0);
}

async function identical(person: Person, original: string): Promise<void> {
  const same = (await sha256(join(person.folder, FILE))) === original;
  console.log(`  ${person.name}: the bytes are ${same ? 'identical' : 'WRONG'}`);
  if (!same) process.exitCode = 1;
}

/** Verified bytes of the download that goes on. */
async function progress(person: Person): Promise<number> {
  const { transfers } = (await person.run('transfers')).json as {
    transfers?: { file: string; direction: string; bytes: number }[];
  };
  return transfers?.find(({ file, direction }) => file === FILE && direction === 'download')?.bytes ?? 0;
}

/** Waits until so many bytes are there, or the download has ended before. */
async function until(person: Person, bytes: number, download: Promise<unknown>): Promise<number> {
  let [have, ended] = [0, false];
  void download.then(() => (ended = true));
  while (have < bytes && !hasEnded()) have = await progress(person);
  return have;

  function hasEnded(): boolean {
    return ended;
  }
}

async function afresh(people: readonly Person[]): Promise<void> {
  for (const person of people) {
    await person.leave();
    await rm(person.folder, { recursive: true, force: true });
    person.begin();
    await person.ok('login');
  }
}

async function main(mebibytes: number): Promise<void> {
  printMachine();
  const cast = new Cast({ alice: 'a', bob: 'b', carol: 'c' });
  await cast.start();
  const [alice, bob, carol] = [cast.person('alice', 'a'), cast.person('bob', 'b'), cast.person('carol', 'c')];
  try {
    await writeRandom(join(alice.folder, FILE), mebibytes);
    const original = await sha256(join(alice.folder, FILE));
    for (const person of [alice, bob, carol]) await person.ok('login');
    await alice.ok('register', FILE, CHUNKS);

    console.log(`\n1. bob and carol download ${mebibytes} MiB in ${CHUNKS} chunks at the same time`);
    const before = performance.now();
    const [toBob, toCarol] = await Promise.all([bob.run('download', FILE), carol.run('download', FILE)]);
    console.log(`  both done after ${((performance.now() - before) / 1000).toFixed(1)} s`);
    report('bob', toBob);
    report('carol', toCarol);
    for (const person of [bob, carol]) await identical(person, original);

    console.log('\n2. the same, and alice is killed when bob has 40%');
    await afresh([bob, carol]);
    const rate = ['--limit-rate', `${Math.max(8, Math.round(mebibytes / 12))}M`];
    const both = Promise.all([bob.run('download', FILE, ...rate), carol.run('download', FILE, ...rate)]);
    await until(bob, mebibytes * MIB * 0.4, both);
    process.kill(alice.agentPid, 'SIGKILL');
    const [bobLeft, carolLeft] = await both;
    report('bob', bobLeft);
    report('carol', carolLeft);
    await alice.ok('login');
    for (const person of [bob, carol]) {
      report(`${person.name}, when alice is back`, await person.run('download', FILE));
      await identical(person, original);
    }

    console.log('\n3. bob alone, killed with SIGKILL at 50%');
    await afresh([bob]);
    const killed = bob.run('download', FILE, ...rate);
    const had = await until(bob, mebibytes * MIB * 0.5, killed);
    process.kill(bob.agentPid, 'SIGKILL');
    await killed;
    const fetched = report('bob, again', await bob.run('download', FILE));
    console.log(`  he had ${mib(had)} and fetched ${mib(fetched)}: ${mib(had + fetched - mebibytes * MIB)} twice`);
    await identical(bob, original);
  } finally {
    await cast.close();
  }
}

await main(Number(process.argv[2] ?? 1024));
