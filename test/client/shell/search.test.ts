import { expect } from 'chai';
import { ReverseSearch } from '../../../src/client/shell/search.js';

const HISTORY = ['message bob three', 'whoelse', 'message bob two', 'message bob two', 'message carol one'];

describe('client/shell/search', () => {
  it('finds the newest line with what was typed, then older ones, then newer ones again', () => {
    const search = new ReverseSearch(HISTORY);
    expect(search.label).to.equal("(reverse-i-search)'': ");
    expect(search.match).to.equal(undefined);
    search.type('me');
    search.type('ss');
    expect([search.label, search.match, search.cursor]).to.deep.equal([
      "(reverse-i-search)'mess': ",
      'message bob three',
      0,
    ]);
    search.older();
    expect(search.match).to.equal('message bob two');
    search.older(); // The same line again is no other.
    expect(search.match).to.equal('message carol one');
    search.newer();
    expect(search.match).to.equal('message bob two');
  });

  it('says when there is none, and keeps what was found last', () => {
    const search = new ReverseSearch(HISTORY);
    search.type('carol');
    expect(search.cursor).to.equal(8);
    search.older();
    expect([search.label, search.match]).to.deep.equal(["(failed reverse-i-search)'carol': ", 'message carol one']);
    search.type('x');
    expect(search.label).to.contain('failed');
    search.erase();
    expect([search.label, search.match]).to.deep.equal(["(reverse-i-search)'carol': ", 'message carol one']);
    for (let i = 0; i < 6; i++) search.erase();
    expect([search.query, search.match]).to.deep.equal(['', undefined]);
  });
});
