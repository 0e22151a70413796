/** Transfers whose server is killed: they go on, and what came of them is offered to others when the server is back. */
import { expect } from 'chai';
import { randomFillSync } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { agentCommands } from '../../src/protocol/commands/agent.js';
import { serverCommands } from '../../src/protocol/commands/server.js';
import { runAgentProcess } from '../crash/agents.js';
import type { RunningAgent } from '../crash/agents.js';
import { until } from '../crash/chance.js';
import { House } from '../crash/house.js';

const MIB = 1024 * 1024;
const FILE = 'big.bin';
const USERS = { alice: 'a', bob: 'b', carol: 'c', dave: 'd' };

describe('a transfer without the server', function () {
  this.timeout(90_000);
  let house: House;
  const agents: RunningAgent[] = [];

  const arrive = async (user: keyof typeof USERS): Promise<RunningAgent> => {
    const home = join(house.folder, user);
    const agent = await runAgentProcess({ home, user, password: USERS[user], server: house.address });
    agents.push(agent);
    return agent;
  };
  const folderOf = (user: string): string => {
    const folder = join(house.folder, `${user}-files`);
    mkdirSync(folder, { recursive: true });
    return folder;
  };

  beforeEach(async () => {
    house = await House.build({ users: USERS });
    await house.start();
  });
  afterEach(async () => {
    for (const agent of agents.splice(0)) await agent.kill();
    await house.clear();
  });

  it('finishes, is announced by itself when the server is back, and serves a third with both origins gone', async () => {
    const bytes = randomFillSync(Buffer.alloc(20 * MIB + 99));
    const [alice, dave, bob] = [await arrive('alice'), await arrive('dave'), await arrive('bob')];
    for (const user of ['alice', 'dave']) writeFileSync(join(folderOf(user), FILE), bytes);
    await alice.face.call(agentCommands.register, { path: join(folderOf('alice'), FILE), chunks: 4 });
    await dave.face.call(agentCommands.seed, { path: join(folderOf('dave'), FILE) });

    type State = { readonly state: string; readonly bytes: number; readonly sources: readonly { user: string }[] };
    const progress = async (): Promise<State | undefined> => {
      const { transfers } = await bob.face.call(agentCommands.transfers, {});
      return transfers.find(({ file, direction }) => file === FILE && direction === 'download');
    };
    const params = { file: FILE, directory: folderOf('bob'), limitRate: 6 * MIB };
    const fetching = bob.face.call(agentCommands.download, params);
    await until('some came from both', async () => {
      const state = await progress();
      return (state?.sources.length ?? 0) === 2 && (state?.bytes ?? 0) > 2 * MIB;
    });
    await house.stop('SIGKILL');
    expect((await progress())?.bytes, 'it was in the middle').to.be.below(bytes.length / 2);
    const { complete, sources } = await fetching;
    expect(complete).to.equal(true);
    expect(sources.map(({ user }) => user).sort()).to.deep.equal(['alice', 'dave']);
    expect(readFileSync(join(folderOf('bob'), FILE)).equals(bytes)).to.equal(true);
    expect(await progress()).to.include({ state: 'done', bytes: bytes.length });
    expect((await bob.face.call(agentCommands.status, {})).online).to.equal(false);

    await Promise.all([alice.kill(), dave.kill()]);
    await house.start();
    const carol = await arrive('carol');
    await until('bob has announced what he holds', async () => {
      const found = await carol.face.call(serverCommands.searchFile, { file: FILE });
      return found.available && found.holders.join() === 'bob';
    });
    const got = await carol.face.call(agentCommands.download, { file: FILE, directory: folderOf('carol') });
    expect(got.sources).to.deep.equal([{ user: 'bob', bytes: bytes.length }]);
    expect(readFileSync(join(folderOf('carol'), FILE)).equals(bytes)).to.equal(true);
  });
});
