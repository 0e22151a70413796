/** The shell on a terminal: one line at a time, messages above it as they come. */
import { agentCommands } from '../../protocol/commands/agent.js';
import type { Connection } from '../../protocol/connection.js';
import { deferred } from '../../protocol/deferred.js';
import { EXIT, ParleyError } from '../../protocol/errors.js';
import type { FaceEvent } from '../../protocol/events.js';
import type { FaceContext } from '../context.js';
import type { Execution } from '../execute.js';
import { makeOutput } from '../output.js';
import type { Output, OutputOptions, Sinks } from '../output.js';
import type { Canvas } from '../progress.js';
import { makeStyle } from '../style.js';
import { soundsOf } from './bell.js';
import { runLine } from './commands.js';
import type { LineContext } from './commands.js';
import { complete } from './complete.js';
import { listenToAgent } from './events.js';
import type { History } from './history.js';
import { agentNames } from './names.js';
import { PlainScreen } from './plainscreen.js';
import { promptFor } from './prompt.js';
import type { Standing } from './prompt.js';
import { LiveScreen } from './screen.js';
import type { Screen, ScreenOptions } from './screen.js';

/** Lines that may wait while a command runs. */
const MAX_WAITING_LINES = 1_000;
/** How long a message is unread before the prompt counts it. */
const UNREAD_AFTER_MS = 300;

export interface ShellOptions {
  readonly context: FaceContext;
  readonly output: OutputOptions;
  readonly cwd: string;
  /** Gives Ctrl-C to a handler. */
  readonly onInterrupt: (handler: () => void) => void;
}

type Work = { readonly kind: 'idle' } | { readonly kind: 'running'; readonly abort: AbortController };

export class InteractiveShell {
  readonly #connection: Connection;
  readonly #context: FaceContext;
  readonly #screen: Screen;
  readonly #output: Output;
  readonly #line: LineContext;
  readonly #history: History;
  readonly #ended = deferred<number>();
  readonly ended: Promise<number> = this.#ended.promise;
  readonly #waiting: string[] = [];
  #standing: Standing = { user: '?', group: null, unread: 0 };
  #work: Work = { kind: 'idle' };
  #counting: NodeJS.Timeout | undefined;
  #inputEnded = false;
  #isOver = false;
  #agentEnded = false;

  constructor(connection: Connection, options: ShellOptions, history: History) {
    const { context, output, cwd } = options;
    this.#connection = connection;
    this.#context = context;
    this.#history = history;
    const style = makeStyle(output.colorOut);
    this.#screen = openScreen({
      input: process.stdin,
      output: process.stdout,
      prompt: (columns) => promptFor(this.#standing, columns, style),
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
    const { canvas } = this.#screen;
    const hasBars = canvas !== undefined && !output.quiet && process.stderr.isTTY;
    this.#line = {
      face: context,
      sinks,
      output: this.#output,
      cwd,
      showsMessages: true,
      progress: hasBars ? barsOn(canvas) : undefined,
      connection: () => Promise.resolve(connection),
      adopt: () => undefined,
    };
    void connection.closed.then((reason) => this.#onAgentGone(reason));
    context.signal.addEventListener('abort', () => this.#ended.resolve(EXIT.interrupted), { once: true });
  }

  async begin(): Promise<void> {
    const { signal } = this.#context;
    const { user, server } = await this.#connection.call(agentCommands.status, {}, { signal });
    this.#standing = { user: user ?? '?', group: null, unread: 0 };
    this.#output.notice(`${user ?? '?'} at ${server ?? '?'}; help lists the commands, exit leaves`);
    await listenToAgent(this.#connection, {
      shows: true,
      output: this.#output,
      signal,
      onEnd: () => (this.#agentEnded = true),
      onEvent: (event) => this.#note(event),
    });
    this.#next();
  }

  /** Ctrl-C. */
  interrupt(): void {
    this.#screen.interrupt();
  }

  close(): void {
    clearTimeout(this.#counting);
    this.#screen.close();
  }

  #note(event: FaceEvent): void {
    for (const sound of soundsOf(event, this.#context.settings)) this.#screen.signal(sound);
    if (event.type === 'standing') this.#stand(event);
  }

  /** A message that is shown is unread for a moment only: that is no news for the prompt. */
  #stand(next: Standing): void {
    clearTimeout(this.#counting);
    const isNews = next.unread <= this.#standing.unread;
    this.#standing = isNews ? next : { ...next, unread: this.#standing.unread };
    this.#screen.refresh();
    if (isNews) return;
    this.#counting = setTimeout(() => {
      this.#standing = next;
      this.#screen.refresh();
    }, UNREAD_AFTER_MS);
  }

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
    const signal = AbortSignal.any([abort.signal, this.#context.signal]);
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

const openScreen = (options: ScreenOptions): Screen =>
  process.env['TERM'] === 'dumb' ? new PlainScreen(options) : new LiveScreen(options);

const barsOn =
  (canvas: Canvas): Execution['progress'] =>
  async () =>
    (await import('../progress.js')).makeProgress(canvas);
