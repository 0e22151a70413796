/** Transfers between real agents when the disk, the folder or the file does what it should not: the code is right, what came resumes. */
import { expect } from 'chai';
import { execFileSync, spawnSync } from 'node:child_process';
import { randomFillSync } from 'node:crypto';
import {
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
  openSync,
  writeSync,
  closeSync,
} from 'node:fs';
import { join } from 'node:path';
import { agentCommands } from '../../src/protocol/commands/agent.js';
import { ParleyError } from '../../src/protocol/errors.js';
import { runAgentProcess } from '../crash/agents.js';
import type { AgentOptions, RunningAgent } from '../crash/agents.js';
import { until } from '../crash/chance.js';
import { House } from '../crash/house.js';

const MIB = 1024 * 1024;
const SIZE = 24 * MIB + 77;
const FILE = 'big.bin';
const USERS = { alice: 'a', bob: 'b', carol: 'c' };
type User = keyof typeof USERS;

/** What `download` brought. */
interface Fetched {
  readonly complete: boolean;
  readonly bytes: number;
}

describe('a transfer', function () {
  this.timeout(60_000);
  let house: House;
  let agents: RunningAgent[] = [];
  let bytes: Buffer;
  let got: string;
  let original: string;

  const arrive = async (user: User, more: Partial<AgentOptions> = {}): Promise<RunningAgent> => {
    const home = join(house.folder, user);
    const agent = await runAgentProcess({ home, user, password: USERS[user], server: house.address, ...more });
    agents.push(agent);
    return agent;
  };
  const fetchTo = async (
    { face }: RunningAgent,
    directory: string,
    { limitRate, onBytes }: { limitRate?: number; onBytes?: (bytes: number) => void } = {},
  ): Promise<Fetched> => {
    const params = { file: FILE, directory, ...(limitRate === undefined ? {} : { limitRate }) };
    const { complete, sources } = await face.call(agentCommands.download, params, {
      onEvent: (event) => onBytes?.((event as { transfer: { bytes: number } }).transfer.bytes),
    });
    return { complete, bytes: sources.reduce((sum, source) => sum + source.bytes, 0) };
  };
  const refusal = async (fetching: Promise<Fetched>): Promise<string> =>
    fetching.then(
      () => 'it went well',
      (thrown: unknown) => (thrown instanceof ParleyError ? thrown.code : String(thrown)),
    );
  /** Does it as soon as the download has so many bytes. */
  const whenAt = (limit: number, act: () => void): ((bytes: number) => void) => {
    let done = false;
    return (now) => {
      if (done || now < limit) return;
      done = true;
      act();
    };
  };
  const arrived = (directory: string): boolean => readFileSync(join(directory, FILE)).equals(bytes);

  beforeEach(async () => {
    house = await House.build({ users: USERS });
    await house.start();
    bytes = randomFillSync(Buffer.alloc(SIZE));
    got = join(house.folder, 'got');
    mkdirSync(got);
    original = join(house.folder, FILE);
    writeFileSync(original, bytes);
  });
  afterEach(async () => {
    for (const agent of agents) await agent.kill();
    agents = [];
    await house.clear();
  });

  it('onto a disk that fills up ends with DISK_FULL, and goes on when there is room', async function () {
    if (spawnSync('prlimit', ['--version']).status !== 0) this.skip();
    const alice = await arrive('alice');
    await alice.face.call(agentCommands.register, { path: original, chunks: 3 });
    // 10 MiB are the most that it may write to one file at first.
    const bob = await arrive('bob', { under: ['bash', '-c', 'ulimit -S -f 10240; exec "$@"', 'bash'] });
    // Its first third fits, and the rest not.
    await bob.face.call(agentCommands.download, { file: FILE, directory: got, chunks: [0] });
    expect(await refusal(fetchTo(bob, got))).to.equal('DISK_FULL');
    expect(readdirSync(got).sort()).to.deep.equal([`${FILE}.part`, `${FILE}.part.lock`, `${FILE}.part.state`]);
    execFileSync('prlimit', ['--pid', String(bob.pid), '--fsize=unlimited']);
    const { complete, bytes: came } = await fetchTo(bob, got);
    expect(complete).to.equal(true);
    expect(came, 'what fitted is not fetched again').to.be.at.most((2 * SIZE) / 3 + 1);
    expect(arrived(got)).to.equal(true);
    expect(readdirSync(got)).to.deep.equal([FILE]);
  });

  it('into a folder that is moved away ends with DISK_FULL soon, and goes on where that is now', async () => {
    const alice = await arrive('alice');
    await alice.face.call(agentCommands.register, { path: original, chunks: 3 });
    const bob = await arrive('bob');
    const moved = join(house.folder, 'moved');
    let last = 0;
    const move = whenAt(2 * MIB, () => renameSync(got, moved));
    const fetching = fetchTo(bob, got, {
      limitRate: 4 * MIB,
      onBytes: (now) => {
        last = now;
        move(now);
      },
    });
    expect(await refusal(fetching)).to.equal('DISK_FULL');
    expect(last, 'noticed at the next claim').to.be.below(16 * MIB);
    const { complete, bytes: came } = await fetchTo(bob, moved);
    expect(complete).to.equal(true);
    expect(came).to.be.at.most(SIZE - 2 * MIB);
    expect(arrived(moved)).to.equal(true);
    expect(readdirSync(moved)).to.deep.equal([FILE]);
  });

  it('into a folder that is deleted ends with DISK_FULL soon, and begins anew when it is back', async () => {
    const alice = await arrive('alice');
    await alice.face.call(agentCommands.register, { path: original, chunks: 3 });
    const bob = await arrive('bob');
    const onBytes = whenAt(2 * MIB, () => rmSync(got, { recursive: true }));
    expect(await refusal(fetchTo(bob, got, { limitRate: 6 * MIB, onBytes }))).to.equal('DISK_FULL');
    expect(await refusal(fetchTo(bob, got))).to.equal('DISK_FULL');
    mkdirSync(got);
    expect((await fetchTo(bob, got)).bytes).to.equal(SIZE);
    expect(arrived(got)).to.equal(true);
  });

  it('of a file that changes while it is served stops, and goes on with another holder’s bytes', async () => {
    const alice = await arrive('alice');
    await alice.face.call(agentCommands.register, { path: original, chunks: 3 });
    const bob = await arrive('bob');
    const edit = (): void => {
      const file = openSync(original, 'r+');
      writeSync(file, 'another beginning', 0);
      closeSync(file);
    };
    const refused = await refusal(fetchTo(bob, got, { limitRate: 8 * MIB, onBytes: whenAt(4 * MIB, edit) }));
    expect(refused).to.equal('NO_HOLDER');
    const carol = await arrive('carol');
    const copy = join(house.folder, 'copy');
    mkdirSync(copy);
    writeFileSync(join(copy, FILE), bytes);
    await carol.face.call(agentCommands.seed, { path: join(copy, FILE) });
    const { complete, bytes: came } = await fetchTo(bob, got);
    expect(complete).to.equal(true);
    expect(came).to.be.at.most(SIZE - 4 * MIB);
    expect(arrived(got)).to.equal(true);
  });

  it('whose downloader ends in good order in the middle goes on at once when it is back', async () => {
    const alice = await arrive('alice');
    await alice.face.call(agentCommands.register, { path: original, chunks: 3 });
    const bob = await arrive('bob');
    let at = 0;
    const fetching = refusal(fetchTo(bob, got, { limitRate: 8 * MIB, onBytes: (now) => (at = now) }));
    await until('some of it is there', () => at > 4 * MIB);
    const before = at;
    await bob.end();
    await fetching;
    const again = await arrive('bob');
    const { complete, bytes: came } = await fetchTo(again, got);
    expect(complete).to.equal(true);
    expect(came).to.be.at.most(SIZE - before);
    expect(arrived(got)).to.equal(true);
  });
});
