/** One command at the agent: parameters completed, progress shown, the result printed. */
import type { Connection } from '../protocol/connection.js';
import type { ParleyError } from '../protocol/errors.js';
import { faceEvent } from '../protocol/events.js';
import type { TypedCommand } from './catalog.js';
import type { Output } from './output.js';
import { checkParams } from './parameters.js';
import type { Params } from './parameters.js';
import type { Progress } from './progress.js';

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

/** What a person may want to know behind an error. */
export function hintAfter(spec: TypedCommand, error: ParleyError): string | undefined {
  if (spec.name !== 'download' || error.code !== 'CANCELLED') return undefined;
  return 'what came so far is checked and kept; the same command goes on from there';
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
