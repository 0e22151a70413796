/** The interactive shell, and the same from a script: one command a line (CONTRACT section 3). */
import { agentCommands } from '../protocol/commands/agent.js';
import type { Connection } from '../protocol/connection.js';
import { deferred } from '../protocol/deferred.js';
import { EXIT, ParleyError } from '../protocol/errors.js';
import type { FaceContext } from './context.js';
import { takeStdinPassword } from './credentials.js';
import { logIn, openFace } from './face.js';
import { makeOutput } from './output.js';
import type { Output, OutputOptions, Sinks } from './output.js';
import { complete } from './shell/complete.js';
import { runLine } from './shell/commands.js';
import type { LineContext, LineEnd } from './shell/commands.js';
import { listenToAgent } from './shell/events.js';
import { openHistory } from './shell/history.js';
import { inputLines } from './shell/input.js';
import { agentNames } from './shell/names.js';
import { Screen } from './shell/screen.js';
import type { Execution } from './execute.js';

const PROMPT = 'parley> ';
/** Lines that may wait while a command runs. */
const MAX_WAITING_LINES = 1_000;

export interface ShellOptions {
  readonly context: FaceContext;
  readonly output: OutputOptions;
  readonly cwd: string;
  /** Gives Ctrl-C to a handler. */
  readonly onInterrupt: (handler: () => void) => void;
}

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

type Work = { readonly kind: 'idle' } | { readonly kind: 'running'; readonly abort: AbortController };

class InteractiveShell {
  readonly #connection: Connection;
  readonly #screen: Screen;
  readonly #output: Output;
  readonly #line: LineContext;
  readonly #history: { add(line: string): Promise<void> };
  readonly #signal: AbortSignal;
  readonly #ended = deferred<number>();
  readonly ended: Promise<number> = this.#ended.promise;
  readonly #waiting: string[] = [];
  #work: Work = { kind: 'idle' };
  #inputEnded = false;
  #isOver = false;
  #agentEnded = false;

  constructor(
    connection: Connection,
    { context, output, cwd }: ShellOptions,
    history: { lines: string[]; add(line: string): Promise<void> },
  ) {
    this.#connection = connection;
    this.#history = history;
    this.#signal = context.signal;
    this.#screen = new Screen({
      input: process.stdin,
      output: process.stdout,
      prompt: PROMPT,
      history: history.lines,
      complete: (line) => complete(line, agentNames(connection), cwd),
      onLine: (line) => this.#accept(line),
      onInterrupt: () => this.#cancel(),
      onEnd: () => this.#endInput(),
    });
    const sinks: Sinks = {
      out: (text) => this.#screen.print(text),
      err: (text) => (process.stderr.isTTY ? this.#screen.print(text) : void process.stderr.write(text)),
    };
    this.#output = makeOutput(sinks, output);
    this.#line = {
      face: context,
      sinks,
      output: this.#output,
      cwd,
      showsMessages: true,
      progress: output.quiet || !process.stderr.isTTY ? undefined : this.#makeBars,
      connection: () => Promise.resolve(connection),
      adopt: () => undefined,
    };
    void connection.closed.then((reason) => this.#onAgentGone(reason));
    context.signal.addEventListener('abort', () => this.#ended.resolve(EXIT.interrupted), { once: true });
  }

  async begin(): Promise<void> {
    const { user, server } = await this.#connection.call(agentCommands.status, {}, { signal: this.#signal });
    this.#output.notice(`${user ?? '?'} at ${server ?? '?'}; help lists the commands, exit leaves`);
    const onEnd = (): void => void (this.#agentEnded = true);
    await listenToAgent(this.#connection, { shows: true, output: this.#output, signal: this.#signal, onEnd });
    this.#next();
  }

  /** Ctrl-C. */
  interrupt(): void {
    this.#screen.interrupt();
  }

  close(): void {
    this.#screen.close();
  }

  readonly #makeBars: Execution['progress'] = async () => {
    const { makeProgress } = await import('./progress.js');
    const bars = makeProgress(process.stderr);
    this.#screen.bars = bars;
    return {
      ...bars,
      stop: () => {
        bars.stop();
        this.#screen.bars = undefined;
      },
    };
  };

  #accept(line: string): void {
    if (this.#work.kind === 'idle') this.#run(line);
    else if (this.#waiting.length < MAX_WAITING_LINES) this.#waiting.push(line);
  }

  #next(): void {
    const line = this.#waiting.shift();
    if (line !== undefined) {
      this.#screen.echo(line);
      this.#run(line);
    } else if (this.#inputEnded) this.#leave(EXIT.done);
    else this.#screen.release();
  }

  #run(line: string): void {
    const abort = new AbortController();
    this.#work = { kind: 'running', abort };
    this.#screen.hold();
    const signal = AbortSignal.any([abort.signal, this.#signal]);
    runLine(line, EXIT.done, this.#line, signal)
      .then(async ({ code, leaves }) => {
        await this.#history.add(line);
        this.#work = { kind: 'idle' };
        if (leaves) this.#leave(code);
        else if (this.#connection.isOpen) this.#next();
        else this.#onAgentGone(await this.#connection.closed);
      })
      .catch((thrown: unknown) => this.#ended.reject(thrown as Error));
  }

  #cancel(): void {
    if (this.#work.kind === 'running') this.#work.abort.abort(new ParleyError('CANCELLED'));
    this.#waiting.length = 0;
  }

  #endInput(): void {
    this.#inputEnded = true;
    if (this.#work.kind === 'idle') this.#leave(EXIT.done);
  }

  #leave(code: number): void {
    this.#isOver = true;
    this.#screen.hold();
    if (this.#connection.isOpen) this.#output.notice('the agent goes on in the background; client logout ends it');
    this.#ended.resolve(code);
  }

  /** The session is over: logged out here or elsewhere, idle for too long, or the agent died. */
  #onAgentGone(given: ParleyError | undefined): void {
    if (this.#isOver) return;
    if (this.#work.kind === 'running' && given === undefined) return; // `logout` itself says so.
    // One that was killed says nothing, and its connection ends as quietly as after a logout.
    const killed = given === undefined && !this.#agentEnded;
    const reason = killed ? new ParleyError('AGENT_GONE', { reason: 'it ended without a word' }) : given;
    this.#isOver = true;
    this.#screen.dismiss();
    if (reason !== undefined) this.#output.error(reason);
    else this.#output.notice('logged out');
    this.#ended.resolve(reason?.exitCode ?? EXIT.done);
  }
}
