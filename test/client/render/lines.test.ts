import { expect } from 'chai';
import fc from 'fast-check';
import { messageLines, noticeLine } from '../../../src/client/render/lines.js';
import type { ShownMessage } from '../../../src/client/render/lines.js';
import { makeStyle } from '../../../src/client/style.js';
import { timeText } from '../../../src/client/units.js';
import { clip, displayWidth, wrapText } from '../../../src/client/width.js';

const at = new Date().toISOString();
const time = timeText(at);
const message = (more: Partial<ShownMessage>): ShownMessage => ({
  kind: 'message',
  from: 'bob',
  to: 'alice',
  text: 'hello',
  at,
  ...more,
});
const lines = (columns: number | undefined, ...messages: Partial<ShownMessage>[]): string[] =>
  messageLines(messages.map(message), makeStyle(false, columns)).split('\n');

describe('client/render/lines', () => {
  it('aligns time, who speaks and text on a terminal, and wraps texts under themselves', () => {
    expect(
      lines(
        60,
        {},
        { kind: 'broadcast', to: 'all', unread: true },
        { kind: 'group', to: 'skii', text: 'one two three four five six seven eight\nnine' },
        { kind: 'private', text: 'x'.repeat(40) },
      ),
    ).to.deep.equal([
      `[${time}]              bob: hello`,
      `[${time}]*      bob to all: hello`,
      `[${time}]      bob in skii: one two three four five six seven`,
      '                          eight',
      '                          nine',
      `[${time}]    bob privately: ${'x'.repeat(34)}`,
      '                          xxxxxx',
    ]);
  });

  it('gives who speaks a line of their own when the name is longer than its column', () => {
    expect(lines(60, { kind: 'group', from: 'b'.repeat(32), to: 'skii' })).to.deep.equal([
      `[${time}] ${'b'.repeat(32)} in skii: hello`,
    ]);
    expect(lines(60, { kind: 'group', from: 'b'.repeat(32), to: 'skii', text: 'hello to all of you' })).to.deep.equal([
      `[${time}] ${'b'.repeat(32)} in skii:`,
      '                          hello to all of you',
    ]);
  });

  it('indents a little on a narrow terminal', () => {
    expect(lines(20, {}, { text: 'hello to all of you there' })).to.deep.equal([
      `[${time}] bob: hello`,
      `[${time}] bob:`,
      '  hello to all of',
      '  you there',
    ]);
  });

  it('breaks nothing where there is no terminal', () => {
    const text = 'word '.repeat(60).trim();
    expect(lines(undefined, { text: `${text}\nmore`, unread: true })).to.deep.equal([
      `* [${time}] bob: ${text}`,
      '    more',
    ]);
  });

  it('never takes more than the terminal has, and loses nothing of a text', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom('a', 'bc', ' ', '日', '👍', '\n'), maxLength: 120 }),
        fc.integer({ min: 20, max: 100 }),
        (text, columns) => {
          const shown = lines(columns, { text });
          for (const line of shown) expect(displayWidth(line)).to.be.at.most(columns);
          const bare = (all: string): string => all.replace(/\s/g, '');
          expect(bare(shown.join('')).endsWith(bare(`bob:${text}`))).to.equal(true);
          for (const line of shown.slice(1)) expect(line === '' || line.startsWith('  ')).to.equal(true);
        },
      ),
    );
  });

  it('prints lines about groups as they are, other notices in the columns', () => {
    const style = makeStyle(false, 80);
    const notice = { type: 'notice', from: 'server', at } as const;
    const text = '[aysha not responsive, removed from group skii]';
    expect(noticeLine({ ...notice, code: 'GROUP_REMOVED', text }, style)).to.equal(text);
    expect(noticeLine({ ...notice, code: 'MESSAGES_HELD', text: '2 messages held: bob' }, style)).to.equal(
      `[${time}]                -- 2 messages held: bob`,
    );
    expect(noticeLine({ ...notice, code: 'MESSAGES_HELD', text: 'x' }, makeStyle(false))).to.equal('-- x');
  });

  it('colours by kind', () => {
    const style = makeStyle(true, 80);
    const kinds = ['message', 'broadcast', 'group', 'private'] as const;
    const colored = kinds.map((kind) => messageLines([message({ kind })], style));
    // eslint-disable-next-line no-control-regex -- colours are made of them
    const colors = colored.map((line) => /\u001b\[(3\d)m/.exec(line)?.[1]);
    expect(new Set(colors).size).to.equal(4);
    expect(colors).not.to.include(undefined);
  });

  it('wraps and cuts by columns', () => {
    expect(wrapText('one two  three', 7)).to.deep.equal(['one two', 'three']);
    expect(wrapText('a', 5, 0)).to.deep.equal(['', 'a']);
    expect(wrapText('日本語', 4)).to.deep.equal(['日本', '語']);
    expect(wrapText('a\n\nb\t.', 9)).to.deep.equal(['a', '', 'b    .']);
    expect(wrapText('  indented', 20)).to.deep.equal(['  indented']);
    expect(clip('日本語', 5)).to.equal('日本…');
    expect(clip('abc', 3)).to.equal('abc');
    expect(clip('abc', 0)).to.equal('');
  });
});
