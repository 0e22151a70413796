/** A lock file, so that two processes do not write the same target. It outlives its process; the next one sees that. */
import { randomUUID } from 'node:crypto';
import { open, readFile, rm, stat } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { setTimeout as wait } from 'node:timers/promises';
import { z } from 'zod';
import { ParleyError } from '../protocol/errors.js';
import { errnoOf } from './fserrors.js';

export interface FileLock {
  /** Gives the lock back. May be called again. */
  release(): Promise<void>;
}

/** Who holds a lock. `started` tells a process from a later one with the same pid, where the system can say. */
const Holder = z.object({ pid: z.number().int().positive(), started: z.string(), id: z.string() });
type Holder = z.infer<typeof Holder>;

/** How long a lock may say nothing: far longer than a process needs to write its name after it made the file, and short for whoever waits for one that was killed in between. */
const UNNAMED_MS = 2_000;
/** Milliseconds to wait while somebody writes their name into a lock, or takes a stale one away, which takes one or two. */
const RETRY_MS = 20;
/** Longer than a lock may say nothing. */
const ATTEMPTS = 150;
/** Ids of the locks that this process holds: a lock whose folder was moved away could not be removed when it was released. */
const held = new Set<string>();

/**
 * Takes the lock `path` for what is written to `target`.
 * @throws ParleyError TARGET_BUSY when a living process has it (this one, too); what the file system refuses as it comes
 */
export async function takeLock(path: string, target: string): Promise<FileLock> {
  const id = randomUUID();
  const text = JSON.stringify({ pid: process.pid, started: await startOf(process.pid), id });
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    held.add(id);
    if (await create(path, text).catch(drop(id))) {
      return {
        release: () => {
          held.delete(id);
          return release(path, text);
        },
      };
    }
    held.delete(id);
    const found = await readFile(path, 'utf8').catch(absent);
    if (found === undefined) continue;
    const holder = parse(found);
    if (holder !== undefined && (await isAlive(holder))) {
      throw new ParleyError('TARGET_BUSY', { path: target, pid: holder.pid });
    }
    const isBeingNamed = holder === undefined && (await isYoung(path));
    if (isBeingNamed || !(await removeStale(path, found))) await wait(RETRY_MS);
  }
  throw new ParleyError('TARGET_BUSY', { path: target, pid: 0 });
}

/** The process that took the lock, alive or not; undefined when nobody has it, or has not said who. */
export async function lockHolder(path: string): Promise<number | undefined> {
  const found = await readFile(path, 'utf8').catch(absent);
  return found === undefined ? undefined : parse(found)?.pid;
}

const drop = (id: string) => (error: unknown) => {
  held.delete(id);
  throw error;
};

async function create(path: string, text: string): Promise<boolean> {
  let file: FileHandle;
  try {
    file = await open(path, 'wx', 0o600);
  } catch (error) {
    if (errnoOf(error) === 'EEXIST') return false;
    throw error;
  }
  try {
    await file.writeFile(text);
    // Whoever was held up before that may have been taken for gone.
    return text === '' || (await readFile(path, 'utf8').catch(absent)) === text;
  } catch (error) {
    await rm(path, { force: true });
    throw error;
  } finally {
    await file.close();
  }
}

async function release(path: string, text: string): Promise<void> {
  const found = await readFile(path, 'utf8').catch(() => undefined);
  if (found === text) await rm(path, { force: true });
}

/**
 * Removes a lock whose process is gone. One at a time, and looking once more: else a fresh lock would be removed, of somebody who took it just
 * now. False while another is at it.
 */
async function removeStale(path: string, expected: string): Promise<boolean> {
  const turn = `${path}.taking`;
  if (!(await create(turn, ''))) {
    // Left by somebody who was killed in these two milliseconds.
    if (!(await isYoung(turn))) await rm(turn, { force: true });
    return false;
  }
  try {
    if ((await readFile(path, 'utf8').catch(absent)) === expected) await rm(path, { force: true });
    return true;
  } finally {
    await rm(turn, { force: true });
  }
}

function parse(text: string): Holder | undefined {
  try {
    return Holder.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}

async function isAlive({ pid, started, id }: Holder): Promise<boolean> {
  try {
    process.kill(pid, 0);
  } catch (error) {
    return errnoOf(error) === 'EPERM';
  }
  const now = await startOf(pid);
  if (now !== '' && now !== started) return false;
  return pid !== process.pid || held.has(id);
}

async function isYoung(path: string): Promise<boolean> {
  const stats = await stat(path).catch(absent);
  return stats !== undefined && Date.now() - stats.mtimeMs < UNNAMED_MS;
}

/** When a process started: the boot and the clock tick since, on Linux; empty elsewhere; `dead` for one that only waits to be reaped. */
async function startOf(pid: number): Promise<string> {
  try {
    const [boot, line] = await Promise.all([
      readFile('/proc/sys/kernel/random/boot_id', 'utf8'),
      readFile(`/proc/${pid}/stat`, 'utf8'),
    ]);
    // The name in parentheses may hold anything; after it come the state (field 3) and, as field 22, the start.
    const fields = line.slice(line.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' || fields[0] === 'X' ? 'dead' : `${boot.trim()}/${fields[19] ?? ''}`;
  } catch {
    return '';
  }
}

function absent(error: unknown): undefined {
  if (errnoOf(error) === 'ENOENT') return undefined;
  throw error;
}
