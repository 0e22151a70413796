/** CONTRACT section 4 in the shell, from a script: every command and every refusal, with a real server and three homes. */
import { expect } from 'chai';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { contractCast } from '../support/contractcast.js';
import type { Person } from '../support/cast.js';

/** Each line with the code that it is refused with; '' for one that is done. */
type Step = readonly [line: string, refusal: string];

describe('the contract, in the shell', function () {
  this.timeout(120_000);
  const stage = contractCast();

  /** Runs the lines in one shell, each with --json; what each printed, which was one line. */
  async function shell(person: Person, ...steps: Step[]): Promise<Record<string, unknown>[]> {
    const { stdout, stderr } = await person.shell(...steps.map(([line]) => line.replace(/^\S+/, '$& --json')));
    expect(stderr).not.to.match(/^\s+at /m);
    const refusals = [...stderr.matchAll(/^\{"error":\{"code":"(\w+)"/gm)].map(([, code]) => code);
    expect(refusals).to.deep.equal(steps.map(([, code]) => code).filter((code) => code !== ''));
    const results = stdout
      .split('\n')
      .filter((line) => line.startsWith('{') && !line.startsWith('{"type"'))
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(results).to.have.length(steps.filter(([, code]) => code === '').length);
    return results;
  }

  it('login and status: who is who', async () => {
    const [user, status] = await shell(stage.alice, ['login', ''], ['login', 'ALREADY_LOGGED_IN'], ['status', '']);
    expect(user).to.deep.equal({ user: 'alice' });
    expect(status).to.include({ user: 'alice', server: stage.cast.address, online: true });
    await shell(stage.bob, ['login alice', 'BAD_CREDENTIALS'], ['login BOB', ''], ['login carol', 'ALREADY_LOGGED_IN']);
    const nobody = stage.cast.person('nobody', '', { PARLEY_USER: '', PARLEY_PASSWORD: '' });
    await shell(nobody, ['whoelse', 'LOGIN_REQUIRED'], ['login', 'LOGIN_REQUIRED']);
    const guess = stage.cast.person('dave', 'wrong');
    const wrong: Step = ['whoelse', 'BAD_CREDENTIALS'];
    await shell(guess, wrong, wrong, wrong, ['whoelse', 'LOCKED_OUT']);
    expect((await guess.shell('login')).code).to.equal(4);
  });

  it('ends with the exit code of its last command', async () => {
    const code = async (line: string): Promise<number | null> => (await stage.alice.shell('whoelse', line)).code;
    expect(await code('whoelse')).to.equal(0);
    expect(await code('message zed hi')).to.equal(1);
    expect(await code('nonsense')).to.equal(2);
    expect(await code('login')).to.equal(4);
    expect(await code('exit')).to.equal(0);
    expect((await stage.alice.shell('nonsense', '', '# a comment')).code).to.equal(2);
    const away = stage.cast.person('away', 'x', { PARLEY_SERVER: '127.0.0.1:1' });
    expect((await away.shell('whoelse')).code).to.equal(3);
  });

  it('wrong usage', async () => {
    const lines = ['nonsense', 'whoelse --nonsense', 'whoelse extra', 'message', 'block', 'register x', 'register x y'];
    lines.push('searchChunk x', 'searchChunk x y', 'download', 'trust bob', 'whoelsesince', 'whoelsesince 1.5');
    lines.push('wholast ten', 'inbox --limit x', 'private', 'seed', 'unregister', 'whoelse --home x');
    await shell(stage.alice, ...lines.map((line): Step => [line, 'USAGE']));
  });

  it('presence', async () => {
    const [now, since, last] = await shell(stage.alice, ['WhoElse', ''], ['whoelsesince 100', ''], ['wholast 5', '']);
    expect(now).to.deep.equal({ users: ['bob'] });
    expect(since).to.deep.equal({ users: ['bob'] });
    expect((last?.['users'] as { user: string; online: boolean }[]).find(({ user }) => user === 'bob')).to.include({
      online: true,
    });
  });

  it('message, broadcast, inbox', async () => {
    await stage.carol.ok('login');
    const results = await shell(
      stage.alice,
      ['message bob  two  spaces and "quotes"', ''],
      ['send BOB __proto__', ''],
      ['message zed hi', 'UNKNOWN_USER'],
      ['message __proto__ hi', 'UNKNOWN_USER'],
      ['message ALICE hi', 'SELF'],
      ['message bob', 'EMPTY_MESSAGE'],
      ['private bob', 'EMPTY_MESSAGE'],
      [`message bob ${'x'.repeat(16_385)}`, 'MESSAGE_TOO_LONG'],
      ['message dave for later', ''],
      ['broadcast to everyone', ''],
      ['broadcast user bob,carol to two', ''],
      ['broadcast --to bob to one', ''],
      ['broadcast --to bob,zed hi', 'UNKNOWN_USER'],
      ['broadcast', 'EMPTY_MESSAGE'],
    );
    expect(results.map(({ delivered, recipients }) => delivered ?? (recipients as string[]).sort())).to.deep.equal([
      true,
      true,
      false,
      ['bob', 'carol'],
      ['bob', 'carol'],
      ['bob'],
    ]);
    const [unread, none, some] = await shell(
      stage.bob,
      ['Inbox --unread', ''],
      ['inbox --unread', ''],
      ['inbox --with alice --limit 2', ''],
      ['inbox --with zed', 'UNKNOWN_USER'],
    );
    const texts = (inbox?: Record<string, unknown>): string[] =>
      (inbox?.['messages'] as { text: string }[]).map(({ text }) => text);
    expect(texts(unread)).to.deep.equal(['two  spaces and "quotes"', '__proto__', 'to everyone', 'to two', 'to one']);
    expect(texts(none)).to.deep.equal([]);
    expect(texts(some)).to.deep.equal(['to two', 'to one']);
    const full = Array.from({ length: 199 }, (_, i): Step => [`message dave ${i}`, '']);
    await shell(stage.alice, ...full, ['message dave one too many', 'INBOX_FULL'], ['message carol has room', '']);
  });

  it('block and unblock', async () => {
    await shell(
      stage.bob,
      ['block Carol', ''],
      ['block carol', 'ALREADY_BLOCKED'],
      ['block bob', 'SELF'],
      ['block zed', 'UNKNOWN_USER'],
      ['unblock alice', 'NOT_BLOCKED'],
      ['unblock zed', 'UNKNOWN_USER'],
    );
    const [all, some] = await shell(
      stage.carol,
      ['message bob hi', 'BLOCKED'],
      ['startprivate bob', 'BLOCKED'],
      ['broadcast hi all', ''],
      ['broadcast --to alice,bob hi', ''],
    );
    expect(all).to.deep.include({ recipients: ['alice'], blockedBy: 1 });
    expect(some).to.deep.include({ recipients: ['alice'], skipped: [{ user: 'bob', code: 'BLOCKED' }] });
    await shell(stage.bob, ['unblock carol', '']);
    await shell(stage.carol, ['message bob again', '']);
  });

  it('register, files, searchFile, searchChunk, seed, download, transfers, unregister', async () => {
    const put = (person: Person, name: string, text: string): void => writeFileSync(join(person.folder, name), text);
    put(stage.alice, 'ten bytes.txt', '0123456789');
    put(stage.alice, '__proto__', 'p');
    put(stage.alice, 'bad\u202ename', 'x');
    const [registered, odd, files, found, chunks] = await shell(
      stage.alice,
      ['register "ten bytes.txt" 3', ''],
      ['register __proto__ 1', ''],
      ['register "ten bytes.txt" 3', 'FILE_ALREADY_REGISTERED'],
      ['register absent 3', 'FILE_MISSING'],
      // A folder, with a name in it that nobody could create elsewhere.
      ['register .. 1', 'BAD_NAME'],
      ['register "ten bytes.txt" 0', 'BAD_CHUNK_COUNT'],
      ['register "ten bytes.txt" 11', 'BAD_CHUNK_COUNT'],
      ['register bad\u202ename 1', 'BAD_NAME'],
      ['files', ''],
      ['searchFile "ten bytes.txt"', ''],
      ['searchFile constructor', 'FILE_NOT_REGISTERED'],
      ['searchChunk "ten bytes.txt" 0 2', ''],
      ['searchChunk "ten bytes.txt" 3', 'CHUNK_NOT_FOUND'],
      ['searchChunk ../x 0', 'FILE_NOT_REGISTERED'],
    );
    expect(registered).to.include({ file: 'ten bytes.txt', sizeBytes: 10, chunks: 3 });
    expect(odd).to.include({ file: '__proto__' });
    expect((files?.['files'] as { file: string }[]).map(({ file }) => file)).to.have.members([
      '__proto__',
      'ten bytes.txt',
    ]);
    expect(found).to.deep.include({ available: true, holders: ['alice'] });
    expect((chunks?.['chunks'] as object[]).length).to.equal(2);

    put(stage.bob, 'taken', 'other');
    put(stage.bob, '__proto__', 'q');
    put(stage.bob, 'no folder', '');
    const [part, whole, again, over, seeded, transfers] = await shell(
      stage.bob,
      ['download constructor', 'FILE_NOT_REGISTERED'],
      ['download "ten bytes.txt" 3', 'CHUNK_NOT_FOUND'],
      ['download "ten bytes.txt" -o "no folder/x"', 'DISK_FULL'],
      ['download "ten bytes.txt" -o taken', 'TARGET_EXISTS'],
      ['download "ten bytes.txt" 1', ''],
      ['download "ten bytes.txt"', ''],
      ['download "ten bytes.txt"', ''],
      ['seed __proto__', 'BYTES_DIFFER'],
      ['seed absent', 'FILE_MISSING'],
      ['seed taken', 'FILE_NOT_REGISTERED'],
      ['download __proto__ --overwrite', ''],
      ['seed __proto__', ''],
      ['unregister __proto__', 'NOT_OWNER'],
      ['unregister absent', 'FILE_NOT_REGISTERED'],
      ['transfers', ''],
    );
    expect(part).to.deep.include({ chunks: [1], held: [1], complete: false });
    expect(whole).to.deep.include({ chunks: [0, 2], held: [0, 1, 2], complete: true });
    expect(again).to.deep.include({ chunks: [], complete: true });
    expect(over).to.deep.include({ complete: true });
    expect(seeded).to.deep.equal({ file: '__proto__', chunks: [0] });
    expect(transfers?.['transfers']).to.be.an('array');
    expect(readFileSync(join(stage.bob.folder, 'ten bytes.txt'), 'utf8')).to.equal('0123456789');
    expect(readFileSync(join(stage.bob.folder, '__proto__'), 'utf8')).to.equal('p');

    put(stage.carol, 'brief', 'gone soon');
    await shell(stage.carol, ['register brief 1', ''], ['logout', '']);
    await shell(stage.bob, ['download brief', 'NO_HOLDER'], ['searchFile brief', '']);
    await shell(stage.alice, ['unregister __proto__', ''], ['searchFile __proto__', 'FILE_NOT_REGISTERED']);
    await shell(stage.carol, ['unregister brief', '']);
  });

  it('private chat, verify, trust', async () => {
    const [started, sent] = await shell(
      stage.alice,
      ['private bob hi', 'NO_PRIVATE_LINK'],
      ['startprivate zed', 'UNKNOWN_USER'],
      ['startprivate dave', 'USER_OFFLINE'],
      ['startprivate alice', 'SELF'],
      ['private alice hi', 'SELF'],
      ['private zed hi', 'UNKNOWN_USER'],
      ['startprivate bob', ''],
      ['startprivate bob', 'PRIVATE_EXISTS'],
      ['private bob a canary of ours', ''],
      ['startprivate carol', ''],
      ['verify carol --confirm', ''],
      ['verify zed', 'UNKNOWN_USER'],
      ['verify alice', 'SELF'],
      ['trust zed --reset', 'UNKNOWN_USER'],
      ['stopprivate carol', ''],
      ['stopprivate carol', 'NO_PRIVATE_LINK'],
      ['stopprivate zed', 'UNKNOWN_USER'],
      ['stopprivate alice', 'SELF'],
    );
    expect(started).to.include({ user: 'bob', verified: false });
    expect(sent).to.include({ delivered: true });
    const [seen] = await shell(stage.bob, ['verify alice', ''], ['stopprivate alice', '']);
    expect(seen?.['safetyNumber']).to.equal(started?.['safetyNumber']);
    // A new home is a new key.
    await stage.carol.ok('logout');
    rmSync(stage.carol.home, { recursive: true });
    mkdirSync(stage.carol.home);
    await stage.carol.ok('login');
    const [, trusted] = await shell(
      stage.alice,
      ['startprivate carol', 'KEY_CHANGED'],
      ['trust carol --reset', ''],
      ['startprivate carol', ''],
      ['private carol hi', ''],
    );
    expect(trusted).to.include({ user: 'carol', verified: false });
    process.kill(stage.carol.agentPid, 'SIGSTOP');
    try {
      await shell(stage.bob, ['startprivate carol', 'PEER_UNREACHABLE']);
    } finally {
      process.kill(stage.carol.agentPid, 'SIGCONT');
    }
  });

  it('logout ends session, agent and shell', async () => {
    const { code, stdout, stderr } = await stage.alice.shell('dereg', 'whoelse');
    expect({ code, stdout, stderr }).to.deep.equal({ code: 0, stdout: 'logged out\n', stderr: '' });
    const [users] = await shell(stage.bob, ['whoelse', '']);
    expect(users).to.deep.equal({ users: ['carol'] });
  });
});
