/** Who is here, who was, and who is told. */
import { expect } from 'chai';
import { serverCommands } from '../../src/protocol/commands/server.js';
import { Hall, anyKey, turns } from './hall.js';
import type { Guest } from './hall.js';

const { whoelse, whoelsesince, wholast, block, endSession, resume } = serverCommands;

describe('presence', () => {
  let hall: Hall;
  beforeEach(async () => {
    hall = await Hall.open(['alice', 'Bob', 'carol', 'dave']);
  });
  afterEach(() => hall.close());

  it('lists the others by name', async () => {
    const carol = await hall.guest('carol');
    expect(await carol.call(whoelse, {})).to.deep.equal({ users: [] });
    await hall.guest('bob');
    await hall.guest('alice');
    expect(await carol.call(whoelse, {})).to.deep.equal({ users: ['alice', 'Bob'] });
  });

  it('remembers who was here, and for how long it matters', async () => {
    const alice = await hall.guest('alice');
    const bob = await hall.guest('bob');
    await bob.call(endSession, {});
    await turns();
    await hall.clock.advance(10_000);
    expect(await alice.call(whoelsesince, { seconds: 9 })).to.deep.equal({ users: [] });
    expect(await alice.call(whoelsesince, { seconds: 10 })).to.deep.equal({ users: ['Bob'] });
    const carol = await hall.guest('carol');
    expect(await alice.call(whoelsesince, { seconds: 0 })).to.deep.equal({ users: ['carol'] });
    await hall.clock.advance(60_000);
    expect(await carol.call(wholast, { minutes: 1 })).to.deep.equal({
      users: [
        { user: 'alice', lastSeen: '2030-01-01T00:01:10.000Z', online: true },
        { user: 'carol', lastSeen: '2030-01-01T00:01:10.000Z', online: true },
      ],
    });
    expect((await carol.call(wholast, { minutes: 2 })).users[2]).to.deep.equal({
      user: 'Bob',
      lastSeen: '2030-01-01T00:00:00.000Z',
      online: false,
    });
  });

  it('is remembered over a restart, also of a server that was killed', async () => {
    await hall.guest('bob');
    await hall.clock.advance(61_000); // It is written down once a minute.
    const after = await Hall.open([], { storage: hall.storage, clock: hall.clock });
    const alice = await after.guest('alice');
    expect(await alice.call(whoelsesince, { seconds: 5 })).to.deep.equal({ users: ['Bob'] });
    await after.stop();
  });

  it('is told to the others, once', async () => {
    const alice = await hall.guest('alice');
    const bob = await hall.guest('bob');
    await hall.spread();
    await bob.call(endSession, {});
    await hall.spread();
    expect(alice.comings).to.deep.equal(['+Bob', '-Bob']);
    expect(bob.comings).to.deep.equal([]);
  });

  it('is told in order and wholly, also of many at once', async () => {
    const names = Array.from({ length: 30 }, (_, i) => `user${i}`);
    const crowd = await Hall.open([...names, 'watcher']);
    const watcher = await crowd.guest('watcher');
    const guests = [];
    for (const name of names) guests.push(await crowd.guest(name));
    await crowd.spread();
    expect(watcher.comings).to.deep.equal(names.map((name) => `+${name}`));
    expect(guests[3]?.comings).to.deep.equal(names.slice(4).map((name) => `+${name}`));
    await crowd.close();
  });

  it('is kept from those whom the user blocks, and not told to those who block them', async () => {
    const alice = await hall.guest('alice');
    const carol = await hall.guest('carol');
    const dave = await hall.guest('dave');
    const bob = await hall.guest('bob');
    await bob.call(block, { user: 'alice' });
    await carol.call(block, { user: 'bob' });
    await hall.spread();
    for (const guest of [alice, carol, dave]) guest.events.length = 0;
    await bob.call(endSession, {});
    await hall.guest('bob');
    await hall.spread();
    expect(alice.comings).to.deep.equal([]);
    expect(carol.comings).to.deep.equal([]);
    expect(dave.comings).to.deep.equal(['-Bob', '+Bob']);
  });

  it('does not flicker for a connection that breaks and is back soon', async () => {
    const alice = await hall.guest('alice');
    const key = anyKey();
    const bob = hall.enter({ key });
    const { token = '' } = await bob.login('bob');
    await hall.spread();
    bob.connection.destroy();
    await turns();
    expect(await alice.call(whoelse, {})).to.deep.equal({ users: [] });
    await hall.clock.advance(2_000);
    const back = hall.enter({ key });
    const start = await back.call(resume, { token });
    await hall.clock.advance(5_000);
    expect(alice.comings).to.deep.equal(['+Bob']);
    back.connection.destroy();
    await turns();
    await hall.clock.advance(5_000);
    expect(alice.comings).to.deep.equal(['+Bob', '-Bob']);
    await hall.clock.advance(60_000);
    await hall.enter({ key }).call(resume, { token: start.token ?? '' });
    await hall.spread();
    expect(alice.comings).to.deep.equal(['+Bob', '-Bob', '+Bob']);
  });

  it('is told again of who was told to be gone, however soon they are back', async () => {
    const alice = await hall.guest('alice');
    const key = anyKey();
    const bob = hall.enter({ key });
    const { token = '' } = await bob.login('bob');
    bob.connection.destroy();
    await turns();
    await hall.clock.advance(5_000);
    await hall.enter({ key }).call(resume, { token });
    await hall.spread();
    expect(alice.comings).to.deep.equal(['+Bob', '-Bob', '+Bob']);
  });

  it('waits longer for a crowd whose connections broke at the same time, but not for ever', async () => {
    const names = Array.from({ length: 300 }, (_, i) => `user${i}`);
    const crowd = await Hall.open([...names, 'watcher']);
    const guests: Guest[] = [];
    for (const name of names) guests.push(await crowd.guest(name));
    await crowd.spread();
    const watcher = await crowd.guest('watcher');
    for (const { connection } of guests) connection.destroy();
    await turns();
    await crowd.clock.advance(29_000);
    expect(watcher.comings).to.deep.equal([]);
    expect((await watcher.call(whoelse, {})).users).to.deep.equal([]);
    await crowd.clock.advance(2_000);
    await watcher.until(() => watcher.comings.length === names.length);
    await crowd.close();
  });

  it('is not told anew by everyone when the server was restarted', async () => {
    const [one, two] = [anyKey(), anyKey()];
    const { token: first = '' } = await hall.enter({ key: one }).login('alice');
    const { token: second = '' } = await hall.enter({ key: two }).login('bob');
    const three = anyKey();
    const { token: third = '' } = await hall.enter({ key: three }).login('carol');
    await hall.stop();
    // However long it was away.
    hall.clock.jump(3_600_000);
    const after = await Hall.open([], { storage: hall.storage, clock: hall.clock });
    const alice = after.enter({ key: one });
    await alice.call(resume, { token: first });
    await after.enter({ key: two }).call(resume, { token: second });
    await after.spread();
    expect(alice.comings).to.deep.equal([]);
    expect(await alice.call(whoelse, {})).to.deep.equal({ users: ['Bob'] });
    // Who is later than all others has been away.
    await hall.clock.advance(31_000);
    await after.enter({ key: three }).call(resume, { token: third });
    await after.spread();
    expect(alice.comings).to.deep.equal(['+carol']);
    await after.stop();
  });
});
