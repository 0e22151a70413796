/** Remembers the xxHash64 of shared files, so that a later touch costs one fast pass: when there is time, one after another. */
import { sameIdentity } from '../../chunks/files.js';
import { quickHash } from '../../chunks/source.js';
import type { Clock } from '../../protocol/clock.js';
import type { WholeRecord } from './shareindex.js';

/** How long after it was added a file is read: whoever waits for the disk comes first. */
const HASH_AFTER_MS = 5_000;

export interface QuickHashesOptions {
  readonly clock: Clock;
  readonly isCurrent: (record: WholeRecord) => boolean;
  readonly keep: (before: WholeRecord, hashed: WholeRecord) => Promise<void>;
  readonly onError: (thrown: unknown) => void;
}

export class QuickHashes {
  readonly #options: QuickHashesOptions;
  readonly #stopped = new AbortController();
  #work: Promise<void> = Promise.resolve();

  constructor(options: QuickHashesOptions) {
    this.#options = options;
  }

  /** Hashes the file of a record some time, if it has no hash and is current by then. */
  later(record: WholeRecord): void {
    if (record.state.xxHash64 !== undefined) return;
    this.#options.clock.after(HASH_AFTER_MS, () => {
      this.#work = this.#work.then(() => this.#hash(record)).catch(this.#options.onError);
    });
  }

  async close(): Promise<void> {
    this.#stopped.abort();
    await this.#work;
  }

  async #hash(record: WholeRecord): Promise<void> {
    const { signal } = this.#stopped;
    if (signal.aborted || !this.#options.isCurrent(record)) return;
    const { identity, xxHash64 } = await quickHash(record.path, { signal });
    if (!this.#options.isCurrent(record) || !sameIdentity(identity, record.state.identity)) return;
    await this.#options.keep(record, { ...record, state: { ...record.state, xxHash64 } });
  }
}
