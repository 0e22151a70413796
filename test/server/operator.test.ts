/** `server status`, `kick`, `user unlock` and `--metrics` as processes beside a running server. */
import { expect } from 'chai';
import { once } from 'node:events';
import { existsSync, lstatSync, mkdirSync, mkdtempSync, readlinkSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { makeIdentity } from '../../src/protocol/certificate.js';
import { serverCommands } from '../../src/protocol/commands/server.js';
import type { ServerEvent } from '../../src/protocol/events.js';
import { runProcess } from '../support/cast.js';
import type { Ended } from '../support/cast.js';
import { refusal } from '../support/refusal.js';
import { SERVER_MAIN, dialServer, loggedIn, spawnServer } from '../support/server.js';
import type { ServerProcess } from '../support/server.js';

const { login, resume } = serverCommands;
const USERS = { alice: 'wonderland-7', bob: 'builder-42' };

describe('the operator of a server process', function () {
  this.timeout(30_000);
  let server: ServerProcess;
  afterEach(() => server.close());

  const run = (...words: string[]): Promise<Ended> =>
    runProcess([SERVER_MAIN, ...words, '--data', server.dataDir], { cwd: server.folder });
  const failure = ({ code, stdout, stderr }: Ended): unknown[] => {
    expect(stdout).to.equal('');
    expect(stderr).to.match(/^[^\n]+\n$/);
    const { error } = JSON.parse(stderr) as { error: { code: string; retryable: boolean } };
    return [code, error.code, error.retryable];
  };

  it('sees, kicks and unlocks', async () => {
    server = await spawnServer({ users: USERS });
    const identity = await makeIdentity('alice');
    const events: ServerEvent[] = [];
    const alice = await dialServer(server, { identity, onEvent: (event) => events.push(event as ServerEvent) });
    const { token = '' } = await alice.call(login, { user: 'alice', password: USERS.alice });
    const seen = await run('status', '--json');
    expect(seen).to.include({ code: 0, stderr: '' });
    expect(seen.stdout.trimEnd().split('\n')).to.have.length(1);
    expect(JSON.parse(seen.stdout)).to.deep.include({
      address: server.address,
      pid: server.child.pid,
      online: 1,
      users: 2,
    });
    const text = await run('status');
    expect(text.stdout).to.match(/^parley server \S+ at 127\.0\.0\.1:\d+, up \d+ s \(pid \d+\)\n.*1 of 2 users online/);
    expect(text.stdout).to.match(/\nalice +127\.0\.0\.1 +20\d\d-\d\d-\d\d \d\d:\d\d:\d\d +\d+ s +0\n$/);

    expect(await run('kick', 'Alice')).to.deep.equal({ code: 0, stdout: 'alice is logged out\n', stderr: '' });
    expect((await alice.closed)?.code).to.equal('LOGIN_REQUIRED');
    expect(events.map((event) => 'code' in event && event.code)).to.deep.equal(['LOGGED_OUT_KICKED']);
    const again = await dialServer(server, { identity });
    expect((await refusal(again.call(resume, { token }))).code).to.equal('LOGIN_REQUIRED');
    again.destroy();
    expect(failure(await run('kick', 'alice', '--json'))).to.deep.equal([1, 'USER_OFFLINE', false]);
    expect(failure(await run('kick', 'nobody', '--json'))).to.deep.equal([1, 'UNKNOWN_USER', false]);
    expect(failure(await run('kick', '--json'))).to.deep.equal([2, 'USAGE', false]);
    expect((await run('kick', 'nobody')).stderr).to.equal('server: no user is named nobody; check the spelling\n');

    const stranger = await dialServer(server);
    for (let i = 0; i < 3; i++) await refusal(stranger.call(login, { user: 'bob', password: 'wrong' }));
    expect((await refusal(stranger.call(login, { user: 'bob', password: USERS.bob }))).code).to.equal('LOCKED_OUT');
    const unlocked = await run('user', 'unlock', 'BOB', '--json');
    expect(JSON.parse(unlocked.stdout)).to.deep.equal({ user: 'bob', wasLocked: true });
    expect((await stranger.call(login, { user: 'bob', password: USERS.bob })).user).to.equal('bob');
    stranger.destroy();
  });

  it('is told with exit code 3 when no server runs there, also after it was killed; and none is made up', async () => {
    server = await spawnServer({ users: USERS });
    await server.stop('SIGKILL');
    expect(existsSync(join(server.dataDir, 'admin.sock'))).to.equal(true);
    expect(failure(await run('status', '--json'))).to.deep.equal([3, 'SERVER_UNREACHABLE', true]);
    const said = (await run('user', 'unlock', 'bob')).stderr;
    expect(said)
      .to.match(/^server: [^\n]+\(no server is running on it[^\n]+\n$/)
      .and.contain(server.dataDir);
    const elsewhere = join(server.folder, 'elsewhere');
    expect((await runProcess([SERVER_MAIN, 'status', '--data', elsewhere])).code).to.equal(3);
    expect(existsSync(elsewhere)).to.equal(false);
    const again = await spawnServer({ folder: server.folder });
    expect((await run('status')).code).to.equal(0);
    expect(await again.stop()).to.equal(0);
    expect(existsSync(join(server.dataDir, 'admin.sock'))).to.equal(false);
  });

  it('has a socket for the server’s user alone, also in a folder that is open to all or has a long path', async () => {
    const base = mkdtempSync(join(tmpdir(), 'parley-server-'));
    const folder = join(base, 'd'.repeat(120));
    mkdirSync(join(folder, 'data'), { recursive: true, mode: 0o777 });
    server = await spawnServer({ users: USERS, folder });
    const link = join(server.dataDir, 'admin.sock');
    expect(lstatSync(link).isSymbolicLink()).to.equal(true);
    const socket = readlinkSync(link);
    expect(statSync(socket).mode & 0o777).to.equal(0o600);
    expect(statSync(dirname(socket)).mode & 0o777).to.equal(0o700);
    // Whoever asks may have another environment than the server.
    const env = { ...process.env, XDG_RUNTIME_DIR: base, TMPDIR: base };
    expect(await runProcess([SERVER_MAIN, 'status', '--data', server.dataDir], { env })).to.include({ code: 0 });
    expect(await server.stop()).to.equal(0);
    expect(existsSync(link) || existsSync(socket)).to.equal(false);
    rmSync(base, { recursive: true });
  });

  it('is shown metrics where asked for, and the log says where', async () => {
    server = await spawnServer({ users: USERS, args: ['0', '--metrics', '127.0.0.1:0', '--log-format', 'json'] });
    const said = (): string | undefined => /"address":"([\d.:]+)","msg":"metrics are shown"/.exec(server.log())?.[1];
    while (said() === undefined) await once(server.child.stderr ?? server.child, 'data');
    const alice = await loggedIn(server, 'alice', USERS.alice);
    const text = await (await fetch(`http://${said() ?? ''}/metrics`)).text();
    expect(text)
      .to.match(/^parley_sessions 1$/m)
      .and.match(/^process_cpu_seconds_total /m);
    alice.destroy();
    const busy = ['0', '--data', join(server.folder, 'other'), '--metrics', said() ?? '', '--log-level', 'warn'];
    const second = await runProcess([SERVER_MAIN, ...busy], { cwd: server.folder });
    expect(second).to.include({ code: 1, stdout: '' });
    expect(second.stderr).to.match(/^server: --metrics: cannot listen on [^\n]+\n$/);
    const wrong = await runProcess([SERVER_MAIN, '0', '--metrics', '9100'], { cwd: server.folder });
    expect(wrong).to.include({ code: 2, stdout: '' });
    expect(await server.stop()).to.equal(0);
  });
});
