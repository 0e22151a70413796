/** What Node can do at most over one TLS link, as a contender: two processes that do nothing else. */
import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { BareOrder } from './bare-end.js';
import { costOf } from './proc.js';
import type { Cost } from './rows.js';

const END = fileURLToPath(new URL('bare-end.js', import.meta.url));

export class Bare {
  readonly #serving: ChildProcess;
  readonly #fetching: ChildProcess;
  readonly #port: number;

  private constructor(serving: ChildProcess, fetching: ChildProcess, port: number) {
    this.#serving = serving;
    this.#fetching = fetching;
    this.#port = port;
  }

  /** Two ends that run from now on: what is compiled once stays compiled, as in agents. */
  static async start(path: string): Promise<Bare> {
    const serving = fork(END, ['serve', path]);
    const fetching = fork(END, ['fetch']);
    const [[port]] = (await Promise.all([once(serving, 'message'), once(fetching, 'message')])) as [[number], unknown];
    return new Bare(serving, fetching, port);
  }

  /** The file once more over a link of its own, onto a file that is there. */
  fetch(target: string, mebibytes: number): Promise<Cost> {
    const pids = [this.#serving, this.#fetching].map(({ pid = 0 }) => pid);
    return costOf(pids, async () => {
      const done = once(this.#fetching, 'message');
      this.#fetching.send({ port: this.#port, target, mebibytes } satisfies BareOrder);
      await done;
    });
  }

  async close(): Promise<void> {
    const ends = [this.#serving, this.#fetching];
    const exits = ends.map((end) => once(end, 'exit'));
    for (const end of ends) end.disconnect();
    await Promise.all(exits);
  }
}
