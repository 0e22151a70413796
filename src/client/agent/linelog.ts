/** A file of JSON lines that is only appended to: what was appended is on disk when the promise is fulfilled. */
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { readFully, writeFully } from '../../chunks/files.js';
import { unwritable } from '../../chunks/fserrors.js';
import { ParleyError, toParleyError } from '../../protocol/errors.js';
import { replaceFile } from './durablefile.js';

/** Read pieces of the file. */
const READ_BYTES = 1024 * 1024;

export interface LineLogOptions {
  readonly path: string;
  /** Takes each line of the file, oldest first; one that is no JSON is passed over: the others are worth keeping. */
  readonly take: (entry: unknown) => void;
  /** Bytes from which on the file is written anew when it is opened, with the lines of `keep`. Default: never. */
  readonly compactFrom?: number | undefined;
  readonly keep?: () => Iterable<object>;
}

export class LineLog {
  readonly #path: string;
  readonly #file: FileHandle;
  /** Bytes of whole lines: what a torn write left behind them is overwritten. */
  #length: number;
  #queue: Buffer[] = [];
  /** The newest write; and the one that waits for it, when there is one. */
  #last: Promise<void> = Promise.resolve();
  #next: Promise<void> | undefined;
  #closed = false;

  private constructor(path: string, file: FileHandle, length: number) {
    this.#path = path;
    this.#file = file;
    this.#length = length;
  }

  /** @throws ParleyError DISK_FULL with a reason when the file cannot be opened, read or written anew */
  static async open({ path, take, compactFrom = Infinity, keep }: LineLogOptions): Promise<LineLog> {
    let file: FileHandle | undefined;
    try {
      file = await openForAppending(path);
      const length = await readLines(file, take);
      if (keep === undefined || length < compactFrom) return new LineLog(path, file, length);
      const lines = Buffer.from([...keep()].map((entry) => `${JSON.stringify(entry)}\n`).join(''));
      await file.close();
      await replaceFile(path, lines);
      file = await openForAppending(path);
      return new LineLog(path, file, lines.length);
    } catch (error) {
      await file?.close();
      throw toParleyError(unwritable(path, error));
    }
  }

  /**
   * Appends an entry for good. What is asked for during a write goes out together in the next one.
   * @throws ParleyError DISK_FULL; CANCELLED when the log is closed
   */
  append(entry: object): Promise<void> {
    if (this.#closed) return Promise.reject(new ParleyError('CANCELLED'));
    this.#queue.push(Buffer.from(`${JSON.stringify(entry)}\n`));
    if (this.#next === undefined) {
      this.#next = this.#last
        .catch(() => undefined)
        .then(() => {
          this.#next = undefined;
          return this.#flush();
        });
      this.#last = this.#next;
    }
    return this.#next;
  }

  /** Waits for what is being written. May be called again. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#last.catch(() => undefined);
    await this.#file.close();
  }

  async #flush(): Promise<void> {
    const bytes = Buffer.concat(this.#queue.splice(0));
    try {
      await writeFully(this.#file, bytes, this.#length);
      await this.#file.datasync();
      this.#length += bytes.length;
    } catch (error) {
      throw unwritable(this.#path, error);
    }
  }
}

function openForAppending(path: string): Promise<FileHandle> {
  return open(path, constants.O_RDWR | constants.O_CREAT, 0o600);
}

/** Bytes of whole lines. */
async function readLines(file: FileHandle, take: (entry: unknown) => void): Promise<number> {
  let length = 0;
  let rest = Buffer.alloc(0);
  for (let at = 0; ; at += READ_BYTES) {
    const piece = Buffer.allocUnsafe(READ_BYTES);
    const bytes = await readFully(file, piece, 0, READ_BYTES, at);
    rest = Buffer.concat([rest, piece.subarray(0, bytes)]);
    let start = 0;
    for (let end = rest.indexOf(0x0a); end >= 0; end = rest.indexOf(0x0a, start)) {
      takeLine(rest.toString('utf8', start, end), take);
      start = end + 1;
    }
    length += start;
    rest = rest.subarray(start);
    if (bytes < READ_BYTES) return length;
  }
}

function takeLine(text: string, take: (entry: unknown) => void): void {
  let entry: unknown;
  try {
    entry = JSON.parse(text);
  } catch {
    return;
  }
  take(entry);
}
