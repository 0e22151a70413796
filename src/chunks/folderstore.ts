/** A folder that is being fetched, as a store: blocks go straight to their places in its files, below `<target>.part/`. */
import { constants, fdatasync, fstatSync, lstatSync, openSync, writeSync } from 'node:fs';
import { write as writeCallback } from 'node:fs';
import type { BigIntStats } from 'node:fs';
import { lstat, mkdir, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { promisify } from 'node:util';
import { randomBytes } from 'node:crypto';
import { ParleyError } from '../protocol/errors.js';
import { blake3 } from './digest.js';
import { eachOf } from './each.js';
import { identityOf, noFollow, nonBlocking } from './files.js';
import type { FileIdentity } from './files.js';
import { folderIdentity } from './folderfiles.js';
import { segmentsOf } from './folderlayout.js';
import type { FolderLayout, Segment } from './folderlayout.js';
import { makeAll } from './foldertree.js';
import { errnoOf } from './fserrors.js';
import { OpenFiles } from './openfiles.js';
import type { OpenFile } from './openfiles.js';
import { Pace } from './pace.js';
import { syncFolder } from './publish.js';
import { isSettled } from './store.js';
import type { PartStore } from './store.js';
import { syncFileSystemOf } from './syncall.js';

const writeFd = promisify(writeCallback);
const syncFd = promisify(fdatasync);

/** Files that stay open while nobody writes them: blocks of several holders come in no order. */
const KEPT_OPEN = 64;
/** Files and folders synced at once: the disk takes them together, and a thread of the pool is left for what cannot wait. */
const SYNCED_AT_ONCE = 3;
/**
 * So many files are synced with whatever else the file system has to write: each alone waits for the disk's own memory, 10,000 files for
 * a minute where that takes 6 ms.
 */
const SYNCED_IN_ONE_GO = 32;
const FLAGS = constants.O_RDWR | noFollow() | nonBlocking();
/** Files looked at before others have their turn: a few ms. */
const SEEN_PER_TURN = 200;

/** The folder of an earlier run, with whatever is missing in it made anew; undefined when there is none. */
export async function openFolderStore(path: string, layout: FolderLayout): Promise<FolderStore | undefined> {
  const stats = await lstat(path).catch(absent);
  if (stats?.isDirectory() !== true) return undefined;
  await makeAll(path, layout);
  return new FolderStore(path, layout, await lstat(path, { bigint: true }));
}

/** @throws what the file system refuses as it comes; EEXIST when something is at the path */
export async function createFolderStore(path: string, layout: FolderLayout): Promise<FolderStore> {
  await mkdir(path);
  await makeAll(path, layout);
  return new FolderStore(path, layout, await lstat(path, { bigint: true }));
}

export class FolderStore implements PartStore {
  readonly fd = undefined;
  readonly #path: string;
  readonly #layout: FolderLayout;
  readonly #own: BigIntStats;
  readonly #open: OpenFiles;
  readonly #pace = new Pace();
  /** Files that were written and not synced since. */
  #unsynced = new Set<number>();
  /** The numbers in the file system of those that were opened. */
  readonly #inodes = new Map<number, bigint>();
  /** Whether a path led to another file when it was opened again. */
  #isReplaced = false;
  /** Whether the names of what was made are safe. */
  #namesSynced = false;

  /** For `openFolderStore` and `createFolderStore`. */
  constructor(path: string, layout: FolderLayout, own: BigIntStats) {
    this.#path = path;
    this.#layout = layout;
    this.#own = own;
    this.#open = new OpenFiles(KEPT_OPEN);
  }

  /** Where a file is shorter than it will be, zeros are read. */
  async read(target: Uint8Array, start: number, length: number, position: number): Promise<{ bytesRead: number }> {
    const segments = segmentsOf(this.#layout, position, length);
    for (const segment of segments) {
      const from = start + segment.start;
      if (segment.file === undefined) this.#layout.index.copy(target, from, segment.at, segment.at + segment.length);
      else await this.#readSegment(segment.file.number, segment, target, from);
    }
    return { bytesRead: segments.reduce((sum, segment) => sum + segment.length, 0) };
  }

  async write(bytes: Uint8Array, start: number, length: number, position: number): Promise<{ bytesWritten: number }> {
    for (const segment of segmentsOf(this.#layout, position, length)) {
      if (segment.file === undefined) continue;
      const { number } = segment.file;
      const file = this.#take(number);
      try {
        for (let done = 0; done < segment.length;) {
          const from = start + segment.start + done;
          done += (await writeFd(file.fd, bytes, from, segment.length - done, segment.at + done)).bytesWritten;
        }
      } finally {
        this.#unsynced.add(number);
        this.#open.give(file);
      }
    }
    return { bytesWritten: length };
  }

  // The index is not written: it was checked before there was a folder, and is in memory.
  writeNow(bytes: Uint8Array, position: number): void {
    for (const segment of segmentsOf(this.#layout, position, bytes.length)) {
      if (segment.file === undefined) continue;
      const { number } = segment.file;
      const file = this.#take(number);
      try {
        for (let done = 0; done < segment.length;) {
          done += writeSync(file.fd, bytes, segment.start + done, segment.length - done, segment.at + done);
        }
      } finally {
        this.#unsynced.add(number);
        this.#open.give(file);
      }
    }
  }

  async datasync(): Promise<void> {
    const numbers = this.#unsynced;
    this.#unsynced = new Set();
    try {
      if (numbers.size >= SYNCED_IN_ONE_GO && (await syncFileSystemOf(this.#path))) this.#namesSynced = true;
      else await this.#syncEach(numbers);
      // What is read next is what stands at the paths then.
      this.#open.closeIdle();
    } catch (error) {
      for (const number of numbers) this.#unsynced.add(number);
      throw error;
    }
  }

  sync(): Promise<void> {
    return this.datasync();
  }

  async allocatedBytes(): Promise<number> {
    let bytes = 0;
    await this.#lookAtAll((_, stats) => (bytes += Number(stats.blocks) * 512));
    return bytes;
  }

  async identity(): Promise<FileIdentity> {
    const found: { identity: FileIdentity }[] = [];
    await this.#lookAtAll((number, stats) => {
      const file = this.#layout.files[number];
      if (stats.isFile() && Number(stats.size) === file?.sizeBytes) found.push({ identity: identityOf(stats) });
    });
    if (found.length === this.#layout.files.length && (await this.isInPlace()))
      return folderIdentity(this.#layout, found);
    const reason = 'another program replaced a file in it or changed its length';
    throw new ParleyError('DISK_FULL', { path: this.#path, reason });
  }

  /** Writing opens its files by their paths, again and again: whether these led to the same files all the time, and do now. */
  async isAsWritten(): Promise<boolean> {
    let isSame = !this.#isReplaced;
    await this.#lookAtAll((number, stats) => {
      const written = this.#inodes.get(number) ?? stats.ino;
      if (Number(stats.size) !== this.#layout.files[number]?.sizeBytes || written !== stats.ino) isSame = false;
    });
    return isSame && (await this.isInPlace());
  }

  /** Of all its files. Waits until a later write to any of them would show in it. */
  async stamp(): Promise<string | undefined> {
    for (;;) {
      const lines = [`${this.#own.dev} ${this.#own.ino}`];
      let newestNs = 0n;
      await this.#lookAtAll((_, { size, mtimeNs, ctimeNs, ino }) => {
        lines.push(`${size} ${mtimeNs} ${ctimeNs} ${ino}`);
        if (ctimeNs > newestNs) newestNs = ctimeNs;
      });
      if (!(await this.isInPlace())) return undefined;
      if (await isSettled(newestNs)) return blake3(Buffer.from(lines.join('\n'))).toString('hex');
    }
  }

  async isInPlace(): Promise<boolean> {
    const there = await lstat(this.#path, { bigint: true }).catch(() => undefined);
    return there?.ino === this.#own.ino && there.dev === this.#own.dev;
  }

  /** What has the name already is never deleted: it is set aside under another one. */
  async publish(target: string, overwrite: boolean): Promise<string | undefined> {
    this.#open.closeIdle();
    let setAside: string | undefined;
    if ((await lstat(target).catch(absent)) !== undefined) {
      if (!overwrite) throw new ParleyError('TARGET_EXISTS', { path: target });
      setAside = `${target}.old-${randomBytes(4).toString('hex')}`;
      await rename(target, setAside);
    }
    try {
      await rename(this.#path, target);
    } catch (error) {
      if (!['EEXIST', 'ENOTEMPTY', 'ENOTDIR'].includes(errnoOf(error) ?? '')) throw error;
      throw new ParleyError('TARGET_EXISTS', { path: target }, { cause: error });
    }
    await syncFolder(dirname(target));
    return setAside;
  }

  async remove(): Promise<void> {
    await rm(this.#path, { recursive: true, force: true });
  }

  close(): Promise<void> {
    this.#open.close();
    return Promise.resolve();
  }

  async #syncEach(numbers: ReadonlySet<number>): Promise<void> {
    await this.#syncNames();
    await eachOf(numbers, SYNCED_AT_ONCE, async (number) => {
      const file = this.#take(number);
      await syncFd(file.fd).finally(() => this.#open.give(file));
    });
  }

  async #syncNames(): Promise<void> {
    if (this.#namesSynced) return;
    await eachOf(this.#layout.folders, SYNCED_AT_ONCE, (folder) => syncFolder(join(this.#path, folder.path)));
    await syncFolder(this.#path);
    this.#namesSynced = true;
  }

  async #readSegment(number: number, { at, length }: Segment, target: Uint8Array, start: number): Promise<void> {
    const file = this.#take(number);
    try {
      let done = 0;
      while (done < length) {
        const bytesRead = await this.#pace.read(file.fd, target, start + done, length - done, at + done);
        if (bytesRead === 0) break;
        done += bytesRead;
      }
      target.fill(0, start + done, start + length);
    } finally {
      this.#open.give(file);
    }
  }

  async #lookAtAll(see: (number: number, stats: BigIntStats) => void): Promise<void> {
    for (const { number } of this.#layout.files) {
      see(number, lstatSync(this.#pathOf(number), { bigint: true }));
      if (number % SEEN_PER_TURN === SEEN_PER_TURN - 1) await setImmediate();
    }
  }

  #take(number: number): OpenFile {
    const open = this.#open.take(number);
    if (open !== undefined) return open;
    const file = this.#open.takeOpened(number, openSync(this.#pathOf(number), FLAGS));
    const { ino } = fstatSync(file.fd, { bigint: true });
    if ((this.#inodes.get(number) ?? ino) !== ino) this.#isReplaced = true;
    this.#inodes.set(number, ino);
    return file;
  }

  #pathOf(number: number): string {
    return join(this.#path, this.#layout.files[number]?.path ?? '');
  }
}

function absent(error: unknown): undefined {
  if (errnoOf(error) === 'ENOENT') return undefined;
  throw error;
}
