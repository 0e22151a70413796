/** What `why` says of holders that nothing can be had from: while a download waits for them, and when it has given up. */
import { expect } from 'chai';
import { randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { agentCommands } from '../../src/protocol/commands/agent.js';
import { serverCommands } from '../../src/protocol/commands/server.js';
import { toParleyError } from '../../src/protocol/errors.js';
import { runAgentProcess } from '../crash/agents.js';
import type { RunningAgent } from '../crash/agents.js';
import { until } from '../crash/chance.js';
import { House } from '../crash/house.js';

const FILE = 'a.bin';
const USERS = { alice: 'a', bob: 'b', carol: 'c' };

interface Reason {
  readonly code: string;
  readonly text: string;
  readonly user?: string | undefined;
  readonly address?: string | undefined;
}

describe('why', function () {
  this.timeout(60_000);
  let house: House;
  const agents: RunningAgent[] = [];

  const arrive = async (user: keyof typeof USERS, listen?: string): Promise<RunningAgent> => {
    const home = join(house.folder, user);
    const at = listen === undefined ? {} : { listen };
    const agent = await runAgentProcess({ home, user, password: USERS[user], server: house.address, ...at });
    agents.push(agent);
    return agent;
  };
  const reasons = async ({ face }: RunningAgent): Promise<readonly Reason[]> =>
    (await face.call(agentCommands.why, { file: FILE })).reasons;
  /** The first such reason, while the download waits and after it failed. */
  const twice = async (agent: RunningAgent, user: string, code: string): Promise<[Reason, Reason]> => {
    const find = async (): Promise<Reason | undefined> =>
      (await reasons(agent)).find((each) => each.code === code && each.user === user);
    const directory = join(house.folder, `of-${user}-${agents.indexOf(agent)}`);
    mkdirSync(directory);
    let isOver = false;
    const ended = agent.face
      .call(agentCommands.download, { file: FILE, directory })
      .then(
        () => 'it went well',
        (thrown: unknown) => toParleyError(thrown).code,
      )
      .finally(() => (isOver = true));
    let while_: Reason | undefined;
    await until(`why names ${code}`, async () => (while_ = await find()) !== undefined);
    expect(isOver, 'it still waits').to.equal(false);
    expect(await ended).to.equal('NO_HOLDER');
    const after = await find();
    if (while_ === undefined || after === undefined) throw new Error('it is not named');
    return [while_, after];
  };

  beforeEach(async () => {
    house = await House.build({ users: USERS });
    await house.start();
    writeFileSync(join(house.folder, FILE), randomBytes(100_000));
  });
  afterEach(async () => {
    for (const agent of agents.splice(0)) await agent.kill();
    await house.clear();
  });

  it('names a holder that is blocked, or blocks', async () => {
    const [alice, bob, carol] = [await arrive('alice'), await arrive('bob'), await arrive('carol')];
    await alice.face.call(agentCommands.register, { path: join(house.folder, FILE), chunks: 2 });
    await bob.face.call(serverCommands.block, { user: 'alice' });
    await alice.face.call(serverCommands.block, { user: 'carol' });
    const [toBob, toCarol] = await Promise.all([twice(bob, 'alice', 'BLOCKED'), twice(carol, 'alice', 'BLOCKED')]);
    for (const { text } of toBob) expect(text).to.equal('alice holds it, and you block alice');
    for (const { text } of toCarol) expect(text).to.equal('alice holds it, and takes nothing from you');
    await bob.face.call(serverCommands.unblock, { user: 'alice' });
    expect((await reasons(bob)).map(({ code }) => code)).to.deep.equal(['NO_HOLDER']);
  });

  it('names the address of a holder that the server found none to connect to', async () => {
    const [alice, bob] = [await arrive('alice', '127.0.0.9:0'), await arrive('bob')];
    await alice.face.call(agentCommands.register, { path: join(house.folder, FILE), chunks: 2 });
    const { listen } = await alice.face.call(agentCommands.status, {});
    expect(listen).to.match(/^127\.0\.0\.1:\d+$/);
    for (const { address, text } of await twice(bob, 'alice', 'PEER_UNREACHABLE')) {
      expect(address).to.equal(listen);
      expect(text).to.include('no direct link to alice');
    }
  });
});
