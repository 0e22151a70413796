/** Starts an agent in the background. It gets no password: that goes over its socket, never through an environment or arguments. */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { parse } from 'node:path';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import type { Connection } from '../protocol/connection.js';
import { ParleyError, isErrorCode } from '../protocol/errors.js';
import { agentPid } from './agent/control.js';
import { dialAgent } from './dial.js';
import type { Settings } from './settings.js';

/** How long a new agent may take until it can be reached. */
const START_DEADLINE_MS = 15_000;
/** How often it is tried. */
const TRY_EVERY_MS = 20;
/** Bytes of its complaint that are kept when it does not start. */
const MAX_COMPLAINT_BYTES = 16 * 1024;

export interface StartedAgent {
  readonly connection: Connection;
  /** The process number of the agent that this call started; absent when another was there first. */
  readonly pid: number | undefined;
}

/**
 * Connects to the agent of this home, and starts it when there is none.
 * @throws ParleyError what it refused with when it could not start; AGENT_GONE when it ended without a word or does not come up
 */
export async function startAgent(settings: Settings, signal: AbortSignal): Promise<StartedAgent> {
  const running = await dialAgent(settings.home);
  if (running !== undefined) return { connection: running, pid: undefined };
  const deadline = performance.now() + START_DEADLINE_MS;
  let attempt = new Attempt(settings);
  try {
    while (performance.now() < deadline) {
      signal.throwIfAborted();
      const { failure } = attempt;
      const connection = await dialAgent(settings.home);
      if (connection !== undefined) {
        const pid = await agentPid(settings.home);
        if (pid === attempt.pid) return { connection, pid };
        // Of agents that race for a home one wins. When that is another, ours must not wait for its turn.
        if (pid !== undefined) attempt.kill();
        return { connection, pid: undefined };
      }
      if (failure !== undefined) {
        // One that is just ending still has the home.
        if (failure.code !== 'AGENT_RUNNING') throw failure;
        attempt = new Attempt(settings);
      }
      await attempt.pause(TRY_EVERY_MS);
    }
    attempt.kill();
    throw new ParleyError('AGENT_GONE', { reason: `it did not come up within ${START_DEADLINE_MS / 1000} s` });
  } finally {
    attempt.letGo();
  }
}

/** One process that is to become the agent. */
class Attempt {
  readonly #child: ChildProcess;
  readonly #over: Promise<void>;
  #complaint = '';
  /** Why it ended; undefined while it runs. */
  failure: ParleyError | undefined;

  constructor(settings: Settings) {
    this.#child = spawnAgent(settings);
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      if (this.#complaint.length < MAX_COMPLAINT_BYTES) this.#complaint += text;
    });
    this.#over = new Promise((resolve) => {
      const end = (complaint: string): void => {
        this.failure = refusalOf(complaint);
        resolve();
      };
      this.#child.once('error', (error) => end(error.message));
      this.#child.once('close', () => end(this.#complaint));
    });
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** Waits, but no longer than the process lives. */
  async pause(ms: number): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    await Promise.race([this.#over, new Promise((resolve) => (timer = setTimeout(resolve, ms)))]);
    clearTimeout(timer);
  }

  kill(): void {
    this.#child.kill();
  }

  /** The agent outlives the face. */
  letGo(): void {
    this.#child.stderr?.destroy();
    this.#child.unref();
  }
}

/** MiB in which V8 keeps new objects, three times: what a transfer makes anew is small and soon gone, and 16, the default, takes 20 MB more. */
const AGENT_FLAGS = ['--max-semi-space-size=4'];
/** glibc keeps what each thread freed in up to eight heaps a core: two in all take 8 MB less and are no slower. Whoever sets it knows better. */
const AGENT_ENVIRONMENT = { MALLOC_ARENA_MAX: '2' };

function spawnAgent({ home, listen, uploadLimit, uploadLimitPerLink, verbose }: Settings): ChildProcess {
  // What the agent has to know is in its arguments; a session is begun by the face alone.
  const environment = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('PARLEY_')));
  const main = fileURLToPath(new URL('./main.js', import.meta.url));
  const words = ['agent', '--background', '--json', '--home', home];
  if (listen !== undefined) words.push('--listen', listen);
  if (uploadLimit !== undefined) words.push('--upload-limit', rateWord(uploadLimit));
  if (uploadLimitPerLink !== undefined) words.push('--upload-limit-per-link', rateWord(uploadLimitPerLink));
  if (verbose) words.push('--verbose');
  return spawn(process.execPath, [...AGENT_FLAGS, main, ...words], {
    cwd: parse(home).root,
    detached: true,
    env: { ...AGENT_ENVIRONMENT, ...environment },
    stdio: ['ignore', 'ignore', 'pipe'],
    windowsHide: true,
  });
}

const rateWord = (rate: number): string => (rate === Infinity ? 'none' : String(rate));

const complaintSchema = z.object({ error: z.object({ code: z.string(), message: z.string() }).loose() });

/** What the agent printed last when it could not start, as the error it was. */
function refusalOf(complaint: string): ParleyError {
  const last = complaint.trim().split('\n').at(-1) ?? '';
  let value: unknown;
  try {
    value = JSON.parse(last);
  } catch {
    return new ParleyError('AGENT_GONE', { reason: last === '' ? 'it ended without a word' : last });
  }
  const parsed = complaintSchema.safeParse(value);
  if (!parsed.success || !isErrorCode(parsed.data.error.code)) return new ParleyError('AGENT_GONE', { reason: last });
  const { code, message, ...details } = parsed.data.error;
  const plain = Object.fromEntries(
    Object.entries(details).filter(([, value]) => ['string', 'number', 'boolean'].includes(typeof value)),
  ) as Record<string, string | number | boolean>;
  return new ParleyError(code, code === 'USAGE' ? { reason: message } : plain);
}
