/** Writes the generated part of docs/PROTOCOL.md and docs/vectors.json; with --check fails when they are not up to date. */
import { readFileSync, writeFileSync } from 'node:fs';
import prettier from 'prettier';
import { vectors } from './vectors.js';
import { wireReference } from './wire-reference.js';

const BEGIN = '<!-- generated: npm run docs -->';
const END = '<!-- end of generated -->';

async function formatted(path: string, text: string): Promise<string> {
  return prettier.format(text, { ...(await prettier.resolveConfig(path)), filepath: path });
}

async function protocol(path: string): Promise<string> {
  const old = readFileSync(path, 'utf8');
  const [before, rest] = old.split(BEGIN);
  const after = rest?.split(END)[1];
  if (before === undefined || after === undefined) throw new Error(`${path} has lost the marks of its generated part`);
  return formatted(path, `${before}${BEGIN}\n\n${wireReference()}\n\n${END}${after}`);
}

const pages: readonly [string, Promise<string>][] = [
  ['docs/PROTOCOL.md', protocol('docs/PROTOCOL.md')],
  ['docs/vectors.json', formatted('docs/vectors.json', JSON.stringify(vectors()))],
];
for (const [path, text] of pages) {
  const fresh = await text;
  if (!process.argv.includes('--check')) writeFileSync(path, fresh);
  else if (readFileSync(path, 'utf8') !== fresh) {
    console.error(`${path} is not up to date: run npm run docs`);
    process.exitCode = 1;
  }
}
