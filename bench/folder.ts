/** A folder of 10,000 files, 1 GiB in all, against one file of that size: the same command, the same real processes. */
import { createHash, randomFillSync } from 'node:crypto';
import { closeSync, mkdirSync, openSync, readdirSync, readFileSync, writeSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Cast } from '../test/support/cast.js';
import type { Person } from '../test/support/cast.js';
import type { Row } from './rows.js';
import { command, median, printSeconds, writeRandom } from './measure.js';

const FILES = 10_000;
const FOLDERS = 100;
const MEBIBYTES = 1024;
/** Each round moves 2 GiB through a disk: three are enough for a median. */
const FOLDER_ROUNDS = 3;

/** Files of different sizes around the mean, in folders. */
function makeFolder(path: string): void {
  const mean = Math.floor((MEBIBYTES * 1024 * 1024) / FILES);
  const bytes = Buffer.alloc(2 * mean);
  for (let folder = 0; folder < FOLDERS; folder++) mkdirSync(join(path, `folder ${folder}`), { recursive: true });
  for (let i = 0; i < FILES; i++) {
    const file = openSync(join(path, `folder ${i % FOLDERS}`, `file ${i}.bin`), 'wx');
    writeSync(file, randomFillSync(bytes.subarray(0, 1 + ((i * 7919) % (2 * mean - 1)))));
    closeSync(file);
  }
}

/** A digest of all names and bytes. */
function digestOf(path: string): string {
  const hash = createHash('sha256');
  for (const entry of readdirSync(path, { recursive: true, encoding: 'utf8' }).sort()) {
    hash.update(`${entry}\n`);
    try {
      hash.update(readFileSync(join(path, entry)));
    } catch {
      hash.update('a folder');
    }
  }
  return hash.digest('hex');
}

async function fetchTo(bob: Person, name: string): Promise<void> {
  await bob.ok('download', name);
}

/** Measures and prints; the goal is a ratio of at most 2. */
export async function benchFolder(): Promise<readonly Row[]> {
  const cast = new Cast({ alice: 'a', bob: 'b' });
  try {
    await cast.start();
    const [alice, bob] = [cast.person('alice', 'a'), cast.person('bob', 'b')];
    makeFolder(join(alice.folder, 'many'));
    await writeRandom(join(alice.folder, 'one'), MEBIBYTES);
    await command('sync', []);
    await bob.ok('login');
    const registering: Record<string, number[]> = { 'register one file': [], 'register the folder': [] };
    for (const [name, seconds] of [
      ['one', 'register one file'],
      ['many', 'register the folder'],
    ] as const) {
      const before = performance.now();
      await alice.ok('register', name, '20');
      registering[seconds]?.push((performance.now() - before) / 1000);
    }
    let wrong = '';
    const original = digestOf(join(alice.folder, 'many'));
    const clear = async (name: string): Promise<void> => {
      // Not the disk's work of the round before: what it put off would be counted as this round's.
      await bob.leave();
      await rm(join(bob.folder, name), { recursive: true, force: true });
      await command('sync', []);
      await bob.ok('login');
    };
    const seconds: Record<string, number[]> = { 'one file': [], 'the folder': [] };
    for (let round = 0; round <= FOLDER_ROUNDS; round++) {
      for (const [label, name] of [
        ['one file', 'one'],
        ['the folder', 'many'],
      ] as const) {
        const before = performance.now();
        await fetchTo(bob, name);
        if (round > 0) seconds[label]?.push((performance.now() - before) / 1000);
        if (name === 'many' && digestOf(join(bob.folder, name)) !== original) wrong = 'NOT ';
        await clear(name);
      }
    }
    console.log(
      `folder of ${FILES} files, ${MEBIBYTES} MiB in all, against one file of that size; names and bytes ${wrong}identical`,
    );
    printSeconds({ ...registering, ...seconds });
    const ratio = median(seconds['the folder'] ?? []) / median(seconds['one file'] ?? []);
    console.log(`  the folder takes ${ratio.toFixed(2)} x the time of the file (goal: at most 2)`);
    if (wrong !== '') process.exitCode = 1;
    const [ours, theirs] = [seconds['the folder'] ?? [], seconds['one file'] ?? []].map(
      (each) => `${median(each).toFixed(2)} s`,
    );
    return [
      {
        what: `download a folder of ${FILES} files, 1 GiB in all, against one file of that size`,
        goal: 'at most 2x the time, identical',
        reached: `${ratio.toFixed(2)}x, names and bytes ${wrong}identical`,
        met: ratio <= 2 && wrong === '',
        ...(ours === undefined || theirs === undefined ? {} : { ours, peer: theirs }),
      },
    ];
  } finally {
    await cast.close();
  }
}
