import { expect } from 'chai';
import { makeIdentity } from '../../src/protocol/certificate.js';
import { serverCommands } from '../../src/protocol/commands/server.js';
import { loggedIn, startTestServer } from '../support/server.js';

describe('a server', () => {
  it('lets users in, passes messages, and lists files', async () => {
    const at = await startTestServer({ users: { alice: 'a', bob: 'b' } });
    try {
      const events: unknown[] = [];
      const alice = await loggedIn(at, 'alice', 'a', { identity: await makeIdentity('alice') });
      let arrived = (): void => undefined;
      const pushed = new Promise<void>((resolve) => (arrived = resolve));
      const bob = await loggedIn(at, 'Bob', 'b', {
        onEvent: (event) => {
          events.push(event);
          arrived();
        },
      });
      expect(await alice.call(serverCommands.whoelse, {})).to.deep.equal({ users: ['bob'] });
      const sent = await alice.call(serverCommands.message, { user: 'BOB', text: 'hello' });
      expect(sent.delivered).to.equal(true);
      await pushed;
      expect(events[0]).to.deep.include({ type: 'message', from: 'alice', to: 'bob', text: 'hello', position: 1 });
      const root = 'a'.repeat(64);
      await alice.call(
        serverCommands.registerFile,
        { file: 'x.bin', sizeBytes: 5, chunks: 2, root },
        { body: [Buffer.alloc(64, 7)] },
      );
      expect(await bob.call(serverCommands.searchFile, { file: 'x.bin' })).to.deep.include({
        available: true,
        holders: ['alice'],
      });
      const got: Buffer[] = [];
      await bob.call(
        serverCommands.manifest,
        { file: 'x.bin' },
        { onBytes: (bytes) => void got.push(Buffer.from(bytes)) },
      );
      expect(Buffer.concat(got).equals(Buffer.alloc(64, 7))).to.equal(true);
    } finally {
      await at.close();
    }
  });
});
