/** What holders that misbehave leave of a download, with a real server and real agents: a `.part` that goes on to the right bytes. */
import { expect } from 'chai';
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { agentCommands } from '../../src/protocol/commands/agent.js';
import { blockPlace } from '../../src/chunks/plan.js';
import { toParleyError } from '../../src/protocol/errors.js';
import { runAgentProcess } from '../crash/agents.js';
import type { RunningAgent } from '../crash/agents.js';
import { until } from '../crash/chance.js';
import { House } from '../crash/house.js';
import { holder, makeFile, range } from '../p2p/swarm.js';
import type { TestHolder } from '../p2p/swarm.js';
import { Rogue } from './rogue.js';

const MIB = 1024 * 1024;
const USERS = { alice: 'a', bob: 'b', mallory: 'm' };
const FILE = makeFile(12 * MIB + 777, 3);
/** Blocks that come right before it misbehaves. */
const GOOD = 4;

interface Fault {
  readonly misbehaves: (mallory: TestHolder) => Partial<TestHolder>;
  /** What `why` says of it. */
  readonly code: string;
}

const FAULTS: Readonly<Record<string, Fault>> = {
  'sends a wrong byte': {
    misbehaves: (mallory) => ({
      spoil: (_block, bytes) => {
        if (mallory.served > GOOD) bytes.writeUInt8(bytes.readUInt8(100) ^ 1, 100);
      },
    }),
    code: 'HASH_MISMATCH',
  },
  'sends another block than the one asked for': {
    misbehaves: (mallory) => ({
      spoil: (block, bytes) => {
        if (mallory.served <= GOOD) return;
        const { offset } = blockPlace(FILE.plan, block === 0 ? 1 : block - 1);
        FILE.bytes.copy(bytes, 0, offset, offset + bytes.length);
      },
    }),
    code: 'HASH_MISMATCH',
  },
  'hangs up whenever it is asked': {
    misbehaves: (mallory) => ({
      beforeRead: () => {
        if (mallory.served >= GOOD) mallory.ends.at(-1)?.destroy();
      },
    }),
    code: 'PEER_UNREACHABLE',
  },
  'stops sending': {
    misbehaves: (mallory) => ({
      beforeRead: () => (mallory.served < GOOD ? undefined : new Promise(() => undefined)),
    }),
    code: 'SLOW_HOLDER',
  },
};

describe('a download from a holder that', function () {
  this.timeout(60_000);
  let house: House;
  let rogue: Rogue | undefined;
  let agents: RunningAgent[];
  let got: string;

  const arrive = async (user: keyof typeof USERS): Promise<RunningAgent> => {
    const home = join(house.folder, user);
    const agent = await runAgentProcess({ home, user, password: USERS[user], server: house.address });
    agents.push(agent);
    return agent;
  };

  beforeEach(async () => {
    agents = [];
    house = await House.build({ users: USERS });
    await house.start();
    got = join(house.folder, 'got');
    mkdirSync(got);
    // Registered by somebody who is away then.
    const path = join(house.folder, FILE.name);
    writeFileSync(path, FILE.bytes);
    const alice = await arrive('alice');
    await alice.face.call(agentCommands.register, { path, chunks: FILE.plan.chunks });
    await alice.end();
  });
  afterEach(async () => {
    await rogue?.close();
    rogue = undefined;
    for (const agent of agents) await agent.kill();
    await house.clear();
  });

  for (const [what, { misbehaves, code }] of Object.entries(FAULTS)) {
    it(`${what} goes on with another’s, to the right bytes`, async () => {
      const mallory = holder('mallory', range(FILE.plan.chunks));
      Object.assign(mallory, misbehaves(mallory));
      const server = house.at!;
      rogue = await Rogue.arrive({ password: 'm', server, home: join(house.folder, 'm'), file: FILE, holder: mallory });
      let bob = await arrive('bob');
      const stop = new AbortController();
      const params = { file: FILE.name, directory: got };
      const ended = bob.face.call(agentCommands.download, params, { signal: stop.signal }).then(
        () => 'it went well',
        (thrown: unknown) => toParleyError(thrown).code,
      );
      let bytes = 0;
      await until(`why names ${code}, and something came`, async () => {
        const answer = await bob.face.call(agentCommands.why, { file: FILE.name });
        bytes = answer.bytes;
        return bytes > 0 && answer.reasons.some((reason) => reason.code === code && reason.user === 'mallory');
      });
      expect(bytes).to.be.below(FILE.bytes.length);
      stop.abort();
      expect(await ended).to.equal('CANCELLED');
      expect(readdirSync(got)).to.include(`${FILE.name}.part`).and.not.include(FILE.name);
      // What an agent that is killed finds again is what it had written down.
      await bob.kill();
      await rogue.close();
      rogue = undefined;
      bob = await arrive('bob');
      await arrive('alice');
      const whole = await bob.face.call(agentCommands.download, params);
      expect(whole.complete).to.equal(true);
      expect(whole.sources.map(({ user }) => user)).to.deep.equal(['alice']);
      expect(whole.sources[0]?.bytes, 'what is fetched again').to.be.at.most(FILE.bytes.length - bytes);
      expect(readFileSync(join(got, FILE.name)).equals(FILE.bytes)).to.equal(true);
      expect(readdirSync(got)).to.deep.equal([FILE.name]);
    });
  }

  it('freezes is left for another, whose links and bytes stay (R25)', async () => {
    const [alice, mallory, bob] = [await arrive('alice'), await arrive('mallory'), await arrive('bob')];
    const folder = join(house.folder, 'of-mallory');
    mkdirSync(folder);
    writeFileSync(join(folder, FILE.name), FILE.bytes);
    await mallory.face.call(agentCommands.seed, { path: join(folder, FILE.name) });
    const params = { file: FILE.name, directory: got, limitRate: 3 * MIB };
    const fetching = bob.face.call(agentCommands.download, params);
    await until('both send', async () => {
      const { transfers } = await bob.face.call(agentCommands.transfers, {});
      return transfers.some(({ sources }) => sources.filter(({ bytes }) => bytes > 0).length === 2);
    });
    process.kill(mallory.pid, 'SIGSTOP');
    const since = performance.now();
    const { complete, sources } = await fetching;
    expect(complete).to.equal(true);
    // 4 s for all of it, 5 s until what was asked there is asked elsewhere, and as long again for a busy machine.
    expect(performance.now() - since).to.be.below(18_000);
    expect(sources.map(({ user }) => user).sort()).to.deep.equal(['alice', 'mallory']);
    expect(readFileSync(join(got, FILE.name)).equals(FILE.bytes)).to.equal(true);
    expect((await alice.face.call(agentCommands.status, {})).online).to.equal(true);
  });
});
