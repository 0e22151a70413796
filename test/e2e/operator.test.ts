/** The operator ends a session: what its user and their agent make of it. */
import { expect } from 'chai';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { Cast, SERVER_MAIN, runProcess } from '../support/cast.js';

describe('a user who is kicked', function () {
  this.timeout(60_000);
  let cast: Cast;
  before(async () => {
    cast = new Cast({ alice: 'a', bob: 'b' });
    await cast.start();
  });
  after(() => cast.close());

  const isAlive = (pid: number): boolean => {
    try {
      return process.kill(pid, 0);
    } catch {
      return false;
    }
  };

  it('is told so by an agent that ends and does not come back by itself; a command of theirs logs in anew', async () => {
    const alice = cast.person('alice', 'a');
    await alice.ok('login');
    const { agentPid } = alice;
    const listening = alice.start('--json', 'listen');
    const ended = once(listening, 'exit') as Promise<[number]>;
    const lines: string[] = [];
    if (listening.stdout === null) throw new Error('its output is a pipe');
    const reader = createInterface({ input: listening.stdout }).on('line', (line) => lines.push(line));
    // It listens when it hears the first of what it is sent.
    const bob = cast.person('bob', 'b');
    while (lines.length === 0) await Promise.race([bob.ok('message', 'alice', 'hi'), once(reader, 'line')]);

    const kicked = await runProcess([SERVER_MAIN, 'kick', 'alice', '--data', cast.data, '--json']);
    expect(kicked).to.deep.equal({ code: 0, stdout: '{"user":"alice"}\n', stderr: '' });
    expect((await ended)[0]).to.equal(4);
    expect(lines.map((line) => (JSON.parse(line) as { code?: string }).code)).to.include('LOGGED_OUT_KICKED');
    while (isAlive(agentPid)) await new Promise((resolve) => setTimeout(resolve, 20));
    expect(readFileSync(join(alice.home, 'agent.log'), 'utf8')).to.contain('"code":"LOGGED_OUT_KICKED"');
    const seen = await runProcess([SERVER_MAIN, 'status', '--data', cast.data, '--json']);
    const { sessions } = JSON.parse(seen.stdout) as { sessions: { user: string }[] };
    expect(sessions.map(({ user }) => user)).to.deep.equal(['bob']);
    expect((await alice.ok('status'))['online']).to.equal(true);
    expect(alice.agentPid).not.to.equal(agentPid);
  });
});
