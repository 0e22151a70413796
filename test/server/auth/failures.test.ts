import { expect } from 'chai';
import fc from 'fast-check';
import { FailureCounter } from '../../../src/server/auth/failures.js';

describe('counts of failures', () => {
  it('never keep more keys than they may, and no key that is over', () => {
    const step = fc.record({ key: fc.integer({ min: 0, max: 60 }), waitMs: fc.integer({ min: 0, max: 40 }) });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), fc.boolean(), (steps, forgiving) => {
        const counter = new FailureCounter({ limit: 3, windowMs: 100, blockMs: () => 100, forgiving, maxKeys: 10 });
        let now = 0;
        for (const { key, waitMs } of steps) {
          now += waitMs;
          counter.fail(`${key}`, now);
          expect(counter.size).to.be.at.most(10);
        }
        counter.fail('last', now + 1_000);
        expect(counter.size).to.equal(1);
      }),
    );
  });

  it('let a key try at most its limit within a window, however attempts overlap', () => {
    const limit = 3;
    const step = fc.record({ begins: fc.boolean(), waitMs: fc.integer({ min: 0, max: 30 }) });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const counter = new FailureCounter({ limit, windowMs: 1e9, blockMs: () => 100, forgiving: true, maxKeys: 9 });
        let failures = 0;
        let now = 0;
        let underWay = 0;
        for (const { begins, waitMs } of steps) {
          now += waitMs;
          if (begins && counter.waitMs('key', now) === 0) {
            counter.begin('key');
            underWay += 1;
          } else if (!begins && underWay > 0) {
            counter.end('key');
            counter.fail('key', now);
            underWay -= 1;
            failures += 1;
          }
        }
        expect(failures).to.be.at.most(limit * (1 + Math.floor(now / 100)));
      }),
    );
  });
});
