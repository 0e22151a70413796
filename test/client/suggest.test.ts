import { expect } from 'chai';
import fc from 'fast-check';
import { didYouMean, editDistance, suggestionsFor } from '../../src/client/suggest.js';
import { wordsOfCommands } from '../../src/client/catalog.js';

describe('client/suggest', () => {
  it('counts insertions, deletions, replacements and swaps', () => {
    expect([
      editDistance('message', 'message'),
      editDistance('messge', 'message'),
      editDistance('mesasge', 'message'),
      editDistance('', 'abc'),
      editDistance('ca', 'abc'),
    ]).to.deep.equal([0, 1, 1, 3, 3]);
    fc.assert(
      fc.property(fc.string({ maxLength: 12 }), fc.string({ maxLength: 12 }), (one, other) => {
        const distance = editDistance(one, other);
        expect(distance).to.equal(editDistance(other, one));
        expect(distance === 0).to.equal(one === other);
        expect(distance).to.be.at.least(Math.abs(one.length - other.length));
        expect(distance).to.be.at.most(Math.max(one.length, other.length));
      }),
    );
  });

  it('finds what was meant, in any case, by what is close or begins so', () => {
    expect(suggestionsFor('mesage', wordsOfCommands)).to.deep.equal(['message']);
    expect(suggestionsFor('SERCHFILE', wordsOfCommands)).to.deep.equal(['searchFile']);
    expect(suggestionsFor('jion_group', wordsOfCommands)).to.deep.equal(['join_group']);
    expect(suggestionsFor('down', wordsOfCommands)).to.deep.equal(['download']);
    expect(suggestionsFor('list', wordsOfCommands)).to.deep.equal(['listen', 'list_groups', 'list_members']);
    expect(suggestionsFor('start', wordsOfCommands)).to.include('startprivate');
    expect(suggestionsFor('xyzzy', wordsOfCommands)).to.deep.equal([]);
    expect(suggestionsFor('a', wordsOfCommands)).to.deep.equal([]);
  });

  it('never suggests what was not known', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 20 }), (word) => {
        expect(wordsOfCommands).to.include.members(suggestionsFor(word, wordsOfCommands));
      }),
    );
  });

  it('says it in a sentence', () => {
    expect(didYouMean([])).to.equal('');
    expect(didYouMean(['a'])).to.equal('; did you mean a?');
    expect(didYouMean(['a', 'b', 'c'])).to.equal('; did you mean a, b or c?');
  });
});
