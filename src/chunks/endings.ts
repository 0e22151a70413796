/** How a part ends: under its name, or left so that it resumes; and clearing up after a kill in between. */
import { lstat, rm } from 'node:fs/promises';
import type { Claims } from './claims.js';
import type { FileIdentity } from './files.js';
import { takeLock } from './lock.js';
import type { FileLock } from './lock.js';
import { partPaths } from './partfiles.js';
import type { PartPaths } from './partfiles.js';
import type { RecoverOptions } from './recover.js';
import type { PartStore } from './store.js';

export interface FinishOptions extends RecoverOptions {
  /** Replace an existing target. */
  readonly overwrite?: boolean | undefined;
}

/** What its holder needs to serve a file that is finished. */
export interface FinishedFile {
  readonly path: string;
  readonly identity: FileIdentity;
  /** The digests of all blocks in order, 32 bytes each. */
  readonly blockDigests: Buffer;
  /** Where what had the name before is now, if it was kept. */
  readonly setAside: string | undefined;
}

/** What a part owns. */
export interface PartEnds {
  readonly paths: PartPaths;
  readonly file: PartStore;
  readonly claims: Claims;
  readonly lock: FileLock;
}

/** Gives a file that is complete its name; the file stays open. @throws ParleyError TARGET_EXISTS, DISK_FULL */
export async function publishPart(
  { paths, file, claims, lock }: PartEnds,
  overwrite: boolean,
): Promise<Pick<FinishedFile, 'identity' | 'setAside'>> {
  await file.sync();
  const identity = await file.identity();
  const setAside = await file.publish(paths.target, overwrite);
  await claims.close();
  // A sidecar that stays behind without its .part is not believed.
  await rm(paths.state, { force: true }).catch(ignore);
  await lock.release();
  return { identity, setAside };
}

/** Lets go of the files; `isEmpty`: and removes them. */
export async function leavePart({ paths, file, claims, lock }: PartEnds, isEmpty: boolean): Promise<void> {
  const goes = isEmpty && (await file.isInPlace().catch(() => false));
  await claims.close();
  await file.close();
  if (goes) {
    await file.remove().catch(ignore);
    await rm(paths.state, { force: true }).catch(ignore);
  }
  await lock.release();
}

/**
 * Removes what a process left beside a finished file when it was killed just after it had given it its name. Never rejects: what
 * stays costs nothing.
 */
export async function clearRemains(target: string): Promise<void> {
  const { part, state, lock: lockPath } = partPaths(target);
  const [atTarget, atPart, atState, atLock] = await Promise.all(
    [target, part, state, lockPath].map((path) => lstat(path, { bigint: true }).catch(() => undefined)),
  );
  if (atTarget === undefined || (atState === undefined && atLock === undefined)) return;
  // Its two names are of one file while the second one is not removed; any other .part is of another download.
  if (atPart !== undefined && (atPart.ino !== atTarget.ino || atPart.dev !== atTarget.dev)) return;
  try {
    const lock = await takeLock(lockPath, target);
    await rm(part, { force: true });
    await rm(state, { force: true });
    await lock.release();
  } catch {
    // In use, or not ours to remove.
  }
}

const ignore = (): void => undefined;
