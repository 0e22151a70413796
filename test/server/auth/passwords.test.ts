import { expect } from 'chai';
import { ParleyError } from '../../../src/protocol/errors.js';
import { MAX_PASSWORD_BYTES } from '../../../src/protocol/limits.js';
import { MAX_HASHES, MAX_WAITING_HASHES, parseNewPassword, Passwords } from '../../../src/server/auth/passwords.js';
import type { Argon2 } from '../../../src/server/auth/passwords.js';

async function codeOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
  } catch (error) {
    return error instanceof ParleyError ? error.code : 'not a ParleyError';
  }
  return 'none';
}

/** An Argon2 whose work ends when the test says so. */
function heldArgon2() {
  const running: (() => void)[] = [];
  let most = 0;
  const argon2: Argon2 = {
    hash: (password) => Promise.resolve(`hash of ${password}`),
    verify: (hash, password) =>
      new Promise((resolve) => {
        running.push(() => resolve(hash === `hash of ${password}`));
        most = Math.max(most, running.length);
      }),
  };
  const finishOne = async (): Promise<void> => {
    running.shift()?.();
    await new Promise((resolve) => setImmediate(resolve));
  };
  return { argon2, running, most: () => most, finishOne };
}

describe('passwords', () => {
  it('hashes with Argon2id at the parameters of OWASP, each with its own salt (R1)', async () => {
    const passwords = await Passwords.create();
    const [one, two] = await Promise.all([passwords.hash('wonderland'), passwords.hash('wonderland')]);
    expect(one).to.match(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$/);
    expect(one).to.not.equal(two);
    expect(one).to.not.contain('wonderland');
    expect(await passwords.verify(one, 'wonderland')).to.equal(true);
    expect(await passwords.verify(one, 'Wonderland')).to.equal(false);
  });

  it('takes characters for the same however they were typed', async () => {
    const passwords = await Passwords.create();
    const hash = await passwords.hash('caf\u00e9');
    expect(await passwords.verify(hash, 'cafe\u0301')).to.equal(true);
  });

  it('takes as long for a user that does not exist (R5)', async () => {
    const passwords = await Passwords.create();
    const hash = await passwords.hash('right');
    const secondsOf = async (stored: string | undefined): Promise<number> => {
      const start = performance.now();
      expect(await passwords.verify(stored, 'wrong')).to.equal(false);
      return performance.now() - start;
    };
    let [known, unknown] = [Infinity, Infinity];
    for (let i = 0; i < 15; i++) {
      known = Math.min(known, await secondsOf(hash));
      unknown = Math.min(unknown, await secondsOf(undefined));
    }
    // In turn, and the best of each: a busy machine only adds. Without the dummy hash the ratio would be near 0.
    expect(unknown / known).to.be.within(0.5, 2);
  });

  it('never takes a password for a user that does not exist', async () => {
    const seen: string[] = [];
    const passwords = await Passwords.create({
      hash: (password) => Promise.resolve(seen.push(password).toString()),
      verify: () => Promise.resolve(true),
    });
    expect(await passwords.verify(undefined, seen[0] ?? '')).to.equal(false);
  });

  it('runs two at once, lets a bounded number wait in line, and refuses the rest (R1)', async () => {
    const held = heldArgon2();
    const passwords = await Passwords.create(held.argon2);
    const order: number[] = [];
    const verify = (n: number): Promise<unknown> =>
      passwords.verify('hash of x', 'x', { onTurn: () => void order.push(n) });
    const total = MAX_HASHES + MAX_WAITING_HASHES;
    const accepted = Array.from({ length: total }, (_, n) => verify(n));
    expect(await codeOf(verify(-1))).to.equal('SERVER_BUSY');
    expect(held.running).to.have.length(MAX_HASHES);

    const forServer = passwords.verify('hash of x', 'x', { mustQueue: true });
    await held.finishOne();
    await held.finishOne();
    accepted.push(verify(total));
    expect(await codeOf(verify(-1))).to.equal('SERVER_BUSY');
    for (let i = 0; i < total; i++) await held.finishOne();
    expect(await Promise.all(accepted)).to.not.include(false);
    expect(await forServer).to.equal(true);
    expect(held.most()).to.equal(MAX_HASHES);
    expect(order).to.deep.equal(Array.from({ length: total + 1 }, (_, n) => n));
  });

  it('lets one leave the line, and goes on with the others', async () => {
    const held = heldArgon2();
    const passwords = await Passwords.create(held.argon2);
    const abort = new AbortController();
    const running = [1, 2].map(() => passwords.verify('hash of x', 'x'));
    const leaving = passwords.verify('hash of x', 'x', { signal: abort.signal });
    const staying = passwords.verify('hash of x', 'x');
    abort.abort();
    expect(await codeOf(leaving)).to.equal('CANCELLED');
    expect(await codeOf(passwords.verify('hash of x', 'x', { signal: abort.signal }))).to.equal('CANCELLED');
    for (let i = 0; i < 3; i++) await held.finishOne();
    expect(await Promise.all([...running, staying])).to.deep.equal([true, true, true]);
  });

  it('gives its place on when a hash fails or its turn is refused', async () => {
    const passwords = await Passwords.create();
    for (let i = 0; i < MAX_HASHES + 1; i++) {
      expect(await codeOf(passwords.verify('no hash', 'x'))).to.equal('INTERNAL');
      const refuse = (): never => {
        throw new ParleyError('LOCKED_OUT', { retryAfterSeconds: 1 });
      };
      expect(await codeOf(passwords.verify(undefined, 'x', { onTurn: refuse }))).to.equal('LOCKED_OUT');
    }
    expect(await passwords.verify(await passwords.hash('x'), 'x')).to.equal(true);
  });

  it('refuses an empty or endless new password', () => {
    expect(parseNewPassword(' ')).to.equal(' ');
    expect(() => parseNewPassword('')).to.throw(ParleyError, /empty/);
    const secret = 'é'.repeat(MAX_PASSWORD_BYTES / 2);
    expect(parseNewPassword(secret)).to.equal(secret);
    expect(() => parseNewPassword(`${secret}!`)).to.throw(ParleyError, /longer than 1024 bytes/);
  });
});
