/** kill -9 of the agents at both ends of a transfer: no wrong byte, and what was on disk is not fetched again. */
import { randomFillSync } from 'node:crypto';
import { mkdir, open, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { blockPlace, planChunks } from '../../src/chunks/plan.js';
import { LINK_THREADS_FROM_BYTES } from '../../src/p2p/linkplaces.js';
import { agentCommands } from '../../src/protocol/commands/agent.js';
import { toParleyError } from '../../src/protocol/errors.js';
import { runAgentProcess } from './agents.js';
import type { RunningAgent } from './agents.js';
import { sleep } from './chance.js';
import type { Chance } from './chance.js';
import { House } from './house.js';

const MIB = 1024 * 1024;
/** Every other file that is large enough has a second holder, so that links are in more than one thread. */
const USERS = { seeder: 'seeder has one', second: 'second has one', fetcher: 'fetcher has one' } as const;
type User = keyof typeof USERS;
type Holder = Exclude<User, 'fetcher'>;
/** Bytes a second that a download may be held to, so that kills fall before, in and after its claims; infinite: not at all. */
const RATES = [15 * MIB, 40 * MIB, Infinity] as const;
/** About what it is when it is not held to anything. */
const FREE_RATE = 250 * MIB;
const CHUNKS = [1, 5, 64, 1_000] as const;
/** What a download may end with when its only holder was killed; then it is begun again. */
const FAIR_ENDS: ReadonlySet<string> = new Set(['NO_HOLDER', 'PEER_UNREACHABLE', 'AGENT_GONE', 'SERVER_UNREACHABLE']);

export interface TransferTally {
  readonly kills: Record<User, number>;
  files: number;
  /** Files under their finished name that are not what was registered. */
  wrong: number;
  /** Files left beside finished ones. */
  leftovers: number;
  /** Bytes of whole blocks that were right on disk when the fetcher was killed, all kills together. */
  rightAtKills: number;
  /** Those of them that were fetched once more, in all and at most after one kill. */
  fetchedAgain: number;
  mostAgain: number;
  /** Good bytes that came although they were there already: two holders were asked, or a count is wrong. */
  doubled: number;
  readonly examples: string[];
}

export interface TransferKillOptions {
  readonly kills: number;
  /** Ends before so many kills, with a file, when this is so. */
  readonly isEnough?: (tally: TransferTally) => boolean;
  readonly chance: Chance;
  readonly sizeMib?: readonly [number, number];
  readonly chunks?: readonly [number, ...number[]];
  readonly onKill?: (tally: TransferTally) => void;
  /** Does something to what the fetcher left when it was killed. */
  readonly damage?: (part: string) => Promise<void>;
}

export const killsOf = ({ kills }: TransferTally): number => kills.seeder + kills.second + kills.fetcher;

export function isRight({ wrong, leftovers, doubled, fetchedAgain, kills, examples }: TransferTally): boolean {
  // What was not synced may be fetched again: after each kill what comes in a second, or 64 MiB.
  return wrong + leftovers + doubled + examples.length === 0 && fetchedAgain <= kills.fetcher * 64 * MIB;
}

export async function killTransfers(options: TransferKillOptions): Promise<TransferTally> {
  const house = await House.build({ users: USERS });
  const run = new Run(house, options);
  try {
    await house.start();
    await run.all();
  } finally {
    await run.end();
    await house.clear();
  }
  return run.tally;
}

/** A file on its way, and what is known of it. */
interface Round {
  readonly file: string;
  readonly bytes: Buffer;
  readonly chunks: number;
  readonly holders: readonly [Holder, ...Holder[]];
  readonly directory: string;
  readonly rate: number;
  /** Bytes of whole right blocks that were on disk when the fetcher was last killed. */
  have: number;
}

class Run {
  readonly tally: TransferTally = {
    kills: { seeder: 0, second: 0, fetcher: 0 },
    files: 0,
    wrong: 0,
    leftovers: 0,
    rightAtKills: 0,
    fetchedAgain: 0,
    mostAgain: 0,
    doubled: 0,
    examples: [],
  };
  readonly #house: House;
  readonly #options: TransferKillOptions;
  readonly #agents = new Map<User, RunningAgent>();

  constructor(house: House, options: TransferKillOptions) {
    this.#house = house;
    this.#options = options;
  }

  async all(): Promise<void> {
    await this.#agent('fetcher');
    const { kills, isEnough = () => false } = this.#options;
    while (killsOf(this.tally) < kills && !isEnough(this.tally)) await this.#transfer();
  }

  async end(): Promise<void> {
    for (const agent of this.#agents.values()) await agent.kill();
  }

  /** One file from its registration to its arrival, with kills in between. */
  async #transfer(): Promise<void> {
    const round = await this.#offer();
    const { file, directory, bytes } = round;
    while (!(await this.#attempt(round)));
    this.tally.files += 1;
    const arrived = await readFile(join(directory, file)).catch(() => Buffer.alloc(0));
    if (!arrived.equals(bytes)) this.tally.wrong += 1;
    const others = (await readdir(directory)).filter((name) => name !== file);
    this.tally.leftovers += others.length;
    if (others.length > 0) this.tally.examples.push(`left beside ${file}: ${others.join(', ')}`);
    await rm(directory, { recursive: true });
    await rm(join(this.#house.folder, file));
  }

  async #offer(): Promise<Round> {
    const { chance, sizeMib = [4, 200], chunks: counts = CHUNKS } = this.#options;
    const file = `f${this.tally.files}.bin`;
    const bytes = randomFillSync(Buffer.allocUnsafe(Math.floor(chance.between(...sizeMib) * MIB)));
    const chunks = chance.pick(counts);
    const path = join(this.#house.folder, file);
    await writeFile(path, bytes);
    await (await this.#agent('seeder')).face.call(agentCommands.register, { path, chunks });
    const holders: [Holder, ...Holder[]] = ['seeder'];
    if (this.tally.files % 2 === 1 && bytes.length >= LINK_THREADS_FROM_BYTES) {
      holders.push('second');
      await (await this.#agent('second')).face.call(agentCommands.seed, { path });
    }
    const directory = join(this.#house.folder, `got-${file}`);
    await mkdir(directory);
    return { file, bytes, chunks, holders, directory, rate: chance.pick(RATES), have: 0 };
  }

  /** One `download`, which is let be or falls to a kill; true when the file has arrived. */
  async #attempt(round: Round): Promise<boolean> {
    const { chance, kills, onKill } = this.#options;
    const fetcher = await this.#agent('fetcher');
    for (const holder of round.holders) await this.#agent(holder);
    const fetching = this.#fetch(fetcher, round);
    if (killsOf(this.tally) >= kills || chance.isOne(0.1)) return fetching;
    const expectedMs = (1000 * round.bytes.length) / Math.min(round.rate, FREE_RATE);
    await Promise.race([fetching, sleep(chance.between(0, 1.1 * expectedMs))]);
    const { holders } = round;
    const holder = holders.length === 1 ? holders[0] : chance.pick(holders);
    const victim = chance.pick<User>(['fetcher', 'fetcher', holder]);
    await this.#agents.get(victim)?.kill();
    this.#agents.delete(victim);
    this.tally.kills[victim] += 1;
    if (victim !== 'fetcher') await this.#agent(victim);
    const arrived = await fetching;
    if (victim === 'fetcher' && !arrived) {
      round.have = await rightBytes(round);
      this.tally.rightAtKills += round.have;
      await this.#options.damage?.(join(round.directory, `${round.file}.part`));
    }
    onKill?.(this.tally);
    return arrived;
  }

  async #fetch({ face }: RunningAgent, round: Round): Promise<boolean> {
    const { file, directory, rate, bytes, have } = round;
    let first: number | undefined;
    const onEvent = (event: unknown): void => {
      first ??= (event as { transfer: { bytes: number } }).transfer.bytes;
      this.#countAgain(round, first, have);
    };
    const limit = rate === Infinity ? {} : { limitRate: rate };
    try {
      const result = await face.call(agentCommands.download, { file, directory, ...limit }, { onEvent });
      const came = result.sources.reduce((sum, source) => sum + source.bytes, 0);
      if (result.alreadyThere !== true && came !== bytes.length - (first ?? 0)) {
        this.tally.doubled += 1;
        this.tally.examples.push(`${file}: ${came} bytes came, with ${first} of ${bytes.length} there`);
      }
      return result.complete;
    } catch (thrown) {
      const { code, message } = toParleyError(thrown);
      if (!FAIR_ENDS.has(code)) throw new Error(`${file}: ${code}: ${message}`, { cause: thrown });
      return false;
    }
  }

  /** What the fetcher had on disk and does not believe, once an attempt. */
  #countAgain(round: Round, first: number, have: number): void {
    const again = Math.max(0, have - first);
    if (round.have === 0 || have !== round.have) return;
    round.have = 0;
    this.tally.fetchedAgain += again;
    this.tally.mostAgain = Math.max(this.tally.mostAgain, again);
  }

  async #agent(user: User): Promise<RunningAgent> {
    const there = this.#agents.get(user);
    if (there !== undefined) return there;
    const home = join(this.#house.folder, user);
    const agent = await runAgentProcess({ home, user, password: USERS[user], server: this.#house.address });
    this.#agents.set(user, agent);
    return agent;
  }
}

/** Bytes of the whole blocks of the `.part` that are as they should be. */
async function rightBytes({ file, bytes, chunks, directory }: Round): Promise<number> {
  const plan = planChunks(bytes.length, chunks);
  const path = join(directory, file);
  const handle = await open(`${path}.part`).catch(() => open(path).catch(() => undefined));
  if (handle === undefined) return 0;
  const found = await handle.readFile().finally(() => handle.close());
  let right = 0;
  for (let block = 0; block < plan.blocks; block++) {
    const { offset, length } = blockPlace(plan, block);
    if (found.subarray(offset, offset + length).equals(bytes.subarray(offset, offset + length))) right += length;
  }
  return right;
}
