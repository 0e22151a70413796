import { expect } from 'chai';
import { Announcer } from '../../../src/client/agent/announcer.js';
import type { Statement } from '../../../src/client/agent/announcer.js';
import { MAX_INDICES_PER_CALL } from '../../../src/protocol/limits.js';
import type { Digest } from '../../../src/protocol/values.js';
import { FakeClock } from '../../support/fakeclock.js';

const root = 'ab'.repeat(32) as Digest;

describe('client/agent/announcer', () => {
  /** What the server was told, and how often all that is held was put together. */
  function announcing(): { clock: FakeClock; announcer: Announcer; told: unknown[]; statements: () => number } {
    const clock = new FakeClock();
    const told: unknown[] = [];
    let statements = 0;
    const announcer = new Announcer({
      clock,
      session: {
        call: (spec, params) => {
          told.push([spec.name, (params as { chunks?: unknown }).chunks]);
          return Promise.resolve({}) as never;
        },
      },
      statement: (): Statement => {
        statements += 1;
        return { root, chunks: 'all' };
      },
      about: () => ({ root, partial: true }),
      onRefused: () => undefined,
    });
    return { clock, announcer, told, statements: () => statements };
  }
  const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

  it('tells of the first chunk at once, and of those that become whole meanwhile together', async () => {
    const { clock, announcer, told, statements } = announcing();
    announcer.add('a.bin', [3]);
    await turn();
    expect(told).to.deep.equal([['hold', { add: [3] }]]);
    for (const chunk of [4, 5, 6]) {
      announcer.add('a.bin', [chunk]);
      await clock.advance(50);
    }
    expect(told).to.have.length(1);
    await clock.advance(200);
    expect(told.slice(1)).to.deep.equal([['hold', { add: [4, 5, 6] }]]);
    expect(statements()).to.equal(0);
  });

  it('does not pause when somebody waits for it, or all is to be told', async () => {
    const { announcer, told } = announcing();
    announcer.add('a.bin', [1]);
    announcer.add('a.bin', [2]);
    await turn();
    announcer.add('a.bin', [3]);
    await announcer.settled('a.bin');
    expect(told).to.deep.equal([
      ['hold', { add: [1] }],
      ['hold', { add: [2, 3] }],
    ]);
    announcer.add('a.bin', [4]);
    await turn();
    await announcer.tell('a.bin');
    expect(told.slice(2)).to.deep.equal([
      ['hold', { add: [4] }],
      ['hold', 'all'],
    ]);
  });

  it('tells all that is held instead of more chunks than a call takes, and pauses after that, too', async () => {
    const { clock, announcer, told } = announcing();
    const some = (count: number): number[] => Array.from({ length: count }, (_, i) => i);
    announcer.add('a.bin', [9_000]);
    await turn();
    announcer.add('a.bin', some(MAX_INDICES_PER_CALL));
    await clock.advance(250);
    expect(told.slice(1)).to.deep.equal([['hold', { add: some(MAX_INDICES_PER_CALL) }]]);
    for (const chunks of [some(MAX_INDICES_PER_CALL), [4_096], [4_097]]) announcer.add('a.bin', chunks);
    await clock.advance(250);
    expect(told.slice(2)).to.deep.equal([['hold', 'all']]);
    announcer.add('a.bin', [4_098]);
    await clock.advance(200);
    expect(told).to.have.length(3);
    await clock.advance(50);
    expect(told.slice(3)).to.deep.equal([['hold', { add: [4_098] }]]);
  });
});
