/** Rows of the table: what was measured, beside what, and what was wanted. Printed, and kept in `bench/RESULTS.md`. */
import { readFile, writeFile } from 'node:fs/promises';
import { cpus, release, totalmem } from 'node:os';
import { fileURLToPath } from 'node:url';
import { median } from './measure.js';

export interface Row {
  readonly what: string;
  /** What issue or page asks for, in words; absent when nothing does. */
  readonly goal?: string;
  /** The figure to compare with the goal. */
  readonly reached: string;
  /** Absent when there is no goal, or it could not be measured. */
  readonly met?: boolean;
  readonly ours?: string;
  readonly peer?: string;
}

/** What one run took. */
export interface Cost {
  readonly seconds: number;
  /** Of all processes that took part. */
  readonly cpuSeconds: number;
}

const RESULTS = fileURLToPath(new URL('../../bench/RESULTS.md', import.meta.url));
const HEAD = `# Results

Ratios are of medians of runs in turn, and say how many times as fast we are; in brackets the least and the most. CPU seconds are those
of all processes that take part, both ends together. \`npm run bench -- --write\` writes this page, or the sections of the benches named.
`;

/** \`1.23 s (1.20 to 1.40), CPU 1.60 s (1.55 to 1.71)\`. */
export function costText(costs: readonly Cost[], perGib = 1): string {
  const text = (values: readonly number[]): string =>
    `${median(values).toFixed(2)} s (${Math.min(...values).toFixed(2)} to ${Math.max(...values).toFixed(2)})`;
  return `${text(costs.map((each) => each.seconds))}, CPU ${text(costs.map((each) => each.cpuSeconds / perGib))} a GiB`;
}

/** How many times as fast we were, by wall time. */
export function ratioRow(
  what: string,
  atLeast: number | undefined,
  ours: readonly Cost[],
  peer: readonly Cost[] | string,
  gib = 1,
): Row {
  if (typeof peer === 'string') {
    const row = { what, reached: '-', ours: costText(ours, gib), peer };
    return atLeast === undefined ? row : { ...row, goal: `at least ${atLeast}x` };
  }
  const seconds = (costs: readonly Cost[]): number => median(costs.map((each) => each.seconds));
  const ratio = seconds(peer) / seconds(ours);
  const row = { what, reached: `${ratio.toFixed(2)}x`, ours: costText(ours, gib), peer: costText(peer, gib) };
  return atLeast === undefined ? row : { ...row, goal: `at least ${atLeast}x`, met: ratio >= atLeast };
}

export function atMostRow(what: string, figure: number, atMost: number, unit: string, more: Partial<Row> = {}): Row {
  const text = (value: number): string => `${Number(value.toFixed(2))}${unit}`;
  return { what, goal: `at most ${text(atMost)}`, reached: text(figure), met: figure <= atMost, ...more };
}

export function printRows(rows: readonly Row[]): void {
  for (const { what, goal, reached, met, ours, peer } of rows) {
    const verdict = goal === undefined ? '' : ` (${goal}${met === undefined ? '' : met ? ', met' : ', NOT met'})`;
    console.log(`  ${what}: ${reached}${verdict}`);
    if (ours !== undefined) console.log(`      ours  ${ours}`);
    if (peer !== undefined) console.log(`      peer  ${peer}`);
  }
}

/** Puts a section in its place in `bench/RESULTS.md`; those of other benches stay. */
export async function writeRows(name: string, rows: readonly Row[], versions: readonly string[]): Promise<void> {
  const old = await readFile(RESULTS, 'utf8').catch(() => HEAD);
  const [, ...sections] = old.split(/^## /m);
  const kept = sections.filter((section) => !section.startsWith(`${name}\n`));
  const cells = rows.map(({ what, goal = '', reached, met, ours = '', peer = '' }) =>
    [what, goal, reached + (met === false ? ' **not met**' : ''), ours, peer].map((cell) => cell.replaceAll('|', '/')),
  );
  const lines = [['', 'goal', 'reached', 'ours', 'peer'], ['---', '---', '---', '---', '---'], ...cells].map(
    (line) => `| ${line.join(' | ')} |`,
  );
  const text = `${name}\n\n${[machine(), ...versions].join('; ')}; ${new Date().toISOString().slice(0, 10)}\n\n${lines.join('\n')}\n\n`;
  const all = [...kept, text].sort().map((section) => `## ${section.trimEnd()}\n`);
  await writeFile(RESULTS, [HEAD, ...all].join('\n'));
}

function machine(): string {
  const [cpu] = cpus();
  const memory = `${(totalmem() / 2 ** 30).toFixed(0)} GiB`;
  return `${cpus().length} x ${cpu?.model.trim() ?? 'unknown'}, ${memory}, ${process.platform} ${release()}, Node ${process.version}`;
}
