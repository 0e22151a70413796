/** Where the bytes of a part are while they come: read and written at positions, whatever is behind it. */
import type { BigIntStats } from 'node:fs';
import { lstat, rm } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { ParleyError } from '../protocol/errors.js';
import { identityOf, SETTLE_MS, writeFullySync } from './files.js';
import type { FileIdentity, Readable, Writable } from './files.js';
import { publish } from './publish.js';

/** Owned by one part. What the file system refuses comes as it is, unless said otherwise. */
export interface PartStore extends Readable, Writable {
  /** Writes all of it at once, on this thread. */
  writeNow(bytes: Uint8Array, position: number): void;
  /** Makes what was written safe. */
  datasync(): Promise<void>;
  /** Makes everything safe, for good. */
  sync(): Promise<void>;
  /** Bytes of space it takes: holes take none. */
  allocatedBytes(): Promise<number>;
  /** By what it will be recognised without reading it. @throws ParleyError DISK_FULL when it is not what was written */
  identity(): Promise<FileIdentity>;
  /**
   * A text that is another one whenever somebody wrote to it in between, for knowing it again without reading it; undefined or
   * absent when that cannot be told.
   */
  stamp?(): Promise<string | undefined>;
  /** Whether it is as long as what was written, and what was written to is what stands at its path. */
  isAsWritten(): Promise<boolean>;
  /** Whether it is still at its path: a person may have removed or replaced it. */
  isInPlace(): Promise<boolean>;
  /**
   * Gives it its name, for good. Returns where what was there before is now, if it was kept.
   * @throws ParleyError TARGET_EXISTS
   */
  publish(target: string, overwrite: boolean): Promise<string | undefined>;
  /** Removes it from disk. */
  remove(): Promise<void>;
  /** Waits for what is under way. */
  close(): Promise<void>;
  /** The descriptor when it is one file. */
  readonly fd: number | undefined;
}

/** One file as a store; owns `file`. */
export function fileStore(path: string, file: FileHandle, sizeBytes: number): PartStore {
  /** What it is, unless another file is at its path. */
  const atPath = async (): Promise<BigIntStats | undefined> => {
    const own = await file.stat({ bigint: true });
    const there = await lstat(path, { bigint: true }).catch(() => undefined);
    return there?.ino === own.ino && there.dev === own.dev ? own : undefined;
  };
  return {
    fd: file.fd,
    read: (target, start, length, position) => file.read(target, start, length, position),
    write: (bytes, start, length, position) => file.write(bytes, start, length, position),
    writeNow: (bytes, position) => writeFullySync(file.fd, bytes, position),
    datasync: () => file.datasync(),
    sync: async () => {
      // What another program added behind its end goes, as when it is opened again.
      if ((await file.stat()).size > sizeBytes) await file.truncate(sizeBytes);
      await file.sync();
    },
    allocatedBytes: async () => (await file.stat()).blocks * 512,
    identity: async () => {
      const identity = identityOf(await file.stat({ bigint: true }));
      const atPath = identityOf(await lstat(path, { bigint: true }));
      if (atPath.ino === identity.ino && atPath.sizeBytes === sizeBytes) return identity;
      throw new ParleyError('DISK_FULL', { path, reason: 'another program replaced it or changed its length' });
    },
    stamp: () => stampOf(file),
    isAsWritten: async () => (await atPath())?.size === BigInt(sizeBytes),
    isInPlace: async () => (await atPath()) !== undefined,
    publish: async (target, overwrite) => {
      await publish(path, target, overwrite);
      return undefined;
    },
    remove: () => rm(path, { force: true }),
    close: () => file.close(),
  };
}

/** Also by the time of its last change of any kind, which nobody can set back. Waits until a later write would show in it. */
async function stampOf(file: FileHandle): Promise<string> {
  for (;;) {
    const { size, mtimeNs, ctimeNs, ino } = await file.stat({ bigint: true });
    if (await isSettled(ctimeNs)) return [size, mtimeNs, ctimeNs, ino].join(' ');
  }
}

/** Whether a change after this time would show in a later one; else waits until that may be so. */
export async function isSettled(changedNs: bigint): Promise<boolean> {
  const age = Date.now() - Number(changedNs / 1_000_000n);
  // A clock that was set back since is not waited for.
  if (age >= SETTLE_MS || age < 0) return true;
  await sleep(SETTLE_MS - age);
  return false;
}
