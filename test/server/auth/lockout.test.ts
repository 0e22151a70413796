import { expect } from 'chai';
import type { KeyFingerprint } from '../../../src/protocol/values.js';
import { Lockout } from '../../../src/server/auth/lockout.js';
import type { LoginAttempt } from '../../../src/server/auth/lockout.js';

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const BLOCK = 60 * SECOND;
const HERE = '127.0.0.1';
const DEVICE = 'device of alice' as KeyFingerprint;

describe('lockout', () => {
  let now: number;
  let lockout: Lockout;
  beforeEach(() => {
    now = 5 * MINUTE;
    lockout = new Lockout({ blockMs: BLOCK, now: () => now });
  });

  const attempt = (account: string, address = HERE, knownDevice?: KeyFingerprint): LoginAttempt => ({
    account,
    address,
    knownDevice,
  });
  /** What came of it: the outcome, or the seconds to wait. */
  const login = (what: LoginAttempt, outcome: 'success' | 'failure' | 'abandoned'): string | number => {
    const decision = lockout.begin(what);
    if (decision.kind === 'locked') return decision.retryAfterSeconds;
    decision.settle(outcome);
    return outcome;
  };
  const fail = (what: LoginAttempt, times: number): (string | number)[] =>
    Array.from({ length: times }, () => login(what, 'failure'));
  const address = (n: number): string => `127.${n >> 16}.${(n >> 8) & 255}.${n & 255}`;

  describe('of an account from an address (R2)', () => {
    it('blocks after the third failure in a row, the right password included', () => {
      expect(fail(attempt('alice'), 4)).to.deep.equal(['failure', 'failure', 'failure', 60]);
      now += 59_001;
      expect(lockout.retryAfterSeconds(attempt('alice'))).to.equal(1);
      expect(login(attempt('alice'), 'success')).to.equal(1);
      now += 999;
      expect(lockout.retryAfterSeconds(attempt('alice'))).to.equal(undefined);
      expect(login(attempt('alice'), 'success')).to.equal('success');
    });

    it('gives three tries again after the block', () => {
      fail(attempt('alice'), 3);
      now += BLOCK;
      expect(fail(attempt('alice'), 4)).to.deep.equal(['failure', 'failure', 'failure', 60]);
    });

    it('is reset by a success', () => {
      for (let i = 0; i < 4; i++) {
        expect(fail(attempt('alice'), 2)).to.deep.equal(['failure', 'failure']);
        expect(login(attempt('alice'), 'success')).to.equal('success');
      }
    });

    it('is not reset by an attempt that was not judged', () => {
      fail(attempt('alice'), 2);
      expect(login(attempt('alice'), 'abandoned')).to.equal('abandoned');
      expect(fail(attempt('alice'), 2)).to.deep.equal(['failure', 60]);
    });

    it('takes names for the same whatever their case, and any name', () => {
      expect([...fail(attempt('alice'), 2), ...fail(attempt('ALICE'), 2)].at(-1)).to.equal(60);
      expect(fail(attempt('__proto__'), 4).at(-1)).to.equal(60);
      expect(login(attempt('nobody'), 'failure')).to.equal('failure');
    });

    it('leaves other accounts and addresses alone', () => {
      fail(attempt('alice'), 3);
      expect(login(attempt('bob'), 'success')).to.equal('success');
      expect(login(attempt('alice', '127.0.0.2'), 'success')).to.equal('success');
    });

    it('blocks a known device from that address too', () => {
      fail(attempt('alice'), 3);
      expect(login(attempt('alice', HERE, DEVICE), 'success')).to.equal(60);
    });
  });

  describe('of an address (R3)', () => {
    const spread = (count: number, from = 0): (string | number)[] =>
      Array.from({ length: count }, (_, n) => login(attempt(`user${from + n}`), 'failure'));

    it('blocks after 10 failures within 10 minutes, whatever the accounts', () => {
      expect(spread(10)).to.not.include(60);
      expect(login(attempt('alice'), 'success')).to.equal(60);
      expect(login(attempt('alice', '127.0.0.2'), 'success')).to.equal('success');
    });

    it('then blocks anew for each further failure, until the first are 10 minutes old', () => {
      spread(10);
      now += BLOCK;
      expect(login(attempt('alice'), 'success')).to.equal('success');
      expect(spread(2, 10)).to.deep.equal(['failure', 60]);
      now += 10 * MINUTE;
      expect(spread(9, 20)).to.not.include(60);
    });

    it('is not reset by a success: an attacker may have an account', () => {
      for (let i = 0; i < 10; i++) {
        login(attempt(`user${i}`), 'failure');
        login(attempt('mallory'), 'success');
      }
      expect(login(attempt('mallory'), 'success')).to.equal(60);
    });

    it('lets failures pass that are far between', () => {
      for (let i = 0; i < 30; i++) {
        expect(login(attempt(`user${i}`), 'failure')).to.equal('failure');
        now += MINUTE + 7 * SECOND;
      }
    });

    it('takes the networks of IPv6', () => {
      for (let i = 0; i < 10; i++) login(attempt(`user${i}`, `2001:db8::${i}`), 'failure');
      expect(login(attempt('alice', '2001:db8::ffff'), 'success')).to.equal(60);
    });
  });

  describe('of an account from everywhere (R4)', () => {
    it('slows strangers down more and more, and no device that is known', () => {
      let guesses = 0;
      let victim = 0;
      for (let n = 0; n < 1_000; n++) {
        for (const outcome of fail(attempt('alice', address(n + 10)), 3)) if (outcome === 'failure') guesses += 1;
        if (n % 10 === 0 && login(attempt('alice', HERE, DEVICE), 'success') === 'success') victim += 1;
        now += 100;
      }
      expect(victim).to.equal(100);
      // 100 are free; in the 100 s of the attack the delays of 1, 2, 4, … seconds let 6 more through.
      expect(guesses).to.be.within(100, 107);
      expect(login(attempt('alice', '10.0.0.1'), 'success')).to.be.a('number');
      expect(login(attempt('bob', '10.0.0.1'), 'success')).to.equal('success');
    });

    it('never makes strangers wait longer than 15 minutes, and forgets in a day', () => {
      const waits: (number | undefined)[] = [];
      for (let n = 0; n < 120; n++) {
        fail(attempt('alice', address(n)), 1);
        waits.push(lockout.retryAfterSeconds(attempt('alice', '10.0.0.1')));
        if (waits.at(-1) !== undefined) now += 15 * MINUTE;
      }
      expect(waits.slice(98, 102)).to.deep.equal([undefined, 1, 2, 4]);
      expect(waits.at(-1)).to.equal(15 * 60);
      expect(login(attempt('alice', '10.0.0.1'), 'success')).to.equal('success');
      now += 24 * 60 * MINUTE;
      fail(attempt('alice', '10.0.0.2'), 1);
      expect(lockout.retryAfterSeconds(attempt('alice', '10.0.0.1'))).to.equal(undefined);
    });

    it('counts a known device by itself, wherever it is', () => {
      const outcomes = [1, 2, 3, 4].map((n) => login(attempt('alice', address(n), DEVICE), 'failure'));
      expect(outcomes).to.deep.equal(['failure', 'failure', 'failure', 60]);
      expect(login(attempt('alice', address(9), 'another' as KeyFingerprint), 'success')).to.equal('success');
      expect(login(attempt('alice', address(9)), 'success')).to.equal('success');
    });
  });

  describe('of attempts at the same time', () => {
    it('lets only as many run as could fail', () => {
      const decisions = Array.from({ length: 50 }, () => lockout.begin(attempt('alice')));
      const allowed = decisions.filter((decision) => decision.kind === 'allowed');
      expect(allowed).to.have.length(3);
      expect(decisions.at(-1)).to.deep.equal({ kind: 'locked', retryAfterSeconds: 1 });
      for (const decision of allowed) decision.settle('failure');
      expect(login(attempt('alice'), 'success')).to.equal(60);
    });

    it('lets one run after two failures, and gives its place back once', () => {
      fail(attempt('alice'), 2);
      const first = lockout.begin(attempt('alice'));
      expect(login(attempt('alice'), 'success')).to.equal(1);
      if (first.kind === 'allowed') {
        first.settle('abandoned');
        first.settle('failure');
      }
      expect(login(attempt('alice'), 'success')).to.equal('success');
    });

    it('counts accounts of one address together', () => {
      const decisions = Array.from({ length: 50 }, (_, n) => lockout.begin(attempt(`user${n}`)));
      expect(decisions.filter(({ kind }) => kind === 'allowed')).to.have.length(10);
    });
  });

  describe('in bounded memory', () => {
    it('does not give up a block for others that are not blocked', () => {
      lockout = new Lockout({ blockMs: BLOCK, now: () => now, maxKeys: 20 });
      fail(attempt('alice'), 3);
      for (let n = 0; n < 100; n++) login(attempt(`user${n}`, address(n + 10)), 'failure');
      expect(login(attempt('alice'), 'success')).to.equal(60);
    });

    it('forgets what is over', () => {
      lockout = new Lockout({ blockMs: BLOCK, now: () => now, maxKeys: 20 });
      for (let n = 0; n < 100; n++) fail(attempt(`user${n}`, address(n + 10)), 3);
      now += BLOCK;
      expect(login(attempt('alice'), 'success')).to.equal('success');
      expect(fail(attempt('bob'), 4)).to.deep.equal(['failure', 'failure', 'failure', 60]);
    });
  });

  describe('unlocking an account', () => {
    const allowed = (what: LoginAttempt): boolean => lockout.retryAfterSeconds(what) === undefined;

    it('ends its blocks from everywhere, by every device, and says whether there was one', () => {
      fail(attempt('alice'), 3);
      fail(attempt('alice', '192.0.2.1'), 3);
      fail(attempt('alice', '192.0.2.2', DEVICE), 3);
      expect(lockout.unlock('ALICE')).to.equal(true);
      expect(lockout.unlock('alice')).to.equal(false);
      expect(fail(attempt('alice'), 4)).to.deep.equal(['failure', 'failure', 'failure', 60]);
      expect(allowed(attempt('alice', '192.0.2.1'))).to.equal(true);
      expect(allowed(attempt('alice', '192.0.2.2', DEVICE))).to.equal(true);
    });

    it('lets strangers try again at once after an attack from many addresses', () => {
      for (let n = 0; n < 110; n++) {
        fail(attempt('alice', address(n)), 1);
        if (n >= 100) now += 15 * MINUTE;
      }
      expect(allowed(attempt('alice', '192.0.2.9'))).to.equal(true);
      fail(attempt('alice', '192.0.2.8'), 1);
      expect(allowed(attempt('alice', '192.0.2.9'))).to.equal(false);
      expect(lockout.unlock('alice')).to.equal(true);
      expect(fail(attempt('alice', '192.0.2.9'), 2)).to.deep.equal(['failure', 'failure']);
    });

    it('leaves others as they are, whatever their names', () => {
      for (const name of ['bob', 'x alice', 'alice x', '127.0.0.1\nalice', 'malice']) {
        fail(attempt(name), 3);
        expect(lockout.unlock('alice'), name).to.equal(false);
        expect(allowed(attempt(name)), name).to.equal(false);
        now += 20 * MINUTE;
      }
    });

    it('takes from an address what this account added, and no more', () => {
      // One address, five accounts, two failures each: blocked as a whole.
      for (const name of ['alice', 'b', 'c', 'd', 'e']) fail(attempt(name), 2);
      expect(allowed(attempt('somebody'))).to.equal(false);
      expect(lockout.unlock('alice')).to.equal(true);
      expect(allowed(attempt('somebody'))).to.equal(true);
      // Eight are left; two more block again, and now the others alone suffice.
      fail(attempt('f'), 2);
      expect(allowed(attempt('somebody'))).to.equal(false);
      now += BLOCK;
      fail(attempt('alice'), 1);
      expect(allowed(attempt('somebody'))).to.equal(false);
      expect(lockout.unlock('alice')).to.equal(false);
      expect(allowed(attempt('somebody'))).to.equal(false);
    });
  });
});
