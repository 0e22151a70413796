import { expect } from 'chai';
import { ParleyError } from '../../src/protocol/errors.js';
import { runClient } from './support/client.js';
import { startFakeAgent } from './support/fakeagent.js';
import type { FakeAgent } from './support/fakeagent.js';

describe('client, one command', () => {
  let agent: FakeAgent;
  before(async () => {
    agent = await startFakeAgent();
  });
  after(() => agent.close());

  it('prints its version', async () => {
    const { code, stdout } = await runClient(agent.home, ['--version']);
    expect(stdout).to.match(/^\d+\.\d+\.\d+\n$/);
    expect(code).to.equal(0);
  });

  it('prints a result as one line of JSON on stdout', async () => {
    const { code, stdout, stderr } = await runClient(agent.home, ['whoelse', '--json']);
    expect(stdout).to.equal('{"users":["bob","carol"]}\n');
    expect(stderr).to.equal('');
    expect(code).to.equal(0);
  });

  it('prints a refusal as one line of JSON on stderr, with its exit code', async () => {
    agent.handlers['message'] = () => {
      throw new ParleyError('LOCKED_OUT', { retryAfterSeconds: 7 });
    };
    const { code, stdout, stderr } = await runClient(agent.home, ['--json', 'send', 'bob', 'hi']);
    expect(stdout).to.equal('');
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
});
