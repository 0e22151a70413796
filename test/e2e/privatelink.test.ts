/** kill -9 of the recipient among private messages: over new links, each is kept once, in the sender's order (R27). */
import { expect } from 'chai';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { PRIVATE_LOG_FILE } from '../../src/client/agent/privatelog.js';
import { agentCommands } from '../../src/protocol/commands/agent.js';
import type { FaceEvent } from '../../src/protocol/events.js';
import { runAgentProcess } from '../crash/agents.js';
import type { RunningAgent } from '../crash/agents.js';
import { Cast } from '../support/cast.js';

const MESSAGES = 60;
/** After how many acknowledgements the recipient's agent is killed. */
const KILLS: ReadonlySet<number> = new Set([10, 35]);

describe('a recipient of private messages that is killed among them', function () {
  this.timeout(120_000);
  const cast = new Cast({ alice: 'a', bob: 'b' });
  const running: RunningAgent[] = [];
  before(() => cast.start());
  after(async () => {
    await Promise.all(running.map((agent) => agent.kill()));
    await cast.close();
  });

  const home = (user: string): string => join(cast.folder, `${user}-home`);
  const arrive = async (
    user: string,
    password: string,
    onEvent: (event: FaceEvent) => void = () => undefined,
  ): Promise<RunningAgent> => {
    const agent = await runAgentProcess({ home: home(user), user, password, server: cast.address, onEvent });
    running.push(agent);
    return agent;
  };

  it('keeps each once and in order, and the sender is told of every one', async () => {
    let acknowledged = 0;
    /** Acknowledgements there were when a link was lost. */
    const lostAt: number[] = [];
    const alice = await arrive('alice', 'a', (event) => {
      if (event.type === 'notice' && event.code === 'PRIVATE_LOST') lostAt.push(acknowledged);
    });
    const bob = await arrive('bob', 'b');
    await alice.face.call(agentCommands.startprivate, { user: 'bob' });
    let back: Promise<RunningAgent> = Promise.resolve(bob);
    const texts = Array.from({ length: MESSAGES }, (_, i) => `number ${i}`);
    const sent = texts.map(async (text) => {
      const { id } = await alice.face.call(agentCommands.private, { user: 'bob', text });
      acknowledged += 1;
      if (KILLS.has(acknowledged)) back = back.then((agent) => agent.kill()).then(() => arrive('bob', 'b'));
      return id;
    });
    const ids = await Promise.all(sent);
    await back;
    const lines = (await readFile(join(home('bob'), PRIVATE_LOG_FILE), 'utf8')).trimEnd().split('\n');
    const kept = lines.map((line) => JSON.parse(line) as { id: string; text: string });
    expect(kept.map(({ text }) => text)).to.deep.equal(texts);
    expect(kept.map(({ id }) => id)).to.deep.equal(ids);
    expect(lostAt.length, 'links lost').to.equal(KILLS.size);
    for (const count of lostAt) expect(count, 'acknowledged when a link was lost').to.be.below(MESSAGES);
    expect(running, 'each kill was followed by a start').to.have.lengthOf(2 + KILLS.size);
  });
});
