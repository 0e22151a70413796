/** Who is introduced to whom, and when not. */
import { expect } from 'chai';
import { clientCommands } from '../../src/protocol/commands/client.js';
import type { Introduction } from '../../src/protocol/commands/server/introduce.js';
import { serverCommands } from '../../src/protocol/commands/server.js';
import { ParleyError } from '../../src/protocol/errors.js';
import type { ErrorCode } from '../../src/protocol/errors.js';
import type { Probed } from '../../src/server/probe.js';
import { refusal } from '../support/refusal.js';
import { Hall, anyKey, turns } from './hall.js';
import type { Guest } from './hall.js';

const { advertise, introduce, userKey, block, endSession } = serverCommands;

describe('introductions', () => {
  let hall: Hall;
  let alice: Guest;
  let bob: Guest;
  let probes: string[];
  /** What the probe finds: by default the key of whoever comes from that address. */
  let answer: (host: string) => Probed;
  let expected: Introduction[];
  /** How a client that is told of an introduction takes it. */
  let onExpect: (introduction: Introduction) => unknown;

  beforeEach(async () => {
    probes = [];
    hall = await Hall.open(['alice', 'bob', 'carol'], {
      probe: (host, port) => {
        probes.push(`${host} ${port}`);
        return Promise.resolve(answer(host));
      },
    });
    alice = await hall.guest('alice', { key: anyKey(), address: '192.0.2.1' });
    bob = await hall.guest('bob', { key: anyKey(), address: '192.0.2.2' });
    answer = (host) => {
      const found = [alice, bob].find((_, i) => host === `192.0.2.${i + 1}`);
      return { kind: 'answered', publicKey: found?.key?.publicKey ?? '' };
    };
    expected = [];
    onExpect = (introduction) => void expected.push(introduction);
    serve(bob);
  });
  afterEach(() => hall.close());

  function serve(guest: Guest): void {
    guest.connection.serve(clientCommands, async (_spec, params) => {
      await onExpect(params as Introduction);
      return {};
    });
  }
  const code = async (user: string, guest = alice): Promise<string> => {
    const error = await refusal(guest.call(introduce, { user, purpose: 'private' }));
    return `${error.code} ${String(error.details['reason'] ?? '')}`.trim();
  };

  it('tell the one, then give the other key and address', async () => {
    expect(await bob.call(advertise, { port: 4_000 })).to.deep.equal({ address: '192.0.2.2:4000', reachable: true });
    expect(probes).to.deep.equal(['192.0.2.2 4000']);
    const { introduction, host, port } = await alice.call(introduce, { user: 'BOB', purpose: 'transfer' });
    expect({ host, port }).to.deep.equal({ host: '192.0.2.2', port: 4_000 });
    expect(introduction).to.deep.include({
      peer: 'bob',
      publicKey: bob.key?.publicKey,
      purpose: 'transfer',
      ttlMs: 30_000,
    });
    expect(introduction.id).to.match(/^[0-9a-f]{32}$/);
    expect(expected).to.deep.equal([{ ...introduction, peer: 'alice', publicKey: alice.key?.publicKey }]);
    const second = await alice.call(introduce, { user: 'bob', purpose: 'transfer' });
    expect(second.introduction.id).to.not.equal(introduction.id);
  });

  it('are refused with the contract’s codes', async () => {
    expect(await code('zed')).to.equal('UNKNOWN_USER');
    expect(await code('alice')).to.equal('SELF');
    expect(await code('carol')).to.equal('USER_OFFLINE');
    expect(await code('bob')).to.equal('PEER_UNREACHABLE they take no links');
    const carol = hall.enter();
    await carol.login('carol');
    expect(await code('carol')).to.equal('PEER_UNREACHABLE their session showed no key');
    expect(await code('bob', carol)).to.equal('KEY_REQUIRED');
    expect((await refusal(carol.call(advertise, { port: 1 }))).code).to.equal('KEY_REQUIRED');
  });

  it('need an address where the session’s own key answers (R11)', async () => {
    answer = () => ({ kind: 'answered', publicKey: anyKey().publicKey });
    const result = await bob.call(advertise, { port: 4_000 });
    expect(result).to.deep.equal({
      address: '192.0.2.2:4000',
      reachable: false,
      reason: 'another key answers at that port',
    });
    expect(await code('bob')).to.equal('PEER_UNREACHABLE another key answers at that port');
    answer = () => ({ kind: 'unreachable', reason: 'nothing listens at that port' });
    await bob.call(advertise, { port: 4_001 });
    expect(await code('bob')).to.equal('PEER_UNREACHABLE nothing listens at that port');
    expect(expected).to.deep.equal([]);
  });

  it('are not made against a block, whoever blocks, also when it comes while they are made (R10)', async () => {
    await bob.call(advertise, { port: 4_000 });
    await bob.call(block, { user: 'alice' });
    expect(await code('bob')).to.equal('BLOCKED');
    await bob.call(serverCommands.unblock, { user: 'alice' });
    await alice.call(block, { user: 'bob' });
    expect(await code('bob')).to.equal('BLOCKED');
    await alice.call(serverCommands.unblock, { user: 'bob' });
    expect(expected).to.deep.equal([]);
    onExpect = () => bob.call(block, { user: 'alice' });
    expect(await code('bob')).to.equal('BLOCKED');
  });

  it('hand on a refusal of the other client without its words', async () => {
    await bob.call(advertise, { port: 4_000 });
    const refuse = (error: ErrorCode): void => {
      onExpect = () => Promise.reject(new ParleyError(error, { who: 'secret' }));
    };
    refuse('BLOCKED');
    expect(await code('bob')).to.equal('BLOCKED');
    refuse('KEY_CHANGED');
    expect(await code('bob')).to.equal('PEER_UNREACHABLE they know you by another key');
    refuse('SERVER_BUSY');
    expect(await code('bob')).to.equal('PEER_UNREACHABLE they have too many links');
    refuse('INTERNAL');
    expect(await code('bob')).to.equal('PEER_UNREACHABLE they do not answer');
  });

  it('do not wait for a client that is silent, or gone meanwhile (R23)', async () => {
    await bob.call(advertise, { port: 4_000 });
    onExpect = () => new Promise(() => undefined);
    const silent = code('bob');
    await turns();
    await hall.clock.advance(5_000);
    expect(await silent).to.equal('PEER_UNREACHABLE they do not answer');
    const leaving = code('bob');
    await turns();
    bob.connection.destroy();
    expect(await leaving).to.equal('PEER_UNREACHABLE they do not answer');
    const again = await hall.guest('bob', { key: anyKey(), address: '192.0.2.2' });
    expect(await code('bob')).to.equal('PEER_UNREACHABLE they take no links');
    onExpect = () => again.call(endSession, {});
    serve(again);
    answer = () => ({ kind: 'answered', publicKey: again.key?.publicKey ?? '' });
    await again.call(advertise, { port: 4_000 });
    expect(await code('bob')).to.be.oneOf(['USER_OFFLINE', 'PEER_UNREACHABLE they do not answer']);
  });

  it('show a user on the server’s own machine at the address that the other end knows it by', async () => {
    const local = await hall.guest('carol', { key: anyKey(), address: '127.0.0.1', localAddress: '127.0.0.1' });
    serve(local);
    let hosts = ['127.0.0.1', '192.0.2.100'];
    answer = (host) =>
      hosts.includes(host)
        ? { kind: 'answered', publicKey: local.key?.publicKey ?? '' }
        : { kind: 'unreachable', reason: 'nothing listens at that port' };
    await local.call(advertise, { port: 5_000 });
    for (let i = 0; i < 3; i++) {
      const { host } = await alice.call(introduce, { user: 'carol', purpose: 'private' });
      expect(host).to.equal('192.0.2.100');
    }
    expect(probes).to.deep.equal(['127.0.0.1 5000', '192.0.2.100 5000']);
    hosts = ['127.0.0.1'];
    await local.call(advertise, { port: 5_001 });
    for (let i = 0; i < 3; i++) {
      expect(await code('carol')).to.equal('PEER_UNREACHABLE they take links from their own machine only');
    }
    expect(probes.slice(2)).to.deep.equal(['127.0.0.1 5001', '192.0.2.100 5001']);
    await bob.call(endSession, {});
    const near = await hall.guest('bob', { key: anyKey(), address: '127.0.0.1', localAddress: '127.0.0.1' });
    expect((await near.call(introduce, { user: 'carol', purpose: 'private' })).host).to.equal('127.0.0.1');
  });

  it('and probes are limited in number', async () => {
    await bob.call(advertise, { port: 4_000 });
    for (let i = 0; i < 600; i++) await alice.call(introduce, { user: 'bob', purpose: 'transfer' });
    expect(await code('bob')).to.equal('SERVER_BUSY');
    await hall.clock.advance(1_000);
    await alice.call(introduce, { user: 'bob', purpose: 'transfer' });
    for (let i = 0; i < 11; i++) await bob.call(advertise, { port: 4_000 });
    expect((await refusal(bob.call(advertise, { port: 4_000 }))).code).to.equal('SERVER_BUSY');
    expect(probes).to.have.length(12);
  });

  it('show the key that a user has, or last had', async () => {
    expect(await alice.call(userKey, { user: 'BOB' })).to.deep.equal({ user: 'bob', publicKey: bob.key?.publicKey });
    expect(await alice.call(userKey, { user: 'carol' })).to.deep.equal({ user: 'carol' });
    await bob.call(endSession, {});
    expect(await alice.call(userKey, { user: 'bob' })).to.deep.equal({ user: 'bob', publicKey: bob.key?.publicKey });
    expect((await refusal(alice.call(userKey, { user: 'zed' }))).code).to.equal('UNKNOWN_USER');
  });
});
