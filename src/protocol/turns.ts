/** Work that waits for its turn. */

/** One piece of work after the other, in the order it was brought. Who brings it bounds how much waits. */
export class InTurn {
  #last: Promise<unknown> | undefined;
  #size = 0;

  /** Pieces that run or wait. */
  get size(): number {
    return this.#size;
  }

  /** Runs `work` when everything brought before has ended, however it ended. */
  async run<T>(work: () => Promise<T>): Promise<T> {
    const before = this.#last;
    const mine = before === undefined ? work() : before.then(work, work);
    this.#last = mine;
    this.#size += 1;
    try {
      return await mine;
    } finally {
      this.#size -= 1;
      if (this.#last === mine) this.#last = undefined;
    }
  }
}

/** As InTurn, for each key by itself; nothing is kept for keys that are idle. */
export class KeyedTurns<K> {
  readonly #queues = new Map<K, { turns: InTurn; users: number }>();

  async run<T>(key: K, work: () => Promise<T>): Promise<T> {
    const queue = this.#queues.get(key) ?? { turns: new InTurn(), users: 0 };
    this.#queues.set(key, queue);
    queue.users += 1;
    try {
      return await queue.turns.run(work);
    } finally {
      queue.users -= 1;
      if (queue.users === 0) this.#queues.delete(key);
    }
  }
}

/** What `work` gives, or CANCELLED's reason as soon as the signal aborts. */
export async function untilAborted<T>(signal: AbortSignal, work: Promise<T>): Promise<T> {
  signal.throwIfAborted();
  let stop: (() => void) | undefined;
  const aborted = new Promise<never>((_, reject) => {
    stop = () => reject(signal.reason as Error);
    signal.addEventListener('abort', stop, { once: true });
  });
  try {
    return await Promise.race([work, aborted]);
  } finally {
    if (stop !== undefined) signal.removeEventListener('abort', stop);
  }
}
