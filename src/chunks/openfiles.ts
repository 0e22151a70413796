/** Files of a folder that are open: the last ones used, and those in use. */
import { closeSync } from 'node:fs';
import { ParleyError } from '../protocol/errors.js';

/** An open file; closed some time after nobody uses it. */
export interface OpenFile {
  readonly fd: number;
  /** When its path was looked at last, in milliseconds of the monotonic clock. */
  checkedAt: number;
  /** Who uses it now. */
  users: number;
}

export class OpenFiles {
  readonly #keep: number;
  /** By the number of the file; the one used last at the end. */
  readonly #files = new Map<number, OpenFile>();
  #closed = false;

  /** `keep` files stay open while nobody uses them. */
  constructor(keep: number) {
    this.#keep = keep;
  }

  /** File number so-and-so when it is open, to be given back. */
  take(number: number): OpenFile | undefined {
    const file = this.#closed ? undefined : this.#files.get(number);
    if (file === undefined) return undefined;
    file.users += 1;
    this.#files.delete(number);
    this.#files.set(number, file);
    return file;
  }

  /**
   * As `take`, of a file that was just opened; owns `fd`, which is closed when somebody else was faster.
   * @throws ParleyError CANCELLED after `close`
   */
  takeOpened(number: number, fd: number): OpenFile {
    const other = this.take(number);
    if (other !== undefined || this.#closed) closeSync(fd);
    if (other !== undefined) return other;
    if (this.#closed) throw new ParleyError('CANCELLED');
    const file = { fd, checkedAt: performance.now(), users: 1 };
    this.#files.set(number, file);
    return file;
  }

  give(file: OpenFile): void {
    file.users -= 1;
    const keep = this.#closed ? 0 : this.#keep;
    if (this.#files.size > keep) this.#shrink(keep);
  }

  /** Closes those that nobody uses. */
  closeIdle(): void {
    this.#shrink(0);
  }

  /** Closes each file when nobody uses it, and takes no more. May be called again. */
  close(): void {
    this.#closed = true;
    this.#shrink(0);
  }

  #shrink(size: number): void {
    for (const [number, { users, fd }] of this.#files) {
      if (this.#files.size <= size) return;
      if (users > 0) continue;
      this.#files.delete(number);
      closeSync(fd);
    }
  }
}
