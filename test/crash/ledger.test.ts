import { expect } from 'chai';
import { Ledger, inOrder } from './ledger.js';

describe('the ledger of what was sent', () => {
  const faults = (ledger: Ledger, ...texts: string[]): string[] =>
    ledger.check(new Map([['bob', texts]])).map(({ fault, text }) => `${fault} ${text}`);

  it('finds what is lost, doubled, out of order or should not be there', () => {
    const ledger = new Ledger();
    const [one, two, three, four] = [1, 2, 3, 4].map(() => ledger.send('ann', ['bob']));
    for (const sending of [one, two]) if (sending) sending.fate = { kind: 'acknowledged', recipients: ['bob'] };
    if (three) three.fate = { kind: 'refused' };
    expect(faults(ledger, 'ann 1', 'ann 2')).to.deep.equal([]);
    expect(faults(ledger, 'ann 1', 'ann 2', 'ann 4'), 'unanswered, and there').to.deep.equal([]);
    expect(faults(ledger, 'ann 2')).to.deep.equal(['lost ann 1']);
    expect(faults(ledger, 'ann 2', 'ann 1')).to.deep.equal(['reordered ann 1']);
    expect(faults(ledger, 'ann 1', 'ann 2', 'ann 1')).to.deep.equal(['doubled ann 1']);
    expect(faults(ledger, 'ann 1', 'ann 2', 'ann 3')).to.deep.equal(['stray ann 3']);
    expect(faults(ledger, 'ann 1', 'ann 2', 'zed 1')).to.deep.equal(['stray zed 1']);
    if (four) four.fate = { kind: 'promised' };
    expect(faults(ledger, 'ann 1', 'ann 2')).to.deep.equal(['lost ann 4']);
  });

  it('expects an acknowledged message with those it was acknowledged for, and nobody else', () => {
    const ledger = new Ledger();
    ledger.send('ann', ['bob', 'cat']).fate = { kind: 'acknowledged', recipients: ['bob'] };
    const check = (bob: string[], cat: string[]): string[] =>
      ledger.check(new Map(Object.entries({ bob, cat }))).map(({ fault, user }) => `${fault} ${user}`);
    expect(check(['ann 1'], [])).to.deep.equal([]);
    expect(check([], ['ann 1'])).to.have.members(['lost bob', 'stray cat']);
  });

  it('looks at each sender’s order by itself', () => {
    expect(inOrder('bob', ['ann 1', 'ben 1', 'ann 3', 'ben 2', 'ann 10'])).to.deep.equal([]);
    expect(inOrder('bob', ['ann 10', 'ann 9']).map(({ fault }) => fault)).to.deep.equal(['reordered']);
  });
});
