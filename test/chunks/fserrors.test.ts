import { expect } from 'chai';
import { readFile } from 'node:fs/promises';
import { errnoOf, unreadable, unwritable } from '../../src/chunks/fserrors.js';
import { ParleyError } from '../../src/protocol/errors.js';

describe('chunks/fserrors', () => {
  it('says why the system refused, and keeps the cause', async () => {
    const cause: unknown = await readFile('/no/such/file').catch((error: unknown) => error);
    expect(errnoOf(cause)).to.equal('ENOENT');
    for (const [error, code, path, reason] of [
      [unreadable('/f', cause), 'FILE_MISSING', '/f', 'there is no such file or folder'],
      // What cannot be written for that reason has no folder: that is what is missing.
      [unwritable('/f', cause), 'DISK_FULL', '/no/such', 'there is no such folder'],
    ]) {
      expect(error).to.be.instanceOf(ParleyError).with.property('code', code);
      expect(error).to.have.property('cause', cause);
      expect(error).to.have.deep.property('details', { path, reason });
    }
    const strange = Object.assign(new Error('strange'), { code: 'ESTALE', errno: -116 });
    expect(unwritable('/f', strange)).to.have.deep.property('details', { path: '/f', reason: 'ESTALE' });
  });

  it('leaves alone what is no refusal of the system', () => {
    const known = new ParleyError('TARGET_EXISTS', { path: '/f' });
    const bug = new TypeError('a bug');
    const abort = new DOMException('stop', 'AbortError');
    for (const error of [known, bug, abort, 'text', undefined]) {
      expect(errnoOf(error)).to.equal(undefined);
      expect(unreadable('/f', error)).to.equal(error);
      expect(unwritable('/f', error)).to.equal(error);
    }
  });
});
