import { expect } from 'chai';
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { controlSocketPath } from '../../src/client/agent/socketpath.js';
import { refusal, runClient } from './support/client.js';

describe('client without an agent', () => {
  let home: string;
  beforeEach(() => {
    home = mkdtempSync(join(tmpdir(), 'parley-alone-'));
  });
  afterEach(() => rmSync(home, { recursive: true, force: true }));

  const CREDENTIALS = { PARLEY_USER: 'alice', PARLEY_PASSWORD: 'not to be found', PARLEY_SERVER: '127.0.0.1:1' };

  it('asks for a login when there is nothing to log in with', async () => {
    expect(refusal(await runClient(home, ['--json', 'whoelse']))).to.equal('4 LOGIN_REQUIRED');
    expect(refusal(await runClient(home, ['--json', 'login']))).to.equal('4 LOGIN_REQUIRED');
    expect(refusal(await runClient(home, ['--json', 'login', 'alice']))).to.equal('4 LOGIN_REQUIRED');
    expect(refusal(await runClient(home, ['--json', '--user', 'alice', 'status']))).to.equal('4 LOGIN_REQUIRED');
  });

  it('has nobody to log out, and that is no failure', async () => {
    expect(await runClient(home, ['logout', '-q', '--json'])).to.deep.equal({ code: 0, stdout: '{}\n', stderr: '' });
    expect(await runClient(home, ['logout'])).to.deep.equal({ code: 0, stdout: '', stderr: 'nobody was logged in\n' });
    expect((await runClient(home, ['logout', '--json'])).stderr).to.equal('{"notice":"nobody was logged in"}\n');
  });

  it('names a password file that cannot be used', async () => {
    writeFileSync(join(home, 'empty'), '\nx\n');
    for (const file of ['absent', 'empty', '.']) {
      const words = ['--json', '--user', 'a', '--password-file', file, 'whoelse'];
      const outcome = await runClient(home, words, { cwd: home });
      expect(refusal(outcome)).to.equal('2 USAGE');
      expect(outcome.stderr).to.contain('--password-file');
    }
  });

  it('starts an agent, which ends again when it cannot log in, and writes the password nowhere', async () => {
    expect(refusal(await runClient(home, ['--json', 'whoelse'], { env: CREDENTIALS }))).to.equal(
      '3 SERVER_UNREACHABLE',
    );
    const socket = createConnection(controlSocketPath(home));
    const reached = await new Promise((resolve) => {
      socket.once('connect', () => resolve(true));
      socket.once('error', () => resolve(false));
    });
    expect(reached).to.equal(false);
    for (const file of readdirSync(home)) {
      if (file.endsWith('.log') || file.endsWith('.json'))
        expect(readFileSync(join(home, file), 'utf8')).not.to.contain('not to be found');
    }
  });

  it('takes the password from the first line of a file, or of standard input', async () => {
    writeFileSync(join(home, 'secret'), 'from a file\r\nmore\n');
    const words = ['--json', '--server', '127.0.0.1:1', '--user', 'alice', '--password-file'];
    expect(refusal(await runClient(home, [...words, join(home, 'secret'), 'whoelse']))).to.equal(
      '3 SERVER_UNREACHABLE',
    );
    expect(refusal(await runClient(home, [...words, '-', 'whoelse'], { input: 'typed\n' }))).to.equal(
      '3 SERVER_UNREACHABLE',
    );
    expect(refusal(await runClient(home, [...words, '-', 'whoelse'], { input: '' }))).to.equal('2 USAGE');
  });

  it('passes on why an agent cannot start', async () => {
    writeFileSync(join(home, 'file'), '');
    const outcome = await runClient(join(home, 'file'), ['--json', 'whoelse'], { env: CREDENTIALS });
    expect(refusal(outcome)).to.equal('1 STATE_DAMAGED');
  });
});
