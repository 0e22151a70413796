import { expect } from 'chai';
import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ParleyError } from '../../src/protocol/errors.js';
import type { ErrorCode } from '../../src/protocol/errors.js';
import { refusal, runClient, startClient } from './support/client.js';
import type { Finished } from './support/client.js';
import { FakeAgent, untilCancelled } from './support/fakeagent.js';

const transfer = (bytes: number): object => ({
  type: 'transfer',
  transfer: {
    file: 'f',
    direction: 'download',
    state: 'running',
    sizeBytes: 100,
    bytes,
    rate: 5,
    sources: [{ user: 'bob', bytes, rate: 5 }],
  },
});

describe('client, one command', () => {
  let agent: FakeAgent;
  beforeEach(async () => {
    agent = await FakeAgent.start();
  });
  afterEach(() => agent.close());

  const run = (...words: string[]): Promise<Finished> => runClient(agent.home, words);

  it('prints version and help on stdout', async () => {
    const [version, help] = await Promise.all([run('--version'), run('help', 'message')]);
    expect(version)
      .to.include({ code: 0, stderr: '' })
      .and.have.property('stdout')
      .that.matches(/^\d+\.\d+\.\d+\n$/);
    expect(help).to.include({ code: 0, stderr: '' }).and.have.property('stdout').that.contains('client message');
  });

  it('prints a result for people, or as one line of JSON, on stdout', async () => {
    const [words, json] = await Promise.all([run('whoelse'), run('whoelse', '--json')]);
    expect(words).to.deep.equal({ code: 0, stdout: 'bob\ncarol\n', stderr: '' });
    expect(json).to.deep.equal({ code: 0, stdout: '{"users":["bob","carol"]}\n', stderr: '' });
  });

  it('colours on demand only', async () => {
    const [colored, plain] = await Promise.all([run('whoelse', '--color', 'always'), run('whoelse')]);
    expect(colored.stdout).to.contain('\u001b[36mbob');
    expect(plain.stdout).not.to.contain('\u001b');
  });

  it('prints a refusal as sentence and code on stderr', async () => {
    agent.handlers['message'] = () => {
      throw new ParleyError('UNKNOWN_USER', { user: 'zed\u001b[2J' });
    };
    expect(await run('message', 'zed', 'hi')).to.deep.equal({
      code: 1,
      stdout: '',
      stderr: 'client: no user is named zed\\u{1b}[2J; check the spelling [UNKNOWN_USER]\n',
    });
  });

  it('prints a refusal as one line of JSON, its details beside', async () => {
    agent.handlers['message'] = () => {
      throw new ParleyError('LOCKED_OUT', { retryAfterSeconds: 7 });
    };
    const { code, stderr } = await run('--json', 'send', 'bob', 'hi');
    expect(JSON.parse(stderr)).to.deep.equal({
      error: {
        code: 'LOCKED_OUT',
        message: 'too many failed logins; try again in 7 s',
        retryable: true,
        retryAfterSeconds: 7,
      },
    });
    expect(code).to.equal(4);
  });

  it('ends with the exit code of the refusal', async () => {
    const codes: [ErrorCode, number][] = [
      ['FILE_NOT_REGISTERED', 1],
      ['NO_HOLDER', 3],
      ['KEY_CHANGED', 4],
      ['DISK_FULL', 5],
    ];
    for (const [code, exit] of codes) {
      agent.handlers['download'] = () => {
        throw new ParleyError(code);
      };
      expect(refusal(await run('download', 'f', '--json'))).to.equal(`${exit} ${code}`);
    }
  });

  it('has the running agent take limits of uploads that are given with a command, and says what that changed', async () => {
    agent.handlers['limits'] = () => ({ upload: null, uploadPerLink: 2048 });
    const both = await run('whoelse', '--upload-limit', '1.5M', '--upload-limit-per-link', 'none');
    expect(both).to.deep.equal({
      code: 0,
      stdout: 'bob\ncarol\n',
      stderr:
        'upload limit of the running agent: 1.5 MiB/s from now on, none before\n' +
        'upload limit per link of the running agent: none from now on, 2.0 KiB/s before\n',
    });
    // With a user the agent is asked whose it is first.
    const same = await run('whoelse', '--user', 'alice', '--upload-limit-per-link', '2K');
    expect(same).to.deep.equal({ code: 0, stdout: 'bob\ncarol\n', stderr: '' });
    expect((await run('whoelse', '--user', 'bob', '--upload-limit', '2K')).code).to.equal(4);
    expect(agent.callsOf('limits')).to.deep.equal([
      { upload: 1.5 * 1024 * 1024, uploadPerLink: null },
      { uploadPerLink: 2048 },
    ]);
    await runClient(agent.home, ['whoelse'], { env: { PARLEY_UPLOAD_LIMIT: '1M' } });
    expect(agent.callsOf('limits')).to.have.length(2);
  });

  it('refuses wrong usage before it looks for an agent', async () => {
    const nowhere = join(agent.home, 'nowhere');
    const outcomes = await Promise.all(
      [['nonsense'], ['whoelse', '--server', 'x'], ['whoelsesince', '-1'], ['message', 'bob'], ['--color', 'pink']].map(
        async (words) => refusal(await runClient(nowhere, ['--json', ...words])),
      ),
    );
    expect(outcomes).to.deep.equal(['2 USAGE', '2 USAGE', '2 USAGE', '1 EMPTY_MESSAGE', '2 USAGE']);
    expect(existsSync(nowhere)).to.equal(false);
  });

  it('makes paths absolute from where it was typed', async () => {
    agent.handlers['download'] = () => {
      throw new ParleyError('NO_HOLDER', { what: 'f' });
    };
    await runClient(agent.home, ['download', 'f', '-o', 'sub/'], { cwd: tmpdir() });
    const directory = agent.callsOf('download')[0]?.['directory'];
    expect(agent.callsOf('download')).to.deep.equal([
      { file: 'f', output: join(String(directory), 'sub/'), directory },
    ]);
    expect(directory).to.be.a('string');
  });

  it('tells scripts, too, how a download goes on', async () => {
    const codes: ErrorCode[] = ['NO_HOLDER', 'DISK_FULL', 'TARGET_EXISTS'];
    agent.handlers['download'] = () => {
      throw new ParleyError(codes[0] ?? 'INTERNAL', { what: 'f', path: '/f', reason: 'full' });
    };
    const told: unknown[] = [];
    while (codes.length > 0) {
      const { stderr } = await run('download', 'f', '--json');
      const { error } = JSON.parse(stderr) as { error: { resume?: string } };
      told.push(error.resume?.replace(agent.home, 'HOME'));
      codes.shift();
    }
    expect(told[0]).to.match(/^client .*download f --json$/);
    expect(told.slice(1)).to.deep.equal([told[0], undefined]);
  });

  it('draws no bars where stderr is no terminal', async () => {
    agent.handlers['download'] = async (_, call) => {
      for (const bytes of [0, 50, 100]) await call.emit(transfer(bytes));
      return { file: 'f', path: '/f', sizeBytes: 100, chunks: [0], held: [0], complete: true, sources: [] };
    };
    const { code, stdout, stderr } = await run('download', 'f');
    expect({ code, stderr }).to.deep.equal({ code: 0, stderr: '' });
    expect(stdout).to.contain('complete');
  });

  for (const [signal, code] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const) {
    it(`cancels what it does on ${signal}, says how to go on, and ends with ${code}`, async () => {
      agent.handlers['download'] = (_, call) => untilCancelled(call);
      const { child, finished } = startClient(agent.home, ['download', "a b's", '-o', 'x/', '--limit-rate', '2M', '0']);
      const { call } = await agent.called('download');
      const cancelled = new Promise((resolve) => call.signal.addEventListener('abort', resolve));
      child.kill(signal);
      const outcome = await finished;
      await cancelled;
      expect(outcome.code).to.equal(code);
      expect(outcome.stderr).to.contain('CANCELLED');
      const line = / download [^\n]*/.exec(outcome.stderr)?.[0];
      expect(line).to.equal(` download 'a b'\\''s' -o x/ --limit-rate 2M 0`);
    });
  }

  it('listens, an event a line, until interrupted', async () => {
    const { child, finished } = startClient(agent.home, ['listen']);
    await agent.called('listen');
    await agent.message('bob', 'one\u009b2J');
    await agent.tell({ type: 'presence', from: 'bob', online: false, at: '2030-01-01T12:00:00.000Z' });
    await agent.tell({ type: 'unknown to this version' });
    let seen = '';
    while (!seen.includes('presence'))
      seen += String(await new Promise((resolve) => child.stdout?.once('data', resolve)));
    child.kill('SIGINT');
    const { code, stdout } = await finished;
    expect(code).to.equal(130);
    expect(stdout).to.contain('one\\u009b2J');
    const events = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(events.map(({ type }) => type)).to.deep.equal(['message', 'presence']);
    expect(events[0]).to.include({ from: 'bob', text: 'one\u009b2J' }).and.include.keys('id', 'at');
    expect(agent.callsOf('listen')).to.deep.equal([{}]);
  });

  it('ends quietly when nobody reads what it prints', async () => {
    const { child, finished } = startClient(agent.home, ['listen']);
    await agent.called('listen');
    child.stdout?.destroy();
    await agent.message('bob', 'hi');
    const { stderr, code } = await finished;
    expect({ stderr, code }).to.deep.equal({ stderr: '', code: 0 });
  });

  it('says so when the agent goes away in the middle', async () => {
    agent.handlers['whoelse'] = (_, call) => untilCancelled(call);
    const outcome = run('whoelse', '--json');
    await agent.called('whoelse');
    await agent.hangUp();
    expect(refusal(await outcome)).to.equal('1 AGENT_GONE');
  });

  it('tells why, when the agent says why it goes', async () => {
    const outcome = run('listen', '--json');
    await agent.called('listen');
    await agent.hangUp(new ParleyError('LOGIN_REQUIRED'));
    expect(refusal(await outcome)).to.equal('4 LOGIN_REQUIRED');
  });

  it('refuses to speak for another user, or to another server', async () => {
    expect(refusal(await run('--json', '--user', 'bob', 'whoelse'))).to.equal('4 ALREADY_LOGGED_IN');
    expect(refusal(await run('--json', '--server', '127.0.0.1:9', 'whoelse'))).to.equal('4 ALREADY_LOGGED_IN');
    expect((await run('--user', 'bob', 'whoelse')).stderr).to.match(/^client: alice is logged in .*--home/);
    expect((await run('--user', 'ALICE', '--server', 'localhost:8100', 'whoelse')).code).to.equal(0);
  });

  it('refuses to log in twice', async () => {
    expect(refusal(await run('--json', 'login'))).to.equal('4 ALREADY_LOGGED_IN');
    expect(refusal(await run('--json', 'login', 'bob'))).to.equal('4 ALREADY_LOGGED_IN');
    expect(agent.callsOf('login')).to.deep.equal([]);
  });

  it('waits until the agent has ended when it logs out', async () => {
    agent.handlers['logout'] = () => {
      setTimeout(() => void agent.hangUp(), 50);
      return {};
    };
    expect(await run('dereg', '--json')).to.deep.equal({ code: 0, stdout: '{}\n', stderr: '' });
  });
});
