import { expect } from 'chai';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runClient, startClient } from '../support/client.js';
import { FakeAgent, untilCancelled } from '../support/fakeagent.js';

describe('client, the shell from a script', () => {
  let agent: FakeAgent;
  beforeEach(async () => {
    agent = await FakeAgent.start({ message: () => ({ id: 'a'.repeat(32), delivered: true }) });
  });
  afterEach(() => agent.close());

  const run = (lines: string[], words: string[] = []): ReturnType<typeof runClient> =>
    runClient(agent.home, words, { input: lines.map((line) => `${line}\n`).join('') });

  it('runs line by line, prints results alone on stdout, and never stops at a refusal', async () => {
    const { code, stdout, stderr } = await run([
      '# a comment',
      '',
      'whoelse',
      'message bob  "hi"  there',
      'nonsense',
      'whoelse',
    ]);
    expect(stdout).to.equal('bob\ncarol\ndelivered\nbob\ncarol\n');
    expect(stderr).to.match(/^unknown command 'nonsense'.* \[USAGE\]\n$/);
    expect(code).to.equal(0);
    expect(agent.callsOf('message')).to.deep.equal([{ user: 'bob', text: '"hi"  there' }]);
  });

  it('says what helps in the shell with an unknown command, and with a line that was copied from elsewhere', async () => {
    const { stderr } = await run(['nonsense', 'client whoelse']);
    expect(stderr).to.equal(
      "unknown command 'nonsense'; help lists those there are [USAGE]\n" +
        "unknown command 'client'; leave out 'client', the rest is the command [USAGE]\n",
    );
  });

  it('ends with the code of its last command, or the one that exit gives', async () => {
    expect((await run(['whoelse', 'nonsense'])).code).to.equal(2);
    expect((await run(['nonsense', '# nothing'])).code).to.equal(2);
    expect((await run(['nonsense', 'exit', 'whoelse'])).code).to.equal(2);
    expect((await run(['exit 7', 'whoelse'])).code).to.equal(7);
    expect((await run(['exit x'])).code).to.equal(2);
    expect((await run([])).code).to.equal(0);
  });

  it('speaks JSON when told to', async () => {
    const { stdout, stderr } = await run(['whoelse', 'message bob'], ['--json']);
    expect(stdout).to.equal('{"users":["bob","carol"]}\n');
    expect(JSON.parse(stderr)).to.have.nested.property('error.code', 'EMPTY_MESSAGE');
    const wrong = (await run(['nonsense --json', 'message bob', 'message bob --json'])).stderr.split('\n');
    expect(JSON.parse(wrong[0] ?? '')).to.have.nested.property('error.code', 'USAGE');
    expect(wrong.slice(1)).to.deep.equal(['the message has no text; add some [EMPTY_MESSAGE]', '']);
    expect((await run(['whoelse --json', 'whoelse'])).stdout).to.equal('{"users":["bob","carol"]}\nbob\ncarol\n');
  });

  it('ends a line at its end alone, and refuses one that is too long to be any', async () => {
    const { code, stdout, stderr } = await run([
      'message bob one\u2028whoelse',
      `message bob ${'x'.repeat(2_000_000)}`,
    ]);
    expect(stdout).to.equal('delivered\n');
    expect(stderr).to.match(/^a line has more than .* \[USAGE\]\n$/);
    expect(code).to.equal(2);
    expect(agent.callsOf('message')).to.deep.equal([{ user: 'bob', text: 'one\u2028whoelse' }]);
  });

  it('prints messages as they come, and leaves them unread', async () => {
    const { child, finished } = startClient(agent.home, []);
    child.stdin?.write('whoelse\n');
    await agent.called('listen');
    await agent.message('bob', 'hello');
    await agent.tell({ type: 'presence', from: 'bob', online: false, at: '2030-01-01T12:00:00.000Z' });
    let seen = '';
    while (!seen.includes('hello')) seen += String(await new Promise((resolve) => child.stdout?.once('data', resolve)));
    child.stdin?.end('whoelse\n');
    const { stdout, stderr } = await finished;
    expect(stdout).to.match(/bob: hello\n/);
    expect(stderr).to.equal('-- bob is away\n');
    expect(agent.callsOf('listen')).to.deep.equal([{}]);
    expect(agent.callsOf('inbox')).to.deep.equal([]);
  });

  it('is interrupted', async () => {
    agent.handlers['whoelse'] = (_, call) => untilCancelled(call);
    const { child, finished } = startClient(agent.home, []);
    child.stdin?.write('whoelse\n');
    await agent.called('whoelse');
    child.kill('SIGINT');
    expect((await finished).code).to.equal(130);
  });

  it('refuses in a line what is set at the start', async () => {
    expect((await run(['whoelse --home /tmp'])).stderr).to.contain('home is set when the shell is started');
    expect((await run(['agent'])).stderr).to.contain('[USAGE]');
    expect((await run(['127.0.0.1 8100'])).stderr).to.contain('[USAGE]');
  });

  it('reads the password from the first line of its input, and commands from the rest', async () => {
    const home = mkdtempSync(join(tmpdir(), 'parley-script-'));
    try {
      writeFileSync(join(home, 'config.json'), '{"server":"127.0.0.1:1","user":"alice"}');
      const outcome = await runClient(home, ['--password-file', '-'], { input: 'secret\nwhoelse\nexit 9\n' });
      expect(outcome).to.include({ code: 9, stdout: '' });
    } finally {
      rmSync(home, { recursive: true, force: true });
    }
  });
});
