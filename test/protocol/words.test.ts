import { expect } from 'chai';
import fc from 'fast-check';
import { MAX_SEARCH_WORDS, hasWords, parseSearch, wordsOf } from '../../src/protocol/words.js';

const words = (text: string): string[] => [...wordsOf(text)];
const finds = (typed: string, text: string): boolean => hasWords(wordsOf(text), parseSearch(typed));

describe('words', () => {
  it('are letters and digits, in one case and without accents', () => {
    expect(words('Don’t, e-mail: Zoë_7 (façade)')).to.deep.equal(['DON', 'T', 'E', 'MAIL', 'ZOE', '7', 'FACADE']);
    expect(words('ﬁne ＡＢＣ ½')).to.deep.equal(['FINE', 'ABC', '1', '2']);
    expect(words('same Same SAME')).to.deep.equal(['SAME']);
    expect(words('... *** \0')).to.deep.equal([]);
  });

  it('are single characters where there are no spaces, and pictures', () => {
    expect(words('abc会議 🎉🎉')).to.deep.equal(['ABC', '会', '議', '🎉']);
    expect(finds('会議', '明日の会議です')).to.equal(true);
    expect(finds('🎉', 'done 🎉')).to.equal(true);
  });

  it('are found in any case and with any accents', () => {
    for (const [typed, text] of [
      ['strasse', 'Straße'],
      ['ISTANBUL', 'İstanbul ıstanbul'],
      ['οδος', 'ΟΔΟΣ'],
      ['e\u0301te', 'ÉTÉ'],
      ['привет', 'ПРИВЕТ'],
    ] as const) {
      expect(finds(typed, text), typed).to.equal(true);
    }
  });

  it('have to be there all, whole unless a * follows', () => {
    expect(finds('lunch noon', 'at noon: lunch')).to.equal(true);
    expect(finds('lunch noon', 'lunch')).to.equal(false);
    expect(finds('lun', 'lunch')).to.equal(false);
    expect(finds('lun*', 'lunch')).to.equal(true);
    expect(finds('lunch*', 'lunch')).to.equal(true);
    expect(finds('* lun *', 'lunch')).to.equal(false);
    expect(finds('οδοσ*', 'οδοσιά')).to.equal(true);
  });

  it('are bounded in length and number', () => {
    expect(words('x'.repeat(10_000))[0]).to.have.length(64);
    expect(finds('x'.repeat(200), 'x'.repeat(300))).to.equal(true);
    expect(parseSearch(Array.from({ length: 100 }, (_, n) => `w${n}`).join(' '))).to.have.length(MAX_SEARCH_WORDS);
    expect(parseSearch('')).to.deep.equal([]);
  });

  it('of a text are found in that text', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), (text) => {
        expect(finds(text, text)).to.equal(true);
      }),
    );
  });
});
