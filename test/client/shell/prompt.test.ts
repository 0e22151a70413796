import { expect } from 'chai';
import { promptFor } from '../../../src/client/shell/prompt.js';
import type { Standing } from '../../../src/client/shell/prompt.js';
import { makeStyle } from '../../../src/client/style.js';

const alice: Standing = { user: 'alice', group: null, unread: 0 };
const prompt = (more: Partial<Standing>, columns = 80): string =>
  promptFor({ ...alice, ...more }, columns, makeStyle(false)).plain;

describe('client/shell/prompt', () => {
  it('shows who, where, and how much is unread', () => {
    expect(prompt({})).to.equal('alice> ');
    expect(prompt({ group: 'skii' })).to.equal('alice@skii> ');
    expect(prompt({ group: 'skii', unread: 3 })).to.equal('alice@skii (3)> ');
    expect(prompt({ unread: 12 })).to.equal('alice (12)> ');
  });

  it('leaves room for the line on a narrow terminal', () => {
    expect(prompt({}, 20)).to.equal('alice> ');
    expect(prompt({ group: 'skii', unread: 3 }, 20)).to.equal('(3)> ');
    expect(prompt({ group: 'skii' }, 20)).to.equal('@skii> ');
    expect(prompt({ user: 'a'.repeat(32), group: 'g'.repeat(32) }, 40)).to.equal('> ');
  });

  it('takes the same room in colours', () => {
    const { plain, styled } = promptFor({ ...alice, group: 'skii', unread: 1 }, 80, makeStyle(true));
    // eslint-disable-next-line no-control-regex -- colours are made of them
    expect(styled.replace(/\u001b\[\d+m/g, '')).to.equal(plain);
    expect(styled).not.to.equal(plain);
  });
});
