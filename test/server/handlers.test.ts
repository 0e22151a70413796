import { expect } from 'chai';
import { serverCommands } from '../../src/protocol/commands/server.js';
import { ParleyError } from '../../src/protocol/errors.js';
import { silentLog } from '../../src/server/log.js';
import { openSqlite } from '../../src/server/storage/sqlite.js';
import { refusal } from '../support/refusal.js';
import { Hall } from './hall.js';

describe('a command that fails for the server’s own reasons', () => {
  for (const thrown of [
    new ParleyError('DISK_FULL', { path: '/srv/parley/parley.db', reason: 'the disk is full' }),
    new Error('cannot read /srv/parley/parley.db'),
  ]) {
    it(`is for the server’s log, and no place of the server’s is told: ${thrown.name}`, async () => {
      const said: object[] = [];
      const log = { ...silentLog, error: (fields: object) => void said.push(fields) };
      const storage = await openSqlite(':memory:');
      const hall = await Hall.open(['alice', 'bob'], { storage, log });
      try {
        const alice = await hall.guest('alice');
        storage.appendMessages = () => Promise.reject(thrown);
        const params = { id: 'a'.repeat(32), user: 'bob', text: 'hi' };
        const error = await refusal(alice.call(serverCommands.message, params));
        expect(error.code).to.equal(thrown instanceof ParleyError ? thrown.code : 'INTERNAL');
        expect(JSON.stringify([error.message, error.details])).not.to.contain('/srv');
        expect(said).to.have.length(1);
        expect(said[0]).to.include({ command: 'message', user: 'alice', code: error.code });
        expect(JSON.stringify(said)).to.contain('/srv/parley/parley.db').and.not.contain('hi"');
      } finally {
        await hall.close();
      }
    });
  }
});
