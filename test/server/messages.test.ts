/** Messages: stored, acknowledged, pushed in order; broadcasts in all forms; blocks; history. */
import { expect } from 'chai';
import { randomBytes } from 'node:crypto';
import { serverCommands } from '../../src/protocol/commands/server.js';
import { Connection } from '../../src/protocol/connection.js';
import { ParleyError } from '../../src/protocol/errors.js';
import { makeHello } from '../../src/protocol/hello.js';
import type { AppendOutcome, NewMessage, Storage } from '../../src/server/storage/port.js';
import { AppendQueue } from '../../src/server/append.js';
import { openSqlite } from '../../src/server/storage/sqlite.js';
import { linkedPair } from '../support/pair.js';
import { refusal } from '../support/refusal.js';
import { Hall, turns } from './hall.js';
import type { Guest } from './hall.js';

const { message, broadcast, history, markRead, acknowledge, block, unblock, endSession, login } = serverCommands;
const newId = (): string => randomBytes(16).toString('hex');
const count = (wanted: number) => (events: readonly unknown[]) => events.length >= wanted;

describe('messages', () => {
  let hall: Hall;
  let alice: Guest;
  let bob: Guest;
  beforeEach(async () => {
    hall = await Hall.open(['alice', 'Bob', 'carol', 'dave']);
    alice = await hall.guest('alice');
    bob = await hall.guest('bob');
  });
  afterEach(() => hall.close());

  it('are stored, answered and pushed, with the registered names and the server’s time', async () => {
    const id = newId();
    expect(await alice.call(message, { id, user: 'BOB', text: 'hello\u0000 \ud83d\ude00' })).to.deep.equal({
      id,
      delivered: true,
    });
    await bob.until(count(1));
    expect(bob.events).to.deep.equal([
      {
        type: 'message',
        position: 1,
        id,
        from: 'alice',
        to: 'Bob',
        text: 'hello\u0000 \ud83d\ude00',
        at: '2030-01-01T00:00:00.000Z',
      },
    ]);
  });

  describe('in a sender’s own order (R27)', () => {
    const send = (guest: Guest, number: number, text: string, user = 'bob'): Promise<unknown> =>
      guest.call(message, { id: newId(), number, user, text });

    it('count without a gap; a number too high is told which is next', async () => {
      await send(alice, 1, 'one');
      const early = await refusal(send(alice, 3, 'three'));
      expect([early.code, early.details]).to.deep.equal(['OUT_OF_ORDER', { expected: 2 }]);
      await send(alice, 2, 'two');
      await bob.until(count(2));
      expect(bob.events.map((event) => (event as { text: string }).text)).to.deep.equal(['one', 'two']);
    });

    it('are stored once, however often they come', async () => {
      const again = { id: newId(), number: 1, user: 'bob', text: 'once' };
      const [first, second] = await Promise.all([alice.call(message, again), alice.call(message, again)]);
      expect(second).to.deep.equal(first);
      // Counted anew by a sender that lost count: the same message, and its new number is used up.
      expect(await alice.call(message, { ...again, number: 2 })).to.deep.equal(first);
      await send(alice, 3, 'next');
      const { messages } = await bob.call(history, { limit: 10 });
      expect(messages.map(({ text }) => text)).to.deep.equal(['once', 'next']);
    });

    it('use their number up when they are refused for good', async () => {
      expect((await refusal(send(alice, 1, 'x', 'nobody'))).code).to.equal('UNKNOWN_USER');
      expect((await refusal(send(alice, 2, ' '))).code).to.equal('EMPTY_MESSAGE');
      await bob.call(block, { user: 'alice' });
      expect((await refusal(send(alice, 3, 'x'))).code).to.equal('BLOCKED');
      await bob.call(unblock, { user: 'alice' });
      await send(alice, 4, 'y');
      const used = await refusal(send(alice, 2, 'z'));
      expect([used.code, used.details]).to.deep.equal(['OUT_OF_ORDER', { expected: 5 }]);
    });

    it('are told at login, and need a key', async () => {
      await send(alice, 1, 'one');
      const key = alice.key;
      await alice.call(endSession, {});
      expect((await hall.enter({ key }).login('alice')).nextNumber).to.equal(2);
      const keyless = await hall.guest('carol', { key: undefined });
      expect((await refusal(send(keyless, 1, 'x'))).code).to.equal('BAD_REQUEST');
    });
  });

  it('get an id when they have none', async () => {
    const { id } = await alice.call(message, { user: 'bob', text: 'x' });
    await bob.until(count(1));
    expect(bob.events[0]).to.include({ id });
  });

  it('are kept for who is away, and come when they log on', async () => {
    expect((await alice.call(message, { user: 'carol', text: 'one' })).delivered).to.equal(false);
    await alice.call(message, { user: 'carol', text: 'two' });
    const carol = hall.enter();
    const start = await carol.login('carol');
    expect(start.unread).to.equal(2);
    await carol.until(count(2));
    expect(carol.texts).to.deep.equal(['one', 'two']);
  });

  it('are refused with the contract’s codes', async () => {
    const code = async (user: string, text: string): Promise<string> =>
      (await refusal(alice.call(message, { user, text }))).code;
    expect(await code('zed', 'x')).to.equal('UNKNOWN_USER');
    expect(await code('../..', 'x')).to.equal('UNKNOWN_USER');
    expect(await code('__proto__', 'x')).to.equal('UNKNOWN_USER');
    expect(await code('ALICE', 'x')).to.equal('SELF');
    expect(await code('bob', '')).to.equal('EMPTY_MESSAGE');
    expect(await code('bob', ' \n\t ')).to.equal('EMPTY_MESSAGE');
    expect(await code('bob', 'x'.repeat(16_385))).to.equal('MESSAGE_TOO_LONG');
    expect(await code('bob', 'x'.repeat(16_384)).catch(() => 'taken')).to.equal('taken');
  });

  it('that would not fit a frame as they are pushed are refused, whatever is in them', async () => {
    // 6 bytes each in JSON: the call fits a frame, the pushed event would not.
    const text = '\u0001'.repeat(10_880);
    expect((await refusal(alice.call(message, { user: 'bob', text }))).code).to.equal('MESSAGE_TOO_LONG');
    await alice.call(message, { user: 'bob', text: '\u0001'.repeat(10_800) });
    await bob.until(count(1));
  });

  it('with the same id are one message, and answered as at first', async () => {
    const id = newId();
    for (let i = 0; i < 3; i++) await alice.call(message, { id, user: 'bob', text: 'once' });
    await alice.call(message, { user: 'bob', text: 'end' });
    await bob.until(count(2));
    expect(bob.texts).to.deep.equal(['once', 'end']);
    const away = newId();
    expect((await alice.call(message, { id: away, user: 'carol', text: 'x' })).delivered).to.equal(false);
    expect((await alice.call(message, { id: away, user: 'carol', text: 'x' })).delivered).to.equal(false);
    const carol = await hall.guest('carol');
    await carol.until(count(1));
    await carol.call(acknowledge, { position: 1 });
    await carol.call(endSession, {});
    expect((await alice.call(message, { id: away, user: 'carol', text: 'x' })).delivered).to.equal(true);
    await bob.call(block, { user: 'alice' });
    expect((await alice.call(message, { id, user: 'bob', text: 'once' })).delivered).to.equal(true);
    expect((await refusal(alice.call(message, { id: newId(), user: 'bob', text: 'once' }))).code).to.equal('BLOCKED');
    expect((await refusal(alice.call(message, { id, user: 'dave', text: 'once' }))).code).to.equal('BAD_REQUEST');
  });

  it('that were stored are answered so again, whatever would be said to new ones now', async () => {
    const { create_group: create, join_group: join, leave_group: leave, send_group: send } = serverCommands;
    await alice.call(create, { group: 'room' });
    for (const guest of [alice, bob]) await guest.call(join, { group: 'room' });
    const inside = { id: newId(), number: 1, text: 'inside' };
    const before = await alice.call(send, inside);
    await alice.call(leave, {});
    const outside = { id: newId(), number: 2, user: 'carol', text: 'outside' };
    const everybody = { id: newId(), number: 3, text: 'to all' };
    await alice.call(message, outside);
    await alice.call(broadcast, everybody);
    // Not in the group any more, and then in it: each is refused to what was not sent before.
    expect(await alice.call(send, { ...inside, number: 4 })).to.deep.equal(before);
    expect((await refusal(alice.call(send, { text: 'new' }))).code).to.equal('NOT_IN_GROUP');
    await alice.call(join, { group: 'room' });
    expect((await alice.call(message, { ...outside, number: 5 })).id).to.equal(outside.id);
    expect((await alice.call(broadcast, { ...everybody, number: 6 })).recipients).to.deep.equal(['Bob']);
    const other = refusal(alice.call(message, { ...outside, number: 7, user: 'dave' }));
    expect((await other).code).to.equal('IN_FOCUS_GROUP');
    await alice.call(send, { number: 8, text: 'end' });
    await bob.until(count(2));
    expect(bob.texts).to.deep.equal(['inside', 'end']);
  });

  it('of one sender keep their order, whatever kinds they are and however many wait for a commit', async () => {
    const sent: string[] = [];
    const calls: Promise<unknown>[] = [];
    for (let i = 0; i < 60; i++) {
      const text = `text ${i}`;
      sent.push(text);
      if (i % 3 === 0) calls.push(alice.call(broadcast, { text }));
      else if (i % 3 === 1) calls.push(alice.call(message, { user: 'bob', text }));
      else calls.push(alice.call(broadcast, { text, to: ['carol', 'bob'] }));
    }
    await Promise.all(calls);
    await bob.until(count(60));
    expect(bob.texts).to.deep.equal(sent);
    expect(bob.events.map((event) => 'position' in event && event.position)).to.deep.equal(
      Array.from({ length: 60 }, (_, i) => i + 1),
    );
  });

  it('are pushed up to a window ahead of what is acknowledged, and from there after a reconnect', async () => {
    for (let i = 1; i <= 150; i++) await alice.call(message, { user: 'carol', text: `${i}` });
    const carol = await hall.guest('carol');
    await carol.until(count(100));
    await turns();
    expect(carol.events).to.have.length(100);
    await carol.call(acknowledge, { position: 30 });
    await carol.until(count(130));
    await turns();
    expect(carol.events).to.have.length(130);
    // Nobody acknowledges what was not pushed.
    await carol.call(acknowledge, { position: 1_000_000 });
    await carol.until(count(150));
    await carol.call(acknowledge, { position: 140 });
    carol.connection.destroy();
    await turns();
    const again = hall.enter();
    expect((await again.login('carol')).acknowledged).to.equal(140);
    await again.until(count(10));
    expect(again.texts).to.deep.equal(Array.from({ length: 10 }, (_, i) => `${141 + i}`));
  });

  it('wait in the server for a client that reads slowly, and all come', async () => {
    const text = '\u0001'.repeat(5_000); // 30 KB each on the wire: 100 of them are many times what may be queued.
    for (let i = 0; i < 100; i++) await alice.call(message, { user: 'carol', text: `${text}${i}` });
    const [theirs, ours] = linkedPair();
    const client = hall.core.accept(
      ours,
      { address: '192.0.2.1', localAddress: '', key: undefined },
      { deciding: false, settle: () => undefined },
    );
    let got = 0;
    const connection = new Connection(theirs, { hello: makeHello('client'), end: 'dialer', onEvent: () => (got += 1) });
    await connection.call(login, { user: 'carol', password: 'carol' });
    theirs.pause();
    await turns(100);
    expect(client.connection.queuedBytes).to.be.below(256 * 1024);
    expect(client.connection.isOpen).to.equal(true);
    theirs.resume();
    while (got < 100) await turns(1);
  });

  it('that nobody takes fill the inbox, and say so (R20)', async () => {
    for (let i = 0; i < 200; i++) await alice.call(message, { user: 'carol', text: `${i}` });
    const error = await refusal(alice.call(message, { user: 'carol', text: 'more' }));
    expect([error.code, error.details['user']]).to.deep.equal(['INBOX_FULL', 'carol']);
    await bob.call(message, { user: 'carol', text: 'of another' });
    expect(await alice.call(broadcast, { text: 'to two', to: ['carol', 'bob'] })).to.deep.include({
      recipients: ['Bob'],
      skipped: [{ user: 'carol', code: 'INBOX_FULL' }],
    });
    const carol = await hall.guest('carol');
    await carol.until(count(100));
    await carol.call(acknowledge, { position: 100 });
    await turns();
    await alice.call(message, { user: 'carol', text: 'again' });
  });

  it('whose commit is being made when the server stops are answered before it goes', async () => {
    let commit: () => void = () => undefined;
    const committed = new Promise<void>((resolve) => (commit = resolve));
    let asked: () => void = () => undefined;
    const waiting = new Promise<void>((resolve) => (asked = resolve));
    const { storage } = hall;
    const slow = await Hall.open([], {
      storage: {
        ...storage,
        appendMessages: async (batch) => {
          asked();
          await committed;
          return storage.appendMessages(batch);
        },
      },
      clock: hall.clock,
    });
    const sender = await slow.guest('dave');
    const call = sender.call(message, { user: 'carol', text: 'last words' });
    await waiting;
    const stopping = slow.stop();
    await turns();
    commit();
    expect((await call).delivered).to.equal(false);
    await stopping;
  });

  it('are all there when a sender is answered, even when everything stops then', async () => {
    const calls = Array.from({ length: 50 }, (_, i) => alice.call(message, { user: 'carol', text: `${i}` }));
    const results = Promise.allSettled(calls);
    await hall.stop();
    const kept = (await results).filter(({ status }) => status === 'fulfilled').length;
    const carol = await hall.storage.findUser('carol');
    expect(carol?.lastPosition).to.be.at.least(kept);
  });
});

describe('broadcasts', () => {
  let hall: Hall;
  let alice: Guest;
  let bob: Guest;
  let carol: Guest;
  beforeEach(async () => {
    hall = await Hall.open(['alice', 'bob', 'carol', 'dave']);
    alice = await hall.guest('alice');
    bob = await hall.guest('bob');
    carol = await hall.guest('carol');
  });
  afterEach(() => hall.close());

  it('go to everyone else who is online', async () => {
    const result = await alice.call(broadcast, { text: 'hi' });
    expect(result).to.deep.equal({ id: result.id, recipients: ['bob', 'carol'], blockedBy: 0 });
    await Promise.all([bob.until(count(1)), carol.until(count(1))]);
    expect(bob.events[0]).to.include({ type: 'broadcast', to: 'all', from: 'alice', text: 'hi', id: result.id });
    expect(alice.events).to.deep.equal([]);
    const dave = await hall.guest('dave');
    expect((await dave.call(history, { limit: 5 })).messages).to.deep.equal([]);
  });

  it('skip those who block the sender, who hears how many', async () => {
    await bob.call(block, { user: 'alice' });
    expect(await alice.call(broadcast, { text: 'hi' })).to.deep.include({ recipients: ['carol'], blockedBy: 1 });
    await carol.until(count(1));
    expect(bob.events).to.deep.equal([]);
    // Whom I block still hears me.
    await alice.call(block, { user: 'carol' });
    expect(await alice.call(broadcast, { text: 'hi' })).to.deep.include({ recipients: ['carol'] });
  });

  it('to nobody are a success', async () => {
    await bob.call(endSession, {});
    await carol.call(endSession, {});
    expect(await alice.call(broadcast, { text: 'hi' })).to.deep.include({ recipients: [], blockedBy: 0 });
  });

  it('to names are kept for those who are away', async () => {
    const result = await alice.call(broadcast, { text: 'hi', to: ['DAVE', 'bob', 'dave'] });
    expect(result).to.deep.equal({ id: result.id, recipients: ['bob', 'dave'], skipped: [] });
    await bob.until(count(1));
    expect(bob.events[0]).to.include({ type: 'broadcast', to: 'dave,bob' });
    const dave = await hall.guest('dave');
    await dave.until(count(1));
    expect(carol.events).to.deep.equal([]);
  });

  it('to names skip the sender and those who block them, and refuse unknown ones wholly', async () => {
    await bob.call(block, { user: 'alice' });
    expect(await alice.call(broadcast, { text: 'hi', to: ['alice', 'bob', 'carol'] })).to.deep.include({
      recipients: ['carol'],
      skipped: [
        { user: 'alice', code: 'SELF' },
        { user: 'bob', code: 'BLOCKED' },
      ],
    });
    const error = await refusal(alice.call(broadcast, { text: 'hi', to: ['carol', 'zed'] }));
    expect([error.code, error.details['user']]).to.deep.equal(['UNKNOWN_USER', 'zed']);
    await turns();
    expect(carol.events).to.have.length(1);
    expect((await refusal(alice.call(broadcast, { text: ' ', to: ['carol'] }))).code).to.equal('EMPTY_MESSAGE');
    expect((await refusal(alice.call(broadcast, { text: '' }))).code).to.equal('EMPTY_MESSAGE');
  });

  it('with the same id are one', async () => {
    const id = newId();
    const first = await alice.call(broadcast, { id, text: 'hi' });
    await bob.call(endSession, {});
    expect(await alice.call(broadcast, { id, text: 'hi' })).to.deep.equal(first);
    await carol.until(count(1));
    await turns();
    expect(carol.texts).to.deep.equal(['hi']);
  });
});

describe('blocks', () => {
  it('go one way, once, and are never told', async () => {
    const hall = await Hall.open(['alice', 'bob']);
    const alice = await hall.guest('alice');
    const bob = await hall.guest('bob');
    expect(await bob.call(block, { user: 'ALICE' })).to.deep.equal({ user: 'alice' });
    expect((await refusal(bob.call(block, { user: 'alice' }))).code).to.equal('ALREADY_BLOCKED');
    expect((await refusal(bob.call(block, { user: 'bob' }))).code).to.equal('SELF');
    expect((await refusal(bob.call(block, { user: 'zed' }))).code).to.equal('UNKNOWN_USER');
    const error = await refusal(alice.call(message, { user: 'bob', text: 'x' }));
    expect([error.code, error.details]).to.deep.equal(['BLOCKED', { user: 'bob' }]);
    await bob.call(message, { user: 'alice', text: 'from who blocks' });
    await alice.until(count(1));
    await hall.spread();
    expect(alice.events).to.have.length(1);
    expect((await bob.call(history, { limit: 9 })).messages).to.deep.equal([]);
    expect(await bob.call(unblock, { user: 'alice' })).to.deep.equal({ user: 'alice' });
    expect((await refusal(bob.call(unblock, { user: 'alice' }))).code).to.equal('NOT_BLOCKED');
    expect((await refusal(bob.call(unblock, { user: 'bob' }))).code).to.equal('SELF');
    await alice.call(message, { user: 'bob', text: 'x' });
    await hall.close();
  });
});

describe('history', () => {
  let hall: Hall;
  let bob: Guest;
  let ids: string[];
  beforeEach(async () => {
    hall = await Hall.open(['alice', 'bob', 'carol']);
    const alice = await hall.guest('alice');
    const carol = await hall.guest('carol');
    bob = await hall.guest('bob');
    ids = [];
    for (let i = 0; i < 6; i++) {
      const from = i % 2 === 0 ? alice : carol;
      ids.push((await from.call(message, { user: 'bob', text: `${i}` })).id);
      hall.clock.jump(1_000);
    }
  });
  afterEach(() => hall.close());

  const texts = async (params: Parameters<typeof bob.call<typeof history>>[1]): Promise<string[]> =>
    (await bob.call(history, params)).messages.map(({ text }) => text);

  it('is read backwards in pages, oldest first within one', async () => {
    expect(await texts({ limit: 2 })).to.deep.equal(['4', '5']);
    expect(await texts({ limit: 2, before: ids[4] })).to.deep.equal(['2', '3']);
    expect(await texts({ limit: 9, before: ids[0] })).to.deep.equal([]);
    expect(await texts({ limit: 9, with: 'CAROL' })).to.deep.equal(['1', '3', '5']);
    expect((await refusal(bob.call(history, { limit: 1, with: 'zed' }))).code).to.equal('UNKNOWN_USER');
    expect((await refusal(bob.call(history, { limit: 1, before: newId() }))).code).to.equal('BAD_REQUEST');
    const [newest] = (await bob.call(history, { limit: 1 })).messages;
    expect(newest).to.deep.equal({
      id: ids[5],
      kind: 'message',
      from: 'carol',
      to: 'bob',
      text: '5',
      sentAt: '2030-01-01T00:00:05.000Z',
      unread: true,
    });
  });

  it('knows what a person has not seen: acknowledging does not count, markRead does', async () => {
    await bob.call(acknowledge, { position: 6 });
    expect(await texts({ limit: 9, unread: true })).to.have.length(6);
    expect(await bob.call(markRead, { ids: [ids[0] ?? '', ids[5] ?? '', newId()] })).to.deep.equal({ unread: 4 });
    expect(await texts({ limit: 9, unread: true })).to.deep.equal(['1', '2', '3', '4']);
    expect(await texts({ limit: 9 })).to.have.length(6);
  });

  it('cuts pages of long texts short, and ends with an empty one', async () => {
    const carol = await hall.storage.findUser('carol');
    const dave = await hall.storage.createUser('dave' as never, 'plain:dave', 0);
    const batch: NewMessage[] = Array.from({ length: 40 }, (_, i) => ({
      messageId: newId(),
      senderId: carol?.id ?? 0,
      senderName: 'carol' as never,
      kind: 'message',
      to: 'dave',
      text: `${i}`.padEnd(16_000),
      sentAt: i,
      recipients: [dave?.id ?? 0],
    }));
    await hall.storage.appendMessages(batch);
    const guest = await hall.guest('dave');
    let before: string | undefined;
    const found: string[] = [];
    for (let pages = 0; ; pages++) {
      const page = await guest.call(history, { limit: 500, before });
      if (page.messages.length === 0) break;
      expect(page.messages.length).to.be.within(1, 17);
      found.unshift(...page.messages.map(({ text }) => text.trim()));
      before = page.messages[0]?.id;
    }
    expect(found).to.deep.equal(batch.map(({ text }) => text.trim()));
  });
});

describe('group commit', () => {
  const draft = (i: number): NewMessage => ({
    messageId: newId(),
    senderId: 1,
    senderName: 'alice' as never,
    kind: 'message',
    to: 'bob',
    text: `${i}`,
    sentAt: 0,
    recipients: [2],
  });

  it('stores what comes in one turn together, in order, and at most 256 at a time', async () => {
    const batches: string[][] = [];
    let late: Promise<unknown> | undefined;
    const queue: AppendQueue = new AppendQueue(
      {
        appendMessages: (batch) => {
          batches.push(batch.map(({ text }) => text));
          // More comes while the first commit is made: it must not overtake what waits.
          late ??= Promise.all(Array.from({ length: 10 }, (_, i) => queue.add(draft(600 + i))));
          return Promise.resolve(batch.map((): AppendOutcome => ({ kind: 'stored', recipients: [] })));
        },
      },
      () => undefined,
    );
    const done = Promise.all(Array.from({ length: 600 }, (_, i) => queue.add(draft(i))));
    expect(batches).to.deep.equal([]);
    await queue.settled();
    await done;
    await late;
    expect(batches.map((batch) => batch.length)).to.deep.equal([256, 256, 98]);
    expect(batches.flat()).to.deep.equal(Array.from({ length: 610 }, (_, i) => `${i}`));
  });

  it('answers nobody before the commit, and everybody of a commit that failed with its reason', async () => {
    let finish: (error?: ParleyError) => void = () => undefined;
    const stored: string[] = [];
    const queue = new AppendQueue(
      {
        appendMessages: (batch) =>
          new Promise((resolve, reject) => {
            finish = (error) => {
              if (error === undefined) resolve(batch.map(() => ({ kind: 'stored', recipients: [] })));
              else reject(error);
            };
          }),
      },
      (messages) => stored.push(...messages.map(({ text }) => text)),
    );
    let answered = 0;
    const calls = [queue.add(draft(0)), queue.add(draft(1))].map((call) => call.finally(() => (answered += 1)));
    const outcome = Promise.allSettled(calls);
    await turns(3);
    expect(answered).to.equal(0);
    finish(new ParleyError('DISK_FULL', { path: 'x', reason: 'y' }));
    const results = await outcome;
    expect(results.map((each) => each.status === 'rejected' && (each.reason as ParleyError).code)).to.deep.equal([
      'DISK_FULL',
      'DISK_FULL',
    ]);
    expect(stored).to.deep.equal([]);
  });
});

describe('the storage’s commits', () => {
  let storage: Storage;
  beforeEach(async () => {
    storage = await openSqlite(':memory:');
  });
  afterEach(() => storage.close());

  it('undo only the verb that fails, of those in one turn', async () => {
    const alice = await storage.createUser('alice' as never, 'x', 0);
    const file = (name: string, chunks: number): Promise<unknown> =>
      storage.registerFile({
        name: name as never,
        ownerId: alice?.id ?? 0,
        sizeBytes: chunks,
        chunks,
        root: 'a'.repeat(64) as never,
        chunkDigests: Buffer.alloc(32 * chunks),
        registeredAt: 0,
      });
    const results = await Promise.allSettled([file('one', 1), file('too many', 1_000_001), file('two', 1)]);
    expect(results.map(({ status }) => status)).to.deep.equal(['fulfilled', 'rejected', 'fulfilled']);
    const names = (await storage.listFiles({ limit: 9 })).map(({ name }) => name as string);
    expect(names).to.deep.equal(['one', 'two']);
  });
});
