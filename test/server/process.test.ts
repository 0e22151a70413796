/** The executable `server` as a process: its one line, its exit codes, its signals, its accounts. */
import { expect } from 'chai';
import { spawn as spawnPty } from '@lydell/node-pty';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeIdentity } from '../../src/protocol/certificate.js';
import { serverCommands } from '../../src/protocol/commands/server.js';
import type { ServerEvent } from '../../src/protocol/events.js';
import { runProcess } from '../support/cast.js';
import type { Ended } from '../support/cast.js';
import { refusal } from '../support/refusal.js';
import { SERVER_MAIN, dialServer, dialTls, loggedIn, spawnServer } from '../support/server.js';
import type { ServerProcess } from '../support/server.js';

const { login, whoelse, message, resume, history } = serverCommands;

describe('the server’s command line', function () {
  this.timeout(30_000);
  let folder: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'parley-server-'));
  });
  after(() => rmSync(folder, { recursive: true }));

  const run = (...words: string[]): Promise<Ended> => runProcess([SERVER_MAIN, ...words], { cwd: folder });

  it('refuses wrong words with one sentence and exit code 2', async () => {
    const wrong = [
      ['x'],
      ['65536'],
      ['-1'],
      ['8100', '0'],
      ['8100', '1.5'],
      ['8100', '60', 'soon'],
      ['8100', '60', '99999999'],
      ['8100', '60', '600', 'more'],
      ['--nonsense'],
      ['--host', ''],
      ['--log-level', 'loud'],
      ['--log-format', 'xml'],
      ['user'],
      ['user', 'add'],
      ['user', 'add', 'a', 'b'],
      ['user', 'rename', 'a'],
      ['user', 'retention'],
      ['user', 'retention', 'a', '0'],
      ['user', 'retention', 'a', 'soon'],
      ['--retention', '1.5'],
    ];
    const ended = await Promise.all(wrong.map((words) => run(...words)));
    for (const [i, { code, stdout, stderr }] of ended.entries()) {
      expect(code, wrong[i]?.join(' ')).to.equal(2);
      expect(stdout).to.equal('');
      expect(stderr).to.match(/^error: .+\n\(server --help/);
    }
  });

  it('prints help and version on stdout', async () => {
    const { version } = JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')) as {
      version: string;
    };
    expect(await run('--version')).to.deep.equal({ code: 0, stdout: `${version}\n`, stderr: '' });
    const { code, stdout } = await run('--help');
    expect(code).to.equal(0);
    expect(stdout)
      .to.match(/block_duration/)
      .and.match(/8100/)
      .and.match(/parley-data/);
  });

  it('says in one line why it cannot start, with exit code 1 and no stack', async () => {
    writeFileSync(join(folder, 'a-file'), 'x');
    writeFileSync(join(folder, 'bad-credentials'), 'alice wonder\nbob\n');
    const cases: [string[], RegExp][] = [
      [['0', '--data', 'a-file'], /data directory a-file/],
      [['0', '--data', 'a-file/below'], /data directory a-file\/below/],
      [['0', '--host', '192.0.2.77'], /no address of this machine/],
      [['0', '--credentials', 'missing'], /missing/],
      [['0', '--credentials', 'bad-credentials'], /bad-credentials:2: /],
    ];
    const ended = await Promise.all(
      cases.map(([words], i) => run('--log-level', 'warn', '--data', `unused${i}`, ...words)),
    );
    for (const [i, { code, stdout, stderr }] of ended.entries()) {
      const [words, why] = cases[i] ?? [[], /^$/];
      expect(code, words.join(' ')).to.equal(1);
      expect(stdout).to.equal('');
      expect(stderr)
        .to.match(/^server: [^\n]+\n$/)
        .and.match(why);
      expect(stderr).to.not.contain('wonder');
    }
  });

  it('manages accounts without a server', async () => {
    const user = async (input: string, ...words: string[]): Promise<Ended> =>
      runProcess([SERVER_MAIN, 'user', ...words, '--data', 'accounts'], { cwd: folder, input });
    expect(await user('secret\nmore', 'add', 'Zoe')).to.include({ code: 0, stdout: 'Zoe is added\n' });
    writeFileSync(join(folder, 'password'), 'other secret\r\n');
    expect(await user('', 'add', 'yann', '--password-file', 'password')).to.include({ code: 0 });
    expect(await user('', 'passwd', 'ZOE', '--password-file', 'password')).to.include({ code: 0 });
    expect(await user('x', 'add', 'zoe')).to.include({ code: 1, stdout: '' });
    expect(await user('x', 'add', 'system')).to.include({ code: 1 });
    expect(await user('', 'add', 'xena')).to.include({ code: 2 });
    expect(await user('', 'add', 'xena', '--password-file', 'absent')).to.include({ code: 1 });
    expect(await user('x', 'passwd', 'nobody')).to.include({ code: 1 });
    expect(await user('', 'list')).to.include({ code: 0, stdout: 'yann\tnever seen\nZoe\tnever seen\n' });
    expect(JSON.parse((await user('', 'list', '--json')).stdout)).to.deep.equal({
      users: [{ user: 'yann' }, { user: 'Zoe' }],
    });
    expect(await user('', 'remove', 'yann')).to.include({ code: 0, stdout: 'yann is removed\n' });
    expect((await user('', 'remove', 'yann')).stderr).to.match(/^server: no user is named yann/);
    expect((await user('', 'list')).stdout).to.equal('Zoe\tnever seen\n');
  });

  it('asks for a password on a terminal, twice, and shows nothing of it', async () => {
    const add = async (name: string, ...keys: [RegExp, string][]): Promise<[number, string]> => {
      const args = [SERVER_MAIN, 'user', 'add', name, '--data', 'terminal'];
      const child = spawnPty(process.execPath, args, { cwd: folder });
      let shown = '';
      let onData = (): void => undefined;
      child.onData((text) => {
        shown += text;
        onData();
      });
      const ended = new Promise<number>((resolve) => child.onExit(({ exitCode }) => resolve(exitCode)));
      for (const [prompt, typed] of keys) {
        while (!prompt.test(shown)) await new Promise<void>((resolve) => (onData = resolve));
        child.write(typed);
      }
      return [await ended, shown];
    };
    const shy = await add('pam', [/password for pam: /, 'hunx\u007fter\r'], [/again: /, 'hunter\r']);
    expect(shy[0]).to.equal(0);
    expect(shy[1]).to.contain('pam is added').and.not.contain('hun').and.not.contain('*');
    const [pasted] = await add('ann', [/password for ann: /, 'hunter\rhunter\r']);
    expect(pasted).to.equal(0);
    const [differing, said] = await add('eve', [/password/, 'one\r'], [/again/, 'two\r']);
    expect(differing).to.equal(2);
    expect(said).to.contain('differ');
    expect((await add('eve', [/password/, 'one\u0003']))[0]).to.equal(130);
  });
});

describe('a server process', function () {
  this.timeout(30_000);
  let server: ServerProcess;
  afterEach(() => server.close());
  const USERS = { alice: 'wonderland-7', bob: 'builder-42' };
  const said = async (pattern: RegExp): Promise<void> => {
    while (!pattern.test(server.log())) {
      expect(server.child.exitCode ?? server.child.signalCode).to.equal(null);
      await once(server.child.stderr ?? server.child, 'data');
    }
  };

  it('prints one line on stdout, logs to stderr, and keeps its key to itself', async () => {
    server = await spawnServer({ users: USERS, args: ['0', '--log-format', 'json', '--log-level', 'debug'] });
    const socket = await dialTls(server);
    socket.destroy();
    const alice = await loggedIn(server, 'alice', USERS.alice);
    await refusal((await dialServer(server)).call(login, { user: 'bob', password: 'guessed wrongly' }));
    await alice.call(message, { user: 'bob', text: 'canary in a message' });
    expect(statSync(join(server.dataDir, 'server.key.pem')).mode & 0o777).to.equal(0o600);
    expect(await server.stop()).to.equal(0);
    expect(server.output()).to.equal(`parley server listening on ${server.address} ${server.fingerprint}\n`);
    const lines = server
      .log()
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { msg: string });
    expect(lines.map(({ msg }) => msg)).to.include.members([
      'credentials imported',
      'ready',
      'session began',
      'not let in',
      'stopped',
    ]);
    for (const secret of [USERS.alice, USERS.bob, 'guessed wrongly', 'canary'])
      expect(server.log()).to.not.contain(secret);
    const database = readFileSync(join(server.dataDir, 'parley.db'), 'latin1');
    for (const secret of [USERS.alice, USERS.bob]) expect(database).to.not.contain(secret);
  });

  it('has the same key after a restart, lets no second one at its data, and no one at its port', async () => {
    server = await spawnServer({ users: USERS });
    const args = [SERVER_MAIN, String(server.port), '--data', server.dataDir];
    const second = await runProcess(args, { cwd: server.folder });
    expect(second).to.include({ code: 1, stdout: '' });
    expect(second.stderr).to.match(/another server is running on the data directory/);
    const elsewhere = [...args.slice(0, -1), join(server.folder, 'other'), '--log-level', 'warn'];
    const third = await runProcess(elsewhere, { cwd: server.folder });
    expect(third).to.include({ code: 1, stdout: '' });
    expect(third.stderr).to.match(/^server: cannot listen on [\d.:]+: another program does[^\n]*\n$/);
    await server.stop();
    const again = await spawnServer({ folder: server.folder });
    expect(again.fingerprint).to.equal(server.fingerprint);
    await again.stop();
  });

  it('drains on SIGTERM: everyone is told, what was acknowledged is kept, sessions can be resumed', async () => {
    server = await spawnServer({ users: USERS });
    const identity = await makeIdentity('alice');
    const events: ServerEvent[] = [];
    const alice = await dialServer(server, { identity, onEvent: (event) => events.push(event as ServerEvent) });
    const { token = '' } = await alice.call(login, { user: 'alice', password: USERS.alice });
    const sent = Promise.allSettled(
      Array.from({ length: 100 }, (_, i) => alice.call(message, { user: 'bob', text: `${i}` })),
    );
    const before = performance.now();
    expect(await server.stop('SIGTERM')).to.equal(0);
    expect(performance.now() - before).to.be.below(5_000);
    expect(events.map((event) => 'code' in event && event.code)).to.deep.equal(['SERVER_STOPPING']);
    const kept = (await sent).filter(({ status }) => status === 'fulfilled').length;
    const again = await spawnServer({ folder: server.folder });
    const back = await dialServer(again, { identity });
    expect((await back.call(resume, { token })).user).to.equal('alice');
    const bob = await loggedIn(again, 'bob', USERS.bob);
    expect((await bob.call(history, { limit: 500 })).messages.length).to.be.at.least(kept);
    back.destroy();
    bob.destroy();
    expect(await again.stop('SIGINT')).to.equal(130);
  });

  it('rereads the credentials on SIGHUP, and keeps what it had when they are not right', async () => {
    server = await spawnServer({ users: USERS });
    writeFileSync(server.credentials, 'alice changed\ncarol sings a song\n');
    server.child.kill('SIGHUP');
    await said(/added: 1/);
    (await loggedIn(server, 'carol', 'sings a song')).destroy();
    (await loggedIn(server, 'alice', 'changed')).destroy();
    (await loggedIn(server, 'bob', USERS.bob)).destroy();
    writeFileSync(server.credentials, 'dave topsecret\nerin\n');
    server.child.kill('SIGHUP');
    await said(/could not be reread/);
    expect(server.log())
      .to.match(/Credentials.txt:2/)
      .and.not.match(/topsecret/);
    (await loggedIn(server, 'carol', 'sings a song')).destroy();
    expect((await refusal(loggedIn(server, 'dave', 'topsecret'))).code).to.equal('BAD_CREDENTIALS');
  });

  it('does not undo `user passwd` when it starts again with the same file', async () => {
    server = await spawnServer({ users: USERS });
    const args = ['user', 'passwd', 'alice', '--data', server.dataDir];
    expect(await runProcess([SERVER_MAIN, ...args], { input: 'by hand\n' })).to.include({ code: 0 });
    await server.stop();
    const again = await spawnServer({ folder: server.folder });
    (await loggedIn(again, 'alice', 'by hand')).destroy();
    await again.stop();
  });

  it('notices accounts that are added and removed while it runs', async () => {
    server = await spawnServer({ users: USERS });
    const user = (input: string, ...words: string[]): Promise<Ended> =>
      runProcess([SERVER_MAIN, 'user', ...words, '--data', server.dataDir], { input });
    expect(await user('new\n', 'add', 'zoe')).to.include({ code: 0 });
    const zoe = await loggedIn(server, 'zoe', 'new');
    const events: ServerEvent[] = [];
    const alice = await loggedIn(server, 'alice', USERS.alice, {
      onEvent: (event) => events.push(event as ServerEvent),
    });
    expect(await user('', 'remove', 'alice')).to.include({ code: 0 });
    const removed = performance.now();
    expect((await alice.closed)?.code).to.equal('LOGIN_REQUIRED');
    expect(performance.now() - removed).to.be.below(1_500);
    expect(events.map((event) => 'code' in event && event.code)).to.include('ACCOUNT_REMOVED');
    expect(await zoe.call(whoelse, {})).to.deep.equal({ users: [] });
    expect((await refusal(zoe.call(message, { user: 'alice', text: 'x' }))).code).to.equal('UNKNOWN_USER');
    zoe.destroy();
  });

  it('starts without its default credentials, and says that nobody can log in yet', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'parley-server-'));
    server = await spawnServer({ folder, args: ['0', '--log-level', 'warn'], credentials: false });
    await said(/no users yet/);
    expect(server.log()).to.not.contain('to reread');
    server.child.kill('SIGHUP');
    await said(/there are no credentials to reread/);
    await said(/path: "\/.+\/Credentials\.txt"/);
    await server.close();
    rmSync(folder, { recursive: true });
  });

  it('keeps every acknowledged message, once and in order, over kill -9 (R27)', async () => {
    server = await spawnServer({ users: USERS });
    const alice = await loggedIn(server, 'alice', USERS.alice);
    const acknowledged: string[] = [];
    const all = Array.from({ length: 1_000 }, (_, i) => ({ id: randomBytes(16).toString('hex'), text: `${i}` }));
    let next = 0;
    // 50 under way at a time; bob is away, so 200 would fill his inbox of one sender: he reads along.
    const bob = await dialServer(server, {
      onEvent: (event) => {
        const { position = 0 } = event as { position?: number };
        if (position % 10 === 0) bob.call(serverCommands.acknowledge, { position }).catch(() => undefined);
      },
    });
    await bob.call(login, { user: 'bob', password: USERS.bob });
    const send = async (): Promise<void> => {
      while (next < all.length) {
        const { id, text } = all[next++] ?? { id: '', text: '' };
        await alice.call(message, { id, user: 'bob', text });
        acknowledged.push(id);
        if (acknowledged.length === 400) server.child.kill('SIGKILL');
      }
    };
    await Promise.allSettled(Array.from({ length: 50 }, send));
    expect(acknowledged.length).to.be.within(400, 999);
    await server.stop();

    const again = await spawnServer({ folder: server.folder });
    const reader = await loggedIn(again, 'bob', USERS.bob);
    const stored: string[] = [];
    for (let before: string | undefined; ;) {
      const { messages } = await reader.call(history, { limit: 500, before });
      if (messages.length === 0) break;
      stored.unshift(...messages.map(({ id }) => id));
      before = messages[0]?.id;
    }
    const order = new Map(all.map(({ id }, i) => [id, i]));
    expect(new Set(stored).size).to.equal(stored.length);
    expect(acknowledged.filter((id) => !stored.includes(id))).to.deep.equal([]);
    expect(stored.map((id) => order.get(id))).to.deep.equal(stored.map((_, i) => i));
    // What was not acknowledged is sent again, and is there once.
    const sender = await loggedIn(again, 'alice', USERS.alice);
    const resend = all.slice(acknowledged.length - 50, acknowledged.length + 50);
    for (const { id, text } of resend) await sender.call(message, { id, user: 'bob', text });
    const last = (await reader.call(history, { limit: 100 })).messages.map(({ id }) => id);
    expect(last).to.deep.equal(all.slice(acknowledged.length - 50, acknowledged.length + 50).map(({ id }) => id));
    reader.destroy();
    sender.destroy();
    await again.stop();
  });

  it('stays alive with 1,000 dials and 256 descriptors, and lets people in right after (R19)', async () => {
    server = await spawnServer({ users: USERS, shell: 'ulimit -n 256' });
    const { connect } = await import('node:net');
    const dials = Array.from({ length: 1_000 }, () => {
      const socket = connect({ host: server.host, port: server.port });
      socket.on('error', () => undefined);
      return socket;
    });
    await Promise.all(dials.map((socket) => once(socket, 'connect').catch(() => undefined)));
    const before = performance.now();
    const alice = await loggedIn(server, 'alice', USERS.alice);
    expect(performance.now() - before).to.be.below(1_000);
    expect(await alice.call(whoelse, {})).to.deep.equal({ users: [] });
    for (const socket of dials) socket.destroy();
    alice.destroy();
    expect(await server.stop()).to.equal(0);
  });
});
