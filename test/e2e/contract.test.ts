/** CONTRACT section 4, command by command, through real processes; groups are in groups.test.ts. */
import { expect } from 'chai';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { contractCast } from '../support/contractcast.js';

const FIXTURES = fileURLToPath(new URL('../../../fixtures/', import.meta.url));
const NOISE = readFileSync(join(FIXTURES, 'noise-288k.bin'));

describe('the contract, one-shot', function () {
  this.timeout(120_000);
  const stage = contractCast();

  it('login, status: who is who', async () => {
    const first = await stage.alice.run('login');
    expect(first.json).to.deep.equal({ user: 'alice' });
    expect(first.stderr, 'the key met for the first time').to.contain(stage.cast.fingerprint);
    expect(await stage.alice.refused('login')).to.equal('4 ALREADY_LOGGED_IN');
    const status = await stage.alice.ok('status');
    expect(status).to.include({ user: 'alice', server: stage.cast.address, online: true });
    expect(status).to.have.keys('user', 'server', 'online', 'listen', 'held', 'transfers');
    const second = stage.cast.person('ALICE', 'wonderland-7');
    expect(await second.refused('login')).to.equal('4 ALREADY_LOGGED_IN');
    const wrong = stage.cast.person('dave', 'wrong');
    expect(await wrong.refused('login')).to.equal('4 BAD_CREDENTIALS');
    const nobody = stage.cast.person('zed', 'x');
    expect(await nobody.refused('whoelse')).to.equal('4 BAD_CREDENTIALS');
  });

  it('locks out after three failures, the right password included', async () => {
    const guess = stage.cast.person('dave', 'wrong');
    await guess.refused('login');
    await guess.refused('login');
    const locked = await stage.cast.person('dave', 'never here').run('login');
    expect(locked.code).to.equal(4);
    expect(locked.error?.code).to.equal('LOCKED_OUT');
    expect(locked.error?.retryAfterSeconds).to.be.within(1, 60);
  });

  it('starts an agent by itself, and says so on stderr', async () => {
    const first = await stage.bob.run('whoelse');
    expect(first.json).to.deep.equal({ users: ['alice'] });
    expect(first.stderr).to.match(/agent/);
    await stage.carol.ok('login', 'carol');
    const users = (await stage.bob.ok('WhoElse'))['users'] as string[];
    expect(users.sort()).to.deep.equal(['alice', 'carol']);
  });

  it('presence: whoelsesince, wholast, and their usage', async () => {
    expect(((await stage.alice.ok('whoelsesince', '100'))['users'] as string[]).sort()).to.deep.equal(['bob', 'carol']);
    const last = (await stage.alice.ok('wholast', '5'))['users'] as {
      user: string;
      lastSeen: string;
      online: boolean;
    }[];
    const seen = last.find(({ user }) => user === 'bob');
    expect(seen?.online).to.equal(true);
    expect(Math.abs(Date.parse(seen?.lastSeen ?? '') - Date.now())).to.be.below(60_000);
    for (const words of [
      ['whoelsesince'],
      ['whoelsesince', 'x'],
      ['whoelsesince', '1.5'],
      ['whoelsesince', '-1'],
      ['wholast', 'ten'],
      ['wholast'],
    ]) {
      expect(await stage.alice.refused(...words), words.join(' ')).to.equal('2 USAGE');
    }
  });

  it('wrong usage is exit code 2', async () => {
    for (const words of [
      ['nonsense'],
      ['whoelse', '--nonsense'],
      ['whoelse', 'extra'],
      ['message'],
      ['block'],
      ['register', 'x'],
      ['register', 'x', 'y'],
      ['searchChunk', 'x'],
      ['download'],
      ['trust', 'bob'],
    ]) {
      expect(await stage.alice.refused(...words), words.join(' ')).to.equal('2 USAGE');
    }
  });

  it('message and inbox', async () => {
    const sent = await stage.alice.ok('message', 'BOB', 'hello', 'there');
    expect(sent['delivered']).to.equal(true);
    expect(sent['id']).to.be.a('string');
    const inbox = (await stage.bob.ok('inbox', '--unread'))['messages'] as Record<string, unknown>[];
    expect(inbox).to.have.length(1);
    expect(inbox[0]).to.deep.include({
      id: sent['id'],
      kind: 'message',
      from: 'alice',
      to: 'bob',
      text: 'hello there',
      unread: true,
    });
    expect(inbox[0]).to.have.keys('id', 'kind', 'from', 'to', 'text', 'sentAt', 'unread');
    expect((await stage.bob.ok('inbox', '--unread'))['messages']).to.deep.equal([]);
    expect((await stage.bob.ok('inbox'))['messages']).to.have.length(1);
    expect(await stage.alice.refused('message', 'zed', 'hi')).to.equal('1 UNKNOWN_USER');
    expect(await stage.alice.refused('message', '../../x', 'hi')).to.equal('1 UNKNOWN_USER');
    expect(await stage.alice.refused('send', 'alice', 'hi')).to.equal('1 SELF');
    expect(await stage.alice.refused('message', 'bob')).to.equal('1 EMPTY_MESSAGE');
    expect(await stage.alice.refused('message', 'bob', '  ')).to.equal('1 EMPTY_MESSAGE');
    expect(await stage.alice.refused('message', 'bob', 'x'.repeat(16_385))).to.equal('1 MESSAGE_TOO_LONG');
    expect((await stage.alice.ok('message', 'dave', 'for later'))['delivered']).to.equal(false);
  });

  it('inbox pages: --with, --limit, --before', async () => {
    for (const text of ['one', 'two', 'three']) await stage.carol.ok('message', 'bob', text);
    const texts = async (...words: string[]): Promise<unknown[]> =>
      ((await stage.bob.ok('inbox', ...words))['messages'] as { text: string }[]).map(({ text }) => text);
    expect(await texts('--with', 'carol')).to.deep.equal(['one', 'two', 'three']);
    expect(await texts('--limit', '2')).to.deep.equal(['two', 'three']);
    const [two] = (await stage.bob.ok('inbox', '--limit', '2'))['messages'] as { id: string }[];
    expect(await texts('--limit', '1', '--before', two?.id ?? '')).to.deep.equal(['one']);
    expect(await stage.bob.refused('inbox', '--with', 'zed')).to.equal('1 UNKNOWN_USER');
    expect(await stage.bob.refused('inbox', '--limit', 'x')).to.equal('2 USAGE');
  });

  it('broadcast in all its forms', async () => {
    const all = await stage.alice.ok('broadcast', 'to', 'everyone');
    expect((all['recipients'] as string[]).sort()).to.deep.equal(['bob', 'carol']);
    expect(all['blockedBy']).to.equal(0);
    const some = await stage.alice.ok('broadcast', 'user', 'bob,carol', 'to two');
    expect((some['recipients'] as string[]).sort()).to.deep.equal(['bob', 'carol']);
    expect(some['skipped']).to.deep.equal([]);
    expect((await stage.alice.ok('broadcast', '--to', 'bob', 'to one'))['recipients']).to.deep.equal(['bob']);
    expect(await stage.alice.refused('broadcast', '--to', 'bob,zed', 'x')).to.equal('1 UNKNOWN_USER');
    expect(await stage.alice.refused('broadcast')).to.equal('1 EMPTY_MESSAGE');
    const inbox = (await stage.bob.ok('inbox', '--limit', '3'))['messages'] as { kind: string; text: string }[];
    expect(inbox.map(({ kind, text }) => `${kind} ${text}`)).to.deep.equal([
      'broadcast to everyone',
      'broadcast to two',
      'broadcast to one',
    ]);
  });

  it('block and unblock', async () => {
    expect(await stage.bob.ok('block', 'Carol')).to.deep.equal({ user: 'carol' });
    expect(await stage.bob.refused('block', 'carol')).to.equal('1 ALREADY_BLOCKED');
    expect(await stage.carol.refused('message', 'bob', 'hi')).to.equal('1 BLOCKED');
    const broadcast = await stage.carol.ok('broadcast', 'hi all');
    expect(broadcast).to.deep.include({ recipients: ['alice'], blockedBy: 1 });
    expect((await stage.carol.ok('broadcast', '--to', 'alice,bob', 'hi'))['skipped']).to.deep.equal([
      { user: 'bob', code: 'BLOCKED' },
    ]);
    expect(await stage.carol.refused('startprivate', 'bob')).to.equal('1 BLOCKED');
    expect(await stage.bob.ok('unblock', 'carol')).to.deep.equal({ user: 'carol' });
    expect(await stage.bob.refused('unblock', 'carol')).to.equal('1 NOT_BLOCKED');
    expect(await stage.bob.refused('block', 'bob')).to.equal('1 SELF');
    expect(await stage.bob.refused('block', 'zed')).to.equal('1 UNKNOWN_USER');
    expect(await stage.bob.refused('unblock', 'zed')).to.equal('1 UNKNOWN_USER');
    expect((await stage.carol.ok('message', 'bob', 'again'))['delivered']).to.equal(true);
  });

  it('register, files, searchFile, searchChunk', async () => {
    writeFileSync(join(stage.alice.folder, 'noise.bin'), NOISE);
    writeFileSync(join(stage.alice.folder, 'empty.bin'), '');
    const registered = await stage.alice.ok('register', 'noise.bin', '5');
    expect(registered).to.deep.include({ file: 'noise.bin', sizeBytes: NOISE.length, chunks: 5 });
    expect(registered['root']).to.match(/^[0-9a-f]{64}$/);
    expect((await stage.alice.ok('register', 'empty.bin', '1'))['sizeBytes']).to.equal(0);
    expect(await stage.alice.refused('register', 'noise.bin', '5')).to.equal('1 FILE_ALREADY_REGISTERED');
    expect(await stage.alice.refused('register', 'missing.bin', '5')).to.equal('1 FILE_MISSING');
    expect(await stage.alice.refused('register', '/dev/null', '1')).to.equal('1 FILE_MISSING');
    writeFileSync(join(stage.alice.folder, 'bad\u202ename.bin'), 'x');
    expect(await stage.alice.refused('register', 'bad\u202ename.bin', '1')).to.equal('1 BAD_NAME');
    writeFileSync(join(stage.alice.folder, 'two.bin'), 'ab');
    expect(await stage.alice.refused('register', 'two.bin', '0')).to.equal('1 BAD_CHUNK_COUNT');
    expect(await stage.alice.refused('register', 'two.bin', '3')).to.equal('1 BAD_CHUNK_COUNT');
    expect(await stage.alice.refused('register', 'noise.bin', '65537')).to.equal('1 BAD_CHUNK_COUNT');

    const files = (await stage.bob.ok('files'))['files'] as Record<string, unknown>[];
    expect(files).to.deep.include({
      file: 'noise.bin',
      sizeBytes: NOISE.length,
      chunks: 5,
      owner: 'alice',
      holders: 1,
    });
    expect((await stage.bob.ok('files', 'no*.bin'))['files']).to.have.length(1);
    expect(await stage.bob.ok('SearchFile', 'noise.bin')).to.deep.equal({
      file: 'noise.bin',
      available: true,
      sizeBytes: NOISE.length,
      chunks: 5,
      owner: 'alice',
      root: registered['root'],
      holders: ['alice'],
    });
    expect(await stage.bob.refused('searchFile', '../noise.bin')).to.equal('1 FILE_NOT_REGISTERED');
    expect(await stage.bob.ok('searchChunk', 'noise.bin', '0', '4')).to.deep.equal({
      file: 'noise.bin',
      chunks: [
        { index: 0, available: true, holders: ['alice'] },
        { index: 4, available: true, holders: ['alice'] },
      ],
    });
    expect(await stage.bob.refused('searchChunk', 'noise.bin', '5')).to.equal('1 CHUNK_NOT_FOUND');
    expect(await stage.bob.refused('searchChunk', 'nothing', '0')).to.equal('1 FILE_NOT_REGISTERED');
  });

  it('download some chunks, then all; seed; transfers', async () => {
    expect(await stage.bob.refused('download', 'nothing')).to.equal('1 FILE_NOT_REGISTERED');
    expect(await stage.bob.refused('download', 'noise.bin', '5')).to.equal('1 CHUNK_NOT_FOUND');
    const part = await stage.bob.ok('download', 'noise.bin', '0', '3');
    expect(part).to.deep.include({ file: 'noise.bin', chunks: [0, 3], held: [0, 3], complete: false });
    expect((await stage.carol.ok('searchChunk', 'noise.bin', '3'))['chunks']).to.deep.equal([
      { index: 3, available: true, holders: ['alice', 'bob'] },
    ]);
    const whole = await stage.bob.ok('download', 'noise.bin');
    expect(whole).to.deep.include({
      chunks: [1, 2, 4],
      held: [0, 1, 2, 3, 4],
      complete: true,
      path: join(stage.bob.folder, 'noise.bin'),
    });
    expect(whole['sources']).to.deep.include({
      user: 'alice',
      bytes: NOISE.length - [0, 3].reduce((sum, i) => sum + chunkBytes(i), 0),
    });
    expect(readFileSync(join(stage.bob.folder, 'noise.bin')).equals(NOISE)).to.equal(true);

    const again = await stage.bob.ok('download', 'noise.bin');
    expect(again).to.deep.include({ chunks: [], complete: true });
    writeFileSync(join(stage.carol.folder, 'noise.bin'), 'something else');
    expect(await stage.carol.refused('download', 'noise.bin')).to.equal('1 TARGET_EXISTS');
    expect((await stage.carol.ok('download', 'noise.bin', '--overwrite'))['complete']).to.equal(true);
    expect(readFileSync(join(stage.carol.folder, 'noise.bin')).equals(NOISE)).to.equal(true);
    expect((await stage.carol.ok('download', 'empty.bin', '-o', 'renamed.bin'))['complete']).to.equal(true);
    expect(readFileSync(join(stage.carol.folder, 'renamed.bin'))).to.have.length(0);

    writeFileSync(join(stage.carol.folder, 'empty.bin'), 'x');
    expect(await stage.carol.refused('seed', 'empty.bin')).to.equal('1 BYTES_DIFFER');
    expect(await stage.carol.refused('seed', 'absent.bin')).to.equal('1 FILE_MISSING');
    writeFileSync(join(stage.carol.folder, 'unknown.bin'), 'x');
    expect(await stage.carol.refused('seed', 'unknown.bin')).to.equal('1 FILE_NOT_REGISTERED');
    expect(await stage.carol.ok('seed', 'noise.bin')).to.deep.equal({ file: 'noise.bin', chunks: [0, 1, 2, 3, 4] });
    expect((await stage.bob.ok('transfers'))['transfers']).to.be.an('array');

    expect(await stage.bob.refused('unregister', 'noise.bin')).to.equal('1 NOT_OWNER');
    expect(await stage.alice.ok('unregister', 'noise.bin')).to.deep.equal({ file: 'noise.bin' });
    expect(await stage.alice.refused('unregister', 'noise.bin')).to.equal('1 FILE_NOT_REGISTERED');
  });

  it('says that nobody holds a file when its holders are gone', async () => {
    writeFileSync(join(stage.carol.folder, 'brief.bin'), 'soon gone');
    await stage.carol.ok('register', 'brief.bin', '1');
    await stage.carol.ok('logout');
    expect(await stage.bob.ok('searchFile', 'brief.bin')).to.deep.include({ available: false, holders: [] });
    expect(await stage.bob.refused('download', 'brief.bin')).to.equal('3 NO_HOLDER');
    await stage.carol.ok('login');
    expect(await stage.bob.ok('searchFile', 'brief.bin')).to.deep.include({ available: true, holders: ['carol'] });
  });

  it('private chat', async () => {
    expect(await stage.alice.refused('private', 'bob', 'hi')).to.equal('1 NO_PRIVATE_LINK');
    expect(await stage.alice.refused('startprivate', 'zed')).to.equal('1 UNKNOWN_USER');
    expect(await stage.alice.refused('startprivate', 'dave')).to.equal('1 USER_OFFLINE');
    expect(await stage.alice.refused('startprivate', 'alice')).to.equal('1 SELF');
    const started = await stage.alice.ok('startprivate', 'bob');
    expect(started['safetyNumber']).to.match(/^\d{60}$/);
    expect(started['verified']).to.equal(false);
    expect(await stage.alice.refused('startprivate', 'bob')).to.equal('1 PRIVATE_EXISTS');
    expect((await stage.alice.ok('private', 'bob', 'psst'))['delivered']).to.equal(true);
    expect((await stage.bob.ok('private', 'alice', 'heard'))['delivered']).to.equal(true);
    expect(await stage.alice.refused('private', 'bob')).to.equal('1 EMPTY_MESSAGE');
    const inbox = (await stage.bob.ok('inbox', '--unread'))['messages'] as {
      kind: string;
      text: string;
      from: string;
    }[];
    expect(inbox.filter(({ kind }) => kind === 'private')).to.have.length(1);
    expect((await stage.bob.ok('verify', 'alice'))['safetyNumber']).to.equal(started['safetyNumber']);
    expect((await stage.alice.ok('verify', 'bob', '--confirm'))['verified']).to.equal(true);
    expect(await stage.alice.refused('verify', 'zed')).to.equal('1 UNKNOWN_USER');
    expect((await stage.alice.ok('trust', 'bob', '--reset'))['verified']).to.equal(false);
    expect(await stage.alice.ok('stopprivate', 'bob')).to.deep.equal({ user: 'bob' });
    expect(await stage.alice.refused('stopprivate', 'bob')).to.equal('1 NO_PRIVATE_LINK');
    expect(await stage.alice.refused('stopprivate', 'alice')).to.equal('1 SELF');
    expect(await stage.alice.refused('stopprivate', 'zed')).to.equal('1 UNKNOWN_USER');
    expect(await stage.bob.refused('private', 'alice', 'still there?')).to.equal('1 NO_PRIVATE_LINK');
  });

  it('listen prints every event as a line of JSON', async () => {
    const child = stage.bob.start('listen');
    let text = '';
    child.stdout?.setEncoding('utf8').on('data', (piece: string) => (text += piece));
    const saw = async (pattern: RegExp): Promise<void> => {
      while (!pattern.test(text)) await new Promise((resolve) => child.stdout?.once('data', resolve));
    };
    // It is attached once it has heard something.
    let next = 0;
    while (text === '' && next++ < 20) await stage.alice.ok('message', 'bob', 'are you listening');
    await stage.alice.ok('message', 'bob', 'event text');
    await saw(/event text/);
    const event = text
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>)
      .find((each) => each['text'] === 'event text');
    expect(event).to.include({ type: 'message', from: 'alice' });
    expect(event).to.include.keys('id', 'at');
    const ended = new Promise((resolve) => child.once('exit', (code, signal) => resolve(code ?? signal)));
    child.kill('SIGINT');
    expect(await ended).to.equal(130);
  });

  it('logout ends session and agent, also as dereg', async () => {
    expect(await stage.alice.ok('dereg')).to.deep.equal({});
    expect(((await stage.bob.ok('whoelse'))['users'] as string[]).includes('alice')).to.equal(false);
    expect((await stage.bob.ok('message', 'alice', 'while away'))['delivered']).to.equal(false);
    const unread = (await stage.alice.ok('inbox', '--unread'))['messages'] as { text: string }[];
    expect(unread.map(({ text }) => text)).to.include('while away');
  });
});

/** Bytes of a chunk of the noise fixture in five: 294,912 = 5 x 58,982 + 2. */
function chunkBytes(index: number): number {
  return index < 2 ? 58_983 : 58_982;
}
