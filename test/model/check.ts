/** Runs sequences of commands against the model and the server. */
import fc from 'fast-check';
import { USERS, begin, beginning, sequences } from './commands.js';
import { Stage } from './scene.js';
import { World } from './world.js';

/** Commands in a sequence at most: enough to enter a group, be cut off in it and come back. */
const MAX_COMMANDS = 40;

export interface CheckOptions {
  readonly runs: number;
  readonly seed?: number | undefined;
  /** As fast-check prints it for a failure, to run that one again. */
  readonly path?: string | undefined;
  readonly onRun?: (done: number) => void;
}

/** Rejects with the shortest sequence that the server and the model disagree on. */
export async function checkModel({ runs, seed, path, onRun }: CheckOptions): Promise<void> {
  const stage = new Stage();
  let done = 0;
  const property = fc.asyncProperty(beginning, sequences(MAX_COMMANDS), async (groupsOf, commands) => {
    const scene = await stage.scene(USERS);
    const world = new World(scene.names);
    try {
      await begin(world, scene, groupsOf);
      await fc.asyncModelRun(() => ({ model: world, real: scene }), commands);
    } finally {
      await scene.end(world.people);
    }
    onRun?.(++done);
  });
  const chosen = { ...(seed === undefined ? {} : { seed }), ...(path === undefined ? {} : { path }) };
  try {
    await fc.assert(property, { numRuns: runs, ...chosen });
  } finally {
    await stage.close();
  }
}
