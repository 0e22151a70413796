/** Makes docs/limits.md: every limit that stands in the source with its reason, by room. */
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

export const LIMITS_PAGE = 'docs/limits.md';

interface Room {
  readonly title: string;
  /** A file, or all those in a folder. */
  readonly path: string;
}

const ROOMS: readonly Room[] = [
  { title: 'What travels', path: 'src/protocol/limits.ts' },
  { title: 'The server', path: 'src/server/limits.ts' },
  { title: 'Links and transfers', path: 'src/p2p' },
  { title: 'Files on disk', path: 'src/chunks' },
  { title: 'The agent', path: 'src/client/agent' },
];

/** A comment, and the constant under it. */
const CONSTANT = /\/\*\* ((?:[^*]|\*(?!\/))*?) ?\*\/\s*(?:export )?const ([A-Z][A-Z0-9_]+) = ([^;]+);/g;
/** The same without a comment: others are made of them. */
const UNIT = /^(?:export )?const ([A-Z][A-Z0-9_]+) = ([^;]+);/gm;

export function limitsPage(): string {
  const known = new Map<string, number>();
  const parts = ROOMS.map(({ title, path }) => `## ${title}\n\n${tableOf(sourcesIn(path), known)}`);
  const introduction =
    'Made from the source by `npm run docs`; do not edit. Times are in milliseconds (`_MS`), sizes in bytes (`_BYTES`) unless said otherwise.';
  return `# Limits\n\n${introduction}\n\n${parts.join('\n\n')}\n`;
}

function sourcesIn(path: string): string[] {
  if (path.endsWith('.ts')) return [readFileSync(path, 'utf8')];
  return readdirSync(path)
    .filter((name) => name.endsWith('.ts'))
    .sort()
    .map((name) => readFileSync(join(path, name), 'utf8'));
}

function tableOf(sources: readonly string[], known: Map<string, number>): string {
  const rows = ['| limit | value | what and why |', '| --- | --- | --- |'];
  for (const source of sources) {
    for (const [, name = '', expression = ''] of source.matchAll(UNIT)) {
      const value = valueOf(expression, known);
      if (value !== undefined) known.set(name, value);
    }
    for (const [, says = '', name = '', expression = ''] of source.matchAll(CONSTANT)) {
      const value = valueOf(expression, known);
      const text = says.replace(/^\*?\s*/, '').replace(/\s*\n\s*\*\s?/g, ' ').replaceAll('|', '\\|'); // prettier-ignore
      if (value !== undefined) rows.push(`| \`${name}\` | ${value.toLocaleString('en')} | ${text.trim()} |`);
    }
  }
  return rows.join('\n');
}

/** A number, a constant that is known, or a product of these; undefined for anything else. */
function valueOf(expression: string, known: ReadonlyMap<string, number>): number | undefined {
  let product = 1;
  for (const factor of expression.split('*')) {
    const word = factor.trim();
    const value = /^\d[\d_]*(?:\.\d+)?$/.test(word) ? Number(word.replaceAll('_', '')) : known.get(word);
    if (value === undefined) return undefined;
    product *= value;
  }
  return product;
}
