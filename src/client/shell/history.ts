/** Lines that were typed, kept for the next shell: in the home, for this user alone, without what is private. */
import { appendFile, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { findCommand } from '../catalog.js';

/** Lines kept: weeks of typing. */
const MAX_LINES = 1_000;
const FILE = 'history';
/** Commands whose text the server never sees stay out of files, too. */
const UNKEPT: ReadonlySet<string> = new Set(['private', 'login']);

export interface History {
  /** Newest first, as readline wants them. */
  readonly lines: string[];
  add(line: string): Promise<void>;
}

/** A history that cannot be read or written is none; the shell works without. */
export async function openHistory(home: string): Promise<History> {
  const path = join(home, FILE);
  const text = await readFile(path, 'utf8').catch(() => '');
  const all = text.split('\n').filter((line) => line !== '');
  const kept = all.slice(-MAX_LINES);
  if (all.length > 2 * MAX_LINES) await replace(path, kept).catch(() => undefined);
  let last = kept.at(-1);
  return {
    lines: kept.reverse(),
    add: async (line) => {
      if (line === last || !isKept(line)) return;
      last = line;
      await appendFile(path, `${line}\n`, { mode: 0o600 }).catch(() => undefined);
    },
  };
}

export function isKept(line: string): boolean {
  if (/^\s/.test(line) || line.trim() === '') return false;
  const [word = ''] = line.split(/\s/);
  return !UNKEPT.has((findCommand(word)?.name ?? word).toLowerCase());
}

async function replace(path: string, lines: readonly string[]): Promise<void> {
  const fresh = `${path}.new`;
  await writeFile(fresh, lines.map((line) => `${line}\n`).join(''), { mode: 0o600 });
  await rename(fresh, path);
}
