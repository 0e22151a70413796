import { expect } from 'chai';
import { newMessageId } from '../../src/protocol/messageid.js';
import { messageId } from '../../src/protocol/values.js';

describe('ids of messages', () => {
  it('begin with the time, and are never the same', () => {
    const [earlier, later] = [newMessageId(Date.UTC(2030, 0, 1)), newMessageId(Date.UTC(2030, 0, 1) + 1)];
    expect(earlier < later).to.equal(true);
    expect(earlier.slice(0, 12)).to.equal(Date.UTC(2030, 0, 1).toString(16).padStart(12, '0'));
    expect(new Set(Array.from({ length: 1_000 }, () => newMessageId(5))).size).to.equal(1_000);
  });

  it('have their form whatever the clock says', () => {
    for (const at of [0, -1, 1.5, Number.MAX_SAFE_INTEGER, Infinity]) {
      expect(messageId.safeParse(newMessageId(at)).success, String(at)).to.equal(true);
    }
  });
});
