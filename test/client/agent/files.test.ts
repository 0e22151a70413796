import { expect } from 'chai';
import { execFileSync } from 'node:child_process';
import { appendFile, lstat, readFile, readdir, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { agentCommands } from '../../../src/protocol/commands/agent.js';
import { serverCommands } from '../../../src/protocol/commands/server.js';
import type { TransferState } from '../../../src/protocol/events.js';
import { People } from './people.js';
import type { Person } from './people.js';
import { Cleanup, hurriedClock, until } from './support.js';

const MIB = 1024 * 1024;
const { register, seed, download, status, transfers, why } = agentCommands;
const { searchFile, searchChunk, unregister } = serverCommands;

describe('client/agent files', () => {
  const cleanup = new Cleanup();
  afterEach(() => cleanup.run());

  async function offer(person: Person, file: string, bytes: Buffer, chunks: number): Promise<string> {
    const path = join(person.folder, file);
    await writeFile(path, bytes);
    await person.call(register, { path, chunks });
    return path;
  }
  const fetchTo = (person: Person, file: string, more: object = {}): ReturnType<typeof call> =>
    call(person, file, more);
  const call = (person: Person, file: string, more: object) =>
    person.call(download, { file, directory: person.folder, ...more });

  it('registers a file, and others find and fetch it, byte for byte, from two holders at once', async () => {
    const people = await People.gather(cleanup);
    const [alice, bob, carol] = [
      await people.arrive('alice'),
      await people.arrive('bob'),
      await people.arrive('carol'),
    ];
    const dave = await people.arrive('dave');
    const bytes = randomBytes(8 * MIB + 12_345);
    const path = join(alice.folder, 'a.bin');
    await writeFile(path, bytes);
    const reading: unknown[] = [];
    const registered = await alice.call(register, { path, chunks: 5 }, { onEvent: (event) => reading.push(event) });
    expect(registered).to.deep.include({ file: 'a.bin', sizeBytes: bytes.length, chunks: 5 });
    expect(reading[0]).to.include({ type: 'reading', sizeBytes: bytes.length });

    const first = await fetchTo(bob, 'a.bin');
    expect(first).to.deep.equal({
      file: 'a.bin',
      path: join(bob.folder, 'a.bin'),
      sizeBytes: bytes.length,
      chunks: [0, 1, 2, 3, 4],
      held: [0, 1, 2, 3, 4],
      complete: true,
      sources: [{ user: 'alice', bytes: bytes.length }],
    });
    expect((await readFile(first.path)).equals(bytes)).to.equal(true);
    expect((await alice.call(searchFile, { file: 'a.bin' })).holders.sort()).to.deep.equal(['alice', 'bob']);

    // Two who have different halves, and nobody else: both are needed.
    await fetchTo(dave, 'a.bin', { chunks: [3, 4] });
    await bob.agent.close();
    await rm(join(bob.folder, 'a.bin'));
    const bobAgain = await people.arrive('bob');
    await fetchTo(bobAgain, 'a.bin', { chunks: [0, 1, 2] });
    await alice.agent.close();
    const states: TransferState[] = [];
    const second = await carol.call(
      download,
      { file: 'a.bin', directory: carol.folder },
      { onEvent: (event) => states.push((event as { transfer: TransferState }).transfer) },
    );
    expect(second.sources.map(({ user }) => user).sort()).to.deep.equal(['bob', 'dave']);
    expect(second.sources.reduce((sum, source) => sum + source.bytes, 0)).to.equal(bytes.length);
    const sizeBytes = bytes.length;
    expect(states.at(-1)).to.include({ file: 'a.bin', direction: 'download', sizeBytes, bytes: sizeBytes });
    expect(states.at(-1)?.sources.map(({ user, bytes: sent }) => ({ user, bytes: sent }))).to.have.deep.members(
      second.sources,
    );
    expect((await readFile(join(carol.folder, 'a.bin'))).equals(bytes)).to.equal(true);
    expect(await readdir(carol.folder)).to.deep.equal(['a.bin']);
    expect((await carol.call(status, {})).held).to.deep.equal([{ file: 'a.bin', held: 5, chunks: 5 }]);
    expect((await carol.call(transfers, {})).transfers[0]).to.include({
      file: 'a.bin',
      state: 'done',
      bytes: bytes.length,
    });
  });

  it('refuses what cannot be registered, and keeps nothing of it', async () => {
    const people = await People.gather(cleanup);
    const [alice, bob] = [await people.arrive('alice'), await people.arrive('bob')];
    await offer(alice, 'a.bin', Buffer.from('first'), 1);
    const other = join(bob.folder, 'a.bin');
    await writeFile(other, 'second');
    const refusals: [string, number, string][] = [
      [other, 1, 'FILE_ALREADY_REGISTERED'],
      [join(bob.folder, 'none'), 1, 'FILE_MISSING'],
      ['/dev/null', 1, 'FILE_MISSING'],
      [other, 0, 'BAD_CHUNK_COUNT'],
      [other, 7, 'BAD_CHUNK_COUNT'],
      [other, 1.5, 'BAD_CHUNK_COUNT'],
      [join(bob.folder, 'con.txt'), 1, 'BAD_NAME'],
    ];
    for (const [path, chunks, code] of refusals) {
      expect((await bob.refused(register, { path, chunks })).code, `${path} ${chunks}`).to.equal(code);
    }
    expect((await bob.call(status, {})).held).to.deep.equal([]);
  });

  it('keeps some chunks verified in a .part, is a holder of them at once, and goes on from there', async () => {
    const people = await People.gather(cleanup);
    const [alice, bob, carol] = [
      await people.arrive('alice'),
      await people.arrive('bob'),
      await people.arrive('carol'),
    ];
    const bytes = randomBytes(3 * MIB);
    await offer(alice, 'a.bin', bytes, 6);
    const part = await fetchTo(bob, 'a.bin', { chunks: [4, 1, 4] });
    expect(part).to.deep.include({
      path: join(bob.folder, 'a.bin.part'),
      chunks: [1, 4],
      held: [1, 4],
      complete: false,
    });
    const chunks = (await carol.call(searchChunk, { file: 'a.bin', chunks: [0, 1] })).chunks;
    expect(chunks.map(({ holders }) => holders.sort())).to.deep.equal([['alice'], ['alice', 'bob']]);
    await alice.agent.close();
    const fromBob = await fetchTo(carol, 'a.bin', { chunks: [1] });
    expect(fromBob).to.deep.include({ chunks: [1], sources: [{ user: 'bob', bytes: bytes.length / 6 }] });
    expect((await bob.call(status, {})).held).to.deep.equal([{ file: 'a.bin', held: 2, chunks: 6 }]);
    await people.arrive('alice');
    const rest = await fetchTo(bob, 'a.bin');
    expect(rest).to.deep.include({ chunks: [0, 2, 3, 5], held: [0, 1, 2, 3, 4, 5], complete: true });
    expect((await readFile(join(bob.folder, 'a.bin'))).equals(bytes)).to.equal(true);
  });

  it('leaves nothing of a download that nothing came of', async () => {
    const people = await People.gather(cleanup);
    const [alice, bob] = [await people.arrive('alice'), await people.arrive('bob', { clock: hurriedClock(20) })];
    await offer(alice, 'a.bin', randomBytes(MIB), 2);
    await alice.agent.close();
    expect((await bob.refused(download, { file: 'a.bin', directory: bob.folder })).code).to.equal('NO_HOLDER');
    expect(await readdir(bob.folder)).to.deep.equal([]);
  });

  it('begins anew when somebody removed the .part', async () => {
    const people = await People.gather(cleanup);
    const [alice, bob] = [await people.arrive('alice'), await people.arrive('bob')];
    const bytes = randomBytes(2 * MIB);
    await offer(alice, 'a.bin', bytes, 4);
    const { path } = await fetchTo(bob, 'a.bin', { chunks: [1] });
    await rm(path);
    expect(await fetchTo(bob, 'a.bin', { chunks: [2] })).to.deep.include({ chunks: [2], held: [2] });
    await until(async () => {
      const { chunks } = await alice.call(searchChunk, { file: 'a.bin', chunks: [1, 2] });
      return chunks.map(({ holders }) => holders.includes('bob')).join() === 'false,true';
    });
    await rm(path);
    await rm(`${path}.state`);
    expect((await fetchTo(bob, 'a.bin')).complete).to.equal(true);
    expect((await readFile(join(bob.folder, 'a.bin'))).equals(bytes)).to.equal(true);
    expect(await readdir(bob.folder)).to.deep.equal(['a.bin']);
  });

  it('offers again after a restart: whole files by a look at them, parts by their verified blocks', async () => {
    const people = await People.gather(cleanup);
    let [alice, bob] = [await people.arrive('alice'), await people.arrive('bob')];
    const bytes = randomBytes(2 * MIB);
    await offer(alice, 'a.bin', bytes, 4);
    await fetchTo(bob, 'a.bin', { chunks: [2] });
    await alice.agent.close();
    await bob.agent.close();
    alice = await people.arrive('alice');
    bob = await people.arrive('bob');
    const found = (await alice.call(searchChunk, { file: 'a.bin', chunks: [1, 2] })).chunks;
    expect(found.map(({ holders }) => holders.sort())).to.deep.equal([['alice'], ['alice', 'bob']]);
    const rest = await fetchTo(bob, 'a.bin');
    expect(rest.chunks).to.deep.equal([0, 1, 3]);
    expect((await readFile(join(bob.folder, 'a.bin'))).equals(bytes)).to.equal(true);
  });

  it('announces again when the server comes back without its memory of holders', async () => {
    const dataDir = await cleanup.folder();
    const people = await People.gather(cleanup, { dataDir });
    const alice = await people.arrive('alice');
    await offer(alice, 'a.bin', randomBytes(100), 2);
    const heard = await alice.listen();
    const { startTestServer } = await import('../../support/server.js');
    const { identity, port } = people.server;
    await people.server.close();
    const again = await startTestServer({ dataDir, identity, port });
    cleanup.add(() => again.close());
    await heard.notice('CONNECTION_RESTORED');
    await until(async () => (await alice.call(searchFile, { file: 'a.bin' })).holders.length === 1);
  });

  it('withdraws a file that changed while it was away, and one that went', async () => {
    const people = await People.gather(cleanup);
    let alice = await people.arrive('alice');
    const bob = await people.arrive('bob');
    const edited = await offer(alice, 'edited.bin', randomBytes(1000), 2);
    const gone = await offer(alice, 'gone.bin', randomBytes(1000), 2);
    await offer(alice, 'same.bin', randomBytes(1000), 2);
    await alice.agent.close();
    await writeFile(edited, randomBytes(1000));
    await rm(gone);
    alice = await people.arrive('alice');
    const holders = async (file: string): Promise<string[]> => (await bob.call(searchFile, { file })).holders;
    expect(await Promise.all(['edited.bin', 'gone.bin', 'same.bin'].map(holders))).to.deep.equal([[], [], ['alice']]);
    expect((await alice.call(status, {})).held.map(({ file }) => file)).to.deep.equal(['same.bin']);
  });

  it('never serves a file that changed while it is shared, withdraws it, and says so', async () => {
    const people = await People.gather(cleanup);
    const alice = await people.arrive('alice');
    const bob = await people.arrive('bob', { clock: hurriedClock(5) });
    const path = await offer(alice, 'a.bin', randomBytes(2 * MIB), 2);
    await fetchTo(bob, 'a.bin', { chunks: [0] });
    const heard = await alice.listen();
    await appendFile(path, 'more');
    const refused = await bob.refused(download, { file: 'a.bin', directory: bob.folder });
    expect(refused.code).to.equal('NO_HOLDER');
    expect(refused.message).to.match(/chunk 1 of a\.bin/);
    const notice = await heard.notice('FILE_WITHDRAWN');
    expect(notice.type === 'notice' && notice.text).to.match(/^a\.bin /);
    await until(async () => (await bob.call(searchFile, { file: 'a.bin' })).holders.join() === 'bob');
  }).timeout(15_000);

  it('looks after files that nobody asks for: one that was touched stays, one that changed is withdrawn', async () => {
    const people = await People.gather(cleanup);
    const alice = await people.arrive('alice', { clock: hurriedClock(40) });
    const bob = await people.arrive('bob');
    const path = await offer(alice, 'a.bin', randomBytes(1000), 2);
    const index = async (): Promise<string> => readFile(join(alice.home, 'shares.json'), 'utf8');
    const heard = await alice.listen();
    await utimes(path, 1, 1);
    await until(async () => /"mtimeNs": "1000000000"/.test(await index()));
    expect((await bob.call(searchFile, { file: 'a.bin' })).holders).to.deep.equal(['alice']);
    await writeFile(path, randomBytes(1000));
    await heard.notice('FILE_WITHDRAWN');
    await until(async () => (await bob.call(searchFile, { file: 'a.bin' })).holders.length === 0);
    expect(await index()).to.not.include('a.bin');
    expect(await readdir(join(alice.home, 'digests'))).to.deep.equal([]);
  });

  it('offers on a file that was only touched or moved back', async () => {
    const people = await People.gather(cleanup);
    let alice = await people.arrive('alice');
    const bob = await people.arrive('bob');
    const bytes = randomBytes(MIB);
    const path = await offer(alice, 'a.bin', bytes, 2);
    await utimes(path, 1, 1);
    expect((await fetchTo(bob, 'a.bin', { chunks: [0] })).held).to.deep.equal([0]);
    await alice.agent.close();
    await rename(path, `${path}.away`);
    await writeFile(path, bytes);
    alice = await people.arrive('alice');
    expect((await fetchTo(bob, 'a.bin')).complete).to.equal(true);
    expect((await alice.call(status, {})).held).to.deep.equal([{ file: 'a.bin', held: 2, chunks: 2 }]);
  });

  it('never replaces a device or the like, whatever it is told', async function () {
    if (process.platform === 'win32') this.skip();
    const people = await People.gather(cleanup);
    const [alice, bob] = [await people.arrive('alice'), await people.arrive('bob')];
    await offer(alice, 'a.bin', randomBytes(1000), 1);
    const output = join(bob.folder, 'pipe');
    execFileSync('mkfifo', [output]);
    const request = { file: 'a.bin', directory: bob.folder, output: 'pipe', overwrite: true };
    expect((await bob.refused(download, request)).code).to.equal('DISK_FULL');
    expect((await lstat(output)).isFIFO()).to.equal(true);
  });

  it('never overwrites unless told to, and says when the bytes are there already', async () => {
    const people = await People.gather(cleanup);
    const [alice, bob] = [await people.arrive('alice'), await people.arrive('bob')];
    const bytes = randomBytes(5000);
    await offer(alice, 'a.bin', bytes, 3);
    const target = join(bob.folder, 'a.bin');
    await writeFile(target, 'mine');
    expect((await bob.refused(download, { file: 'a.bin', directory: bob.folder })).code).to.equal('TARGET_EXISTS');
    expect(await readFile(target, 'utf8')).to.equal('mine');
    expect((await fetchTo(bob, 'a.bin', { overwrite: true })).complete).to.equal(true);
    expect((await readFile(target)).equals(bytes)).to.equal(true);
    const again = await fetchTo(bob, 'a.bin');
    expect(again).to.deep.include({ chunks: [], held: [0, 1, 2], complete: true, alreadyThere: true, sources: [] });
    expect(again.path).to.equal(target);

    await writeFile(join(bob.folder, 'copy.bin'), bytes);
    expect(await fetchTo(bob, 'a.bin', { output: 'copy.bin' })).to.include({ alreadyThere: true });
    const own = await fetchTo(alice, 'a.bin');
    expect(own).to.include({ alreadyThere: true });
  });

  it('writes where -o says: a file, or a folder; and copies what this user has already', async () => {
    const people = await People.gather(cleanup);
    const [alice, bob] = [await people.arrive('alice'), await people.arrive('bob')];
    const bytes = randomBytes(MIB + 5);
    await offer(alice, 'a.bin', bytes, 3);
    expect((await fetchTo(bob, 'a.bin', { output: 'other.bin' })).path).to.equal(join(bob.folder, 'other.bin'));
    await alice.agent.close();
    const copy = await fetchTo(bob, 'a.bin', { output: bob.home });
    expect(copy).to.deep.include({ path: join(bob.home, 'a.bin'), complete: true });
    expect(copy.sources).to.deep.equal([{ user: 'bob', bytes: bytes.length }]);
    expect((await readFile(copy.path)).equals(bytes)).to.equal(true);
    const nowhere = await bob.refused(download, { file: 'a.bin', directory: bob.folder, output: 'no/such/folder/x' });
    expect(nowhere.code).to.equal('DISK_FULL');
    expect(nowhere.details).to.include({ path: join(bob.folder, 'no/such/folder'), reason: 'there is no such folder' });
    const long = 'x'.repeat(256);
    const tooLong = await bob.refused(download, { file: 'a.bin', directory: bob.folder, output: long });
    expect(tooLong.details).to.include({ path: join(bob.folder, long), reason: 'the name is too long' });
    expect(await readdir(bob.folder)).to.deep.equal(['other.bin']);
  });

  it('refuses what is not there: files, chunks, holders', async () => {
    const people = await People.gather(cleanup);
    const [alice, bob] = [await people.arrive('alice'), await people.arrive('bob')];
    await offer(alice, 'a.bin', randomBytes(10), 2);
    const ask = async (file: string, chunks: number[] = []): Promise<string> =>
      (await bob.refused(download, { file, chunks, directory: bob.folder })).code;
    expect(await ask('none')).to.equal('FILE_NOT_REGISTERED');
    expect(await ask('../a.bin')).to.equal('FILE_NOT_REGISTERED');
    expect(await ask('a.bin', [2])).to.equal('CHUNK_NOT_FOUND');
    expect(await readdir(bob.folder)).to.deep.equal([]);
  });

  it('says why a download is slow, how it ended, and that there was none', async () => {
    const people = await People.gather(cleanup);
    const [alice, bob] = [await people.arrive('alice'), await people.arrive('bob')];
    await offer(alice, 'a.bin', randomBytes(2 * MIB), 2);
    expect(await bob.call(why, { file: 'a.bin' })).to.deep.include({ file: 'a.bin', state: 'none' });
    const failed = await bob.refused(download, { file: 'a.bin', directory: bob.folder, output: 'no/such/folder/x' });
    expect(failed.code).to.equal('DISK_FULL');

    const stop = new AbortController();
    const running = bob.face
      .call(download, { file: 'a.bin', directory: bob.folder, limitRate: MIB / 8 }, { signal: stop.signal })
      .catch(() => undefined);
    const codes = async (): Promise<string[]> =>
      (await bob.call(why, { file: 'a.bin' })).reasons.map(({ code }) => code);
    await until(async () => (await codes()).includes('RATE_LIMIT'));
    stop.abort();
    await running;
    await until(async () => (await codes())[0] === 'CANCELLED');
    expect(await bob.call(why, { file: 'a.bin' })).to.deep.include({ state: 'failed', sizeBytes: 2 * MIB });
    await fetchTo(bob, 'a.bin');
    expect(await bob.call(why, { file: 'a.bin' })).to.deep.include({ state: 'done', bytes: 2 * MIB });
  });

  it('lets one download at a time write a target, and leaves it to the next when the first is interrupted', async () => {
    const people = await People.gather(cleanup);
    const [alice, bob] = [await people.arrive('alice'), await people.arrive('bob')];
    await offer(alice, 'a.bin', randomBytes(4 * MIB), 4);
    const stop = new AbortController();
    const heard = await bob.listen();
    const slow = bob.face
      .call(download, { file: 'a.bin', directory: bob.folder, limitRate: MIB }, { signal: stop.signal })
      .catch((error: unknown) => error);
    await heard.find((event) => event.type === 'transfer');
    expect((await bob.refused(download, { file: 'a.bin', directory: bob.folder })).code).to.equal('TARGET_BUSY');
    await until(async () => (await alice.call(transfers, {})).transfers.length === 1);
    const [upload] = (await alice.call(transfers, {})).transfers;
    expect(upload).to.include({ file: 'a.bin', direction: 'upload', state: 'running', sizeBytes: 4 * MIB });
    expect(upload?.sources.map(({ user }) => user)).to.deep.equal(['bob']);
    stop.abort();
    await slow;
    await heard.find((event) => event.type === 'transfer' && event.transfer.state === 'failed');
    expect((await fetchTo(bob, 'a.bin')).complete).to.equal(true);
  });

  it('goes on over links that stand when the server goes down', async () => {
    const people = await People.gather(cleanup);
    const [alice, bob] = [await people.arrive('alice'), await people.arrive('bob')];
    const bytes = randomBytes(4 * MIB);
    await offer(alice, 'a.bin', bytes, 4);
    const heard = await bob.listen();
    const fetching = fetchTo(bob, 'a.bin', { limitRate: 6 * MIB });
    await heard.find((event) => event.type === 'transfer' && event.transfer.bytes > 0);
    await people.server.server.close();
    expect((await fetching).complete).to.equal(true);
    expect((await readFile(join(bob.folder, 'a.bin'))).equals(bytes)).to.equal(true);
    expect(await bob.call(status, {})).to.deep.include({
      online: false,
      held: [{ file: 'a.bin', held: 4, chunks: 4 }],
    });
  });

  it('seeds a copy whose bytes match, and no other', async () => {
    const people = await People.gather(cleanup);
    const [alice, bob] = [await people.arrive('alice'), await people.arrive('bob')];
    const bytes = randomBytes(3000);
    await offer(alice, 'a.bin', bytes, 3);
    const path = join(bob.folder, 'a.bin');
    expect((await bob.refused(seed, { path })).code).to.equal('FILE_MISSING');
    await writeFile(path, randomBytes(3000));
    expect((await bob.refused(seed, { path })).code).to.equal('BYTES_DIFFER');
    await writeFile(path, bytes);
    expect(await bob.call(seed, { path })).to.deep.equal({ file: 'a.bin', chunks: [0, 1, 2] });
    expect((await alice.call(searchFile, { file: 'a.bin' })).holders).to.have.length(2);
    const unknown = join(bob.folder, 'unknown.bin');
    await writeFile(unknown, 'x');
    expect((await bob.refused(seed, { path: unknown })).code).to.equal('FILE_NOT_REGISTERED');
  });

  it('offers no more what was unregistered, and keeps the bytes', async () => {
    const people = await People.gather(cleanup);
    const [alice, bob] = [await people.arrive('alice'), await people.arrive('bob')];
    const path = await offer(alice, 'a.bin', randomBytes(3000), 3);
    await fetchTo(bob, 'a.bin');
    await alice.call(unregister, { file: 'a.bin' });
    expect((await alice.call(status, {})).held).to.deep.equal([]);
    expect((await stat(path)).size).to.equal(3000);
    expect((await alice.refused(searchFile, { file: 'a.bin' })).code).to.equal('FILE_NOT_REGISTERED');
    // The name may be given to other bytes: what bob has is not offered as them.
    await writeFile(path, randomBytes(3000));
    await alice.call(register, { path, chunks: 3 });
    await bob.agent.close();
    await people.arrive('bob');
    expect((await alice.call(searchFile, { file: 'a.bin' })).holders).to.deep.equal(['alice']);
  });

  it('moves an empty file, and a file of the most chunks', async () => {
    const people = await People.gather(cleanup);
    const [alice, bob] = [await people.arrive('alice'), await people.arrive('bob')];
    await offer(alice, 'empty.bin', Buffer.alloc(0), 1);
    expect(await fetchTo(bob, 'empty.bin')).to.deep.include({ held: [0], complete: true, sizeBytes: 0 });
    const bytes = randomBytes(65_536);
    await offer(alice, 'tiny.bin', bytes, 65_536);
    const some = await fetchTo(bob, 'tiny.bin', { chunks: [65_535, 0] });
    expect(some.held).to.deep.equal([0, 65_535]);
    expect((await readFile(some.path)).at(-1)).to.equal(bytes.at(-1));
  });
});
