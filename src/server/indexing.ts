/** Takes the words of messages into the index while the server has little else to do. */
import type { Clock } from '../protocol/clock.js';
import { toParleyError } from '../protocol/errors.js';
import { INDEX_PAUSE_MS, INDEX_RETRY_MS } from './limits.js';
import type { Log } from './log.js';
import type { IndexStore } from './storage/port.js';

export interface IndexingParts {
  readonly storage: IndexStore;
  readonly clock: Clock;
  readonly log: Log;
}

/**
 * Nothing waits for it: a search looks itself at what is not in the index yet. While messages come it takes one batch now and
 * then, and when none came for a pause everything that is missing, a batch a turn.
 */
export class Indexing {
  readonly #parts: IndexingParts;
  /** Commits of messages since the last look. */
  #commits = 0;
  #cancel: (() => void) | undefined;
  #running: Promise<void> | undefined;
  #isClosed = false;

  /** Begins with what a server before this one left. */
  constructor(parts: IndexingParts) {
    this.#parts = parts;
    this.#later(INDEX_PAUSE_MS);
  }

  /** Messages were stored. */
  wake(): void {
    this.#commits += 1;
    this.#later(INDEX_PAUSE_MS);
  }

  /** Resolves when nothing of it is under way; nothing begins any more. Idempotent. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#cancel?.();
    await this.#running;
  }

  #later(delayMs: number): void {
    if (this.#isClosed || this.#running !== undefined) return;
    this.#cancel ??= this.#parts.clock.after(delayMs, () => {
      this.#cancel = undefined;
      this.#running = this.#run();
    });
  }

  async #run(): Promise<void> {
    const { storage, log } = this.#parts;
    const isBusy = this.#commits > 0;
    this.#commits = 0;
    let pauseMs: number | undefined;
    try {
      let indexed = await storage.indexMessages();
      while (indexed > 0 && !isBusy && this.#commits === 0 && !this.#isClosed) {
        // Whatever came meanwhile has its turn first.
        await new Promise(setImmediate);
        indexed = await storage.indexMessages();
      }
      if (indexed > 0 || this.#commits > 0) pauseMs = INDEX_PAUSE_MS;
    } catch (thrown) {
      const { code, message: reason } = toParleyError(thrown);
      log.warn({ code, reason }, 'messages could not be indexed; searches are slower until it works again');
      pauseMs = INDEX_RETRY_MS;
    }
    this.#running = undefined;
    if (pauseMs !== undefined) this.#later(pauseMs);
  }
}
