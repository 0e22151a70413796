/** Runs the agent as this process's whole work: in the foreground for a service manager, or in the background for faces. */
import { EXIT, toParleyError } from '../../protocol/errors.js';
import type { Address } from './address.js';
import type { Account } from './account.js';
import { startAgent } from './agent.js';
import type { LoginRequest } from './agent.js';
import { openAgentLog } from './log.js';
import type { AgentLog } from './log.js';

export interface RunAgentOptions {
  readonly home: string;
  /** Where direct links come in; all interfaces and any port when absent. */
  readonly listen?: Address | undefined;
  /** Bytes a second of what others fetch from here: in all, and over each link; no limit when absent. */
  readonly uploadLimit?: number | undefined;
  readonly uploadLimitPerLink?: number | undefined;
  /**
   * In the foreground: logs in with these at once, and fails when that fails. Without them the agent waits for a face's `login`: it
   * ends by itself after 10 s without one, and as soon as a failed login was answered.
   */
  readonly login?: LoginRequest | undefined;
  /** One of pino's; `info` unless told. */
  readonly logLevel?: string | undefined;
  /** Faces can connect now, and the login, if one was given, is done. */
  readonly onReady?: ((account: Account | undefined) => void) | undefined;
}

const SIGNALS = { SIGINT: EXIT.interrupted, SIGTERM: 143, SIGHUP: 129 } as const;

/**
 * Runs an agent until it ends; resolves to the exit code: 0 after `logout`, 130 or 143 after a signal, that of the reason when
 * the server ended the session. All is closed by then.
 * @throws ParleyError why it could not start or log in: AGENT_RUNNING, STATE_DAMAGED, USAGE, or a refusal of `login`
 */
export async function runAgent(options: RunAgentOptions): Promise<number> {
  const stop = watchSignals();
  outliveOutput();
  let log: AgentLog | undefined;
  try {
    const { home, listen, uploadLimit, uploadLimitPerLink, login } = options;
    log = await openAgentLog(home, options.logLevel);
    noteFaults(log);
    const limits = { uploadLimit, uploadLimitPerLink };
    const agent = await startAgent({ home, listen, ...limits, standby: login === undefined, log });
    stop.whenStopped(() => void agent.close());
    try {
      options.onReady?.(login && (await agent.login(login)));
    } catch (thrown) {
      const error = toParleyError(thrown);
      await agent.close(error);
      if (stop.code === undefined) throw error;
    }
    const reason = await agent.ended;
    return stop.code ?? reason?.exitCode ?? EXIT.done;
  } finally {
    stop.end();
    log?.close();
  }
}

/** Whoever started the agent may be gone, and with it whoever read what it prints: that is no reason to end. */
function outliveOutput(): void {
  for (const stream of [process.stdout, process.stderr])
    stream.removeAllListeners('error').on('error', () => undefined);
}

/** What nobody foresaw is in the log at least. */
function noteFaults(log: AgentLog): void {
  process.on('warning', ({ name, message }) => log.warn({ name, reason: message }, 'warning'));
  process.on('uncaughtExceptionMonitor', ({ message, stack }) => log.error({ reason: message, stack }, 'fault'));
}

interface Stop {
  /** The exit code of the first signal; undefined while none came. */
  readonly code: number | undefined;
  whenStopped(task: () => void): void;
  end(): void;
}

function watchSignals(): Stop {
  let code: number | undefined;
  let task: () => void = () => undefined;
  const onSignal = (signal: NodeJS.Signals): void => {
    code ??= SIGNALS[signal as keyof typeof SIGNALS];
    task();
  };
  for (const signal of Object.keys(SIGNALS)) process.on(signal, onSignal);
  return {
    get code() {
      return code;
    },
    whenStopped: (then) => {
      task = then;
      if (code !== undefined) then();
    },
    end: () => {
      for (const signal of Object.keys(SIGNALS)) process.off(signal, onSignal);
    },
  };
}
