import { expect } from 'chai';
import { randomBytes } from 'node:crypto';
import { chmodSync, mkdirSync, readdirSync, renameSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { blockDigest, chunkDigest, manifestRoot } from '../../../src/chunks/digest.js';
import { planChunks } from '../../../src/chunks/plan.js';
import type { PeerLink } from '../../../src/p2p/link.js';
import { startPeerListener } from '../../../src/p2p/listener.js';
import { Pins } from '../../../src/p2p/pins.js';
import { BitSet } from '../../../src/chunks/bits.js';
import { Provider } from '../../../src/p2p/provider.js';
import type { Share } from '../../../src/p2p/share.js';
import { makeIdentity } from '../../../src/protocol/certificate.js';
import type { ParamsOf } from '../../../src/protocol/command.js';
import { clientCommands } from '../../../src/protocol/commands/client.js';
import { agentCommands } from '../../../src/protocol/commands/agent.js';
import { serverCommands } from '../../../src/protocol/commands/server.js';
import { listTree, makeTree } from '../../chunks/folders.js';
import type { Tree } from '../../chunks/folders.js';
import { dialServer } from '../../support/server.js';
import { People, USERS } from './people.js';
import type { Person } from './people.js';
import { Cleanup, until } from './support.js';

const MIB = 1024 * 1024;
const { register, seed, download, status } = agentCommands;
const { searchFile, files } = serverCommands;

const TREE: Tree = {
  'big.bin': randomBytes(5 * MIB + 3),
  'empty.txt': '',
  'none/at/all': null,
  'été/日本語 🏔/ü.txt': 'unicode',
  '.hidden': 'h',
  ...Object.fromEntries(Array.from({ length: 300 }, (_, i) => [`many/${i}.txt`, randomBytes(i * 20)])),
};

describe('client/agent folders', () => {
  const cleanup = new Cleanup();
  afterEach(() => cleanup.run());

  async function offer(person: Person, name: string, tree: Tree, chunks: number): Promise<string> {
    const path = join(person.folder, name);
    makeTree(path, tree);
    await person.call(register, { path, chunks });
    return path;
  }
  const fetch = (person: Person, file: string, more: object = {}) =>
    person.call(download, { file, directory: person.folder, ...more });

  it('moves a folder with all that is in it, and who has it serves it', async () => {
    const people = await People.gather(cleanup);
    const [alice, bob, carol] = [
      await people.arrive('alice'),
      await people.arrive('bob'),
      await people.arrive('carol'),
    ];
    const path = join(alice.folder, 'photos');
    makeTree(path, TREE);
    chmodSync(join(path, '.hidden'), 0o700);
    symlinkSync('/etc/passwd', join(path, 'link'));
    const registered = await alice.call(register, { path, chunks: 7 });
    const counts = { files: 304, folders: 6 };
    expect(registered.folder).to.deep.equal(counts);
    expect(registered.skipped).to.deep.equal([{ path: 'link', kind: 'symbolic link' }]);
    expect((await bob.call(searchFile, { file: 'photos' })).folder).to.equal(true);
    expect((await bob.call(files, {})).files[0]).to.include({ file: 'photos', folder: true, chunks: 7 });
    rmSync(join(path, 'link'));

    const first = await fetch(bob, 'photos');
    expect(first).to.deep.include({ file: 'photos', path: join(bob.folder, 'photos'), complete: true, folder: counts });
    expect(first.sources).to.deep.equal([{ user: 'alice', bytes: first.sizeBytes }]);
    expect(listTree(first.path)).to.deep.equal(listTree(path));
    expect(statSync(join(first.path, '.hidden')).mode & 0o100).to.equal(0o100);
    expect(readdirSync(bob.folder)).to.deep.equal(['photos']);
    expect(await fetch(bob, 'photos')).to.include({ alreadyThere: true });

    await alice.agent.close();
    await bob.agent.close();
    await people.arrive('bob');
    const second = await fetch(carol, 'photos', { output: 'mine' });
    expect(second.sources.map(({ user }) => user)).to.deep.equal(['bob']);
    expect(listTree(join(carol.folder, 'mine'))).to.deep.equal(listTree(path));
  });

  it('keeps some chunks in a .part folder, serves them, and goes on from there', async () => {
    const people = await People.gather(cleanup);
    const [alice, bob, carol] = [
      await people.arrive('alice'),
      await people.arrive('bob'),
      await people.arrive('carol'),
    ];
    const path = await offer(alice, 'photos', TREE, 6);
    const some = await fetch(bob, 'photos', { chunks: [4, 2] });
    expect(some).to.deep.include({
      chunks: [0, 2, 4],
      held: [0, 2, 4],
      complete: false,
      path: join(bob.folder, 'photos.part'),
    });
    await bob.agent.close();
    const bobAgain = await people.arrive('bob');
    await bobAgain.agent.close();
    await people.arrive('bob');
    await alice.agent.close();
    await fetch(carol, 'photos', { chunks: [2] }).catch((error: unknown) =>
      expect(error).to.have.property('code', 'NO_HOLDER'),
    );
    const aliceAgain = await people.arrive('alice');
    const rest = await fetch(carol, 'photos');
    expect(rest.complete).to.equal(true);
    expect(rest.sources.map(({ user }) => user)).to.include('alice');
    expect(listTree(join(carol.folder, 'photos'))).to.deep.equal(listTree(path));
    await aliceAgain.agent.close();
  }).timeout(20_000);

  it('moves empty folders, and tiny ones of many chunks', async () => {
    const people = await People.gather(cleanup);
    const [alice, bob] = [await people.arrive('alice'), await people.arrive('bob')];
    const empty = await offer(alice, 'empty', { 'a/b': null }, 1);
    expect(await fetch(bob, 'empty')).to.deep.include({ complete: true, folder: { files: 0, folders: 2 } });
    expect(listTree(join(bob.folder, 'empty'))).to.deep.equal(listTree(empty));
    const nothing = await offer(alice, 'nothing', {}, 16);
    await fetch(bob, 'nothing');
    expect(listTree(join(bob.folder, 'nothing'))).to.deep.equal(listTree(nothing));
    const tiny = await offer(alice, 'tiny', { a: 'a', b: 'bc' }, 31);
    await fetch(bob, 'tiny');
    expect(listTree(join(bob.folder, 'tiny'))).to.deep.equal(listTree(tiny));
  });

  it('seeds a copy of a folder whose bytes and names match, and no other', async () => {
    const people = await People.gather(cleanup);
    const [alice, bob] = [await people.arrive('alice'), await people.arrive('bob')];
    await offer(alice, 'f', { a: 'one', 'b/c': 'two' }, 2);
    const path = join(bob.folder, 'f');
    makeTree(path, { a: 'one', 'b/c': 'twO' });
    expect((await bob.refused(seed, { path })).code).to.equal('BYTES_DIFFER');
    expect((await bob.refused(download, { file: 'f', directory: bob.folder })).code).to.equal('TARGET_EXISTS');
    writeFileSync(join(path, 'b/c'), 'two');
    expect(await bob.call(seed, { path })).to.deep.equal({ file: 'f', chunks: [0, 1] });
    writeFileSync(join(bob.folder, 'g'), 'x');
    await bob.call(register, { path: join(bob.folder, 'g'), chunks: 1 });
    makeTree(join(alice.folder, 'g'), { a: 'x' });
    expect((await alice.refused(seed, { path: join(alice.folder, 'g') })).code).to.equal('BYTES_DIFFER');
  });

  it('sets an existing folder aside when told to overwrite it', async () => {
    const people = await People.gather(cleanup);
    const [alice, bob] = [await people.arrive('alice'), await people.arrive('bob')];
    await offer(alice, 'f', { a: 'one' }, 1);
    makeTree(join(bob.folder, 'f'), { precious: 'mine' });
    const { setAside } = await fetch(bob, 'f', { overwrite: true });
    expect(Object.keys(listTree(setAside ?? ''))).to.deep.equal(['precious']);
    expect(Object.keys(listTree(join(bob.folder, 'f')))).to.deep.equal(['a']);
  });

  it('withdraws a folder of which a file changed, and takes it back when it is as it was', async () => {
    const people = await People.gather(cleanup);
    const [alice, bob] = [await people.arrive('alice'), await people.arrive('bob')];
    const path = await offer(alice, 'f', { a: 'one', b: randomBytes(MIB) }, 1);
    writeFileSync(join(path, 'a'), 'One');
    const heard = await alice.listen();
    expect((await bob.refused(download, { file: 'f', directory: bob.folder })).code).to.equal('NO_HOLDER');
    await heard.notice('FILE_WITHDRAWN');
    expect((await alice.call(status, {})).held).to.deep.equal([]);
    expect(readdirSync(bob.folder)).to.deep.equal([]);
    writeFileSync(join(path, 'a'), 'one');
    await alice.call(seed, { path });
    expect((await fetch(bob, 'f')).complete).to.equal(true);
    // A touch is no change.
    renameSync(join(path, 'a'), join(path, 'x'));
    writeFileSync(join(path, 'a'), 'one');
    rmSync(join(bob.folder, 'f'), { recursive: true });
    await until(async () => (await alice.call(searchFile, { file: 'f' })).holders.includes('alice'));
    await bob.agent.close();
    const bobAgain = await people.arrive('bob');
    expect((await fetch(bobAgain, 'f')).complete).to.equal(true);
  }).timeout(20_000);

  it('refuses to register what others could not create, or should not see', async () => {
    const people = await People.gather(cleanup);
    const alice = await people.arrive('alice');
    const path = join(alice.folder, 'f');
    makeTree(path, { 'b/a:b': 'x' });
    const error = await alice.refused(register, { path, chunks: 1 });
    expect(error.code).to.equal('BAD_NAME');
    expect(error.message).to.contain('b/a:b');
    expect((await alice.refused(register, { path: alice.home, chunks: 1 })).code).to.equal('FILE_MISSING');
    mkdirSync(join(alice.folder, 'ok'));
    expect((await alice.refused(register, { path: join(alice.folder, 'ok'), chunks: 17 })).code).to.equal(
      'BAD_CHUNK_COUNT',
    );
  });

  it('makes nothing of a hostile index', async () => {
    const people = await People.gather(cleanup);
    const bob = await people.arrive('bob');
    const mallory = await hostileHolder(people, cleanup);
    const victim = join(bob.folder, 'inner', 'most');
    mkdirSync(victim, { recursive: true });
    const outside = (): object =>
      Object.fromEntries(
        Object.entries(listTree(dirname(bob.folder))).filter(([path]) => !path.startsWith('bob-home/')),
      );
    const before = outside();
    const indexes = [
      'parley-folder 1\nf 4 ../../evil\n',
      `parley-folder 1\nf 4 ${join(bob.folder, 'evil')}\n`,
      'parley-folder 1\nd a\nf 4 a/../../../evil\n',
      'parley-folder 1\nf 2 A\nf 2 a\n',
      'parley-folder 1\nf 5 evil\n',
      'parley-folder 1\nf 3 evil\n',
      'something else',
      'parley-folder 1\nf 4 evil',
    ];
    for (const [i, index] of indexes.entries()) {
      await mallory.offer(`evil${i}`, Buffer.from(index), Buffer.from('EVIL'));
      const error = await bob.refused(download, { file: `evil${i}`, directory: victim });
      expect(`${index} ${error.code}`).to.equal(`${index} BAD_FOLDER_INDEX`);
      expect(outside(), index).to.deep.equal(before);
    }
    await mallory.offer('good', Buffer.from('parley-folder 1\nf 4 fine\n'), Buffer.from('EVIL'));
    expect((await fetch(bob, 'good', { directory: victim })).complete).to.equal(true);
    expect(Object.keys(listTree(victim))).to.deep.equal(['good/', 'good/fine']);
  }).timeout(20_000);
});

/** A user whose client shares as folders whatever bytes it likes. */
async function hostileHolder(people: People, undo: Cleanup) {
  const identity = await makeIdentity('dave');
  const pins = await Pins.open(await undo.folder());
  const shares = new Map<string, Share>();
  const provider = new Provider({ shares: { find: (root) => shares.get(root) } });
  const onLink = ({ peer, connection }: PeerLink): void => provider.serve(peer, connection);
  const listener = await startPeerListener({ identity, pins, host: '127.0.0.1', port: 0, onLink });
  const connection = await dialServer(people.server, { identity });
  connection.serve(clientCommands, (_spec, params) => {
    listener.expect(params as ParamsOf<typeof clientCommands.expectPeer>);
    return Promise.resolve({});
  });
  await connection.call(serverCommands.login, { user: 'dave', password: USERS.dave });
  await connection.call(serverCommands.advertise, { port: listener.port });
  undo.add(() => {
    connection.socket.destroy();
    listener.close();
    return Promise.resolve();
  });
  return {
    offer: async (file: string, index: Buffer, rest: Buffer): Promise<void> => {
      const bytes = Buffer.concat([index, rest]);
      const chunkDigests = chunkDigest(blockDigest(bytes));
      const manifest = { sizeBytes: bytes.length, chunkDigests, indexBytes: index.length };
      const root = manifestRoot(manifest);
      shares.set(root, {
        file,
        plan: planChunks(bytes.length, 1),
        heldChunks: () => BitSet.full(1).toBytes(),
        heldBlocks: () => BitSet.full(planChunks(bytes.length, 1).blocks),
        lacks: () => undefined,
        coming: () => [],
        blockDigests: () => blockDigest(bytes),
        read: (_block, target, at) => {
          target.set(bytes, at);
          return Promise.resolve(bytes.length);
        },
      });
      const { sizeBytes, indexBytes } = manifest;
      const params = { file, chunks: 1, root, sizeBytes, indexBytes };
      await connection.call(serverCommands.registerFile, params, { body: [chunkDigests] });
    },
  };
}
