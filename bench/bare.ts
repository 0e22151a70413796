/** What Node can do at most over TLS links, as a contender: processes that do nothing else. */
import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { BareOrder } from './bare-end.js';
import { costOf } from './proc.js';
import type { Cost } from './rows.js';

const END = fileURLToPath(new URL('bare-end.js', import.meta.url));

export class Bare {
  readonly #serving: readonly ChildProcess[];
  readonly #fetching: ChildProcess;
  readonly #ports: readonly number[];

  private constructor(serving: readonly ChildProcess[], fetching: ChildProcess, ports: readonly number[]) {
    this.#serving = serving;
    this.#fetching = fetching;
    this.#ports = ports;
  }

  /** Ends that run from now on, so many that serve: what is compiled once stays compiled, as in agents. */
  static async start(path: string, links: number): Promise<Bare> {
    const serving = Array.from({ length: links }, () => fork(END, ['serve', path]));
    const fetching = fork(END, ['fetch']);
    const portOf = async (end: ChildProcess): Promise<number> => ((await once(end, 'message')) as [number])[0];
    const [ports] = await Promise.all([Promise.all(serving.map(portOf)), once(fetching, 'message')]);
    return new Bare(serving, fetching, ports);
  }

  /** The file once more, over links of its own. */
  fetch(target: string, mebibytes: number): Promise<Cost> {
    const pids = [...this.#serving, this.#fetching].map(({ pid = 0 }) => pid);
    return costOf(pids, async () => {
      const done = once(this.#fetching, 'message');
      this.#fetching.send({ ports: this.#ports, target, mebibytes } satisfies BareOrder);
      await done;
    });
  }

  async close(): Promise<void> {
    const ends = [...this.#serving, this.#fetching];
    const exits = ends.map((end) => once(end, 'exit'));
    for (const end of ends) end.disconnect();
    await Promise.all(exits);
  }
}
