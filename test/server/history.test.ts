/** History: searching it, what goes into the index when, what is removed when, and who may ask for how long. */
import { expect } from 'chai';
import { serverCommands } from '../../src/protocol/commands/server.js';
import { runUserAction } from '../../src/server/users.js';
import type { RetentionAction } from '../../src/server/program.js';
import { DEFAULTS } from '../../src/server/config.js';
import { Indexing } from '../../src/server/indexing.js';
import { INDEX_PAUSE_MS } from '../../src/server/limits.js';
import { silentLog } from '../../src/server/log.js';
import { openSqlite } from '../../src/server/storage/sqlite.js';
import { addUser } from '../support/storage.js';
import { FakeClock } from '../support/fakeclock.js';
import { refusal } from '../support/refusal.js';
import { Hall, turns } from './hall.js';
import type { Guest } from './hall.js';

const { message, broadcast, history, markRead, acknowledge } = serverCommands;
const DAY_MS = 24 * 60 * 60 * 1_000;

describe('history', () => {
  let hall: Hall;
  afterEach(() => hall.close());

  const texts = async (guest: Guest, question: object): Promise<string[]> =>
    (await guest.call(history, { limit: 50, ...question })).messages.map(({ text }) => text);

  it('is searched by words, at once and when they are in the index, together with the other filters', async () => {
    hall = await Hall.open(['alice', 'bob', 'carol']);
    const [alice, bob, carol] = [await hall.guest('alice'), await hall.guest('bob'), await hall.guest('carol')];
    await alice.call(message, { user: 'bob', text: 'The exam room is 7' });
    await carol.call(message, { user: 'bob', text: 'which ROOM?' });
    for (let round = 0; round < 2; round++) {
      expect(await texts(bob, { search: 'room' })).to.deep.equal(['The exam room is 7', 'which ROOM?']);
      expect(await texts(bob, { search: 'room exa*' })).to.deep.equal(['The exam room is 7']);
      expect(await texts(bob, { search: 'room', with: 'carol' })).to.deep.equal(['which ROOM?']);
      expect(await texts(bob, { search: 'room', limit: 1 })).to.deep.equal(['which ROOM?']);
      expect(await texts(alice, { search: 'room' })).to.deep.equal([]);
      await hall.clock.advance(1_000);
      await turns();
    }
    expect(await hall.storage.indexMessages()).to.equal(0);
    for (const search of ['"', '***', ' ']) {
      expect((await refusal(bob.call(history, { search, limit: 5 }))).code, search).to.equal('BAD_REQUEST');
    }
  });

  it('has broadcasts of those who were online, and of nobody else', async () => {
    hall = await Hall.open(['alice', 'bob', 'carol']);
    const [alice, bob] = [await hall.guest('alice'), await hall.guest('bob')];
    await alice.call(broadcast, { text: 'fire drill at noon' });
    const carol = await hall.guest('carol');
    await alice.call(broadcast, { text: 'drill is over' });
    expect(await texts(bob, {})).to.deep.equal(['fire drill at noon', 'drill is over']);
    expect(await texts(bob, { search: 'drill' })).to.deep.equal(['fire drill at noon', 'drill is over']);
    expect(await texts(carol, {})).to.deep.equal(['drill is over']);
    expect(await texts(carol, { search: 'drill noon' })).to.deep.equal([]);
    expect(await texts(alice, {})).to.deep.equal([]);
  });

  it('goes when it is old, delivered and read', async () => {
    hall = await Hall.open(['alice', 'bob', 'carol'], { retention: 30 });
    const [alice, bob] = [await hall.guest('alice'), await hall.guest('bob')];
    const read = await alice.call(message, { user: 'bob', text: 'read' });
    await alice.call(message, { user: 'bob', text: 'unread' });
    await alice.call(message, { user: 'carol', text: 'away' });
    await bob.until((events) => events.length >= 2);
    await bob.call(acknowledge, { position: 2 });
    await bob.call(markRead, { ids: [read.id] });
    await hall.clock.advance(1_000);
    hall.clock.jump(29 * DAY_MS);
    await hall.clock.advance(2 * 60_000);
    await turns();
    const left = async (name: string): Promise<string[]> => {
      const user = await hall.storage.findUser(name);
      return (await hall.storage.entriesAfter(user?.id ?? 0, 0, { limit: 10 })).map(({ text }) => text);
    };
    expect(await left('bob')).to.deep.equal(['read', 'unread']);
    hall.clock.jump(DAY_MS);
    await hall.clock.advance(60 * 60_000);
    await turns();
    expect(await left('bob')).to.deep.equal(['unread']);
    expect(await left('carol')).to.deep.equal(['away']);
  });
});

describe('indexing', () => {
  class Words {
    left = 0;
    batches = 0;
    fails = false;
    async indexMessages(): Promise<number> {
      await Promise.resolve();
      if (this.fails) throw new Error('no');
      const taken = Math.min(10, this.left);
      this.left -= taken;
      if (taken > 0) this.batches += 1;
      return taken;
    }
  }
  const setUp = () => {
    const [clock, storage] = [new FakeClock(), new Words()];
    return { clock, storage, indexing: new Indexing({ storage, clock, log: silentLog }) };
  };

  it('begins with what was left, goes on to the end when it is quiet, and then waits for more', async () => {
    const { clock, storage, indexing } = setUp();
    storage.left = 95;
    await clock.advance(INDEX_PAUSE_MS);
    await turns();
    expect(storage).to.include({ left: 0, batches: 10 });
    storage.left = 5;
    await clock.advance(60_000);
    expect(storage.left).to.equal(5);
    indexing.wake();
    await clock.advance(INDEX_PAUSE_MS);
    await clock.advance(INDEX_PAUSE_MS);
    await turns();
    expect(storage.left).to.equal(0);
    await indexing.close();
  });

  it('takes a batch at a time while messages come', async () => {
    const { clock, storage, indexing } = setUp();
    storage.left = 1_000;
    for (let n = 0; n < 10; n++) {
      indexing.wake();
      await clock.advance(INDEX_PAUSE_MS);
      await turns();
    }
    expect(storage.batches).to.equal(10);
    await indexing.close();
    await clock.advance(10_000);
    expect(storage.batches).to.equal(10);
  });

  it('tries again a while after it failed', async () => {
    const { clock, storage, indexing } = setUp();
    Object.assign(storage, { left: 10, fails: true });
    await clock.advance(1_000);
    await turns();
    storage.fails = false;
    await clock.advance(60_000);
    await turns();
    expect(storage.left).to.equal(0);
    await indexing.close();
    await indexing.close();
  });
});

describe('server user retention', () => {
  it('says and sets it, in words and as JSON', async () => {
    const storage = await openSqlite(':memory:');
    await addUser(storage, 'Bob');
    const lines: string[] = [];
    const run = async (
      retention: RetentionAction['retention'],
      over: Partial<RetentionAction> = {},
    ): Promise<string> => {
      await runUserAction(
        { kind: 'retention', name: 'bob', retention, dataDir: '', json: false, ...over },
        {
          storage,
          passwords: () => expect.fail('no password is needed'),
          readPassword: () => expect.fail('no password is needed'),
          print: (line) => void lines.push(line),
        },
      );
      return lines.pop() ?? '';
    };
    expect(await run(undefined)).to.equal(
      `what Bob has read is kept ${DEFAULTS.retentionDays} days, the server’s default`,
    );
    expect(await run(1)).to.equal('what Bob has read is kept 1 day');
    expect(await run(undefined, { json: true })).to.equal('{"user":"Bob","retention":1,"isDefault":false}');
    expect(await run('forever')).to.equal('what Bob has read is kept for ever');
    await storage.setSetting('retention', 'forever');
    expect(await run('default', { json: true })).to.equal('{"user":"Bob","retention":"forever","isDefault":true}');
    expect((await refusal(run(undefined, { name: 'zed' }))).code).to.equal('UNKNOWN_USER');
    await storage.close();
  });
});
