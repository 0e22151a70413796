/** The faces with a real agent and a real server behind them. */
import { expect } from 'chai';
import { once } from 'node:events';
import { existsSync, readFileSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { agentPid } from '../../src/client/agent/control.js';
import { Cast } from '../support/cast.js';
import { CLIENT } from './support/client.js';
import { Terminal } from './support/terminal.js';

const PASSWORD = 'wonder land 7';

/** Every file below a folder, as text. */
function everythingIn(folder: string): string {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map((name) => join(folder, name))
    .filter((path) => statSync(path).isFile())
    .map((path) => readFileSync(path, 'latin1'))
    .join('\n');
}

describe('client, with all behind it', function () {
  this.timeout(60_000);
  let cast: Cast;
  before(async () => {
    cast = new Cast({ alice: PASSWORD, bob: 'builder-42' });
    await cast.start();
  });
  after(() => cast.close());

  it('lets a mistyped password be typed anew, chats, leaves an agent, and the password nowhere (R1)', async () => {
    const alice = cast.person('alice', PASSWORD);
    const bob = cast.person('bob', 'builder-42');
    const terminal = new Terminal(alice.home, [], { PARLEY_SERVER: cast.address, PARLEY_LISTEN: '127.0.0.1:0' });
    try {
      await terminal.shows(`user at ${cast.address}:`);
      terminal.type('ALICE\r');
      await terminal.shows('password of ALICE');
      terminal.type('wrong\r');
      await terminal.shows('user name or password is wrong');
      await terminal.shows(/password of ALICE[\s\S]*password of ALICE/);
      terminal.type(`${PASSWORD}\r`);
      await terminal.shows(/started an agent for alice .*pid \d+/);
      await terminal.endsWith('alice> ');
      terminal.type('message bob half a ');
      await terminal.endsWith('alice> message bob half a ');
      await bob.ok('message', 'alice', 'are you there?');
      await terminal.shows('bob: are you there?');
      await terminal.endsWith('alice> message bob half a ');
      terminal.type('line\r');
      await terminal.shows('delivered');
      terminal.type('exit\r');
      expect(await terminal.ended).to.equal(0);
    } finally {
      terminal.close();
    }
    const inbox = (await bob.ok('inbox'))['messages'] as { text: string }[];
    expect(inbox.map(({ text }) => text)).to.deep.equal(['half a line']);
    expect((await alice.ok('inbox', '--unread'))['messages']).to.deep.equal([]);

    const pid = /pid (\d+)/.exec(terminal.display.text)?.[1] ?? '';
    if (existsSync(`/proc/${pid}/cmdline`)) {
      expect(readFileSync(`/proc/${pid}/cmdline`, 'utf8'))
        .to.contain('agent')
        .and.not.contain(PASSWORD);
      expect(readFileSync(`/proc/${pid}/environ`, 'utf8')).not.to.contain(PASSWORD);
    }
    for (const text of [everythingIn(alice.home), everythingIn(cast.data), cast.serverLog, terminal.raw]) {
      expect(text.includes(PASSWORD)).to.equal(false);
    }
  });

  it('gives no agent the password that it was told in the environment', async () => {
    const bob = cast.person('bob', 'builder-42');
    await bob.run('logout');
    await bob.ok('whoelse');
    const environment = `/proc/${bob.agentPid}/environ`;
    if (existsSync(environment)) expect(readFileSync(environment, 'utf8')).not.to.match(/builder-42|PARLEY_/);
    expect(everythingIn(bob.home).includes('builder-42')).to.equal(false);
  });

  it('shows in the prompt the group that one is in, and what it holds', async () => {
    const alice = cast.person('alice', PASSWORD);
    const bob = cast.person('bob', 'builder-42');
    await bob.ok('create_group', 'skii');
    const terminal = new Terminal(alice.home, [], {
      PARLEY_SERVER: cast.address,
      PARLEY_LISTEN: '127.0.0.1:0',
      PARLEY_USER: 'alice',
      PARLEY_PASSWORD: PASSWORD,
    });
    try {
      await terminal.endsWith('alice> ');
      terminal.type('join_group sk\t');
      await terminal.endsWith('alice> join_group skii');
      terminal.type('\r');
      await terminal.shows('in group skii: alice');
      await terminal.endsWith('alice@skii> ');
      await bob.ok('join_group', 'skii');
      await terminal.shows('\n[bob joined group skii]\n');
      await bob.ok('send_group', 'hello in here');
      await terminal.shows('bob in skii: hello in here');
      await bob.ok('leave_group');
      await terminal.shows('\n[bob left group skii]\n');
      await bob.ok('message', 'alice', 'from outside');
      await terminal.shows('-- 1 message held: bob');
      await terminal.endsWith('alice@skii (1)> ');
      expect(terminal.display.text).not.to.contain('from outside');
      terminal.type('leave_group\r');
      await terminal.shows(/left group skii; 1 message came meanwhile:\n.*bob: from outside\n/);
      await terminal.endsWith('alice> ');
      terminal.type('exit\r');
      expect(await terminal.ended).to.equal(0);
    } finally {
      terminal.close();
    }
  });

  it('tells of an agent that was started once, however many commands raced to start it', async () => {
    const bob = cast.person('bob', 'builder-42');
    await bob.run('logout');
    const outcomes = await Promise.all(Array.from({ length: 4 }, () => bob.run('status')));
    expect(outcomes.filter(({ code }) => code !== 0)).to.deep.equal([]);
    expect(outcomes.filter(({ stderr }) => stderr.includes('started an agent'))).to.have.length(1);
  });

  it('keeps an agent whose words nobody reads any more', async () => {
    const bob = cast.person('bob', 'builder-42');
    await bob.run('logout');
    const agent = bob.start('agent');
    agent.stderr?.destroy();
    // A command that comes before it is there would start another, and one that is ending may answer for a moment still.
    while ((await agentPid(bob.home)) !== agent.pid) {
      expect(agent.exitCode).to.equal(null);
      await setTimeout(20);
    }
    while ((await bob.run('status', '--user', 'bob')).json['user'] !== 'bob') expect(agent.exitCode).to.equal(null);
    expect(agent.exitCode).to.equal(null);
    const ended = once(agent, 'exit');
    agent.kill('SIGTERM');
    expect(await ended).to.deep.equal([143, null]);
  });

  it('gives the terminal back when it is ended at the password', async () => {
    const words = ['agent', '--user', 'alice'];
    const terminal = new Terminal(join(cast.folder, 'ended'), words, { PARLEY_SERVER: cast.address });
    try {
      await terminal.shows('password of alice');
      terminal.kill('SIGTERM');
      expect(await terminal.ended).to.equal(143);
    } finally {
      terminal.close();
    }
  });

  it('leaves a terminal that echoes when an agent is ended at the password', async () => {
    const home = join(cast.folder, 'echoes');
    const pidFile = join(cast.folder, 'echoes.pid');
    const script = `sh -c 'echo $$ > "$3"; exec "$1" "$2" agent --user alice' sh "$1" "$2" "$3"; stty -a; echo over`;
    const words = ['-c', script, 'sh', process.execPath, CLIENT, pidFile];
    const terminal = new Terminal(home, words, { PARLEY_SERVER: cast.address }, 'sh');
    try {
      await terminal.shows('password of alice');
      process.kill(Number(readFileSync(pidFile, 'utf8')), 'SIGTERM');
      await terminal.endsWith('over');
      expect(terminal.display.text)
        .to.match(/\sicanon\s/)
        .and.to.match(/\secho\s/);
    } finally {
      terminal.close();
    }
  });

  it('does from a script what it does one by one', async () => {
    const bob = cast.person('bob', 'builder-42');
    const { code, stdout, stderr } = await bob.shell('Whoelse', 'message alice  two  spaces', 'message zed hi');
    expect(stdout).to.equal('alice\ndelivered\n');
    expect(stderr).to.contain('[UNKNOWN_USER]');
    expect(code).to.equal(1);
  });
});
