/** Sessions that are taken up again (R24), and one session a user (R7). */
import { expect } from 'chai';
import { makeIdentity } from '../../src/protocol/certificate.js';
import type { Identity } from '../../src/protocol/certificate.js';
import { serverCommands } from '../../src/protocol/commands/server.js';
import { refusal } from '../support/refusal.js';
import { dialServer, loggedIn, startTestServer } from '../support/server.js';
import type { TestServer } from '../support/server.js';

describe('resuming a session', () => {
  let at: TestServer;
  let identity: Identity;
  let other: Identity;
  before(async () => {
    at = await startTestServer({ users: { alice: 'a', bob: 'b' } });
    identity = await makeIdentity('alice');
    other = await makeIdentity('other');
  });
  after(() => at.close());

  async function tokenOf(): Promise<string> {
    const connection = await dialServer(at, { identity });
    const { token } = await connection.call(serverCommands.login, { user: 'alice', password: 'a' });
    await connection.close();
    return token ?? '';
  }

  it('works again with the same token when the answer was lost, and with the next one', async () => {
    const token = await tokenOf();
    const first = await dialServer(at, { identity });
    const { token: next } = await first.call(serverCommands.resume, { token });
    const again = await dialServer(at, { identity });
    expect((await again.call(serverCommands.resume, { token })).user).to.equal('alice');
    const third = await dialServer(at, { identity });
    expect((await third.call(serverCommands.resume, { token: next ?? '' })).user).to.equal('alice');
    await third.call(serverCommands.endSession, {});
  });

  it('is refused for another key, which does not use the token up', async () => {
    const token = await tokenOf();
    const thief = await dialServer(at, { identity: other });
    expect((await refusal(thief.call(serverCommands.resume, { token }))).code).to.equal('LOGIN_REQUIRED');
    thief.destroy();
    const keyless = await dialServer(at, {});
    expect((await refusal(keyless.call(serverCommands.resume, { token }))).code).to.equal('LOGIN_REQUIRED');
    keyless.destroy();
    const owner = await dialServer(at, { identity });
    expect((await owner.call(serverCommands.resume, { token })).user).to.equal('alice');
    await owner.call(serverCommands.endSession, {});
  });

  it('is over after logout', async () => {
    const connection = await dialServer(at, { identity });
    const { token = '' } = await connection.call(serverCommands.login, { user: 'alice', password: 'a' });
    await connection.call(serverCommands.endSession, {});
    await connection.closed;
    const back = await dialServer(at, { identity });
    expect((await refusal(back.call(serverCommands.resume, { token }))).code).to.equal('LOGIN_REQUIRED');
    back.destroy();
  });

  it('leaves a second login out while the first answers', async () => {
    const first = await loggedIn(at, 'bob', 'b', { identity });
    const second = await dialServer(at, { identity: other });
    const refused = await refusal(second.call(serverCommands.login, { user: 'BOB', password: 'b' }));
    expect(refused.code).to.equal('ALREADY_LOGGED_IN');
    expect(first.isOpen).to.equal(true);
    first.destroy();
    second.destroy();
  });
});
