/** What the operator sees and does, over links in memory. */
import { expect } from 'chai';
import { adminCommands } from '../../src/protocol/commands/admin.js';
import type { SessionRow } from '../../src/protocol/commands/admin/status.js';
import { serverCommands } from '../../src/protocol/commands/server.js';
import { Connection } from '../../src/protocol/connection.js';
import { makeHello } from '../../src/protocol/hello.js';
import type { Role } from '../../src/protocol/hello.js';
import { duration, statusLines } from '../../src/server/admin/print.js';
import { serveOperator } from '../../src/server/admin/serve.js';
import { silentLog } from '../../src/server/log.js';
import { linkedPair } from '../support/pair.js';
import { refusal } from '../support/refusal.js';
import { Hall, anyKey, turns } from './hall.js';
import type { Guest } from './hall.js';

const { status, kick, unlock } = adminCommands;
const { create_group: createGroup, join_group: joinGroup } = serverCommands;
const { registerFile, hold, message, acknowledge, resume, whoelse } = serverCommands;

describe('the operator', () => {
  let hall: Hall;
  afterEach(() => hall.close());

  function enter(role: Role = 'operator'): Connection {
    const [theirs, ours] = linkedPair();
    const { core, clock } = hall;
    const server = { core, address: '192.0.2.100:8100', connections: () => 7 };
    const startedAt = clock.epochMs();
    const startedMs = clock.monotonicMs();
    serveOperator(ours, { server, version: '1.2.3', startedAt, startedMs, clock, log: silentLog });
    return new Connection(theirs, { hello: makeHello(role), end: 'dialer' });
  }

  it('sees who is there, since when, how long idle, and what they hold', async () => {
    hall = await Hall.open(['bob', 'Alice', 'carol']);
    const operator = enter();
    const since = new Date(hall.clock.epochMs()).toISOString();
    const bob = await hall.guest('bob', { key: anyKey(), address: '192.0.2.7' });
    await hall.clock.advance(5_000);
    const alice = await hall.guest('Alice');
    const file = { file: 'a.bin', sizeBytes: 10, chunks: 10, root: 'ab'.repeat(32) };
    await alice.call(registerFile, file, { body: [Buffer.alloc(320)] });
    await alice.call(hold, { file: 'a.bin', root: 'ab'.repeat(32), chunks: 'all' });
    await bob.call(hold, { file: 'a.bin', root: 'ab'.repeat(32), chunks: { add: [1, 3, 9] } });
    await alice.call(message, { user: 'bob', text: 'hi' });
    await alice.call(message, { user: 'carol', text: 'hi' });
    await bob.until((events) => events.some(({ type }) => type === 'message'));
    await bob.call(acknowledge, { position: 1 });
    await hall.clock.advance(3_500);
    const seen = await operator.call(status, {});
    expect(seen).to.deep.include({
      version: '1.2.3',
      address: '192.0.2.100:8100',
      pid: process.pid,
      uptimeSeconds: 8,
      connections: 7,
      online: 2,
      users: 3,
      files: 1,
      waiting: 1,
    });
    expect(seen.sessions).to.deep.equal([
      { user: 'Alice', address: '192.0.2.1', since: seen.sessions[0]?.since, idleSeconds: 3, held: 10 },
      { user: 'bob', address: '192.0.2.7', since, idleSeconds: 3, held: 3 },
    ]);
    expect(Date.parse(seen.sessions[0]?.since ?? '') - Date.parse(since)).to.equal(5_000);
  });

  it('sees which focus group somebody is in', async () => {
    hall = await Hall.open(['alice', 'bob']);
    const alice = await hall.guest('alice');
    await hall.guest('bob');
    await alice.call(createGroup, { group: 'Skii' });
    await alice.call(joinGroup, { group: 'skii' });
    const { sessions } = await enter().call(status, {});
    expect(sessions.map(({ group }) => group)).to.deep.equal(['Skii', undefined]);
  });

  it('sees thousands of sessions whole, in the order of their names', async () => {
    hall = await Hall.open(['alice']);
    await hall.guest('alice');
    const [session] = hall.core.services.presence.sessions();
    if (session === undefined) return expect.fail('alice is there');
    const many = Array.from({ length: 5_000 }, (_, i) => {
      const user = { id: i, name: `user${String(i).padStart(5, '0')}` as typeof session.user.name };
      return Object.assign(Object.create(session) as typeof session, { user });
    });
    hall.core.services.presence.sessions = () => [...many].reverse();
    const { sessions, online } = await enter().call(status, {});
    expect(online).to.equal(5_000);
    expect(sessions.map(({ user }) => user)).to.deep.equal(many.map(({ user }) => user.name));
  });

  it('ends a session: the user is told why, cannot resume, and can log in anew', async () => {
    hall = await Hall.open(['alice', 'bob']);
    const operator = enter();
    const key = anyKey();
    const alice = hall.enter({ key });
    const { token = '' } = await alice.login('alice');
    const bob = await hall.guest('bob');
    expect(await operator.call(kick, { user: 'ALICE' })).to.deep.equal({ user: 'alice' });
    expect((await alice.connection.closed)?.code).to.equal('LOGIN_REQUIRED');
    expect(alice.notices).to.deep.equal(['LOGGED_OUT_KICKED']);
    expect(await bob.call(whoelse, {})).to.deep.equal({ users: [] });
    expect((await refusal(hall.enter({ key }).call(resume, { token }))).code).to.equal('LOGIN_REQUIRED');
    await hall.spread();
    expect(bob.comings).to.deep.equal(['-alice']);
    await hall.guest('alice', { key });
  });

  it('is refused for users there are not, and those who are not there', async () => {
    hall = await Hall.open(['alice']);
    const operator = enter();
    expect((await refusal(operator.call(kick, { user: 'alice' }))).code).to.equal('USER_OFFLINE');
    for (const user of ['nobody', '../x', '__proto__']) {
      expect((await refusal(operator.call(kick, { user }))).code).to.equal('UNKNOWN_USER');
      expect((await refusal(operator.call(unlock, { user }))).code).to.equal('UNKNOWN_USER');
    }
  });

  it('unlocks an account, with what it did to the address', async () => {
    hall = await Hall.open(['alice', 'bob']);
    const operator = enter();
    const wrong = async (times: number): Promise<string[]> => {
      const codes: string[] = [];
      const guest = hall.enter();
      for (let i = 0; i < times; i++) codes.push((await refusal(guest.login('alice', 'wrong'))).code);
      return codes;
    };
    expect(await wrong(4)).to.deep.equal([...Array<string>(3).fill('BAD_CREDENTIALS'), 'LOCKED_OUT']);
    expect(await operator.call(unlock, { user: 'Alice' })).to.deep.equal({ user: 'alice', wasLocked: true });
    expect(await operator.call(unlock, { user: 'Alice' })).to.deep.equal({ user: 'alice', wasLocked: false });
    // Ten from one address would block all its accounts.
    for (let round = 0; round < 4; round++) {
      await wrong(3);
      await operator.call(unlock, { user: 'alice' });
    }
    await hall.guest('bob');
    await hall.guest('alice');
  });

  it('is met on a socket of its own only, and meets nobody else there', async () => {
    hall = await Hall.open(['alice']);
    for (const role of ['client', 'face', 'peer'] as const) {
      expect((await refusal(enter(role).call(status, {}))).code).to.equal('PROTOCOL_ERROR');
    }
    const alice: Guest = await hall.guest('alice');
    expect((await refusal(alice.call(status, {}))).code).to.equal('UNKNOWN_COMMAND');
    const [theirs, ours] = linkedPair();
    const origin = { address: '192.0.2.1', localAddress: '192.0.2.100', key: undefined };
    hall.core.accept(ours, origin, { deciding: false, settle: () => undefined });
    const foreign = new Connection(theirs, { hello: makeHello('operator'), end: 'dialer' });
    expect((await refusal(foreign.call(status, {}))).code).to.equal('PROTOCOL_ERROR');
    await turns();
  });
});

describe('the operator’s view as text', () => {
  const row: SessionRow = {
    user: 'alice',
    address: '192.0.2.7',
    since: '2030-01-02T03:04:05.678Z',
    idleSeconds: 61,
    held: 12,
  };
  const header = { version: '1.2.3', address: '127.0.0.1:8100', pid: 42, startedAt: row.since, uptimeSeconds: 90_061 };

  it('has a line for each session, in columns', () => {
    const counts = { connections: 1, online: 2, users: 3, files: 0, waiting: 1 };
    const sessions = [row, { ...row, user: 'bo', group: 'skii', held: 0, idleSeconds: 0 }];
    expect(statusLines({ ...header, ...counts, sessions })).to.deep.equal([
      'parley server 1.2.3 at 127.0.0.1:8100, up 1 d 1 h (pid 42)',
      '1 connection, 2 of 3 users online, 1 message waiting, 0 files registered',
      'USER   ADDRESS    SINCE (UTC)          IDLE       GROUP  HELD',
      'alice  192.0.2.7  2030-01-02 03:04:05  1 min 1 s         12',
      'bo     192.0.2.7  2030-01-02 03:04:05  0 s        skii   0',
    ]);
  });

  it('tells durations in their two largest units', () => {
    const told = [0, 59, 60, 3_599, 3_600, 3_601, 86_400, 90_000, 1e6].map(duration);
    expect(told).to.deep.equal(['0 s', '59 s', '1 min', '59 min 59 s', '1 h', '1 h', '1 d', '1 d 1 h', '11 d 13 h']);
  });
});
