/** Whatever a file of tests opened must be closed behind it: mocha ends its processes when their files are through, whatever is open. */
import type { Context, RootHookObject } from 'mocha';
import { setImmediate, setTimeout } from 'node:timers/promises';

/** Milliseconds that sockets, threads and processes may take to be gone. */
const PATIENCE_MS = 10_000;
const LOOK_EVERY_MS = 20;

let before: readonly string[] = [];

/** What keeps this process alive now, by kind; after a turn of the loop, so that mocha's own timer for a hook is always one of them. */
async function open(): Promise<string[]> {
  await setImmediate();
  return process.getActiveResourcesInfo();
}

/** What keeps it alive that did not before. */
async function leftovers(): Promise<string[]> {
  const left = await open();
  for (const kind of before) {
    const at = left.indexOf(kind);
    if (at >= 0) left.splice(at, 1);
  }
  return left;
}

export const mochaHooks: RootHookObject = {
  async beforeAll() {
    before = await open();
  },
  async afterAll(this: Context) {
    this.timeout(2 * PATIENCE_MS);
    let left = await leftovers();
    for (let waited = 0; waited < PATIENCE_MS && left.length > 0; waited += LOOK_EVERY_MS) {
      await setTimeout(LOOK_EVERY_MS, undefined, { ref: false });
      left = await leftovers();
    }
    if (left.length > 0) throw new Error(`left open: ${left.join(', ')}`);
  },
};
