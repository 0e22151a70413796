/** One command at the agent: parameters completed, progress shown, the result printed. */
import type { Connection } from '../protocol/connection.js';
import { ParleyError } from '../protocol/errors.js';
import type { ErrorCode } from '../protocol/errors.js';
import { faceEvent } from '../protocol/events.js';
import type { TypedCommand } from './catalog.js';
import type { Output } from './output.js';
import { checkParams } from './parameters.js';
import type { Params } from './parameters.js';
import type { Progress } from './progress.js';
import { quoted } from './quote.js';

export interface Execution {
  readonly output: Output;
  readonly signal: AbortSignal;
  /** Makes bars when they are wanted; commands that move no bytes never ask. */
  readonly progress?: (() => Promise<Progress>) | undefined;
  /** Told of each event that `listen` prints. */
  readonly onHeard?: (() => void) | undefined;
}

/**
 * Adds what is not typed, and checks all of it.
 * @param cwd the folder it was typed in
 * @throws ParleyError USAGE and others of `checkParams`
 */
export function completeParams(spec: TypedCommand, typed: Params, cwd: string): Params {
  const params = spec.name === 'download' ? { ...typed, directory: cwd } : typed;
  checkParams(spec, params);
  return params;
}

/** @throws ParleyError what the command is refused with */
export async function execute(
  connection: Connection,
  spec: TypedCommand,
  params: Params,
  { output, signal, progress, onHeard }: Execution,
): Promise<void> {
  if (spec.name === 'listen') return listen(connection, spec, { output, signal, onHeard });
  const bars = spec.events === undefined ? undefined : await progress?.();
  try {
    const result = (await connection.call(spec, params, {
      signal,
      ...(bars === undefined ? {} : { onEvent: (event) => bars.update(event) }),
    })) as object;
    bars?.complete();
    bars?.stop();
    output.result(spec, result);
  } catch (thrown) {
    bars?.stop();
    throw thrown;
  }
}

/** Ends of a download after which what came is kept and worth going on with. */
const RESUMABLE: ReadonlySet<ErrorCode> = new Set(['CANCELLED', 'AGENT_GONE', 'NO_HOLDER', 'DISK_FULL']);

/**
 * The error of a download that can be gone on with, with the command that does so as its detail `resume`; any other as it is.
 * @param words the command as it was typed
 */
export function withResume(spec: TypedCommand | undefined, error: ParleyError, words: readonly string[]): ParleyError {
  if (spec?.name !== 'download' || !RESUMABLE.has(error.code)) return error;
  const resume = words.map(quoted).join(' ');
  return new ParleyError(error.code, { ...error.details, resume }, { cause: error.cause });
}

/** What a person may want to know behind an error. */
export function hintAfter({ code, details }: ParleyError): string | undefined {
  const { resume } = details;
  if (typeof resume !== 'string') return undefined;
  return `${code === 'CANCELLED' ? 'what came so far is checked and kept; to go on' : 'to go on'}: ${resume}`;
}

/** Prints every event as JSON, whatever the other settings, until interrupted. */
async function listen(
  connection: Connection,
  spec: TypedCommand,
  { output, signal, onHeard }: Execution,
): Promise<void> {
  await connection.call(
    spec,
    {},
    {
      signal,
      onEvent: (value) => {
        const event = faceEvent.safeParse(value);
        if (!event.success) return;
        onHeard?.();
        output.jsonEvent(event.data);
      },
    },
  );
}
