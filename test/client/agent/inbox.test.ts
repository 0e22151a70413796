/** `inbox --search`: the server's messages and the private ones by one rule. */
import { expect } from 'chai';
import { agentCommands } from '../../../src/protocol/commands/agent.js';
import { serverCommands } from '../../../src/protocol/commands/server.js';
import { Cleanup } from './support.js';
import { People } from './people.js';

const { startprivate, private: say, inbox } = agentCommands;
const { message } = serverCommands;

describe('the inbox of an agent', () => {
  const cleanup = new Cleanup();
  afterEach(() => cleanup.run());

  it('is searched, what the server keeps and what is private', async () => {
    const people = await People.gather(cleanup);
    const [alice, bob] = [await people.arrive('alice'), await people.arrive('bob')];
    const texts = async (question: object): Promise<string[]> =>
      (await bob.call(inbox, question)).messages.map(({ text }) => text);
    const first = await alice.call(message, { user: 'bob', text: 'Exam in room 7' });
    await alice.call(message, { user: 'bob', text: 'no more news' });
    const third = await alice.call(message, { user: 'bob', text: 'the ROOM was changed' });
    expect(await texts({ search: 'room' })).to.deep.equal(['Exam in room 7', 'the ROOM was changed']);
    expect(await texts({ search: 'room', before: third.id })).to.deep.equal(['Exam in room 7']);
    expect(await texts({ before: third.id })).to.deep.equal(['Exam in room 7', 'no more news']);
    expect(await texts({ before: 'f'.repeat(32) })).to.deep.equal([]);

    await alice.call(startprivate, { user: 'bob' });
    await alice.call(say, { user: 'bob', text: 'Rööm 8, not 7' });
    await alice.call(message, { user: 'bob', text: 'see you in the room' });
    expect(await texts({ search: 'room' })).to.deep.equal([
      'Exam in room 7',
      'the ROOM was changed',
      'Rööm 8, not 7',
      'see you in the room',
    ]);
    expect(await texts({ search: 'ro* 7' })).to.deep.equal(['Exam in room 7', 'Rööm 8, not 7']);
    expect(await texts({ search: 'room', limit: 2 })).to.deep.equal(['Rööm 8, not 7', 'see you in the room']);
    const { messages } = await bob.call(inbox, { search: 'room', limit: 2 });
    expect(await texts({ search: 'room', before: messages[0]?.id, limit: 1 })).to.deep.equal(['the ROOM was changed']);
    expect(await texts({ search: 'room', before: messages[1]?.id, limit: 1 })).to.deep.equal(['Rööm 8, not 7']);
    expect(await texts({ search: 'room', before: first.id })).to.deep.equal([]);
    expect((await bob.refused(inbox, { search: '"*"' })).code).to.equal('USAGE');
  });
});
