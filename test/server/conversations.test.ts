import { expect } from 'chai';
import type { ParleyError } from '../../src/protocol/errors.js';
import { MAX_CONTROL_BYTES, MAX_MESSAGE_BYTES } from '../../src/protocol/limits.js';
import { sendableText } from '../../src/server/conversations.js';
import { PUSH_OVERHEAD_BYTES } from '../../src/server/limits.js';
import { refusal } from '../support/refusal.js';

const refusalOf = (text: string, to: string): Promise<ParleyError> =>
  refusal(Promise.resolve().then(() => sendableText(text, to)));

describe('a text that may be sent', () => {
  const room = MAX_CONTROL_BYTES - PUSH_OVERHEAD_BYTES - '"bob"'.length;
  /** Of so many bytes in JSON, quotes included: control characters take six each. */
  const controls = (jsonBytes: number): string =>
    '\u0001'.repeat(Math.floor((jsonBytes - 2) / 6)) + 'x'.repeat((jsonBytes - 2) % 6);

  it('fits a frame with everything around it', () => {
    const text = controls(room);
    expect(sendableText(text, 'bob')).to.equal(text);
    expect(sendableText('x'.repeat(MAX_MESSAGE_BYTES), 'bob')).to.have.length(MAX_MESSAGE_BYTES);
  });

  it('is otherwise refused with numbers that show what is too long', async () => {
    const long = await refusalOf(controls(room + 1), 'bob');
    expect(long).to.deep.include({ code: 'MESSAGE_TOO_LONG', details: { bytes: room + 1, limit: room } });
    const longer = await refusalOf('x'.repeat(MAX_MESSAGE_BYTES + 1), 'bob');
    expect(longer.details).to.deep.equal({ bytes: MAX_MESSAGE_BYTES + 1, limit: MAX_MESSAGE_BYTES });
  });
});
