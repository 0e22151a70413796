/**
 * `npm run wan`: a download from four holders, each behind a wire of 50 ms there and back, 1 % loss and a cap; how much of the sum of the
 * caps it reaches. `WAN_NETWORK` (netem, tun, relay), `WAN_MIB`, `WAN_RATE` (bytes a second of each), `WAN_HOLDERS`, `WAN_CHUNKS`,
 * `WAN_ROUND_TRIP_MS`, `WAN_LOSS` and `WAN_CONGESTION` (what the kernel's TCP goes by) change it.
 */
import { link, mkdir, readFile } from 'node:fs/promises';
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { agentCommands } from '../src/protocol/commands/agent.js';
import { runAgentProcess } from '../test/crash/agents.js';
import type { RunningAgent } from '../test/crash/agents.js';
import { House } from '../test/crash/house.js';
import { writeRandom } from './measure.js';
import type { Row } from './rows.js';
import { streamsOf } from './wanpeer.js';
import { WAN_KINDS, kindHere, openWan } from './wannetwork.js';
import type { Host, Wan, WanKind, WanOptions } from './wannetwork.js';

const MIB = 1024 * 1024;
const LEAST = 0.8;
const FILE = 'far.bin';

const numberOf = (name: string, standard: number): number => Number(process.env[name] ?? standard);

export interface Reached {
  readonly says: string;
  /** Of the sum of the caps. */
  readonly share: number;
  readonly seconds: number;
  readonly sources: readonly { readonly user: string; readonly bytes: number }[];
  /** Bytes a second of plain streams over the same network, when they were asked for and could be measured. */
  readonly streams?: number | undefined;
}

export async function benchWan(): Promise<readonly Row[]> {
  const wanted = process.env['WAN_NETWORK'];
  const kind = wanted === undefined ? kindHere() : WAN_KINDS.find((known) => known === wanted);
  if (kind === undefined) throw new Error(`WAN_NETWORK is one of ${WAN_KINDS.join(', ')}`);
  const holders = numberOf('WAN_HOLDERS', 4);
  const bytesPerSecond = numberOf('WAN_RATE', 2.5e6);
  const roundTripMs = numberOf('WAN_ROUND_TRIP_MS', 50);
  const loss = numberOf('WAN_LOSS', 0.01);
  const mebibytes = numberOf('WAN_MIB', Math.ceil((holders * bytesPerSecond * 25) / MIB));
  const congestionControl = process.env['WAN_CONGESTION'];
  const options = { holders, bytesPerSecond, roundTripMs, loss, seed: 1, congestionControl };
  const { says, share, seconds, sources, streams } = await reach(kind, options, mebibytes, kind !== 'relay');
  const each = sources.map(({ user, bytes }) => `${user} ${(bytes / seconds / 1e6).toFixed(2)}`).join(', ');
  const peer =
    streams === undefined ? 'iperf3: not measured' : `iperf3, a stream of each: ${(streams / 1e6).toFixed(2)} MB/s`;
  const caps = `${holders} x ${bytesPerSecond / 1e6} MB/s`;
  return [
    {
      what: `${mebibytes} MiB from ${holders} holders, ${roundTripMs} ms and ${loss * 100} % loss, against the sum of their caps (${caps}); ${says}`,
      goal: `at least ${LEAST * 100} %`,
      reached: `${(share * 100).toFixed(1)} %`,
      met: share >= LEAST,
      ours: `${seconds.toFixed(2)} s, ${((share * holders * bytesPerSecond) / 1e6).toFixed(2)} MB/s: ${each}`,
      peer,
    },
  ];
}

/** Beside the streams of iperf3 when they are wanted. The whole command: found, linked, fetched, verified, synced, named. */
export async function reach(
  kind: WanKind,
  options: WanOptions,
  mebibytes: number,
  withStreams = false,
): Promise<Reached> {
  const wan = await openWan(kind, options);
  try {
    const streams = withStreams ? await streamsOf(wan) : undefined;
    const crew = await Crew.gather(wan);
    try {
      const { seconds, sources } = await crew.download(mebibytes);
      const share = (mebibytes * MIB) / seconds / (options.holders * options.bytesPerSecond);
      return { says: wan.says, share, seconds, sources, streams };
    } finally {
      await crew.close();
    }
  } finally {
    await wan.close();
  }
}

/** The server, and an agent at each host. */
class Crew {
  readonly #house: House;
  readonly #agents: RunningAgent[] = [];

  private constructor(house: House) {
    this.#house = house;
  }

  static async gather({ server, downloader, holders }: Wan): Promise<Crew> {
    const hosts: (readonly [string, Host])[] = holders.map((host, i) => [`holder${i}`, host]);
    hosts.push(['downloader', downloader]);
    const users = Object.fromEntries(hosts.map(([name]) => [name, `of ${name}`]));
    const house = await House.build({ users, host: server.address, under: server.under });
    const crew = new Crew(house);
    try {
      await house.start();
      for (const [user, { under, listen }] of hosts) {
        const home = join(house.folder, user);
        await mkdir(home, { recursive: true });
        const agent = { home, user, password: `of ${user}`, server: house.address, under, listen };
        crew.#agents.push(await runAgentProcess(agent));
      }
      return crew;
    } catch (thrown) {
      await crew.close();
      throw thrown;
    }
  }

  async download(mebibytes: number): Promise<Pick<Reached, 'seconds' | 'sources'>> {
    const { folder } = this.#house;
    const original = join(folder, FILE);
    await writeRandom(original, mebibytes);
    const holders = this.#agents.slice(0, -1);
    const chunks = numberOf('WAN_CHUNKS', 5);
    for (const [i, { face }] of holders.entries()) {
      const own = join(folder, `files${i}`);
      await mkdir(own);
      await link(original, join(own, FILE));
      const path = join(own, FILE);
      if (i === 0) await face.call(agentCommands.register, { path, chunks });
      else await face.call(agentCommands.seed, { path });
    }
    const got = join(folder, 'got');
    await mkdir(got);
    const downloader = this.#agents.at(-1);
    if (downloader === undefined) throw new Error('nobody downloads');
    const since = performance.now();
    const params = { file: FILE, directory: got, chunks: [] };
    const { complete, sources } = await downloader.face.call(agentCommands.download, params, { deadlineMs: Infinity });
    const seconds = (performance.now() - since) / 1000;
    const [one, other] = await Promise.all([digestOf(original), digestOf(join(got, FILE))]);
    if (!complete || one !== other) throw new Error('the bytes are not those of the file');
    return { seconds, sources };
  }

  async close(): Promise<void> {
    await Promise.all(this.#agents.map((agent) => agent.kill()));
    await this.#house.clear();
  }
}

async function digestOf(path: string): Promise<string> {
  return createHash('sha256')
    .update(await readFile(path))
    .digest('hex');
}
