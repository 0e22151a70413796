/** What one line of the shell does, on a terminal or from a script. */
import { agentCommands } from '../../protocol/commands/agent.js';
import type { Connection } from '../../protocol/connection.js';
import { EXIT, ParleyError, toParleyError } from '../../protocol/errors.js';
import type { FaceContext } from '../context.js';
import { completeParams, execute, hintAfter, withResume } from '../execute.js';
import type { Execution } from '../execute.js';
import { logInOnce, logOut } from '../face.js';
import { makeOutput } from '../output.js';
import type { Output, Sinks } from '../output.js';
import { parseCommandLine, splitGlobals } from '../program.js';
import type { Invocation } from '../program.js';
import type { Flags } from '../settings.js';
import { COMPLETE, unknownCommand } from '../usage.js';
import { SHELL_WORDS } from './complete.js';
import { shellWords } from './line.js';

export interface LineContext {
  readonly face: FaceContext;
  readonly sinks: Sinks;
  readonly output: Output;
  readonly cwd: string;
  /** Whether messages are shown as they come, so that `listen` has nothing to add. */
  readonly showsMessages: boolean;
  readonly progress: Execution['progress'];
  /** The connection to the agent; the first use of it may log in. */
  connection(): Promise<Connection>;
  /** Takes over the connection that `login` made. */
  adopt(connection: Connection): void;
}

/** How a line ended: its exit code, and whether the shell ends with it. */
export interface LineEnd {
  readonly code: number;
  readonly leaves: boolean;
}

const EXIT_HELP = `exit [code], quit [code], Ctrl-D

Leaves the shell, with that exit code; the agent goes on in the background. logout ends it, too.
`;
/** What the shell's own words do. */
const OWN_HELP: ReadonlyMap<string, string> = new Map([
  ['exit', EXIT_HELP],
  ['quit', EXIT_HELP],
]);
const SHELL_HELP = `
In the shell: type commands without client in front. Tab completes, Ctrl-R searches the history, Ctrl-C drops a line or cancels
what runs, exit or Ctrl-D leaves.
`;

const stay = (code: number): LineEnd => ({ code, leaves: false });

/** Never rejects: what goes wrong is printed; an error in place of a line, too. */
export async function runLine(
  line: string | ParleyError,
  previous: number,
  context: LineContext,
  signal: AbortSignal,
): Promise<LineEnd> {
  if (line instanceof ParleyError) {
    context.output.error(line);
    return stay(line.exitCode);
  }
  const words = shellWords(line);
  const first = words[0]?.toLowerCase() ?? '';
  if (first === '' || first.startsWith('#')) return stay(previous);
  // What is wrong with the line itself is said as the line asks for it, too.
  let output = splitGlobals(words).globals.includes('--json') ? outputWith({ json: true }, context) : context.output;
  let spec: Command['spec'] | undefined;
  try {
    if (first === 'exit' || first === 'quit') return { code: exitCode(words.slice(1), previous), leaves: true };
    const own = first === 'help' && words.length === 2 ? OWN_HELP.get(words[1]?.toLowerCase() ?? '') : undefined;
    if (own !== undefined) {
      output.text(own);
      return stay(EXIT.done);
    }
    const invocation = parseCommandLine(words, context.cwd, SHELL_WORDS);
    if (invocation.kind === 'text') {
      output.text(first === 'help' && words.length === 1 ? `${invocation.text}${SHELL_HELP}` : invocation.text);
      return stay(EXIT.done);
    }
    const command = asCommand(invocation);
    spec = command.spec;
    output = outputWith(command.flags, context);
    return await runCommand(spec, command.params, { ...context, output }, signal);
  } catch (thrown) {
    const error = withResume(spec, toParleyError(thrown), words);
    output.error(error);
    const hint = hintAfter(error);
    if (hint !== undefined && !output.options.json) output.notice(hint);
    return stay(error.exitCode);
  }
}

function exitCode([word, ...more]: readonly string[], previous: number): number {
  if (word === undefined) return previous;
  if (more.length === 0 && /^\d{1,3}$/.test(word) && Number(word) < 256) return Number(word);
  throw new ParleyError('USAGE', { reason: 'exit takes one exit code, 0 to 255' });
}

/** Flags that a line may have, besides those that the shell was started with. */
const LINE_FLAGS: ReadonlySet<string> = new Set(['json', 'quiet', 'verbose']);

function asCommand(invocation: Exclude<Invocation, { kind: 'text' }>): Extract<Invocation, { kind: 'command' }> {
  if (invocation.kind === 'complete') throw unknownCommand(COMPLETE);
  const foreign = Object.keys(invocation.flags).find((name) => !LINE_FLAGS.has(name));
  if (foreign !== undefined)
    throw new ParleyError('USAGE', { reason: `${foreign} is set when the shell is started, not in a line of it` });
  if (invocation.kind === 'command') return invocation;
  throw new ParleyError('USAGE', { reason: 'that is for the command line; in the shell type a command, or help' });
}

function outputWith(flags: Flags, { output, sinks }: LineContext): Output {
  if (Object.keys(flags).length === 0) return output;
  const { json, quiet, verbose } = output.options;
  return makeOutput(sinks, {
    ...output.options,
    json: json || flags.json === true,
    quiet: quiet || flags.quiet === true,
    verbose: verbose || flags.verbose === true,
  });
}

type Command = Extract<Invocation, { kind: 'command' }>;

async function runCommand(
  spec: Command['spec'],
  typed: Command['params'],
  context: LineContext,
  signal: AbortSignal,
): Promise<LineEnd> {
  const { output, cwd, progress, face } = context;
  switch (spec.name) {
    case agentCommands.login.name: {
      const named = typed['user'];
      const settings = typeof named === 'string' ? { ...face.settings, user: named } : face.settings;
      const { connection, user } = await logInOnce({ ...face, settings, signal });
      context.adopt(connection);
      output.result(spec, { user });
      return stay(EXIT.done);
    }
    case agentCommands.logout.name: {
      const wasThere = await logOut({ ...face, signal });
      if (!wasThere) face.notice('nobody was logged in');
      if (wasThere || output.options.json) output.result(spec, {});
      return { code: EXIT.done, leaves: true };
    }
    case agentCommands.listen.name:
      if (context.showsMessages) {
        output.notice('the shell listens all the time: what happens is shown as it happens');
        return stay(EXIT.done);
      }
      break;
  }
  const params = completeParams(spec, typed, cwd);
  await execute(await context.connection(), spec, params, { output, signal, progress });
  return stay(EXIT.done);
}
