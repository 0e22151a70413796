/** The agent as a process of its own. */
import { expect } from 'chai';
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFile, readdir } from 'node:fs/promises';
import { agentCommands } from '../../../src/protocol/commands/agent.js';
import { serverCommands } from '../../../src/protocol/commands/server.js';
import { CLIENT_MAIN } from '../../support/cast.js';
import { refusal } from '../../support/refusal.js';
import { People, USERS } from './people.js';
import { Cleanup, connectFace, until } from './support.js';

describe('client/agent process', function () {
  this.timeout(30_000);
  const cleanup = new Cleanup();
  afterEach(() => cleanup.run());

  function start(people: People, home: string, words: string[], password: string = USERS.alice): ChildProcess {
    const env = {
      ...process.env,
      PARLEY_HOME: home,
      PARLEY_SERVER: people.server.address,
      PARLEY_USER: 'alice',
      PARLEY_PASSWORD: password,
      PARLEY_LISTEN: '127.0.0.1:0',
    };
    const child = spawn(process.execPath, [CLIENT_MAIN, 'agent', ...words], { env, stdio: ['ignore', 'pipe', 'pipe'] });
    cleanup.add(async () => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.kill('SIGKILL');
      await once(child, 'exit');
    });
    return child;
  }
  const listens = (home: string): Promise<void> =>
    until(() =>
      connectFace(home).then(
        (face) => face.close().then(() => true),
        () => false,
      ),
    );

  it('logs in by itself in the foreground, and ends in good order by a signal', async () => {
    const people = await People.gather(cleanup);
    const bob = await people.arrive('bob');
    const home = await cleanup.folder();
    const child = start(people, home, []);
    await until(async () => (await bob.call(serverCommands.whoelse, {})).users.includes('alice'));
    const rival = start(people, home, []);
    expect(await once(rival, 'exit')).to.deep.equal([1, null]);
    child.kill('SIGTERM');
    expect(await once(child, 'exit')).to.deep.equal([143, null]);
    expect((await bob.call(serverCommands.whoelse, {})).users).to.deep.equal([]);
    const left = await readdir(home);
    expect(left).to.not.include.members(['agent.sock']);
    expect(left).to.not.include.members(['agent.lock']);
    const log = await readFile(`${home}/agent.log`, 'utf8');
    expect(log).to.include('logged in').and.not.include(`"${USERS.alice}"`);
  });

  it('ends with the refusal’s exit code when it cannot log in', async () => {
    const people = await People.gather(cleanup);
    const child = start(people, await cleanup.folder(), [], 'wrong');
    let said = '';
    child.stderr?.setEncoding('utf8').on('data', (text: string) => (said += text));
    expect(await once(child, 'close')).to.deep.equal([4, null]);
    expect(said).to.match(/name or password is wrong/);
  });

  it('waits in the background for a login, ends when that fails, and outlives whoever started it', async () => {
    const people = await People.gather(cleanup);
    const home = await cleanup.folder();
    const child = start(people, home, ['--background']);
    await listens(home);
    child.stderr?.destroy();
    child.stdout?.destroy();
    const face = await connectFace(home);
    const login = { server: people.server.address, user: 'alice', password: 'wrong' };
    expect((await refusal(face.call(agentCommands.login, login))).code).to.equal('BAD_CREDENTIALS');
    expect((await once(child, 'exit'))[0]).to.equal(0);

    const next = start(people, home, ['--background']);
    next.stderr?.destroy();
    await listens(home);
    const again = await connectFace(home);
    await again.call(agentCommands.login, { ...login, password: USERS.alice });
    await again.call(agentCommands.logout, {});
    expect(await once(next, 'exit')).to.deep.equal([0, null]);
    expect(await readdir(home)).to.not.include('agent.lock');
    expect(await readdir(home)).to.not.include('agent.sock');
  });
});
