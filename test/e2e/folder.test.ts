/** A folder between real processes: names and bytes, and going on after SIGKILL. */
import { expect } from 'chai';
import { randomFillSync } from 'node:crypto';
import { existsSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { listTree, makeTree } from '../chunks/folders.js';
import { Cast } from '../support/cast.js';
import type { Person } from '../support/cast.js';

const MIB = 1024 * 1024;
const random = (bytes: number): Buffer => randomFillSync(Buffer.alloc(bytes));

describe('a folder between real processes', function () {
  this.timeout(120_000);
  let cast: Cast;
  let alice: Person;
  let bob: Person;
  let path: string;
  const size = 30 * MIB;

  beforeEach(async () => {
    cast = new Cast({ alice: 'a', bob: 'b' });
    await cast.start();
    alice = cast.person('alice', 'a');
    bob = cast.person('bob', 'b');
    path = join(alice.folder, 'photos');
    makeTree(path, {
      'large.bin': random(10 * MIB + 1),
      'nothing in it': null,
      'empty.txt': '',
      'été/日本語 🏔.txt': 'unicode',
      ...Object.fromEntries(Array.from({ length: 200 }, (_, i) => [`some/${i % 7}/${i}.bin`, random(100_000)])),
    });
    symlinkSync('/etc', join(path, 'link'));
  });
  afterEach(() => cast.close());

  /** What is in it, without the link, which is not shared. */
  const original = (): Record<string, string> =>
    Object.fromEntries(Object.entries(listTree(path)).filter(([name]) => name !== 'link'));

  it('arrives as it was, and says what was not shared', async () => {
    const registered = await alice.ok('register', 'photos', '5');
    expect(registered['skipped']).to.deep.equal([{ path: 'link', kind: 'symbolic link' }]);
    expect(registered['folder']).to.deep.equal({ files: 203, folders: 10 });
    const fetched = await bob.ok('download', 'photos');
    expect(fetched).to.deep.include({ complete: true, folder: { files: 203, folders: 10 } });
    expect(listTree(join(bob.folder, 'photos'))).to.deep.equal(original());
    expect(await bob.ok('download', 'photos')).to.include({ alreadyThere: true });
    const said = await alice.shell('searchFile photos', 'unregister photos', 'register photos 3');
    expect(said.stdout).to.contain('not shared: link (symbolic link)');
  });

  it('goes on after SIGKILL of the downloader without fetching verified blocks again', async () => {
    await alice.ok('register', 'photos', '5');
    await bob.ok('login');
    const child = bob.start('download', 'photos', '--limit-rate', '8M', '--json');
    const ended = new Promise((resolve) => child.once('exit', resolve));
    const have = await bob.hasFetched('photos', size / 2);
    process.kill(bob.agentPid, 'SIGKILL');
    await ended;
    expect(existsSync(join(bob.folder, 'photos'))).to.equal(false);
    const whole = await bob.ok('download', 'photos');
    const sources = whole['sources'] as { bytes: number }[];
    expect(listTree(join(bob.folder, 'photos'))).to.deep.equal(original());
    // Digests are noted every second or 4 MiB; the rest is what was in flight.
    expect(sources.reduce((sum, { bytes }) => sum + bytes, 0)).to.be.below(size - have + 12 * MIB);
    expect(existsSync(join(bob.folder, 'photos.part'))).to.equal(false);
  });
});
