/** Groups as the agent sees them: where its user stands, what is held here, and coming back to a room. */
import { expect } from 'chai';
import { agentCommands } from '../../../src/protocol/commands/agent.js';
import { serverCommands } from '../../../src/protocol/commands/server.js';
import type { FaceEvent } from '../../../src/protocol/events.js';
import { People } from './people.js';
import type { Person } from './people.js';
import { Cleanup, until } from './support.js';

const {
  create_group: create,
  join_group: join,
  leave_group: leave,
  send_group: send,
  list_members: members,
  message,
} = serverCommands;
const { startprivate, private: say, inbox } = agentCommands;

type Standing = Extract<FaceEvent, { type: 'standing' }>;
const isStanding = (event: FaceEvent): event is Standing => event.type === 'standing';

describe('client/agent groups', () => {
  const cleanup = new Cleanup();
  afterEach(() => cleanup.run());
  let people: People;
  let alice: Person;
  let bob: Person;
  beforeEach(async () => {
    people = await People.gather(cleanup);
    [alice, bob] = [await people.arrive('alice'), await people.arrive('bob')];
  });

  it('tell faces that show messages where the user stands', async () => {
    const plain = await bob.listen();
    const heard = await bob.listen(true);
    expect(await heard.find(isStanding)).to.include({ user: 'bob', group: null, unread: 0 });
    await bob.call(create, { group: 'skii' });
    await bob.call(join, { group: 'SKII' });
    await heard.find((event) => isStanding(event) && event.group === 'skii');
    await alice.call(message, { user: 'bob', text: 'from outside' });
    await heard.find((event) => isStanding(event) && event.group === 'skii' && event.unread === 1);
    const { held } = await bob.call(leave, {});
    expect(held.map(({ text }) => text)).to.deep.equal(['from outside']);
    await until(() => {
      const last = heard.all.filter(isStanding).at(-1);
      return last?.group === null && last.unread === 0;
    });
    expect(plain.all.some(isStanding)).to.equal(false);
    expect((await bob.call(inbox, { unread: true })).messages).to.deep.equal([]);
  });

  it('hold private messages, too, refuse private chat outward, and show all of it by time on leaving', async () => {
    await alice.call(startprivate, { user: 'bob' });
    await bob.call(create, { group: 'skii' });
    await bob.call(join, { group: 'skii' });
    const heard = await bob.listen();
    for (const work of [bob.refused(say, { user: 'alice', text: 'x' }), bob.refused(startprivate, { user: 'carol' })]) {
      expect((await work).code).to.equal('IN_FOCUS_GROUP');
    }
    await alice.call(message, { user: 'bob', text: 'one' });
    await alice.call(say, { user: 'bob', text: 'two' });
    await alice.call(message, { user: 'bob', text: 'three' });
    await heard.find((event) => event.type === 'notice' && event.text === '1 private message held: alice');
    const { held } = await bob.call(leave, {});
    expect(held.map(({ kind, text }) => `${kind} ${text}`)).to.deep.equal([
      'message one',
      'private two',
      'message three',
    ]);
    expect(heard.all.some(({ type }) => type === 'private' || type === 'message')).to.equal(false);
    await alice.call(say, { user: 'bob', text: 'four' });
    await heard.find((event) => event.type === 'private' && event.text === 'four');
  });

  it('are entered again when the server took the user out while the connection was away', async () => {
    await alice.call(create, { group: 'skii' });
    for (const person of [alice, bob]) await person.call(join, { group: 'skii' });
    const heard = await alice.listen();
    const session = people.server.server.core.services.presence.sessions().find(({ user }) => user.name === 'bob');
    // The server hears of the end at once; the agent comes back after the members were told.
    const group = session?.focus?.group;
    if (session === undefined || group === undefined) throw new Error('bob is in no group');
    await people.server.storage.leaveGroup(group.id, session.user.id, Date.now());
    people.server.server.core.services.groups.forgetMembers();
    session.connection.destroy();
    await heard.find((event) => event.type === 'notice' && event.text === '[bob joined group skii]');
    await until(async () => (await alice.call(members, {})).members.includes('bob'));
    await alice.call(send, { text: 'welcome back' });
    const there = await bob.listen(true);
    await there.find((event) => event.type === 'standing' && event.group === 'skii');
  });
});
