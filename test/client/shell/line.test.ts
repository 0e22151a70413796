import { expect } from 'chai';
import fc from 'fast-check';
import { homedir } from 'node:os';
import { parseCommandLine } from '../../../src/client/program.js';
import { shellWords, tokenize } from '../../../src/client/shell/line.js';

const words = (line: string): string[] => tokenize(line).map(({ text }) => text);

/** What a line of the shell sends. */
function sent(line: string): unknown {
  const invocation = parseCommandLine(shellWords(line), '/');
  return invocation.kind === 'command' ? invocation.params : invocation.kind;
}

describe('client/shell/line', () => {
  it('splits at spaces, with quotes and escapes around them', () => {
    expect(words('  a  b\tc ')).to.deep.equal(['a', 'b', 'c']);
    expect(words('"a b" \'c d\' e\\ f "g\\"h" i"j k"l')).to.deep.equal(['a b', 'c d', 'e f', 'g"h', 'ij kl']);
    expect(words('C:\\temp\\x "" \'\'')).to.deep.equal(['C:\\temp\\x', '', '']);
  });

  it('takes a quote that is never closed for a character', () => {
    expect(words("don't stop")).to.deep.equal(["don't", 'stop']);
    expect(words('"a b')).to.deep.equal(['"a', 'b']);
  });

  it('keeps text as it was typed', () => {
    expect(sent('message bob  hi   "there",  it\'s -v me ')).to.deep.equal({
      user: 'bob',
      text: 'hi   "there",  it\'s -v me ',
    });
    expect(sent('send bob -- --json')).to.deep.equal({ user: 'bob', text: '--json' });
    expect(sent('send bob --json')).to.deep.equal({ user: 'bob', text: '--json' });
    expect(sent('private bob a\\b')).to.deep.equal({ user: 'bob', text: 'a\\b' });
    expect(sent('broadcast -5 degrees')).to.deep.equal({ text: '-5 degrees' });
    expect(sent('broadcast --> this')).to.deep.equal({ text: '--> this' });
    expect(sent('broadcast hello  --to all')).to.deep.equal({ text: 'hello  --to all' });
    expect(sent('broadcast -- --to all')).to.deep.equal({ text: '--to all' });
  });

  it('knows the other spellings of a broadcast', () => {
    const both = { to: ['a', 'b'], text: 'x  "y"' };
    expect(sent('broadcast user a,b x  "y"')).to.deep.equal(both);
    expect(sent('Broadcast --to a,b x  "y"')).to.deep.equal(both);
    expect(sent('broadcast --json user a,b x  "y"')).to.deep.equal(both);
    expect(sent('broadcast --to a,b --json x  "y"')).to.deep.equal(both);
    expect(sent('broadcast user a x')).to.deep.equal({ text: 'user a x' });
    expect(() => sent('broadcast --too a,b x')).to.throw(/--too/);
    expect(sent('broadcast user a,b')).to.deep.equal({ to: ['a', 'b'], text: '' });
  });

  it('has no text when none was typed', () => {
    expect(sent('message bob')).to.deep.equal({ user: 'bob', text: '' });
    expect(sent('message bob   ')).to.deep.equal({ user: 'bob', text: '' });
    expect(() => sent('message')).to.throw(/user/);
  });

  it('finds the home of the user in paths', () => {
    expect(sent('seed ~/a')).to.deep.equal({ path: `${homedir()}/a` });
    expect(sent('seed "my file"')).to.deep.equal({ path: '/my file' });
    expect(sent('message bob ~/a')).to.deep.equal({ user: 'bob', text: '~/a' });
  });

  it('keeps any text whole', () => {
    fc.assert(
      fc.property(fc.string({ minLength: 1, unit: 'grapheme' }), (text) => {
        fc.pre(/^[^\s-]/.test(text) && !/[\r\n]/.test(text));
        expect(sent(`message bob ${text}`)).to.deep.equal({ user: 'bob', text });
      }),
    );
  });
});
