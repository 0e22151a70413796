import { expect } from 'chai';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ParleyError } from '../../../src/protocol/errors.js';
import { importCredentials, parseCredentials, readCredentials } from '../../../src/server/auth/credentials.js';
import { Passwords } from '../../../src/server/auth/passwords.js';
import type { Argon2 } from '../../../src/server/auth/passwords.js';
import type { Storage } from '../../../src/server/storage/port.js';
import { openSqlite } from '../../../src/server/storage/sqlite.js';

function refusal(text: string): string {
  try {
    parseCredentials(text, 'Credentials.txt');
  } catch (error) {
    if (error instanceof ParleyError && error.code === 'USAGE') return error.message;
  }
  return expect.fail('not refused');
}

describe('Credentials.txt', () => {
  it('has a line per user; the password is the rest of the line', () => {
    const text =
      '\ufeff# people\r\nalice wonderland-7\r\n\r\n  # more\n\t\nBob  two spaces \ncarol\ttab #no comment\ndave d';
    expect(parseCredentials(text, 'f')).to.deep.equal([
      { name: 'alice', password: 'wonderland-7' },
      { name: 'Bob', password: ' two spaces ' },
      { name: 'carol', password: 'tab #no comment' },
      { name: 'dave', password: 'd' },
    ]);
    expect(parseCredentials('', 'f')).to.deep.equal([]);
  });

  it('names the line of what is wrong, and says what to do', () => {
    expect(refusal('alice a\nbob')).to.match(/^Credentials\.txt:2: there is no password; write/);
    expect(refusal('bob ')).to.match(/^Credentials\.txt:1: there is no password/);
    expect(refusal(' bob secret')).to.match(/:1: a space before the name; begin/);
    expect(refusal('# x\n\nbob:secret more')).to.match(
      /:3: the name before the first space cannot be used: use 1 to 32/,
    );
    expect(refusal('system secret')).to.match(/:1: .*reserved.*take another/);
    expect(refusal(`bob ${'x'.repeat(2_000)}`)).to.match(/:1: the password is longer than 1024 bytes/);
    expect(refusal('alice a\nbob b\n\nALICE c')).to.match(/:4: the user of line 1 again.*keep one/);
  });

  it('never repeats what may be a password', () => {
    for (const text of [
      'hunter2',
      'hunter2 ',
      'bob:hunter2 x',
      'bob\u00a0hunter2',
      ' hunter2',
      'a hunter2\nA hunter2',
    ]) {
      expect(refusal(text)).to.not.contain('hunter2');
    }
    expect(refusal(`bob ${'hunter2'.repeat(500)}`)).to.not.contain('hunter2');
  });

  describe('as a file', () => {
    let folder: string;
    beforeEach(async () => {
      folder = await mkdtemp(join(tmpdir(), 'parley-credentials-'));
    });
    afterEach(() => rm(folder, { recursive: true }));

    const codeOf = async (work: Promise<unknown>): Promise<string> => {
      try {
        await work;
      } catch (error) {
        return error instanceof ParleyError ? `${error.code} ${error.message}` : 'not a ParleyError';
      }
      return 'none';
    };

    it('is read, or is not there', async () => {
      const path = join(folder, 'Credentials.txt');
      expect(await readCredentials(path)).to.equal(undefined);
      await writeFile(path, 'alice wonderland');
      expect(await readCredentials(path)).to.deep.equal([{ name: 'alice', password: 'wonderland' }]);
    });

    it('is refused when it cannot be read or is no UTF-8', async () => {
      expect(await codeOf(readCredentials(folder))).to.match(/^FILE_MISSING .*cannot be read/);
      const path = join(folder, 'latin1.txt');
      await writeFile(path, Buffer.from('alice caf\u00e9', 'latin1'));
      expect(await codeOf(readCredentials(path))).to.match(/^USAGE .*latin1\.txt is not UTF-8/);
      expect(await codeOf(readCredentials(path, AbortSignal.abort()))).to.match(/^CANCELLED/);
    });
  });

  describe('as users', () => {
    const T0 = 1_000;
    let storage: Storage;
    let passwords: Passwords;
    let hashed: string[];
    beforeEach(async () => {
      hashed = [];
      const argon2: Argon2 = {
        hash: (password) => {
          hashed.push(password);
          return Promise.resolve(`hash of ${password}`);
        },
        verify: (hash, password) => Promise.resolve(hash === `hash of ${password}`),
      };
      storage = await openSqlite(':memory:');
      passwords = await Passwords.create(argon2);
      hashed.length = 0;
    });
    afterEach(() => storage.close());
    const read = (text: string) => importCredentials(storage, parseCredentials(text, 'f'), passwords, T0);

    it('are added, and changed only where the password is another', async () => {
      expect(await read('alice a\nbob b\ncarol c')).to.deep.equal({ added: 3, changed: 0, unchanged: 0 });
      hashed.length = 0;
      expect(await read('ALICE a\nbob B\ndave d')).to.deep.equal({ added: 1, changed: 1, unchanged: 1 });
      expect(hashed).to.have.members(['B', 'd']);
      const users = await storage.listUsers({ limit: 9 });
      expect(users.map(({ name, passwordHash }) => [name, passwordHash])).to.deep.equal([
        ['alice', 'hash of a'],
        ['bob', 'hash of B'],
        ['carol', 'hash of c'],
        ['dave', 'hash of d'],
      ]);
    });

    it('lose no session when nothing changed', async () => {
      await read('alice a');
      const alice = await storage.findUser('alice');
      const token = { userId: alice?.id ?? 0, keyFingerprint: 'key' as never, expiresAt: T0 };
      await storage.storeResumeToken('aa', token);
      await read('alice a');
      expect(await storage.findResumeToken('aa', 0)).to.deep.equal(token);
    });

    it('are as many as the file has, while logins wait', async () => {
      const text = Array.from({ length: 300 }, (_, n) => `user${n} p${n}`).join('\n');
      expect(await read(text)).to.deep.equal({ added: 300, changed: 0, unchanged: 0 });
      expect(await read(text)).to.deep.equal({ added: 0, changed: 0, unchanged: 300 });
    });

    it('stop at a failure', async () => {
      await storage.close();
      let failed: unknown;
      await read('alice a\nbob b\ncarol c').catch((error: unknown) => (failed = error));
      expect(failed).to.be.instanceOf(ParleyError).with.property('code', 'INTERNAL');
    });
  });
});
