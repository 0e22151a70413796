import { expect } from 'chai';
import { ParleyError } from '../../../src/protocol/errors.js';
import { parseUserName } from '../../../src/protocol/values.js';
import type { KeyFingerprint } from '../../../src/protocol/values.js';
import { createAuthenticator } from '../../../src/server/auth/authenticate.js';
import type { Authenticate, Login } from '../../../src/server/auth/authenticate.js';
import { Lockout } from '../../../src/server/auth/lockout.js';
import { Passwords } from '../../../src/server/auth/passwords.js';
import type { Argon2 } from '../../../src/server/auth/passwords.js';
import type { Storage, UserRecord } from '../../../src/server/storage/port.js';
import { openSqlite } from '../../../src/server/storage/sqlite.js';

const KEY = 'key of alice' as KeyFingerprint;
const BLOCK_MS = 60_000;

describe('authenticating', () => {
  let storage: Storage;
  let now: number;
  let verified: number;
  let onVerify: () => Promise<void>;
  let authenticate: Authenticate;
  let alice: UserRecord;

  beforeEach(async () => {
    now = 0;
    verified = 0;
    onVerify = () => new Promise((resolve) => setImmediate(resolve));
    const argon2: Argon2 = {
      hash: (password) => Promise.resolve(`hash of ${password}`),
      verify: async (hash, password) => {
        verified += 1;
        await onVerify();
        return hash === `hash of ${password}`;
      },
    };
    storage = await openSqlite(':memory:');
    const passwords = await Passwords.create(argon2);
    const lockout = new Lockout({ blockMs: BLOCK_MS, now: () => now });
    authenticate = createAuthenticator({ storage, passwords, lockout });
    alice = (await storage.createUser(parseUserName('alice'), 'hash of right', 0)) ?? expect.fail('no user');
  });
  afterEach(() => storage.close());

  const login = async (over: Partial<Login> = {}, signal?: AbortSignal): Promise<string> => {
    try {
      const user = await authenticate({ name: 'alice', password: 'right', address: '127.0.0.1', ...over }, signal);
      return user.name;
    } catch (error) {
      if (!(error instanceof ParleyError)) throw error;
      return `${error.code} ${JSON.stringify(error.details)}`;
    }
  };
  const wrong = { password: 'wrong' };
  const LOCKED = 'LOCKED_OUT {"retryAfterSeconds":60}';

  it('gives the user', async () => {
    expect(await login({ name: 'ALICE' })).to.equal('alice');
  });

  it('answers the same, for the same work, when the user or the password is wrong (R5)', async () => {
    const answers: string[] = [];
    for (const over of [wrong, { name: 'nobody' }, { name: '__proto__' }]) {
      verified = 0;
      answers.push(await login(over));
      expect(verified).to.equal(1);
    }
    expect(new Set(answers)).to.deep.equal(new Set(['BAD_CREDENTIALS {}']));
  });

  it('locks out after three failures, users that do not exist too, and hashes nothing then (R2)', async () => {
    for (const name of ['alice', 'nobody']) {
      for (let i = 0; i < 3; i++) expect(await login({ name, password: 'wrong' })).to.equal('BAD_CREDENTIALS {}');
      verified = 0;
      expect(await login({ name })).to.equal(LOCKED);
      expect(verified).to.equal(0);
    }
    now += BLOCK_MS;
    expect(await login()).to.equal('alice');
  });

  it('judges no more than three of 50 guesses at once', async () => {
    const answers = await Promise.all(Array.from({ length: 50 }, () => login(wrong)));
    expect(verified).to.equal(3);
    expect(answers.filter((answer) => answer.startsWith('BAD_CREDENTIALS'))).to.have.length(3);
  });

  it('lets many of one address log in at once', async () => {
    for (let n = 0; n < 60; n++) await storage.createUser(parseUserName(`user${n}`), 'hash of right', 0);
    const answers = await Promise.all(Array.from({ length: 60 }, (_, n) => login({ name: `user${n}` })));
    expect(answers).to.deep.equal(Array.from({ length: 60 }, (_, n) => `user${n}`));
  });

  it('counts a guess whose asker has gone', async () => {
    for (let i = 0; i < 3; i++) {
      const abort = new AbortController();
      onVerify = () => {
        abort.abort();
        return Promise.resolve();
      };
      expect(await login(wrong, abort.signal)).to.equal('BAD_CREDENTIALS {}');
    }
    expect(await login()).to.equal(LOCKED);
  });

  it('lets a device that has logged in before through an attack from everywhere (R4)', async () => {
    await storage.rememberDevice(alice.id, { keyFingerprint: KEY, publicKey: 'AAAA' }, 0);
    for (let n = 0; n < 120; n++) await login({ ...wrong, address: `10.0.0.${n}` });
    expect(await login()).to.match(/^LOCKED_OUT/);
    expect(await login({ keyFingerprint: 'of a stranger' as KeyFingerprint })).to.match(/^LOCKED_OUT/);
    expect(await login({ name: 'bob', keyFingerprint: KEY })).to.match(/^BAD_CREDENTIALS/);
    expect(await login({ keyFingerprint: KEY })).to.equal('alice');
  });

  it('refuses a password that was changed, or a user that was removed, while it was judged', async () => {
    onVerify = async () => {
      await storage.setPasswordHash(alice.id, 'hash of another');
    };
    expect(await login()).to.equal('BAD_CREDENTIALS {}');
    expect(await login({ password: 'another' })).to.equal('alice');
    onVerify = async () => {
      await storage.removeUser(alice.id);
    };
    expect(await login({ password: 'another' })).to.equal('BAD_CREDENTIALS {}');
  });
});
