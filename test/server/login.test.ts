/** Logging in, resuming, being replaced, idle, removed: one session a user, and only for who may. */
import { expect } from 'chai';
import { randomBytes } from 'node:crypto';
import { serverCommands } from '../../src/protocol/commands/server.js';
import { Connection } from '../../src/protocol/connection.js';
import { ParleyError } from '../../src/protocol/errors.js';
import { encodeFrame } from '../../src/protocol/frame.js';
import { makeHello } from '../../src/protocol/hello.js';
import { noteAccountsChanged } from '../../src/server/accounts.js';
import { Passwords } from '../../src/server/auth/passwords.js';
import { parseUserName } from '../../src/protocol/values.js';
import { linkedPair } from '../support/pair.js';
import { refusal } from '../support/refusal.js';
import { PLAIN_ARGON2 } from '../support/server.js';
import { Hall, anyKey, turns } from './hall.js';

const { login, resume, whoelse, endSession, renew, acknowledge } = serverCommands;

describe('the login gate', () => {
  let hall: Hall;
  beforeEach(async () => {
    hall = await Hall.open(['Alice', 'bob'], { timeoutMs: 100_000 });
  });
  afterEach(() => hall.close());

  it('answers nothing but login and resume before', async () => {
    const stranger = hall.enter();
    const params = { root: 'a'.repeat(64), sizeBytes: 1, file: 'f', chunks: 1, user: 'bob', text: 'x', limit: 1, port: 1, ids: [], position: 1, seconds: 1, minutes: 1, purpose: 'private', chunk: 0, code: 'CHUNK_GONE', group: 'g' }; // prettier-ignore
    for (const spec of Object.values(serverCommands)) {
      if ('beforeLogin' in spec) continue;
      const chunks = spec.name === 'searchChunk' ? [0] : spec.name === 'hold' ? 'all' : 1;
      const error = await refusal(stranger.connection.call(spec as never, { ...params, chunks } as never));
      expect(error.code, spec.name).to.equal('LOGIN_REQUIRED');
    }
  });

  it('knows names without regard to case, and answers with the registered spelling', async () => {
    const start = await hall.enter({ key: anyKey() }).login('aLICE');
    expect(start).to.deep.include({ user: 'Alice', leaseSeconds: 60, timeoutSeconds: 100, acknowledged: 0, unread: 0 });
    expect(start.token).to.match(/^[A-Za-z0-9_-]{43}$/);
  });

  it('says the same of a wrong password and an unknown name', async () => {
    const guest = hall.enter();
    const wrong = await refusal(guest.login('bob', 'nonsense'));
    const unknown = await refusal(guest.login('zed', 'nonsense'));
    expect([wrong.code, wrong.details]).to.deep.equal([unknown.code, unknown.details]);
    expect(wrong.code).to.equal('BAD_CREDENTIALS');
    for (const name of ['__proto__', 'constructor', '../x', ' ']) {
      expect((await refusal(hall.enter({ address: `203.0.113.${name.length}` }).login(name, 'x'))).code).to.equal(
        'BAD_CREDENTIALS',
      );
    }
  });

  it('locks out after three failures, the right password included, for as long as it was told', async () => {
    for (let i = 0; i < 3; i++) await refusal(hall.enter().login('bob', 'wrong'));
    const error = await refusal(hall.enter().login('bob'));
    expect(error.code).to.equal('LOCKED_OUT');
    expect(error.details['retryAfterSeconds']).to.equal(60);
    await hall.enter({ address: '192.0.2.2' }).login('bob');
    await hall.clock.advance(60_000);
    expect((await refusal(hall.enter().login('bob'))).code).to.equal('ALREADY_LOGGED_IN');
  });

  it('lets a connection log in once', async () => {
    const alice = await hall.guest('Alice');
    const error = await refusal(alice.login('bob'));
    expect(error.code).to.equal('ALREADY_LOGGED_IN');
    expect(error.details).to.deep.equal({ user: 'Alice', where: 'on this connection' });
  });

  it('serves everyone else while passwords are judged, and tells who comes when too many wait (R1)', async () => {
    let judge: () => void = () => undefined;
    const judged = new Promise<void>((resolve) => (judge = resolve));
    const slow = await Passwords.create({
      hash: (password, options) => PLAIN_ARGON2.hash(password, options),
      verify: (hash, password) => judged.then(() => PLAIN_ARGON2.verify(hash, password)),
    });
    const busy = await Hall.open([], { storage: hall.storage, passwords: slow, clock: hall.clock });
    const key = anyKey();
    const { token = '' } = await hall.enter({ key }).login('alice');
    const alice = busy.enter({ key });
    await alice.call(resume, { token });
    const flood = Array.from({ length: 100 }, (_, i) =>
      busy.enter({ address: `198.51.100.${i}` }).login('bob', 'guess'),
    );
    const codes = Promise.all(flood.map(async (each) => (await refusal(each)).code));
    await turns();
    expect(await alice.call(whoelse, {})).to.deep.equal({ users: [] });
    judge();
    const counts = (code: string): Promise<number> => codes.then((all) => all.filter((each) => each === code).length);
    expect(await counts('SERVER_BUSY')).to.equal(100 - 64 - 2);
    expect(await counts('BAD_CREDENTIALS')).to.equal(66);
    await busy.stop();
  });

  it('decides one login of a connection at a time', async () => {
    const guest = hall.enter();
    const results = await Promise.allSettled([guest.login('bob'), guest.login('bob'), guest.login('Alice')]);
    expect(results.map(({ status }) => status)).to.deep.equal(['fulfilled', 'rejected', 'rejected']);
    expect(hall.core.services.presence.size).to.equal(1);
  });

  it('ends a connection that does not log in within 10 s', async () => {
    const guest = hall.enter();
    await guest.connection.ready;
    await hall.clock.advance(9_999);
    expect(guest.connection.isOpen).to.equal(true);
    await hall.clock.advance(1);
    expect((await guest.connection.closed)?.code).to.equal('TIMEOUT');
  });

  it('takes no frame of more than 4 KiB and no data before login (R17)', async () => {
    for (const frame of [encodeFrame('call', 1, Buffer.alloc(4_097)), encodeFrame('data', 1, Buffer.alloc(1))]) {
      const [theirs, ours] = linkedPair();
      hall.core.accept(
        ours,
        { address: '192.0.2.1', localAddress: '', key: undefined },
        { deciding: false, settle: () => undefined },
      );
      const connection = new Connection(theirs, { hello: makeHello('client'), end: 'dialer' });
      await connection.ready;
      theirs.write(frame);
      expect((await connection.closed)?.code).to.equal('PROTOCOL_ERROR');
    }
  });

  it('talks to clients only', async () => {
    const [theirs, ours] = linkedPair();
    hall.core.accept(
      ours,
      { address: '192.0.2.1', localAddress: '', key: undefined },
      { deciding: false, settle: () => undefined },
    );
    const connection = new Connection(theirs, { hello: makeHello('peer'), end: 'dialer' });
    expect((await connection.closed)?.code).to.equal('PROTOCOL_ERROR');
  });

  it('tells who is blocked, however many', async () => {
    const alice = await hall.storage.findUser('alice');
    const names: string[] = [];
    for (let i = 0; i < 3_000; i++) {
      const name = `${'n'.repeat(27)}-${String(i).padStart(4, '0')}`;
      names.push(name);
      const user = await hall.storage.createUser(parseUserName(name), 'x', 0);
      await hall.storage.addBlock(alice?.id ?? 0, user?.id ?? 0, 0);
    }
    expect((await hall.enter().login('Alice')).blocked).to.deep.equal(names);
  });
});

describe('one session a user (R7)', () => {
  let hall: Hall;
  beforeEach(async () => {
    hall = await Hall.open(['alice', 'bob'], { timeoutMs: 600_000 });
  });
  afterEach(() => hall.close());

  it('refuses a second login while the first answers', async () => {
    const first = await hall.guest('alice');
    const error = await refusal(hall.enter().login('alice'));
    expect(error.code).to.equal('ALREADY_LOGGED_IN');
    expect(error.details).to.deep.equal({ user: 'alice', where: 'on another connection' });
    await first.call(whoelse, {});
  });

  it('replaces a session whose client is dead, after 3 s', async () => {
    const [theirs, ours] = linkedPair();
    hall.core.accept(
      ours,
      { address: '192.0.2.1', localAddress: '', key: undefined },
      { deciding: false, settle: () => undefined },
    );
    const dead = new Connection(theirs, { hello: makeHello('client'), end: 'dialer' });
    await dead.call(login, { user: 'alice', password: 'alice' });
    theirs.removeAllListeners('data').pause(); // From here on nobody answers there.
    const bob = await hall.guest('bob');
    let isIn = false;
    const second = hall.enter();
    const entering = second.login('alice').then(() => (isIn = true));
    await turns();
    await hall.clock.advance(2_999);
    await turns();
    expect(isIn).to.equal(false);
    await hall.clock.advance(1);
    await entering;
    expect(await bob.call(whoelse, {})).to.deep.equal({ users: ['alice'] });
    expect(hall.core.services.presence.size).to.equal(2);
  });

  it('lets one of many racing logins in', async () => {
    const results = await Promise.allSettled(Array.from({ length: 10 }, () => hall.enter().login('alice')));
    expect(results.filter(({ status }) => status === 'fulfilled')).to.have.length(1);
    expect(hall.core.services.presence.size).to.equal(1);
  });

  it('is free again after logging out', async () => {
    const first = await hall.guest('alice');
    await first.call(endSession, {});
    expect(await first.connection.closed).to.equal(undefined);
    await hall.guest('alice');
  });

  it('answers nothing more once it has ended', async () => {
    const first = await hall.guest('alice');
    const [, late] = await Promise.allSettled([first.call(endSession, {}), first.call(whoelse, {})]);
    expect(late.status).to.equal('rejected');
  });
});

describe('resuming', () => {
  let hall: Hall;
  beforeEach(async () => {
    hall = await Hall.open(['alice', 'bob']);
  });
  afterEach(() => hall.close());

  it('takes the session up with its token and key; a used one is good for a minute more, should the answer be lost', async () => {
    const key = anyKey();
    const { token = '' } = await hall.enter({ key }).login('alice');
    const start = await hall.enter({ key }).call(resume, { token });
    expect(start.user).to.equal('alice');
    expect(start.token).to.not.equal(token);
    hall.clock.jump(59_000);
    await hall.enter({ key }).call(resume, { token });
    hall.clock.jump(60_000);
    expect((await refusal(hall.enter({ key }).call(resume, { token }))).code).to.equal('LOGIN_REQUIRED');
    await hall.enter({ key }).call(resume, { token: start.token ?? '' });
    expect(hall.core.services.presence.size).to.equal(1);
  });

  it('is bound to the key, and who lacks it does not use the token up', async () => {
    const key = anyKey();
    const { token = '' } = await hall.enter({ key }).login('alice');
    expect((await refusal(hall.enter({ key: anyKey() }).call(resume, { token }))).code).to.equal('LOGIN_REQUIRED');
    expect((await refusal(hall.enter().call(resume, { token }))).code).to.equal('LOGIN_REQUIRED');
    await hall.enter({ key }).call(resume, { token });
  });

  it('gives no token to a session without a key', async () => {
    expect((await hall.enter().login('alice')).token).to.equal(undefined);
  });

  it('works after a restart of the server, until the token has ended', async () => {
    const key = anyKey();
    const { token = '' } = await hall.enter({ key }).login('alice');
    await hall.stop();
    const after = await Hall.open([], { storage: hall.storage, clock: hall.clock });
    const { token: next = '' } = await after.enter({ key }).call(resume, { token });
    hall.clock.jump(7 * 24 * 3_600_000);
    expect((await refusal(after.enter({ key }).call(resume, { token: next }))).code).to.equal('LOGIN_REQUIRED');
    await after.stop();
  });

  it('is over with the session: logout, inactivity and a new password revoke tokens', async () => {
    const key = anyKey();
    const first = hall.enter({ key });
    const { token = '' } = await first.login('alice');
    await first.call(endSession, {});
    expect((await refusal(hall.enter({ key }).call(resume, { token }))).code).to.equal('LOGIN_REQUIRED');
    const { token: second = '' } = await hall.enter({ key }).login('alice');
    await hall.clock.advance(600_000);
    expect((await refusal(hall.enter({ key }).call(resume, { token: second }))).code).to.equal('LOGIN_REQUIRED');
    const third = hall.enter({ key });
    const { token: last = '' } = await third.login('alice');
    await hall.storage.setPasswordHash((await hall.storage.findUser('alice'))?.id ?? 0, 'plain:new');
    expect((await refusal(hall.enter({ key }).call(resume, { token: last }))).code).to.equal('LOGIN_REQUIRED');
  });

  it('goes on with the old token while the disk is full, and so does everything that only reads (R21)', async () => {
    const full = new ParleyError('DISK_FULL', { path: '/secret/path', reason: 'disk full' });
    const { storage } = hall;
    const keys = [anyKey(), anyKey()];
    const { token = '' } = await hall.enter({ key: keys[1] }).login('bob');
    const reading = await Hall.open([], {
      storage: {
        ...storage,
        keepSession: () => Promise.reject(full),
        appendMessages: () => Promise.reject(full),
        touchLastSeen: () => Promise.reject(full),
      },
      clock: hall.clock,
    });
    const alice = reading.enter({ key: keys[0] });
    expect((await alice.login('alice')).token).to.equal(undefined);
    const bob = await reading.enter({ key: keys[1] }).call(resume, { token });
    expect(bob.token).to.equal(token);
    expect(await alice.call(whoelse, {})).to.deep.equal({ users: ['bob'] });
    const error = await refusal(alice.call(serverCommands.message, { user: 'bob', text: 'x' }));
    expect(error.code).to.equal('DISK_FULL');
    expect(error.message).to.not.contain('secret');
    await reading.stop();
    hall.clock.jump(120_000);
    await hall.enter({ key: keys[1] }).call(resume, { token });
  });

  it('is refused when the token is revoked while it is being decided', async () => {
    const key = anyKey();
    const { storage } = hall;
    const { token = '' } = await hall.enter({ key }).login('alice');
    const alice = await storage.findUser('alice');
    const racing = await Hall.open([], {
      storage: {
        ...storage,
        countUnread: async (userId) => {
          await storage.revokeResumeTokens(alice?.id ?? 0);
          return storage.countUnread(userId);
        },
      },
      clock: hall.clock,
    });
    expect((await refusal(racing.enter({ key }).call(resume, { token }))).code).to.equal('LOGIN_REQUIRED');
    expect(racing.core.services.presence.size).to.equal(0);
    await racing.stop();
  });

  it('refuses nonsense', async () => {
    const token = randomBytes(32).toString('base64url');
    expect((await refusal(hall.enter({ key: anyKey() }).call(resume, { token }))).code).to.equal('LOGIN_REQUIRED');
  });
});

describe('the end of a session', () => {
  let hall: Hall;
  beforeEach(async () => {
    hall = await Hall.open(['alice', 'bob'], { timeoutMs: 600_000 });
  });
  afterEach(() => hall.close());

  it('comes with inactivity, and the client is told why', async () => {
    const alice = await hall.guest('alice');
    await hall.clock.advance(599_999);
    expect(hall.core.services.presence.size).to.equal(1);
    await hall.clock.advance(1);
    expect((await alice.connection.closed)?.code).to.equal('LOGIN_REQUIRED');
    expect(alice.notices).to.deep.equal(['LOGGED_OUT_IDLE']);
  });

  it('is put off by what a user or an agent does, not by pings and acknowledgements', async () => {
    const alice = await hall.guest('alice');
    const bob = await hall.guest('bob');
    await hall.clock.advance(400_000);
    await alice.call(renew, {});
    await bob.call(acknowledge, { position: 0 });
    await hall.clock.advance(200_000);
    expect((await bob.connection.closed)?.code).to.equal('LOGIN_REQUIRED');
    expect(alice.connection.isOpen).to.equal(true);
    await hall.clock.advance(400_000);
    await alice.connection.closed;
  });

  it('is not moved by a clock that is set (R22)', async () => {
    const alice = await hall.guest('alice');
    hall.clock.jump(365 * 24 * 3_600_000);
    await hall.clock.advance(60_000);
    await alice.call(whoelse, {});
    hall.clock.jump(-2 * 365 * 24 * 3_600_000);
    await hall.clock.advance(60_000);
    await alice.call(whoelse, {});
  });

  it('comes within a second when the account is removed by another process', async () => {
    const alice = await hall.guest('alice');
    await hall.storage.removeUser((await hall.storage.findUser('alice'))?.id ?? 0);
    await noteAccountsChanged(hall.storage);
    await hall.clock.advance(1_000);
    expect((await alice.connection.closed)?.code).to.equal('LOGIN_REQUIRED');
    expect(alice.notices).to.deep.equal(['ACCOUNT_REMOVED']);
    expect((await refusal(hall.enter().login('alice'))).code).to.equal('BAD_CREDENTIALS');
  });

  it('comes 45 s after the last sign of life (R23)', async () => {
    const [theirs, ours] = linkedPair();
    hall.core.accept(
      ours,
      { address: '192.0.2.1', localAddress: '', key: undefined },
      { deciding: false, settle: () => undefined },
    );
    const silent = new Connection(theirs, { hello: makeHello('client'), end: 'dialer' });
    await silent.call(login, { user: 'alice', password: 'alice' });
    theirs.removeAllListeners('data').pause();
    const bob = await hall.guest('bob');
    await hall.clock.advance(30_000);
    expect(await bob.call(whoelse, {})).to.deep.equal({ users: ['alice'] });
    await hall.clock.advance(30_000);
    expect(await bob.call(whoelse, {})).to.deep.equal({ users: [] });
  });

  it('is told to everyone when the server stops', async () => {
    const alice = await hall.guest('alice');
    await hall.stop();
    expect(await alice.connection.closed).to.equal(undefined);
    expect(alice.notices).to.deep.equal(['SERVER_STOPPING']);
  });
});
