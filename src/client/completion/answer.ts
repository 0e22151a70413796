/** Answers the scripts of `client completion`: quickly, or not at all. */
import type { Connection } from '../../protocol/connection.js';
import { printable } from '../../protocol/values.js';
import { dialAgent } from '../dial.js';
import { loadSettings } from '../settings.js';
import type { Flags } from '../settings.js';
import { ON_COMMAND_LINE, offersFor } from '../shell/complete.js';
import type { NameSource } from '../shell/complete.js';
import { tokenize } from '../shell/line.js';
import { agentNames } from '../shell/names.js';

/** Somebody waits with a finger on the key. */
const DEADLINE_MS = 700;

export interface Question {
  readonly flags: Flags;
  /** The words in front of the one being typed, as they stand on the command line. */
  readonly before: readonly string[];
  readonly typed: string;
}

/**
 * The kind of the offers on the first line, and each on one of its own. Starts no agent, asks nobody, and has no words where something
 * is wrong.
 */
export async function answerCompletion(
  { flags, before, typed }: Question,
  environment: Readonly<Record<string, string | undefined>>,
  cwd: string,
): Promise<string> {
  let agent: Promise<Connection | undefined> | undefined;
  const ask = async <T>(question: (names: NameSource) => Promise<T>, otherwise: T): Promise<T> => {
    agent ??= dialAgent(loadSettings(flags, environment, cwd).home);
    const connection = await agent;
    return connection === undefined ? otherwise : question(agentNames(connection, DEADLINE_MS));
  };
  const names: NameSource = {
    users: () => ask((source) => source.users(), []),
    groups: () => ask((source) => source.groups(), []),
    files: (prefix) => ask((source) => source.files(prefix), []),
    chunkCount: (file) => ask((source) => source.chunkCount(file), 0),
  };
  try {
    const { kind, words } = await offersFor(before.map(unquote), unquote(typed), names, ON_COMMAND_LINE);
    // A name that a terminal could obey is none that a user, group or file can have.
    const safe = words.filter((word) => printable(word) === word);
    return [kind, ...safe].map((line) => `${line}\n`).join('');
  } catch {
    return 'words\n';
  } finally {
    await (await agent?.catch(() => undefined))?.close();
  }
}

/** A shell hands words over as they were typed, with quotes and escapes. */
function unquote(word: string): string {
  const [token, ...more] = tokenize(word);
  if (token === undefined) return '';
  return more.length === 0 && token.text !== word ? token.text : word.replace(/^["']/, '');
}
