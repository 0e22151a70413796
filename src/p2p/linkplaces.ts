/** Which thread the next link is in: this one, which has everything else to do, too, or one of those that have nothing but links. */
import { availableParallelism } from 'node:os';
import { dialIntroduced } from './dialer.js';
import type { IntroducedDial } from './dialer.js';
import type { DialledLink } from './link.js';
import { LinkThread } from './linkthread.js';

/**
 * Bytes of a file from which on it is worth a thread: starting one takes some 20 MB and 50 to 200 ms, in which a link that is there already has
 * brought much of a smaller one.
 */
export const LINK_THREADS_FROM_BYTES = 128 * 1024 * 1024;
/** Threads beside this one: each has memory for its own code, and what disks take keeps no more busy. */
const MAX_LINK_THREADS = 3;

type Thread = Pick<LinkThread, 'links' | 'dial' | 'stop'>;

export class LinkPlaces {
  readonly #threads: readonly Thread[];
  /** Links in this thread. */
  #here = 0;

  /** As many threads as there are cores for, beside this one. */
  constructor(
    threads = Math.min(MAX_LINK_THREADS, availableParallelism() - 1),
    start: () => Thread = () => new LinkThread(),
  ) {
    this.#threads = Array.from({ length: threads }, start);
  }

  /** As `dialIntroduced`, in the thread with the fewest links; in this one when there is none with fewer: a single link needs no other. */
  dial(options: IntroducedDial): Promise<DialledLink> {
    let fewest: Thread | undefined;
    for (const thread of this.#threads) if (thread.links < (fewest?.links ?? this.#here)) fewest = thread;
    return fewest === undefined ? this.#dialHere(options) : fewest.dial(options);
  }

  /** Ends the threads. May be called again. */
  async close(): Promise<void> {
    await Promise.all(this.#threads.map((thread) => thread.stop()));
  }

  async #dialHere(options: IntroducedDial): Promise<DialledLink> {
    this.#here += 1;
    try {
      const link = await dialIntroduced(options);
      void link.connection.closed.then(() => (this.#here -= 1));
      return link;
    } catch (thrown) {
      this.#here -= 1;
      throw thrown;
    }
  }
}
