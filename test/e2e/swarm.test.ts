/** Several holders, killed in the middle: what is said is true, what is finished is right, what was verified is not fetched again. */
import { expect } from 'chai';
import { createHash, randomFillSync } from 'node:crypto';
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Cast } from '../support/cast.js';
import type { Person } from '../support/cast.js';

const MIB = 1024 * 1024;
const SIZE = 60 * MIB + 12_345;

interface Downloaded {
  readonly chunks: number[];
  readonly held: number[];
  readonly complete: boolean;
  readonly sources: { user: string; bytes: number }[];
}

const sha256 = (path: string): string => createHash('sha256').update(readFileSync(path)).digest('hex');

describe('a swarm of real processes', function () {
  this.timeout(180_000);
  let cast: Cast;
  let alice: Person;
  let bob: Person;
  let carol: Person;
  let original: string;

  beforeEach(async () => {
    cast = new Cast({ alice: 'a', bob: 'b', carol: 'c' });
    await cast.start();
    alice = cast.person('alice', 'a');
    bob = cast.person('bob', 'b');
    carol = cast.person('carol', 'c');
    const path = join(alice.folder, 'big.bin');
    writeFileSync(path, randomFillSync(Buffer.alloc(SIZE)));
    original = sha256(path);
    await alice.ok('register', 'big.bin', '5');
  });
  afterEach(() => cast.close());

  it('lets receivers of one huge chunk serve each other', async () => {
    copyFileSync(join(alice.folder, 'big.bin'), join(alice.folder, 'one.bin'));
    await alice.ok('register', 'one.bin', '1');
    await Promise.all([bob.ok('login'), carol.ok('login')]);
    const [toBob, toCarol] = (await Promise.all([
      bob.ok('download', 'one.bin', '--limit-rate', '15M'),
      carol.ok('download', 'one.bin', '--limit-rate', '15M'),
    ])) as unknown as Downloaded[];
    expect(sha256(join(bob.folder, 'one.bin'))).to.equal(original);
    expect(sha256(join(carol.folder, 'one.bin'))).to.equal(original);
    const given = (to: Downloaded | undefined, by: string): number =>
      to?.sources.find(({ user }) => user === by)?.bytes ?? 0;
    expect(given(toBob, 'carol') + given(toCarol, 'bob'), 'bytes given each other').to.be.above(SIZE / 4);
  });

  it('downloads to two at the same time, and they serve each other', async () => {
    // Many chunks, so that by chance alone the two soon have different ones.
    copyFileSync(join(alice.folder, 'big.bin'), join(alice.folder, 'many.bin'));
    await alice.ok('register', 'many.bin', '30');
    await Promise.all([bob.ok('login'), carol.ok('login')]);
    const [toBob, toCarol] = (await Promise.all([
      bob.ok('download', 'many.bin', '--limit-rate', '20M'),
      carol.ok('download', 'many.bin', '--limit-rate', '20M'),
    ])) as unknown as Downloaded[];
    expect(sha256(join(bob.folder, 'many.bin'))).to.equal(original);
    expect(sha256(join(carol.folder, 'many.bin'))).to.equal(original);
    const between = [...(toBob?.sources ?? []), ...(toCarol?.sources ?? [])].filter(
      ({ user, bytes }) => user !== 'alice' && bytes > 0,
    );
    expect(between, 'bytes that bob and carol gave each other').to.not.be.empty;
    for (const { sources } of [toBob, toCarol] as Downloaded[]) {
      expect(sources.reduce((sum, { bytes }) => sum + bytes, 0)).to.equal(SIZE);
    }
  });

  it('says exactly which chunks nobody has when the only origin is killed, and goes on when it is back', async () => {
    await Promise.all([bob.ok('login'), carol.ok('login')]);
    expect((await bob.ok('download', 'big.bin', '0', '1'))['held']).to.deep.equal([0, 1]);
    expect((await carol.ok('download', 'big.bin', '1', '3'))['held']).to.deep.equal([1, 3]);
    process.kill(alice.agentPid, 'SIGKILL');
    const outcome = await bob.run('download', 'big.bin');
    expect(`${outcome.code} ${outcome.error?.code}`).to.equal('3 NO_HOLDER');
    expect(outcome.error?.message).to.match(/2, 4/);
    // What they had between them was exchanged all the same.
    const chunks = (await carol.ok('searchChunk', 'big.bin', '3'))['chunks'] as { holders: string[] }[];
    expect(chunks[0]?.holders).to.include('bob');

    await alice.ok('status');
    const whole = (await bob.ok('download', 'big.bin')) as unknown as Downloaded;
    expect(whole.chunks).to.deep.equal([2, 4]);
    expect(whole.complete).to.equal(true);
    expect(sha256(join(bob.folder, 'big.bin'))).to.equal(original);
  });

  it('resumes after SIGKILL of the downloader without fetching verified blocks again', async () => {
    await bob.ok('login');
    const child = bob.start('download', 'big.bin', '--limit-rate', '15M', '--json');
    const ended = new Promise((resolve) => child.once('exit', resolve));
    const have = await bob.hasFetched('big.bin', SIZE / 2);
    process.kill(bob.agentPid, 'SIGKILL');
    await ended;
    const whole = (await bob.ok('download', 'big.bin')) as unknown as Downloaded;
    const fetched = whole.sources.reduce((sum, { bytes }) => sum + bytes, 0);
    expect(sha256(join(bob.folder, 'big.bin'))).to.equal(original);
    // Digests are noted every second (15 MiB at this rate) or 4 MiB; the rest is what was in flight.
    expect(fetched).to.be.below(SIZE - have + 24 * MIB);
  });
});
