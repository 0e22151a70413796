import { expect } from 'chai';
import fc from 'fast-check';
import { LiveArea } from '../../src/client/livearea.js';
import type { View } from '../../src/client/livearea.js';
import { clip, displayWidth } from '../../src/client/width.js';
import { Display } from './support/terminal.js';

/** The line as a terminal of so many columns breaks it. */
function rowsOf(text: string, columns: number): string[] {
  const rows = [''];
  for (const c of text) {
    const last = rows.at(-1) ?? '';
    if (displayWidth(last + c) > columns) rows.push(c);
    else rows[rows.length - 1] = last + c;
  }
  return rows;
}

const trimmed = (rows: readonly string[]): string[] => {
  const all = rows.map((row) => row.trimEnd());
  while (all.at(-1) === '') all.pop();
  return all;
};

const text = fc.string({ unit: fc.constantFrom('a', 'b', 'c', ' ', '日', '👍', 'é'), maxLength: 60 });
const step = fc.record({
  above: fc.array(fc.string({ unit: fc.constantFrom('x', 'y', '.'), minLength: 1, maxLength: 10 }), { maxLength: 4 }),
  bars: fc.array(text, { maxLength: 5 }),
  prompt: fc.constantFrom('', '> ', 'alice> '),
  line: text,
  /** Where the cursor is, of the line's length. */
  at: fc.double({ min: 0, max: 1, noNaN: true }),
});

describe('client/livearea', () => {
  it('shows what was printed, bars and line, whole and each in its rows, with the cursor in its place', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 8 }), fc.integer({ min: 20, max: 40 }), (steps, columns) => {
        const size = { columns, rows: 18 };
        const display = new Display(size);
        const area = new LiveArea();
        const printed: string[] = [];
        for (const { above, bars, prompt, line, at } of steps) {
          const points = Array.from(line);
          const before = points.slice(0, Math.round(points.length * at)).join('');
          const view: View = { bars, prompt, line, cursor: before.length };
          // A terminal makes \r\n of each line feed.
          display.write(area.draw(view, size, above.map((each) => `${each}\n`).join('')).replaceAll('\n', '\r\n'));
          printed.push(...above);
          const shown = bars.map((bar) => clip(bar, columns - 1));
          expect(display.lines).to.deep.equal(trimmed([...printed, ...shown, ...rowsOf(prompt + line, columns)]));
          const upTo = rowsOf(prompt + before, columns);
          const next = points[Array.from(before).length] ?? ' ';
          const wraps = displayWidth((upTo.at(-1) ?? '') + next) > columns;
          expect(display.cursor).to.deep.equal({
            row: printed.length + shown.length + upTo.length - 1 + (wraps ? 1 : 0),
            column: wraps ? 0 : displayWidth(upTo.at(-1) ?? ''),
          });
        }
      }),
      { numRuns: 300 },
    );
  });

  it('writes no more than what was typed when only that changed, and nothing when nothing did', () => {
    const area = new LiveArea();
    const size = { columns: 20, rows: 10 };
    const view = (line: string): View => ({ bars: ['b'], prompt: '> ', line, cursor: line.length });
    area.draw(view('ab'), size);
    expect(area.draw(view('abc'), size)).to.equal('c');
    expect(area.draw(view('abc'), size)).to.equal('');
  });

  it('lets nothing of a line reach the terminal that moves its cursor', () => {
    const line = 'a\tb\u001b[2J\u202e\u0007';
    const drawn = new LiveArea().draw({ bars: [], prompt: '', line, cursor: line.length }, { columns: 40, rows: 10 });
    expect(drawn).to.equal('a b?[2J??');
  });

  it('shows of a line that is higher than the terminal what is around the cursor', () => {
    const size = { columns: 10, rows: 4 };
    const display = new Display(size);
    const area = new LiveArea();
    const line = Array.from({ length: 80 }, (_, i) => String(i % 10)).join('');
    const draw = (cursor: number): void => display.write(area.draw({ bars: ['bar'], prompt: '', line, cursor }, size));
    display.write('above\r\n');
    for (const cursor of [80, 35, 0, 79, 80]) draw(cursor);
    display.write(area.draw({ bars: ['bar'], prompt: '> ', line: 'x', cursor: 1 }, size));
    expect(display.lines).to.deep.equal(['above', 'bar', '> x']);
  });

  it('finds its rows again on a terminal that was made narrower and has wrapped them', () => {
    const area = new LiveArea();
    const view: View = { bars: ['b'.repeat(30)], prompt: '> ', line: 'x'.repeat(30), cursor: 30 };
    area.draw(view, { columns: 40, rows: 10 });
    // 2 rows of the bar, 2 of the line; the cursor is in the last.
    expect(area.draw(view, { columns: 20, rows: 10 })).to.match(/^\u001b\[3A\r\u001b\[J/); // eslint-disable-line no-control-regex
  });
});
