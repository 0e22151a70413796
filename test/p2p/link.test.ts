import { once } from 'node:events';
import { connect as connectTcp } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { connect as connectTls, createServer as createTlsServer } from 'node:tls';
import type { ConnectionOptions, TLSSocket } from 'node:tls';
import { expect } from 'chai';
import { z } from 'zod';
import { defineCommand } from '../../src/protocol/command.js';
import type { Introduction } from '../../src/protocol/commands/server/introduce.js';
import { encodeFrame } from '../../src/protocol/frame.js';
import { makeHello } from '../../src/protocol/hello.js';
import { encodeJson } from '../../src/protocol/json.js';
import { INTRODUCTION_TTL_MS } from '../../src/protocol/limits.js';
import { linkTlsOptions, provenKey } from '../../src/p2p/link.js';
import type { PeerLink } from '../../src/p2p/link.js';
import { MAX_PENDING_LINKS_PER_ADDRESS } from '../../src/p2p/listener.js';
import type { PeerListener } from '../../src/p2p/listener.js';
import { cleanUp, codeOf, dial, introduce, linkedPair, listen, makeEnd } from './ends.js';
import type { End } from './ends.js';

const echo = defineCommand({
  name: 'echo',
  place: 'peer',
  says: 'Says it again.',
  params: z.object({ text: z.string() }),
  result: z.object({ text: z.string() }),
  errors: [],
});

/** A clock whose hands tests turn; timers run when they come due. */
function handClock() {
  let now = 0;
  const timers = new Set<{ at: number; task: () => void }>();
  return {
    monotonicMs: () => now,
    epochMs: () => now,
    after: (delayMs: number, task: () => void) => {
      const timer = { at: now + delayMs, task };
      timers.add(timer);
      return () => void timers.delete(timer);
    },
    turn: (ms: number) => {
      now += ms;
      for (const timer of [...timers]) if (timer.at <= now && timers.delete(timer)) timer.task();
    },
  };
}

/** What a socket got before it was closed. */
async function untilClosed(socket: Socket | TLSSocket): Promise<Buffer> {
  const got: Buffer[] = [];
  socket.on('data', (bytes: Buffer) => got.push(bytes));
  socket.on('error', () => undefined);
  if (!socket.closed) await once(socket, 'close').catch(() => undefined);
  return Buffer.concat(got);
}

describe('p2p links', () => {
  let alice: End;
  let bob: End;
  let mallory: End;
  beforeEach(async () => {
    [alice, bob, mallory] = await Promise.all([makeEnd('alice'), makeEnd('bob'), makeEnd('mallory')]);
  });
  afterEach(cleanUp);

  it('join two introduced users, who then have each other pinned and can call both ways', async () => {
    const { dialled, accepted } = await linkedPair(alice, bob, 'private');
    expect(dialled).to.include({ peer: 'bob', purpose: 'private' });
    expect(accepted).to.include({ peer: 'alice', purpose: 'private', id: dialled.id });
    expect(alice.pins.check('peer', 'bob', bob.identity.publicKey)).to.equal('same');
    expect(bob.pins.check('peer', 'alice', alice.identity.publicKey)).to.equal('same');
    for (const [from, to] of [
      [dialled, accepted],
      [accepted, dialled],
    ] as const) {
      to.connection.serve({ echo }, (_spec, params) => Promise.resolve(params as object));
      expect(await from.connection.call(echo, { text: 'hi' })).to.deep.equal({ text: 'hi' });
      expect(from.bytesReceived()).to.be.greaterThan(0);
    }
  });

  it('stop before anything is dialled when the introduced key is not the pinned one', async () => {
    await alice.pins.pin('peer', 'bob', mallory.identity.publicKey);
    const listener = await listen(bob);
    expect(await codeOf(dial(alice, listener.port, introduce(bob)))).to.equal('KEY_CHANGED');
    expect(() => listener.expect({ ...introduce(alice), publicKey: bob.identity.publicKey })).not.to.throw();
    await bob.pins.pin('peer', 'alice', mallory.identity.publicKey);
    expect(() => listener.expect(introduce(alice))).to.throw(/not the one seen before/);
  });

  it('stop when another key than the introduced one answers', async () => {
    const listener = await listen(mallory);
    const introduction = introduce(bob);
    listener.expect({ ...introduce(alice, 'transfer', introduction.id) });
    expect(await codeOf(dial(alice, listener.port, introduction))).to.equal('PEER_UNREACHABLE');
    expect(listener.expecting).to.equal(1); // Not a word was said, so the introduction was not used.
    expect(alice.pins.get('peer', 'bob')).to.equal(undefined);
  });

  it('say PEER_UNREACHABLE when nobody listens, when nobody answers, and CANCELLED when told to stop', async () => {
    const listener = await listen(bob);
    const { port } = listener;
    listener.close();
    expect(await codeOf(dial(alice, port, introduce(bob)))).to.equal('PEER_UNREACHABLE');
    expect(await codeOf(dial(alice, port, introduce(bob), { host: 'example.org' }))).to.equal('PEER_UNREACHABLE');

    const silent = createTlsServer(linkTlsOptions(bob.identity));
    silent.listen(0, '127.0.0.1');
    await once(silent, 'listening');
    const accepted: TLSSocket[] = [];
    silent.on('secureConnection', (socket) => accepted.push(socket));
    const { port: silentPort } = silent.address() as AddressInfo;
    expect(await codeOf(dial(alice, silentPort, introduce(bob), { timeoutMs: 50 }))).to.equal('PEER_UNREACHABLE');
    const abort = new AbortController();
    const dialled = codeOf(dial(alice, silentPort, introduce(bob), { signal: abort.signal }));
    await once(silent, 'secureConnection');
    abort.abort();
    expect(await dialled).to.equal('CANCELLED');
    for (const socket of accepted) socket.destroy();
    silent.close();
  });

  it('let the dialler serve before the other end can call', async () => {
    const answered = listen(bob, ({ connection }) => {
      void connection.call(echo, { text: 'at once' }).then(({ text }) => expect(text).to.equal('at once'));
    });
    const listener = await answered;
    const introduction = introduce(bob);
    listener.expect({ ...introduce(alice), id: introduction.id });
    const { promise, resolve } = { ...deferredText() };
    await dial(alice, listener.port, introduction, {
      prepare: (connection) =>
        connection.serve({ echo }, (_spec, params) => {
          resolve((params as { text: string }).text);
          return Promise.resolve(params as object);
        }),
    });
    expect(await promise).to.equal('at once');
  });
});

function deferredText() {
  let resolve: (text: string) => void = () => undefined;
  const promise = new Promise<string>((settle) => (resolve = settle));
  return { promise, resolve };
}

describe('p2p/listener refuses (R8)', () => {
  let alice: End;
  let bob: End;
  let mallory: End;
  let listener: PeerListener;
  let clock: ReturnType<typeof handClock>;
  let links: PeerLink[];
  let introduction: Introduction;
  /** Bytes of decrypted application data that reached the listener's end in refused links. */
  beforeEach(async () => {
    [alice, bob, mallory] = await Promise.all([makeEnd('alice'), makeEnd('bob'), makeEnd('mallory')]);
    clock = handClock();
    links = [];
    listener = await listen(bob, (link) => links.push(link), clock);
    introduction = introduce(bob);
    listener.expect(introduce(alice, 'transfer', introduction.id));
  });
  afterEach(cleanUp);

  const asAlice = (introduced: Introduction = introduction) => dial(alice, listener.port, introduced);
  const helloOf = (id: string): Buffer =>
    encodeFrame('hello', 0, encodeJson(makeHello('peer', { introduction: id, purpose: 'transfer' })));

  /** Speaks to the listener with TLS settings of one's own, pushing a hello at once; what came back. */
  async function speak(options: ConnectionOptions): Promise<Buffer> {
    const socket = connectTls({ rejectUnauthorized: false, ...options, host: '127.0.0.1', port: listener.port });
    socket.write(helloOf(introduction.id));
    return untilClosed(socket);
  }

  /** The refusals above must not have used up what alice was promised. */
  async function stillLetsAliceIn(): Promise<void> {
    expect(links).to.deep.equal([]);
    expect((await asAlice()).peer).to.equal('bob');
    expect(links.map(({ peer }) => peer)).to.deep.equal(['alice']);
  }

  it('a stolen introduction: another key names its id', async () => {
    const stolen = dial(mallory, listener.port, introduction);
    expect(await codeOf(stolen)).to.equal('PEER_UNREACHABLE');
    expect((await speak(linkTlsOptions(mallory.identity))).length).to.equal(0);
    await stillLetsAliceIn();
  });

  it('a stolen introduction, by somebody who has one of their own', async () => {
    const own = introduce(bob);
    listener.expect(introduce(mallory, 'transfer', own.id));
    expect(await codeOf(dial(mallory, listener.port, introduction))).to.equal('PEER_UNREACHABLE');
    await stillLetsAliceIn();
  });

  it('a replayed introduction', async () => {
    await asAlice();
    expect(await codeOf(asAlice())).to.equal('PEER_UNREACHABLE');
    listener.expect(introduce(alice)); // Her key is expected again, but under another id.
    expect(await codeOf(asAlice())).to.equal('PEER_UNREACHABLE');
    expect(links.length).to.equal(1);
  });

  it('one introduction used by two links at once: exactly one gets in', async () => {
    const outcomes = await Promise.all([1, 2, 3].map(() => codeOf(asAlice())));
    expect(outcomes.sort()).to.deep.equal(['PEER_UNREACHABLE', 'PEER_UNREACHABLE', 'fulfilled']);
    expect(links.length).to.equal(1);
  });

  it('a late introduction, also when only its hello is late', async () => {
    const { port } = listener;
    const socket = connectTls({ ...linkTlsOptions(alice.identity), host: '127.0.0.1', port });
    await once(socket, 'secureConnect');
    const idle = introduce(bob);
    listener.expect(introduce(alice, 'transfer', idle.id));
    clock.turn(INTRODUCTION_TTL_MS);
    expect(listener.expecting).to.equal(0);
    socket.write(helloOf(introduction.id));
    const answer = (await untilClosed(socket)).toString();
    expect(answer).not.to.contain('hello');
    expect(await codeOf(asAlice())).to.equal('PEER_UNREACHABLE');
    expect(links).to.deep.equal([]);
  });

  it('an introduction that was withdrawn', async () => {
    listener.withdraw(introduction.id);
    expect(await codeOf(asAlice())).to.equal('PEER_UNREACHABLE');
  });

  it('an introduction for another purpose', async () => {
    expect(await codeOf(asAlice({ ...introduction, purpose: 'private' }))).to.equal('PEER_UNREACHABLE');
    await stillLetsAliceIn();
  });

  it('a hello of another role than peer, which leaves the introduction unused', async () => {
    const socket = connectTls({ ...linkTlsOptions(alice.identity), host: '127.0.0.1', port: listener.port });
    const hello = { ...makeHello('client'), introduction: introduction.id, purpose: introduction.purpose };
    socket.write(encodeFrame('hello', 0, encodeJson(hello)));
    expect((await untilClosed(socket)).toString())
      .to.contain('PROTOCOL_ERROR')
      .and.not.contain('"protocol"');
    await stillLetsAliceIn();
  });

  it('a hello without introduction, and no hello at all within its time', async () => {
    const socket = connectTls({ ...linkTlsOptions(alice.identity), host: '127.0.0.1', port: listener.port });
    socket.write(encodeFrame('hello', 0, encodeJson(makeHello('peer'))));
    expect((await untilClosed(socket)).toString())
      .to.contain('BAD_INTRODUCTION')
      .and.not.contain('"protocol"');
    const mute = connectTls({ ...linkTlsOptions(alice.identity), host: '127.0.0.1', port: listener.port });
    mute.on('data', () => undefined);
    const judged = new Promise((resolve) => mute.once('session', resolve).once('secureConnect', resolve));
    await judged;
    const closed = untilClosed(mute);
    const turning = setInterval(() => clock.turn(1_000), 5);
    await closed;
    clearInterval(turning);
    expect(links).to.deep.equal([]);
  });

  it('a key that changed since it was pinned, though introduced', async () => {
    await bob.pins.pin('peer', 'alice', mallory.identity.publicKey);
    expect(await codeOf(asAlice())).to.equal('PEER_UNREACHABLE');
    expect(links).to.deep.equal([]);
  });

  it('a link without a certificate', async () => {
    expect((await speak({ minVersion: 'TLSv1.3' })).length).to.equal(0);
    await stillLetsAliceIn();
  });

  it('TLS 1.2', async () => {
    const { privateKeyPem: key, certificatePem: cert } = alice.identity;
    expect((await speak({ key, cert, maxVersion: 'TLSv1.2' })).length).to.equal(0);
    await stillLetsAliceIn();
  });

  it('plaintext', async () => {
    const socket = connectTcp({ host: '127.0.0.1', port: listener.port });
    socket.write(helloOf(introduction.id));
    expect((await untilClosed(socket)).toString()).not.to.contain('parley');
    await stillLetsAliceIn();
  });

  it('a resumed session', async () => {
    const options = { ...linkTlsOptions(alice.identity), host: '127.0.0.1', port: listener.port };
    const first = connectTls(options);
    const sessions: Buffer[] = [];
    first.on('session', (session: Buffer) => sessions.push(session));
    first.write(helloOf(introduction.id));
    await once(first, 'data');
    expect(links.length).to.equal(1);
    first.destroy();
    const again = introduce(bob);
    for (const session of sessions) {
      listener.expect(introduce(alice, 'transfer', again.id));
      const resumed = connectTls({ ...options, session });
      resumed.on('error', () => undefined);
      await once(resumed, 'secureConnect');
      // Either the listener does not take it, and the whole handshake shows the key; or it is refused.
      if (resumed.isSessionReused()) expect((await untilClosed(resumed)).length).to.equal(0);
      resumed.destroy();
    }
  });

  it('keeps strangers that say nothing from piling up', async () => {
    const sockets = Array.from({ length: MAX_PENDING_LINKS_PER_ADDRESS + 1 }, () =>
      connectTcp({ host: '127.0.0.1', port: listener.port }),
    );
    const closed = sockets.map(async (socket) => {
      await untilClosed(socket);
      return socket;
    });
    const refused = await Promise.race(closed);
    expect(refused.destroyed).to.equal(true);
    listener.close();
    await Promise.all(closed); // What is pending is closed with the listener.
    listener.close();
  });
});

describe('p2p/link provenKey', () => {
  afterEach(cleanUp);

  it('takes no key from a resumed session, whatever certificate it remembers', async () => {
    const [alice, bob] = await Promise.all([makeEnd('alice'), makeEnd('bob')]);
    const { privateKeyPem: key, certificatePem: cert } = bob.identity;
    // A careless end that does hand out tickets.
    const server = createTlsServer({ key, cert, requestCert: true, rejectUnauthorized: false });
    const judged: { reused: boolean; key: string | undefined }[] = [];
    server.on('secureConnection', (socket) => {
      judged.push({ reused: socket.isSessionReused(), key: provenKey(socket) });
      socket.on('error', () => undefined);
      socket.end('x');
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const options = {
      key: alice.identity.privateKeyPem,
      cert: alice.identity.certificatePem,
      rejectUnauthorized: false,
      host: '127.0.0.1',
      port: (server.address() as AddressInfo).port,
    };
    const first = connectTls(options);
    const session = new Promise<Buffer>((resolve) => first.once('session', resolve));
    first.on('data', () => undefined);
    const second = connectTls({ ...options, session: await session });
    second.on('data', () => undefined);
    await once(second, 'close');
    expect(judged).to.deep.equal([
      { reused: false, key: alice.identity.publicKey },
      { reused: true, key: undefined },
    ]);
    server.close();
  });

  it('takes the key of a full handshake at both ends', async () => {
    const [alice, bob] = await Promise.all([makeEnd('alice'), makeEnd('bob')]);
    const server = createTlsServer(linkTlsOptions(bob.identity));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const seen = new Promise<string | undefined>((resolve) =>
      server.once('secureConnection', (socket) => {
        resolve(provenKey(socket));
        socket.destroy();
      }),
    );
    const socket = connectTls({ ...linkTlsOptions(alice.identity), host: '127.0.0.1', port });
    socket.on('error', () => undefined);
    await once(socket, 'secureConnect');
    expect(provenKey(socket)).to.equal(bob.identity.publicKey);
    expect(await seen).to.equal(alice.identity.publicKey);
    socket.destroy();
    server.close();
  });
});
