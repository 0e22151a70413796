/** Real agents around one file: holders that seed it and one that downloads it, asked over their local sockets as a shell does. */
import { rmSync } from 'node:fs';
import { copyFile, link, mkdir, mkdtemp, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { buildManifest } from '../src/chunks/manifest.js';
import { openPart } from '../src/chunks/part.js';
import { agentCommands } from '../src/protocol/commands/agent.js';
import type { Connection } from '../src/protocol/connection.js';
import { Cast } from '../test/support/cast.js';
import { costOf, cpuSecondsOf, forgetPeak, peakMebibytes } from './proc.js';
import type { Cost } from './rows.js';

const SETTLE_MS = 120_000;
const LOOK_EVERY_MS = 250;
/** Of all agents together, between two looks. */
const CALM_CPU_SECONDS = 0.03;
/** Six seconds: the agent begins with that after five. */
const CALM_LOOKS = 24;

/** One user's agent. */
export interface Agent {
  readonly name: string;
  readonly pid: number;
  readonly face: Connection;
}

export interface Download {
  readonly file: string;
  /** The target; nothing may be there. */
  readonly target: string;
  readonly chunks?: readonly number[];
  /** The bytes that must have come over links: what the downloader copied from itself would be no download. */
  readonly bytes: number;
  readonly holders: readonly Agent[];
}

export class Agents {
  readonly #cast: Cast;
  readonly holders: readonly Agent[];
  readonly downloader: Agent;

  private constructor(cast: Cast, holders: readonly Agent[], downloader: Agent) {
    this.#cast = cast;
    this.holders = holders;
    this.downloader = downloader;
  }

  /** `environment`: what an agent of this name is to find besides. */
  static async start(holders: number, environment: (name: string) => NodeJS.ProcessEnv = () => ({})): Promise<Agents> {
    const names = [...Array.from({ length: holders }, (_, i) => `holder${i}`), 'downloader'];
    const cast = new Cast(Object.fromEntries(names.map((name) => [name, `of ${name}`])));
    const agents: Agent[] = [];
    // Agents live on when whoever started them is interrupted.
    process.once('exit', () => {
      for (const pid of [...agents.map((each) => each.pid), cast.serverPid]) killIfThere(pid);
    });
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));
    try {
      await cast.start('--log-level', 'warn');
      for (const name of names) {
        const person = cast.person(name, `of ${name}`, environment(name));
        await person.ok('login');
        const face = await person.dial();
        agents.push({ name, pid: person.agentPid, face });
      }
      const downloader = agents.at(-1);
      if (downloader === undefined) throw new Error('nobody downloads');
      return new Agents(cast, agents.slice(0, -1), downloader);
    } catch (error) {
      await cast.close();
      throw error;
    }
  }

  /** Makes `name` known in so many chunks, and has the first `holders` agents hold it. `path` ends in that name. */
  async share(path: string, chunks: number, holders = 1): Promise<void> {
    const [first, ...others] = this.holders.slice(0, holders);
    await first?.face.call(agentCommands.register, { path, chunks });
    for (const { face } of others) await face.call(agentCommands.seed, { path });
  }

  /** Waits until nobody has anything left to do: what was registered is read once more in the background. */
  async settled(): Promise<void> {
    const pids = [...this.holders, this.downloader].map(({ pid }) => pid);
    const deadline = performance.now() + SETTLE_MS;
    for (let calm = 0, last = cpuSecondsOf(pids); calm < CALM_LOOKS && performance.now() < deadline;) {
      await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
      const now = cpuSecondsOf(pids);
      calm = now - last < CALM_CPU_SECONDS ? calm + 1 : 0;
      last = now;
    }
  }

  /** The time of the whole command: found, linked, fetched, verified, synced, named. The CPU seconds are those of all agents. */
  async download({ file, target, chunks = [], bytes, holders }: Download): Promise<Cost> {
    const agents = [this.downloader, ...holders];
    for (const { pid } of agents) forgetPeak(pid);
    return costOf(
      agents.map(({ pid }) => pid),
      async () => {
        const params = { file, output: target, directory: '/', chunks: [...chunks] };
        const { sources } = await this.downloader.face.call(agentCommands.download, params);
        const came = sources.reduce((sum, each) => sum + (each.user === this.downloader.name ? 0 : each.bytes), 0);
        if (came < bytes) throw new Error(`${came} of ${bytes} bytes came over links`);
        const silent = holders.filter(({ name }) => !sources.some(({ user }) => user === name));
        if (silent.length > 0) throw new Error(`nothing came from ${silent.map(({ name }) => name).join(', ')}`);
      },
    );
  }

  /** Of the downloader, and the most of any holder, since the last download began. */
  peaks(): { readonly downloader: number; readonly holder: number } {
    return {
      downloader: peakMebibytes(this.downloader.pid),
      holder: Math.max(...this.holders.map(({ pid }) => peakMebibytes(pid))),
    };
  }

  async close(): Promise<void> {
    for (const { face } of [...this.holders, this.downloader]) face.destroy();
    await this.#cast.close();
  }
}

/** Makes a `.part` whose space was written before, and which holds nothing yet: what a disk image or a second try finds. */
export class WrittenBefore {
  readonly #target: string;
  readonly #state: string;

  private constructor(target: string, state: string) {
    this.#target = target;
    this.#state = state;
  }

  static async prepare(path: string, chunks: number, target: string, scratch: string): Promise<WrittenBefore> {
    const { manifest } = await buildManifest(path, chunks);
    const part = await openPart({ target, manifest });
    const state = join(scratch, `state-of-${chunks}`);
    await copyFile(`${target}.part.state`, state);
    await part.close();
    return new WrittenBefore(target, state);
  }

  /** `used`: a file of the right size, which becomes the `.part`. */
  async begin(used: string): Promise<void> {
    await rename(used, `${this.#target}.part`);
    await copyFile(this.#state, `${this.#target}.part.state`);
  }
}

/** The same bytes under a second name, without a copy. */
export async function alsoNamed(path: string, other: string): Promise<string> {
  await rm(other, { force: true });
  await link(path, other);
  return other;
}

export async function emptied(folder: string): Promise<string> {
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  return folder;
}

function killIfThere(pid: number): void {
  if (pid === 0) return;
  try {
    process.kill(pid);
  } catch {
    // It has ended, as it should.
  }
}

/** A temporary folder, which is gone when this process ends, however it ends. */
export async function scratchFolder(into: string): Promise<string> {
  const folder = await mkdtemp(join(into, 'parley-bench-'));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  return folder;
}
