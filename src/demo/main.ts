#!/usr/bin/env node
/** `npm run demo`: the main job on real processes, every byte checked, nothing left behind. */
import { createHash, randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdtemp, open, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { Person, startServer } from './cast.js';
import type { Stage } from './cast.js';

const FILE = 'lecture.bin';
const FILE_MIB = 96;
const CHUNKS = 5;
const SECRET = `the canary sings at ${randomBytes(6).toString('hex')}`;

const say = (line: string): void => void process.stdout.write(`${line}\n`);

function check(truth: boolean, what: string): void {
  if (!truth) throw new Error(`it is not so that ${what}`);
  say(`     checked: ${what}`);
}

async function makeFile(path: string): Promise<void> {
  const file = await open(path, 'wx');
  for (let i = 0; i < FILE_MIB; i++) await file.write(randomBytes(1024 * 1024));
  await file.close();
}

async function sha256(path: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash);
  return hash.digest('hex');
}

async function play(folder: string, stage: Stage, cast: Record<'alice' | 'bob' | 'carol', Person>): Promise<void> {
  const { alice, bob, carol } = cast;
  say(`1. The server listens on ${stage.address}, its key is ${stage.fingerprint}; alice, bob and carol log in`);
  for (const person of [alice, bob, carol]) await person.arrive();
  await makeFile(join(alice.folder, FILE));
  const original = await sha256(join(alice.folder, FILE));

  say(`2. alice registers ${FILE} (${FILE_MIB} MiB) in ${CHUNKS} chunks`);
  const registered = await alice.run('register', FILE, String(CHUNKS));
  say(`     root ${String(registered['root'])}`);

  say('3. bob looks for it and downloads it from alice');
  const found = await bob.run('searchFile', FILE);
  check(JSON.stringify(found['holders']) === '["alice"]', 'alice is the one holder');
  await bob.run('download', FILE);
  check((await sha256(join(bob.folder, FILE))) === original, 'bob has the same bytes');

  say('4. carol downloads it from alice and bob at once');
  const fetched = await carol.run('download', FILE);
  const sources = fetched['sources'] as { user: string; bytes: number }[];
  for (const { user, bytes } of sources) say(`     ${(bytes / 1024 / 1024).toFixed(0)} MiB from ${user}`);
  check(sources.filter(({ bytes }) => bytes > 0).length === 2, 'both gave a part');
  check((await sha256(join(carol.folder, FILE))) === original, 'carol has the same bytes');
  const holders = (await alice.run('searchFile', FILE))['holders'] as string[];
  check(holders.length === 3, 'all three hold it now');

  say('5. carol logs out, alice writes to her, carol comes back');
  await carol.leave();
  const sent = await alice.run('message', 'carol', 'the lecture is up');
  check(sent['delivered'] === false, 'the message is kept');
  await carol.arrive();
  const inbox = (await carol.run('inbox', '--unread'))['messages'] as { from: string; text: string }[];
  check(inbox.length === 1 && inbox[0]?.from === 'alice' && inbox[0].text === 'the lecture is up', 'carol reads it');

  say('6. alice and bob talk privately, over a link of their own');
  const link = await alice.run('startprivate', 'bob');
  say(`     safety number ${String(link['safetyNumber']).replace(/(\d{5})(?=\d)/g, '$1 ')}`);
  await alice.run('private', 'bob', SECRET);
  const heard = (await bob.run('inbox', '--with', 'alice'))['messages'] as { kind: string; text: string }[];
  check(
    heard.some(({ kind, text }) => kind === 'private' && text === SECRET),
    'bob has it',
  );
  const kept = await readdir(join(folder, 'server'), { recursive: true, withFileTypes: true });
  const files = kept.filter((entry) => entry.isFile()).map((entry) => readFile(join(entry.parentPath, entry.name)));
  check(!(await Promise.all(files)).some((bytes) => bytes.includes(SECRET)), 'no file of the server has a word of it');
}

async function main(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'parley-demo-'));
  const words = { alice: 'wonderland-7', bob: 'builder-42', carol: 'sings a song' } as const;
  await writeFile(
    join(folder, 'Credentials.txt'),
    Object.entries(words).map((pair) => `${pair.join(' ')}\n`),
  );
  const stage = await startServer(folder);
  const person = (name: keyof typeof words): Person => new Person(name, words[name], folder, stage);
  const cast = { alice: person('alice'), bob: person('bob'), carol: person('carol') };
  try {
    await play(folder, stage, cast);
  } finally {
    await Promise.all(Object.values(cast).map((each) => each.leave()));
    const code = await stage.stop();
    await rm(folder, { recursive: true });
    say(`7. Everyone logged out; the server ended with exit code ${code}; the demo's folder is removed`);
  }
}

try {
  await main();
  say('The demo is done.');
} catch (error) {
  process.stderr.write(`demo: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
