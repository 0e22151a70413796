/** The interactive shell, and the same from a script: one command a line (CONTRACT section 3). */
import { agentCommands } from '../protocol/commands/agent.js';
import type { Connection } from '../protocol/connection.js';
import { EXIT } from '../protocol/errors.js';
import type { FaceContext } from './context.js';
import { takeStdinPassword } from './credentials.js';
import { logIn, openFace } from './face.js';
import { makeOutput } from './output.js';
import type { Sinks } from './output.js';
import { runLine } from './shell/commands.js';
import type { LineContext, LineEnd } from './shell/commands.js';
import { listenToAgent } from './shell/events.js';
import { openHistory } from './shell/history.js';
import { inputLines } from './shell/input.js';
import { InteractiveShell } from './shell/interactive.js';
import type { ShellOptions } from './shell/interactive.js';

/** Runs until the end of input, `exit` or `logout`; resolves with the exit code. */
export async function runShell(given: ShellOptions): Promise<number> {
  const settings = await takeStdinPassword(given.context.settings);
  const options = { ...given, context: { ...given.context, settings } };
  return process.stdin.isTTY && process.stdout.isTTY ? runInteractive(options) : runScript(options);
}

/** The exit code is that of the last command, as in a POSIX shell without -e; `exit N` sets another. */
async function runScript({ context, output: outputOptions, cwd }: ShellOptions): Promise<number> {
  const sinks: Sinks = { out: (text) => process.stdout.write(text), err: (text) => process.stderr.write(text) };
  const output = makeOutput(sinks, outputOptions);
  let connection: Connection | undefined;
  const adopt = (fresh: Connection): void => {
    connection = fresh;
    listenToAgent(fresh, { shows: false, output, signal: context.signal }).catch(() => undefined);
  };
  const line: LineContext = {
    face: context,
    sinks,
    output,
    cwd,
    showsMessages: false,
    progress: undefined,
    connection: async () => {
      if (connection?.isOpen !== true) adopt((await openFace(context)).connection);
      return connection as Connection;
    },
    adopt,
  };
  let end: LineEnd = { code: EXIT.done, leaves: false };
  const stop = (): void => void process.stdin.destroy();
  context.signal.addEventListener('abort', stop, { once: true });
  try {
    for await (const text of inputLines(process.stdin)) {
      end = await runLine(text, end.code, line, context.signal);
      if (end.leaves || context.signal.aborted) break;
    }
  } catch (thrown) {
    if (!context.signal.aborted) throw thrown;
  }
  await connection?.close();
  return end.code;
}

/** Leaving is no failure, whatever was typed before. */
async function runInteractive(options: ShellOptions): Promise<number> {
  const { context } = options;
  const connection = await openLoggedIn(context);
  const shell = new InteractiveShell(connection, options, await openHistory(context.settings.home));
  options.onInterrupt(() => shell.interrupt());
  try {
    await shell.begin();
    return await shell.ended;
  } finally {
    shell.close();
    await connection.close();
  }
}

async function openLoggedIn(context: FaceContext): Promise<Connection> {
  const { connection } = await openFace(context);
  const status = await connection.call(agentCommands.status, {}, { signal: context.signal });
  if (status.user !== null) return connection;
  await connection.close();
  return (await logIn(context)).connection;
}
