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
  readonly #open: (number: number) => number;
  /** By the number of the file; the one used last at the end. */
  readonly #files = new Map<number, OpenFile>();
  #closed = false;

  /** `open` opens file number so-and-so on this thread; `keep` files stay open while nobody uses them. */
  constructor(keep: number, open: (number: number) => number) {
    this.#keep = keep;
    this.#open = open;
  }

  has(number: number): boolean {
    return this.#files.has(number);
  }

  /** The file, to be given back. @throws what opening it does; ParleyError CANCELLED after `close` */
  take(number: number): OpenFile {
    if (this.#closed) throw new ParleyError('CANCELLED');
    const file = this.#files.get(number) ?? { fd: this.#open(number), checkedAt: performance.now(), users: 0 };
    file.users += 1;
    this.#files.delete(number);
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

  /** Opens no more, and closes each file when nobody uses it. May be called again. */
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
