/** The server's sockets: who is let in, how many, and whom the server itself connects to. */
import { expect } from 'chai';
import { constants } from 'node:crypto';
import { once } from 'node:events';
import { connect as connectTcp } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { connect as connectTls, createServer as createTlsServer } from 'node:tls';
import type { Server as TlsServer } from 'node:tls';
import { makeIdentity } from '../../src/protocol/certificate.js';
import type { Identity } from '../../src/protocol/certificate.js';
import { serverCommands } from '../../src/protocol/commands/server.js';
import { TAKEOVER_PING_MS, connectionLimits } from '../../src/server/limits.js';
import { plainAddress } from '../../src/server/listener.js';
import { startServer } from '../../src/server/server.js';
import { systemClock } from '../../src/protocol/clock.js';
import { silentLog } from '../../src/server/log.js';
import { FakeClock } from '../support/fakeclock.js';
import { refusal } from '../support/refusal.js';
import { dialServer, dialTls, loggedIn, startTestServer } from '../support/server.js';
import type { TestServer } from '../support/server.js';

const { whoelse, advertise, introduce, login } = serverCommands;
const USERS = Object.fromEntries(Array.from({ length: 51 }, (_, i) => [`user${i}`, 'pw']));

function dialTcp({ host, port }: TestServer): Socket {
  const socket = connectTcp({ host, port });
  socket.on('error', () => undefined);
  return socket;
}

async function closed(socket: Socket): Promise<void> {
  if (!socket.closed) await once(socket, 'close');
}

describe('the listener', () => {
  let at: TestServer;
  let identity: Identity;
  const open: { destroy: () => unknown }[] = [];
  const keep = <T extends { destroy: () => unknown }>(what: T): T => {
    open.push(what);
    return what;
  };

  before(async () => {
    identity = await makeIdentity('client');
  });
  afterEach(async () => {
    for (const each of open.splice(0)) each.destroy();
    await at.close();
  });

  it('speaks TLS 1.3 only, without tickets, with the key it prints', async () => {
    at = await startTestServer();
    const socket = keep(await dialTls(at));
    expect(socket.getProtocol()).to.equal('TLSv1.3');
    expect(at.fingerprint).to.match(/^SHA256:[A-Za-z0-9+/]{43}=$/);
    for (const maxVersion of ['TLSv1.2', 'TLSv1.1'] as const) {
      const old = connectTls({
        host: at.host,
        port: at.port,
        minVersion: 'TLSv1',
        maxVersion,
        rejectUnauthorized: false,
      });
      expect(((await once(old, 'error')) as [Error])[0]).to.be.an('error');
    }
    const plain = dialTcp(at);
    plain.write('GET / HTTP/1.0\r\n\r\n');
    plain.resume();
    await closed(plain);
  });

  it('keeps no session of TLS that could be resumed without the client’s certificate', async () => {
    at = await startTestServer({ users: { alice: 'a' } });
    const sessions: Buffer[] = [];
    const options = {
      host: at.host,
      port: at.port,
      rejectUnauthorized: false,
      key: identity.privateKeyPem,
      cert: identity.certificatePem,
    };
    const first = keep(connectTls(options));
    first.on('session', (session) => sessions.push(session));
    await once(first, 'secureConnect');
    const second = keep(connectTls({ ...options, session: sessions[0], secureOptions: constants.SSL_OP_NO_TICKET }));
    await once(second, 'secureConnect');
    expect(second.isSessionReused()).to.equal(false);
  });

  it('knows a client’s key, or that it has none', async () => {
    at = await startTestServer({ users: { alice: 'a', bob: 'b' } });
    const alice = keep(await dialServer(at, { identity }));
    expect((await alice.call(login, { user: 'alice', password: 'a' })).token).to.be.a('string');
    expect((await alice.call(serverCommands.userKey, { user: 'alice' })).publicKey).to.equal(identity.publicKey);
    const bob = keep(await dialServer(at));
    expect((await bob.call(login, { user: 'bob', password: 'b' })).token).to.equal(undefined);
  });

  it('ends what does not get on: no TLS, no hello, no login', async () => {
    const clock = new FakeClock();
    at = await startTestServer({ clock });
    const mute = dialTcp(at);
    await once(mute, 'connect');
    const greeted = await dialTls(at);
    greeted.resume();
    const connection = await dialServer(at);
    await clock.advance(9_000);
    expect([mute.closed, greeted.closed, connection.isOpen]).to.deep.equal([false, false, true]);
    // What TLS took of the time, as this clock counts it, is anybody's guess.
    while (!mute.closed || !greeted.closed || connection.isOpen) await clock.advance(500);
    expect((await connection.closed)?.code).to.equal('TIMEOUT');
    expect(clock.monotonicMs()).to.be.at.most(30_000);
  });

  it('lets strangers from one address push out each other, not those of another or those who are in (R19)', async () => {
    at = await startTestServer({
      users: USERS,
      limits: { total: 20, perAddress: 16, strangers: 8, strangersPerAddress: 6 },
    });
    const inside = keep(await loggedIn(at, 'user0', 'pw'));
    const other = keep(await dialServer(at, { localAddress: '127.0.0.2' }));
    const crowd = Array.from({ length: 40 }, () => keep(dialTcp(at)));
    await Promise.all(crowd.map((socket) => once(socket, 'connect')));
    // One more is let in as well, and by then the oldest had to go.
    const late = keep(await loggedIn(at, 'user1', 'pw'));
    expect(at.server.connections()).to.be.at.most(9);
    expect(other.isOpen).to.equal(true);
    await other.call(login, { user: 'user2', password: 'pw' });
    expect((await inside.call(whoelse, {})).users).to.deep.equal(['user1', 'user2']);
    expect(late.isOpen).to.equal(true);
  });

  it('lets no address take every connection', async () => {
    at = await startTestServer({
      users: USERS,
      limits: { total: 8, perAddress: 6, strangers: 8, strangersPerAddress: 8 },
    });
    for (let i = 0; i < 6; i++) keep(await loggedIn(at, `user${i}`, 'pw'));
    let refused = false;
    await dialTls(at).catch(() => (refused = true));
    expect(refused).to.equal(true);
    for (let i = 6; i < 8; i++) keep(await loggedIn(at, `user${i}`, 'pw', { localAddress: '127.0.0.3' }));
    refused = false;
    await dialTls(at, { localAddress: '127.0.0.4' }).catch(() => (refused = true));
    expect(refused).to.equal(true);
    expect(at.server.connections()).to.equal(8);
  });

  it('replaces a session whose client does not answer any more (R7)', async () => {
    let pinged = (): void => undefined;
    const asked = new Promise<void>((resolve) => (pinged = resolve));
    class WatchedClock extends FakeClock {
      override after(delayMs: number, task: () => void): () => void {
        if (delayMs === TAKEOVER_PING_MS) pinged();
        return super.after(delayMs, task);
      }
    }
    const clock = new WatchedClock();
    at = await startTestServer({ users: { alice: 'a' }, clock });
    const dead = keep(await loggedIn(at, 'alice', 'a'));
    dead.socket.pause();
    dead.socket.removeAllListeners('data');
    const second = keep(await dialServer(at));
    const entering = second.call(login, { user: 'alice', password: 'a' });
    await asked;
    await clock.advance(TAKEOVER_PING_MS);
    expect((await entering).user).to.equal('alice');
    expect((await refusal(keep(await dialServer(at)).call(login, { user: 'alice', password: 'a' }))).code).to.equal(
      'ALREADY_LOGGED_IN',
    );
  });

  it('says in one sentence why it cannot listen', async () => {
    at = await startTestServer();
    const again = (host: string, port: number): Promise<unknown> =>
      startServer({
        storage: at.storage,
        passwords: undefined as never,
        identity: at.identity,
        blockMs: 1,
        timeoutMs: 1,
        clock: systemClock,
        log: silentLog,
        host,
        port,
      });
    expect((await refusal(again(at.host, at.port))).message).to.match(/another program/);
    expect((await refusal(again('192.0.2.77', 0))).message).to.match(/no address of this machine/);
  });

  it('shows IPv6 in brackets, and IPv4 that came in as IPv6 as IPv4', async () => {
    at = await startTestServer({ host: '::1' });
    expect(at.address).to.equal(`[::1]:${at.port}`);
    expect(plainAddress('::ffff:192.0.2.1')).to.equal('192.0.2.1');
    expect(plainAddress('2001:db8::1')).to.equal('2001:db8::1');
  });

  it('stays below the descriptor limit whatever it is', () => {
    for (const descriptors of [64, 100, 256, 1_024, 1_048_576]) {
      const limits = connectionLimits(descriptors);
      expect(limits.total).to.be.at.most(Math.max(8, descriptors - 64));
      expect(limits.strangers).to.be.at.most(limits.total);
      expect(limits.perAddress).to.be.below(limits.total);
    }
  });
});

describe('the probe of an advertised port (R11)', () => {
  let at: TestServer;
  let victim: TlsServer;
  let victimPort: number;
  let connections: number;
  let attacker: Identity;

  beforeEach(async () => {
    at = await startTestServer({ users: USERS });
    const key = await makeIdentity('victim');
    attacker = await makeIdentity('attacker');
    connections = 0;
    victim = createTlsServer({ key: key.privateKeyPem, cert: key.certificatePem });
    victim.on('connection', () => (connections += 1));
    victim.on('tlsClientError', () => undefined);
    victim.listen(0, '127.0.0.1');
    await once(victim, 'listening');
    victimPort = (victim.address() as AddressInfo).port;
  });
  afterEach(async () => {
    victim.close();
    await at.close();
  });

  it('hands a victim’s port to none of 50 clients', async () => {
    const liar = await loggedIn(at, 'user0', 'pw', { identity: attacker });
    const result = await liar.call(advertise, { port: victimPort });
    expect(result).to.deep.include({ reachable: false, reason: 'another key answers at that port' });
    const asked = connections;
    expect(asked).to.equal(1);
    const identity = await makeIdentity('honest');
    const codes = new Set<string>();
    for (let i = 1; i <= 50; i++) {
      const client = await loggedIn(at, `user${i}`, 'pw', { identity });
      codes.add((await refusal(client.call(introduce, { user: 'user0', purpose: 'transfer' }))).code);
      client.destroy();
    }
    expect([...codes]).to.deep.equal(['PEER_UNREACHABLE']);
    expect(connections).to.equal(asked);
    liar.destroy();
  });

  it('finds the advertiser’s own listener, and says why when it does not', async () => {
    const own = createTlsServer({ key: attacker.privateKeyPem, cert: attacker.certificatePem, minVersion: 'TLSv1.3' });
    own.listen(0, '127.0.0.1');
    await once(own, 'listening');
    const { port } = own.address() as AddressInfo;
    const client = await loggedIn(at, 'user0', 'pw', { identity: attacker });
    expect(await client.call(advertise, { port })).to.deep.equal({ address: `127.0.0.1:${port}`, reachable: true });
    own.close();
    await once(own, 'close');
    expect(await client.call(advertise, { port })).to.deep.include({
      reachable: false,
      reason: 'nothing listens at that port',
    });
    const plain = (await import('node:net')).createServer((socket) => socket.resume().end('hello\r\n'));
    plain.listen(0, '127.0.0.1');
    await once(plain, 'listening');
    const result = await client.call(advertise, { port: (plain.address() as AddressInfo).port });
    expect(result).to.deep.include({ reachable: false, reason: 'no TLS 1.3 end of a client answers there' });
    plain.close();
    client.destroy();
  });
});
