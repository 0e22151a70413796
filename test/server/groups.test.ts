/** Groups: rooms that keep the outside out, open ones, what is held, and who leaves without a word. */
import { expect } from 'chai';
import { serverCommands } from '../../src/protocol/commands/server.js';
import {
  EMPTY_GROUP_LIFETIME_MS,
  EMPTY_GROUPS_SWEEP_MS,
  GROUP_GRACE_MS,
  GROUP_LAG_MS,
  GROUP_RESTART_GRACE_MS,
  TAKEOVER_PING_MS,
} from '../../src/server/limits.js';
import { MAX_GROUPS_PER_USER } from '../../src/server/storage/port.js';
import { openSqlite } from '../../src/server/storage/sqlite.js';
import { refusal } from '../support/refusal.js';
import { Hall, anyKey, turns } from './hall.js';
import type { Guest } from './hall.js';

const {
  create_group: create,
  list_groups: list,
  join_group: join,
  leave_group: leave,
  list_members: members,
  send_group: send,
  message,
  broadcast,
  history,
  markRead,
  block,
  introduce,
  endSession,
} = serverCommands;

interface Event {
  readonly type: string;
  readonly text?: string;
  readonly code?: string;
  readonly group?: string | null;
}

const texts = (guest: Guest, type: string): (string | undefined)[] =>
  (guest.events as readonly Event[]).filter((event) => event.type === type).map(({ text }) => text);
const notices = (guest: Guest, code: string): (string | undefined)[] =>
  (guest.events as readonly Event[]).filter((event) => event.code === code).map(({ text }) => text);
const hears = (guest: Guest, text: string): Promise<unknown> =>
  guest.until((events) => events.some((event) => (event as Event).text === text));

describe('groups', () => {
  let hall: Hall;
  let alice: Guest;
  let bob: Guest;
  let carol: Guest;
  beforeEach(async () => {
    hall = await Hall.open(['alice', 'Bob', 'carol', 'dave']);
    [alice, bob, carol] = [await hall.guest('alice'), await hall.guest('bob'), await hall.guest('carol')];
  });
  afterEach(() => hall.close());

  it('are made empty, listed by name, and entered', async () => {
    expect(await alice.call(create, { group: 'Skii' })).to.deep.equal({ group: 'Skii', mode: 'focus' });
    expect(await bob.call(create, { group: 'news', open: true })).to.deep.equal({ group: 'news', mode: 'open' });
    expect(await bob.call(join, { group: 'sKII' })).to.deep.equal({ group: 'Skii', members: ['Bob'] });
    expect(await alice.call(join, { group: 'skii' })).to.deep.equal({ group: 'Skii', members: ['alice', 'Bob'] });
    expect(await carol.call(list, {})).to.deep.equal({
      groups: [
        { group: 'news', mode: 'open', members: 0 },
        { group: 'Skii', mode: 'focus', members: 2 },
      ],
    });
    expect(await alice.call(members, {})).to.deep.equal({ group: 'Skii', members: ['alice', 'Bob'] });
    expect(await alice.call(leave, {})).to.deep.equal({ group: 'Skii', held: [] });
    expect(texts(bob, 'notice')).to.deep.equal(['[alice joined group Skii]', '[alice left group Skii]']);
  });

  it('refuse what cannot be', async () => {
    await alice.call(create, { group: 'skii' });
    await alice.call(create, { group: 'exam' });
    const told = async (work: Promise<unknown>): Promise<[string, unknown]> => {
      const { code, details } = await refusal(work);
      return [code, details['group']];
    };
    expect(await told(bob.call(create, { group: 'SKII' }))).to.deep.equal(['GROUP_EXISTS', 'skii']);
    for (const group of ['server', 'a b', '-x', 'x'.repeat(33)]) {
      expect((await told(bob.call(create, { group })))[0], group).to.equal('BAD_NAME');
    }
    expect(await told(bob.call(join, { group: 'nowhere' }))).to.deep.equal(['NO_SUCH_GROUP', 'nowhere']);
    for (const group of [undefined, 'skii', 'nowhere']) {
      expect((await told(bob.call(leave, { group })))[0]).to.equal('NOT_IN_GROUP');
      expect((await told(bob.call(members, { group })))[0]).to.equal('NOT_IN_GROUP');
      expect((await told(bob.call(send, { group, text: 'x' })))[0]).to.equal('NOT_IN_GROUP');
    }
    await bob.call(join, { group: 'skii' });
    expect(await told(bob.call(join, { group: 'skii' }))).to.deep.equal(['ALREADY_IN_GROUP', 'skii']);
    expect(await told(bob.call(join, { group: 'exam' }))).to.deep.equal(['ALREADY_IN_GROUP', 'skii']);
    expect((await told(bob.call(send, { text: ' ' })))[0]).to.equal('EMPTY_MESSAGE');
  });

  it('of one user are bounded', async () => {
    for (let made = 0; made < MAX_GROUPS_PER_USER; made++) await alice.call(create, { group: `g${made}`, open: true });
    expect((await refusal(alice.call(create, { group: 'more' }))).code).to.equal('TOO_MANY_GROUPS');
    await bob.call(create, { group: 'more' });
  });

  it('say which is meant when there are several', async () => {
    for (const group of ['one', 'two']) {
      await alice.call(create, { group, open: true });
      await alice.call(join, { group });
      if (group === 'one') expect((await alice.call(members, {})).group).to.equal('one');
    }
    expect((await refusal(alice.call(send, { text: 'x' }))).code).to.equal('USAGE');
    expect((await alice.call(leave, { group: 'one' })).group).to.equal('one');
    expect((await alice.call(members, {})).group).to.equal('two');
  });

  describe('that are open', () => {
    beforeEach(async () => {
      await alice.call(create, { group: 'news', open: true });
      for (const guest of [alice, bob, carol]) await guest.call(join, { group: 'news' });
    });

    it('reach members here and away, but not who blocks the sender', async () => {
      await carol.call(block, { user: 'alice' });
      await bob.call(endSession, {});
      expect((await alice.call(send, { text: 'the talk is at five' })).recipients).to.deep.equal(['Bob']);
      const back = await hall.guest('bob');
      await hears(back, 'the talk is at five');
      expect(back.events.at(-1)).to.include({ type: 'group', from: 'alice', to: 'news' });
      expect((await back.call(members, {})).members).to.deep.equal(['alice', 'Bob', 'carol']);
      expect(texts(carol, 'group')).to.deep.equal([]);
    });

    it('hold nothing back', async () => {
      await alice.call(message, { user: 'bob', text: 'direct' });
      await hears(bob, 'direct');
    });

    it('are outside of a focus group', async () => {
      await alice.call(create, { group: 'exam' });
      await bob.call(join, { group: 'exam' });
      expect((await refusal(bob.call(send, { group: 'news', text: 'x' }))).code).to.equal('IN_FOCUS_GROUP');
      await alice.call(send, { text: 'for later' });
      await hears(bob, '1 message held: alice');
      const { held } = await bob.call(leave, {});
      expect(held.map(({ kind, text }) => [kind, text])).to.deep.equal([['group', 'for later']]);
    });
  });

  describe('that one is in alone', () => {
    beforeEach(async () => {
      await alice.call(create, { group: 'skii' });
      for (const guest of [alice, bob]) await guest.call(join, { group: 'skii' });
    });

    it('let nothing out', async () => {
      const refused = [
        alice.call(message, { user: 'carol', text: 'x' }),
        alice.call(broadcast, { text: 'x' }),
        alice.call(broadcast, { text: 'x', to: ['bob', 'carol'] }),
        alice.call(introduce, { user: 'carol', purpose: 'private' }),
      ];
      for (const work of refused) {
        const { code, details } = await refusal(work);
        expect([code, details['group']]).to.deep.equal(['IN_FOCUS_GROUP', 'skii']);
      }
      // Files are no talk.
      expect((await refusal(alice.call(introduce, { user: 'carol', purpose: 'transfer' }))).code).not.to.equal(
        'IN_FOCUS_GROUP',
      );
    });

    it('hold what comes from outside, say so, and show it in order on leaving', async () => {
      expect(await carol.call(message, { user: 'bob', text: 'one' })).to.include({ delivered: false });
      await hears(bob, '1 message held: carol');
      await alice.call(send, { text: 'inside' });
      await carol.call(broadcast, { text: 'two' });
      await hall.guest('dave').then((dave) => dave.call(message, { user: 'bob', text: 'three' }));
      await hall.clock.advance(1_000);
      await hears(bob, '3 messages held: carol, dave');
      expect(texts(bob, 'group')).to.deep.equal(['inside']);
      expect([...texts(bob, 'message'), ...texts(bob, 'broadcast')]).to.deep.equal([]);
      const { group, held } = await bob.call(leave, {});
      expect(group).to.equal('skii');
      expect(held.map(({ text }) => text)).to.deep.equal(['one', 'two', 'three']);
      expect(held.every(({ unread }) => unread)).to.equal(true);
      await carol.call(message, { user: 'bob', text: 'four' });
      await hears(bob, 'four');
      expect(texts(bob, 'message')).to.deep.equal(['four']);
    });

    it('show what was held before anything that comes later', async () => {
      const raw: Buffer[] = [];
      const dave = hall.enter({ key: anyKey(), tap: (bytes) => raw.push(bytes) });
      await dave.login('dave');
      await dave.call(join, { group: 'skii' });
      const send = (i: number): Promise<unknown> => carol.call(message, { user: 'dave', text: `text ${i}` });
      for (let i = 0; i < 10; i++) await send(i);
      const leaving = dave.call(leave, {});
      for (let i = 10; i < 30; i++) await send(i);
      const { held } = await leaving;
      await hears(dave, 'text 29');
      const pushed = texts(dave, 'message');
      const all = Array.from({ length: 30 }, (_, i) => `text ${i}`);
      expect([...held.map(({ text }) => text), ...pushed]).to.deep.equal(all);
      const said = Buffer.concat(raw).toString('latin1');
      expect(said.indexOf('"held":[')).to.be.within(0, said.indexOf(`"text":"${pushed[0] ?? ''}"`));
    });

    it('count what is held as delivered, so that it is not pushed again', async () => {
      for (const text of ['one', 'two']) await carol.call(message, { user: 'bob', text });
      await bob.call(leave, {});
      await bob.call(endSession, {});
      const back = await hall.guest('bob');
      await carol.call(message, { user: 'bob', text: 'three' });
      await hears(back, 'three');
      expect(texts(back, 'message')).to.deep.equal(['three']);
    });

    it('show no message as held that was read meanwhile', async () => {
      const { id } = await carol.call(message, { user: 'bob', text: 'one' });
      await carol.call(message, { user: 'bob', text: 'two' });
      expect((await bob.call(history, { limit: 10 })).messages.map(({ text }) => text)).to.deep.equal(['one', 'two']);
      await bob.call(markRead, { ids: [id] });
      expect((await bob.call(leave, {})).held.map(({ text }) => text)).to.deep.equal(['two']);
    });

    it('mute who comes and goes', async () => {
      const before = texts(bob, 'presence').length;
      await hall.guest('dave');
      await hall.clock.advance(1_000);
      await carol.until((events) => events.some((event) => (event as { from?: string }).from === 'dave'));
      expect(texts(bob, 'presence').length).to.equal(before);
    });

    it('are left on logging out; what was held is in the inbox, unread', async () => {
      await carol.call(message, { user: 'bob', text: 'one' });
      await bob.call(endSession, {});
      await hears(alice, '[Bob left group skii]');
      const back = hall.enter({ key: anyKey() });
      const start = await back.login('bob');
      expect([start.focus, start.unread]).to.deep.equal([undefined, 1]);
      expect((await refusal(back.call(members, {}))).code).to.equal('NOT_IN_GROUP');
    });

    it('are kept by a session that is taken up again, with what is held', async () => {
      const key = anyKey();
      const dave = hall.enter({ key });
      const { token } = await dave.login('dave');
      await dave.call(join, { group: 'skii' });
      await carol.call(message, { user: 'dave', text: 'one' });
      dave.connection.destroy();
      await turns();
      await carol.call(message, { user: 'dave', text: 'two' });
      const back = hall.enter({ key });
      const start = await back.resume(token ?? '');
      expect(start.focus).to.equal('skii');
      await carol.call(message, { user: 'dave', text: 'three' });
      await alice.call(send, { text: 'inside' });
      await hears(back, 'inside');
      await hall.clock.advance(GROUP_GRACE_MS);
      expect(notices(alice, 'GROUP_REMOVED')).to.deep.equal([]);
      expect(texts(back, 'message')).to.deep.equal([]);
      const { held } = await back.call(leave, {});
      expect(held.map(({ text }) => text)).to.deep.equal(['one', 'two', 'three']);
    });

    it('remove who is gone without a word', async () => {
      bob.connection.destroy();
      await turns();
      await hall.clock.advance(GROUP_GRACE_MS - 1);
      await turns();
      expect(notices(alice, 'GROUP_REMOVED')).to.deep.equal([]);
      await hall.clock.advance(1);
      await hears(alice, '[Bob not responsive, removed from group skii]');
      expect((await alice.call(members, {})).members).to.deep.equal(['alice']);
    });

    it('remove who does not answer the server’s own question', async () => {
      bob.freeze();
      await alice.call(send, { text: 'anybody here' });
      await hall.clock.advance(GROUP_LAG_MS);
      await turns();
      await hall.clock.advance(TAKEOVER_PING_MS);
      await hears(alice, '[Bob not responsive, removed from group skii]');
      expect((await alice.call(members, {})).members).to.deep.equal(['alice']);
    });

    it('wait after a restart of the server for those who come back', async () => {
      const key = anyKey();
      const before = hall.enter({ key });
      const { token = '' } = await before.login('dave');
      await before.call(join, { group: 'skii' });
      const { clock, storage } = hall;
      await hall.stop();
      hall = await Hall.open([], { clock, storage });
      const dave = hall.enter({ key });
      expect((await dave.resume(token)).focus).to.equal('skii');
      await hall.clock.advance(GROUP_RESTART_GRACE_MS);
      await hears(dave, '[alice not responsive, removed from group skii]');
      await hears(dave, '[Bob not responsive, removed from group skii]');
      expect((await dave.call(members, {})).members).to.deep.equal(['dave']);
    });
  });

  describe('whose members come and go at the same moment', () => {
    /** A hall whose storage waits before `held`, from when `shut` is called until `open` is. */
    async function gatedHall(held: 'acknowledge' | 'joinGroup'): Promise<{ shut: () => void; open: () => void }> {
      await hall.close();
      const storage = await openSqlite(':memory:');
      let gate: Promise<void> = Promise.resolve();
      let open = (): void => undefined;
      const gated = {
        ...storage,
        [held]: async (...values: never[]) => {
          await gate;
          return (storage[held] as (...values: never[]) => Promise<unknown>)(...values);
        },
      };
      hall = await Hall.open(['alice', 'bob'], { storage: gated });
      alice = await hall.guest('alice');
      await alice.call(create, { group: 'skii' });
      await alice.call(join, { group: 'skii' });
      return { shut: () => void (gate = new Promise((resolve) => (open = resolve))), open: () => open() };
    }

    it('keep one who is back before the end of the session before is written down', async () => {
      const { shut, open } = await gatedHall('acknowledge');
      const key = anyKey();
      const before = hall.enter({ key });
      const { token = '' } = await before.login('bob');
      await before.call(join, { group: 'skii' });
      await alice.call(send, { text: 'inside' });
      await hears(before, 'inside');
      await before.call(serverCommands.acknowledge, { position: 1 });
      shut();
      before.connection.destroy();
      await turns();
      const back = hall.enter({ key });
      expect((await back.resume(token)).focus).to.equal('skii');
      open();
      await turns();
      await hall.clock.advance(GROUP_GRACE_MS);
      await turns();
      expect(notices(alice, 'GROUP_REMOVED')).to.deep.equal([]);
      expect((await back.call(members, {})).members).to.deep.equal(['alice', 'bob']);
    });

    it('remove one whose connection broke while they entered', async () => {
      const { shut, open } = await gatedHall('joinGroup');
      const bob = await hall.guest('bob');
      shut();
      bob.call(join, { group: 'skii' }).catch(() => undefined);
      await turns();
      bob.connection.destroy();
      await turns();
      open();
      await turns();
      await hall.clock.advance(GROUP_GRACE_MS);
      await turns();
      expect((await alice.call(members, {})).members).to.deep.equal(['alice']);
    });
  });

  describe('that a member leaves by the end of their session', () => {
    beforeEach(async () => {
      await alice.call(create, { group: 'skii' });
      for (const guest of [alice, bob]) await guest.call(join, { group: 'skii' });
    });

    it('say so when the account is removed', async () => {
      await hall.storage.removeUser((await hall.storage.findUser('bob'))?.id as number);
      await hall.core.sessions.endRemoved();
      await turns();
      expect(notices(alice, 'GROUP_LEFT')).to.deep.equal(['[Bob left group skii]']);
    });

    it('say so when the user logs in again and the connection before is dead', async () => {
      bob.freeze();
      const entering = hall.enter({ key: anyKey() }).login('bob');
      await turns(100);
      await hall.clock.advance(TAKEOVER_PING_MS);
      expect((await entering).focus).to.equal(undefined);
      await turns();
      expect(notices(alice, 'GROUP_LEFT')).to.deep.equal(['[Bob left group skii]']);
      expect(notices(alice, 'GROUP_REMOVED')).to.deep.equal([]);
    });

    it('say so when the operator ends it', async () => {
      const id = hall.core.services.presence.find('bob')?.user.id;
      await hall.core.sessions.kick(id as number);
      await turns();
      expect(notices(alice, 'GROUP_LEFT')).to.deep.equal(['[Bob left group skii]']);
    });
  });

  it('go when nobody was in them for a month, also while the server runs', async () => {
    await alice.call(create, { group: 'old', open: true });
    await alice.call(create, { group: 'used', open: true });
    await alice.call(join, { group: 'used' });
    hall.clock.jump(EMPTY_GROUP_LIFETIME_MS);
    await hall.clock.advance(EMPTY_GROUPS_SWEEP_MS);
    await turns();
    expect((await hall.storage.listGroups({ after: undefined, limit: 9 })).map(({ name }) => name)).to.deep.equal([
      'used',
    ]);
  });
});
