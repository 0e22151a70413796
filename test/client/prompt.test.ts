import { expect } from 'chai';
import { TypedLine } from '../../src/client/prompt.js';

function type(keys: string): { text: string; shown: string; end: string } {
  let shown = '';
  const line = new TypedLine((text) => (shown += text));
  for (const key of keys) {
    const end = line.type(key);
    if (end !== 'more') return { text: line.text, shown, end };
  }
  return { text: line.text, shown, end: 'more' };
}

describe('client/prompt', () => {
  it('takes a line, whatever characters a password has', () => {
    expect(type('pä ss👍\r')).to.include({ text: 'pä ss👍', end: 'done' });
    expect(type('x\n')).to.include({ text: 'x', end: 'done' });
  });

  it('knows the few keys that a line needs', () => {
    expect(type('abc\u007f\bd\r').text).to.equal('ad');
    expect(type('\u007fabc\u0015x\r').text).to.equal('x');
    expect(type('a\u001b[Ab\u001bOHc\u001bxd\r').text).to.equal('abcd');
    expect(type('a\tb\u0000\r').text).to.equal('ab');
  });

  it('is cancelled by Ctrl-C, and by Ctrl-D in an empty line', () => {
    expect(type('ab\u0003').end).to.equal('cancelled');
    expect(type('\u0004').end).to.equal('cancelled');
    expect(type('a\u0004').end).to.equal('more');
  });

  it('shows nothing that a terminal obeys, and takes back what it showed', () => {
    expect(type('a\u202eb\u007f').shown).to.equal('a\\u{202e}b\b \b');
  });

  it('takes no more than a password can have', () => {
    expect(type('x'.repeat(5_000)).text).to.have.length(1_024);
  });
});
