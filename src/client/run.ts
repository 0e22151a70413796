/** The whole of `client`: settings, the right face, and how the process ends. */
import { EXIT, ParleyError, toParleyError } from '../protocol/errors.js';
import type { FaceContext } from './context.js';
import { hintAfter, withResume } from './execute.js';
import type { Execution } from './execute.js';
import { makeOutput } from './output.js';
import type { Output } from './output.js';
import { parseCommandLine, splitGlobals } from './program.js';
import type { Invocation } from './program.js';
import { loadSettings } from './settings.js';
import type { Settings } from './settings.js';
import { wantsColor } from './style.js';

/** By convention 128 and the signal's number. */
const SIGNAL_EXIT = { SIGINT: EXIT.interrupted, SIGTERM: 143 } as const;

/** Does what the words after `client` say, and ends the process. */
export async function run(words: readonly string[]): Promise<never> {
  const interruption = watchSignals();
  quietOnBrokenPipe();
  // What went wrong in the settings is said as they would have had it, as far as the words alone tell.
  let output = plainOutput(words);
  let code: number;
  let invocation: Invocation | undefined;
  try {
    const cwd = process.cwd();
    invocation = parseCommandLine(words, cwd);
    if (invocation.kind === 'text') {
      process.stdout.write(invocation.text);
      code = EXIT.done;
    } else if (invocation.kind === 'complete') {
      const { answerCompletion } = await import('./completion/answer.js');
      process.stdout.write(await answerCompletion(invocation, process.env, cwd));
      code = EXIT.done;
    } else {
      const settings = loadSettings(invocation.flags, process.env, cwd);
      output = outputFor(settings);
      code = await invoke(invocation, settings, output, interruption, cwd);
    }
  } catch (thrown) {
    const spec = invocation?.kind === 'command' ? invocation.spec : undefined;
    const error = withResume(spec, toParleyError(thrown), ['client', ...words]);
    output.error(error);
    const hint = hintAfter(error);
    if (hint !== undefined && !output.options.json) output.notice(hint);
    code = error.exitCode;
  }
  return end(interruption.exitCode() ?? code);
}

async function invoke(
  invocation: Exclude<Invocation, { kind: 'text' | 'complete' }>,
  settings: Settings,
  output: Output,
  interruption: Interruption,
  cwd: string,
): Promise<number> {
  const { signal } = interruption;
  const context: FaceContext = { settings, signal, notice: (text) => output.notice(text) };
  switch (invocation.kind) {
    case 'command': {
      const { runOnce } = await import('./oneshot.js');
      const execution: Execution = { output, signal, progress: progressFor(settings) };
      await runOnce(invocation.spec, invocation.params, context, execution, cwd);
      return EXIT.done;
    }
    case 'agent':
      outliveBrokenPipe();
      return runForegroundAgent(context, invocation.background, interruption);
    case 'shell': {
      const { runShell } = await import('./shell.js');
      return runShell({
        context,
        output: { ...output.options, errorPrefix: '' },
        cwd,
        onInterrupt: (handler) => interruption.divert(handler),
      });
    }
  }
}

function progressFor({ quiet }: Settings): Execution['progress'] {
  if (quiet || !process.stderr.isTTY || process.env['TERM'] === 'dumb') return undefined;
  return async () => {
    const { makeProgress, streamCanvas } = await import('./progress.js');
    return makeProgress(streamCanvas(process.stderr));
  };
}

function outputFor({ json, quiet, verbose, color }: Settings): Output {
  const colorOut = wantsColor(color, process.stdout.isTTY, process.env);
  const colorErr = wantsColor(color, process.stderr.isTTY, process.env);
  return makeOutput(
    { out: (text) => process.stdout.write(text), err: (text) => process.stderr.write(text) },
    { json, quiet, verbose, colorOut, colorErr, columns: terminalColumns, errorPrefix: 'client: ' },
  );
}

/** A terminal that does not say how wide it is counts as none. */
function terminalColumns(): number | undefined {
  return process.stdout.isTTY && process.stdout.columns > 0 ? process.stdout.columns : undefined;
}

function plainOutput(words: readonly string[]): Output {
  const { globals } = splitGlobals(words);
  const settings = { json: globals.includes('--json'), quiet: false, verbose: false, color: 'never' } as const;
  return outputFor(settings as unknown as Settings);
}

/** Started in the background, it waits for the login of the face that started it. */
async function runForegroundAgent(
  context: FaceContext,
  background: boolean,
  { release }: Pick<Interruption, 'release'>,
): Promise<number> {
  const { home, listen, uploadLimit, uploadLimitPerLink, server, fingerprint, verbose } = context.settings;
  const { runAgent } = await import('./agent/run.js');
  const { findCredentials } = await import('./credentials.js');
  const { parseAddress } = await import('./agent/address.js');
  const credentials = background ? undefined : await findCredentials(context);
  context.signal.throwIfAborted();
  release(); // The agent ends in its own good order.
  return runAgent({
    home,
    listen: listen === undefined ? undefined : parseAddress(listen),
    uploadLimit,
    uploadLimitPerLink,
    login: credentials && { user: credentials.user, password: credentials.password, server, fingerprint },
    logLevel: verbose ? 'debug' : 'info',
    onReady: (account) => {
      if (account !== undefined)
        context.notice(`${account.user} is logged in at ${account.server} (pid ${process.pid})`);
    },
  });
}

interface Interruption {
  /** Aborts with the first signal; a second one ends the process at once. */
  readonly signal: AbortSignal;
  /** That of the signal that came, if any did. */
  exitCode(): number | undefined;
  /** Ctrl-C is somebody else's from now on. */
  divert(handler: () => void): void;
  /** Signals do what they do without us. */
  release(): void;
}

function watchSignals(): Interruption {
  const controller = new AbortController();
  let received: keyof typeof SIGNAL_EXIT | undefined;
  let diverted: (() => void) | undefined;
  const onSignal = (name: NodeJS.Signals): void => {
    if (name === 'SIGINT' && diverted !== undefined) {
      diverted();
      return;
    }
    if (received !== undefined) process.exit(SIGNAL_EXIT[received]);
    received = name === 'SIGINT' ? 'SIGINT' : 'SIGTERM';
    controller.abort(new ParleyError('CANCELLED'));
  };
  for (const name of Object.keys(SIGNAL_EXIT)) process.on(name, onSignal);
  return {
    signal: controller.signal,
    exitCode: () => (received === undefined ? undefined : SIGNAL_EXIT[received]),
    divert: (handler) => (diverted = handler),
    release: () => {
      for (const name of Object.keys(SIGNAL_EXIT)) process.removeListener(name, onSignal);
    },
  };
}

/** `client files | head -1` is no failure. */
function quietOnBrokenPipe(): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      process.exit(error.code === 'EPIPE' ? EXIT.done : EXIT.refused);
    });
  }
}

/** An agent goes on when nobody reads what it says: the face that started it is gone, or the terminal is. */
function outliveBrokenPipe(): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.removeAllListeners('error');
    stream.on('error', () => undefined);
  }
}

/** Timers and sockets that are left do not keep a command waiting; what was printed gets out first. */
async function end(code: number): Promise<never> {
  await Promise.all(
    [process.stdout, process.stderr].map((stream) => new Promise((resolve) => stream.write('', resolve))),
  );
  process.exit(code);
}
