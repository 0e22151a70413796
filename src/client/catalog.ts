/** The commands that a person can type: every spec with a `cli`, whoever answers it. */
import type { Cli, CommandSpec } from '../protocol/command.js';
import { agentCommands } from '../protocol/commands/agent.js';
import { serverCommands } from '../protocol/commands/server.js';

export interface TypedCommand extends CommandSpec {
  readonly cli: Cli;
}

const isTyped = (spec: CommandSpec): spec is TypedCommand => spec.cli !== undefined;

/** Which topic of the help a command stands under; what is not listed stands under the last one. */
const TOPICS: Readonly<Record<string, readonly string[]>> = {
  Session: ['login', 'logout', 'status', 'listen'],
  'Who is here': ['whoelse', 'whoelsesince', 'wholast'],
  Messages: ['message', 'broadcast', 'inbox', 'block', 'unblock'],
  Groups: ['create_group', 'list_groups', 'join_group', 'send_group', 'list_members', 'leave_group'],
  'Private chat': ['startprivate', 'private', 'stopprivate', 'verify', 'trust'],
  Files: ['register', 'unregister', 'seed', 'files', 'searchFile', 'searchChunk', 'download', 'transfers', 'why'],
};
const LAST_TOPIC = 'More';

const specs: readonly CommandSpec[] = [...Object.values(agentCommands), ...Object.values(serverCommands)];
const all = specs.filter(isTyped);

/** Every command by topic, in the order of help and reference. */
export const commandsByTopic: ReadonlyMap<string, readonly TypedCommand[]> = arrange();

function arrange(): ReadonlyMap<string, readonly TypedCommand[]> {
  const rest = new Map(all.map((spec) => [spec.name, spec]));
  const topics = new Map<string, TypedCommand[]>();
  for (const [topic, names] of Object.entries(TOPICS)) {
    const specs: TypedCommand[] = [];
    for (const name of names) {
      const spec = rest.get(name);
      if (spec !== undefined) specs.push(spec);
      rest.delete(name);
    }
    topics.set(topic, specs);
  }
  if (rest.size > 0) topics.set(LAST_TOPIC, [...rest.values()]);
  return topics;
}

export const typedCommands: readonly TypedCommand[] = [...commandsByTopic.values()].flat();

const byWord = new Map<string, TypedCommand>();
for (const spec of typedCommands) {
  for (const word of [spec.name, ...(spec.cli.aliases ?? [])]) byWord.set(word.toLowerCase(), spec);
}

/** Names and aliases of all commands. */
export const wordsOfCommands: readonly string[] = typedCommands.flatMap(({ name, cli }) => [
  name,
  ...(cli.aliases ?? []),
]);

/** The command of this name or alias, in any case. */
export function findCommand(word: string): TypedCommand | undefined {
  return byWord.get(word.toLowerCase());
}

/** What stands behind the command's name in its usage line. */
export function usageOf(spec: TypedCommand): string {
  const options = (spec.cli.options ?? []).map((option) => `[${option.flags.replace(/^-\w, /, '')}]`);
  const words = spec.cli.arguments.map((argument) => {
    const name = argument.label ?? argument.param;
    const many = argument.kind === 'integers' || argument.kind === 'text' ? '...' : '';
    return argument.optional === true ? `[${name}${many}]` : `<${name}${many}>`;
  });
  return [spec.name, ...options, ...words].join(' ');
}
