/** What the tests of this layer share: folders that vanish, bytes that repeat, and the code of a refusal. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ParleyError } from '../../src/protocol/errors.js';

export const MIB = 1024 * 1024;

/** Gives each test of the suite its own folder and removes it afterwards; returns how to name a file in it. */
export function useFolder(): (name: string) => string {
  let folder = '';
  beforeEach(async () => void (folder = await mkdtemp(join(tmpdir(), 'parley-chunks-'))));
  afterEach(() => rm(folder, { recursive: true, force: true }));
  return (name) => join(folder, name);
}

/** Bytes that look random and are the same for the same seed. */
export function bytesOf(length: number, seed = 1): Buffer {
  const bytes = Buffer.allocUnsafe(Math.ceil(length / 4) * 4);
  let x = (seed * 0x9e3779b1) | 1;
  for (let i = 0; i < bytes.length; i += 4) {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    bytes.writeInt32LE(x | 0, i);
  }
  return bytes.subarray(0, length);
}

/** The error that a promise ends in; fails when it ends well. */
export async function refusalOf(promise: Promise<unknown>): Promise<ParleyError> {
  const error: unknown = await promise.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (error instanceof ParleyError) return error;
  throw new Error(`a ParleyError was expected, not ${String(error)}`);
}
