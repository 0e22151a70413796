import { expect } from 'chai';
import { randomBytes } from 'node:crypto';
import { readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { agentCommands } from '../../../src/protocol/commands/agent.js';
import { serverCommands } from '../../../src/protocol/commands/server.js';
import { Pins } from '../../../src/p2p/pins.js';
import { makeIdentity } from '../../../src/protocol/certificate.js';
import { People } from './people.js';
import { Cleanup, hurriedClock, until } from './support.js';

const MIB = 1024 * 1024;
const { startprivate, stopprivate, verify, trust, inbox, download, register } = agentCommands;
const say = agentCommands.private;
const { block, unblock } = serverCommands;

describe('client/agent private chats', () => {
  const cleanup = new Cleanup();
  afterEach(() => cleanup.run());

  it('go both ways, are kept by their recipient alone, and end for both', async () => {
    const people = await People.gather(cleanup);
    const [alice, bob] = [await people.arrive('alice'), await people.arrive('bob')];
    const heard = await bob.listen();
    const started = await alice.call(startprivate, { user: 'BOB' });
    expect(started).to.include({ user: 'bob', verified: false });
    const begun = await heard.notice('PRIVATE_STARTED');
    expect(begun).to.include({ from: 'alice' });
    expect((await alice.refused(startprivate, { user: 'bob' })).code).to.equal('PRIVATE_EXISTS');
    const { id } = await alice.call(say, { user: 'bob', text: 'psst' });
    expect(await heard.find(({ type }) => type === 'private')).to.include({
      id,
      from: 'alice',
      to: 'bob',
      text: 'psst',
    });
    expect((await bob.call(say, { user: 'alice', text: 'heard' })).delivered).to.equal(true);

    const log = join(bob.home, 'private.ndjson');
    expect((await stat(log)).mode & 0o777).to.equal(0o600);
    expect(await readFile(log, 'utf8')).to.include('psst');
    expect(await readFile(join(alice.home, 'private.ndjson'), 'utf8')).to.not.include('psst');

    expect(await alice.call(stopprivate, { user: 'bob' })).to.deep.equal({ user: 'bob' });
    expect(await heard.notice('PRIVATE_STOPPED')).to.include({ from: 'alice' });
    for (const [person, user] of [
      [alice, 'bob'],
      [bob, 'alice'],
    ] as const) {
      expect((await person.refused(say, { user, text: 'x' })).code).to.equal('NO_PRIVATE_LINK');
      expect((await person.refused(stopprivate, { user })).code).to.equal('NO_PRIVATE_LINK');
    }
  });

  it('are refused with the contract’s codes', async () => {
    const people = await People.gather(cleanup);
    const alice = await people.arrive('alice');
    const start = async (user: string): Promise<string> => (await alice.refused(startprivate, { user })).code;
    expect(await start('zed')).to.equal('UNKNOWN_USER');
    expect(await start('dave')).to.equal('USER_OFFLINE');
    expect(await start('Alice')).to.equal('SELF');
    const send = async (user: string, text: string): Promise<string> => (await alice.refused(say, { user, text })).code;
    expect(await send('zed', 'x')).to.equal('UNKNOWN_USER');
    expect(await send('dave', 'x')).to.equal('NO_PRIVATE_LINK');
    expect(await send('alice', 'x')).to.equal('SELF');
    expect(await send('dave', ' ')).to.equal('EMPTY_MESSAGE');
    expect(await send('dave', 'x'.repeat(16_385))).to.equal('MESSAGE_TOO_LONG');
    expect((await alice.refused(stopprivate, { user: 'zed' })).code).to.equal('UNKNOWN_USER');
  });

  it('stand without the server, and say when the link broke', async () => {
    const people = await People.gather(cleanup);
    const [alice, bob] = [await people.arrive('alice'), await people.arrive('bob')];
    await alice.call(startprivate, { user: 'bob' });
    const heard = await alice.listen();
    await people.server.server.close();
    await heard.notice('CONNECTION_LOST');
    expect((await alice.call(say, { user: 'bob', text: 'still here' })).delivered).to.equal(true);
    await bob.agent.close();
    // Bob said goodbye as he left.
    expect(await heard.notice('PRIVATE_STOPPED')).to.include({ from: 'bob' });
  });

  it('are one chat when both begin at the same time', async () => {
    const people = await People.gather(cleanup);
    const [alice, bob] = [await people.arrive('alice'), await people.arrive('bob')];
    await Promise.allSettled([alice.call(startprivate, { user: 'bob' }), bob.call(startprivate, { user: 'alice' })]);
    expect((await alice.call(say, { user: 'bob', text: 'one' })).delivered).to.equal(true);
    expect((await bob.call(say, { user: 'alice', text: 'two' })).delivered).to.equal(true);
    await alice.call(stopprivate, { user: 'bob' });
    await until(async () => (await bob.refused(say, { user: 'alice', text: 'x' })).code === 'NO_PRIVATE_LINK');
  });

  it('show in the inbox between the server’s messages, unread until shown, also after a restart', async () => {
    const people = await People.gather(cleanup);
    const alice = await people.arrive('alice');
    let bob = await people.arrive('bob');
    await alice.call(serverCommands.message, { user: 'bob', text: 'first' });
    await alice.call(startprivate, { user: 'bob' });
    await alice.call(say, { user: 'bob', text: 'second' });
    await alice.call(serverCommands.message, { user: 'bob', text: 'third' });
    await bob.agent.close();
    bob = await people.arrive('bob');
    const texts = async (question: object): Promise<string[]> =>
      (await bob.call(inbox, question)).messages.map(({ text }) => text);
    expect(await texts({ limit: 2 })).to.deep.equal(['second', 'third']);
    expect(await texts({ unread: true })).to.deep.equal(['first']);
    expect(await texts({ unread: true })).to.deep.equal([]);
    const all = (await bob.call(inbox, {})).messages;
    expect(all.map(({ kind, text, unread }) => `${kind} ${text} ${unread}`)).to.deep.equal([
      'message first false',
      'private second false',
      'message third false',
    ]);
    expect(await texts({ before: all[2]?.id })).to.deep.equal(['first', 'second']);
    expect(await texts({ before: all[1]?.id })).to.deep.equal(['first']);
    expect(await texts({ with: 'ALICE', limit: 1 })).to.deep.equal(['third']);
    expect(await texts({ with: 'carol' })).to.deep.equal([]);
    expect(await texts({ with: 'carol', before: all[2]?.id })).to.deep.equal([]);
    expect(await texts({ with: 'alice', before: all[2]?.id, limit: 1 })).to.deep.equal(['second']);
    expect((await bob.refused(inbox, { with: 'zed', before: all[2]?.id })).code).to.equal('UNKNOWN_USER');
    expect((await bob.refused(inbox, { with: 'zed' })).code).to.equal('UNKNOWN_USER');
    await bob.agent.close();
    bob = await people.arrive('bob');
    expect(await texts({ unread: true })).to.deep.equal([]);
  });

  it('compare keys: one number at both ends, confirmed, and forgotten on request', async () => {
    const people = await People.gather(cleanup);
    const [alice, bob] = [await people.arrive('alice'), await people.arrive('bob')];
    expect(await alice.call(verify, { user: 'dave' })).to.deep.equal({
      user: 'dave',
      safetyNumber: null,
      verified: false,
    });
    const mine = await alice.call(verify, { user: 'bob' });
    expect(mine.safetyNumber).to.match(/^\d{60}$/);
    expect((await bob.call(verify, { user: 'alice' })).safetyNumber).to.equal(mine.safetyNumber);
    expect(await alice.call(verify, { user: 'bob', confirm: true })).to.deep.equal({ ...mine, verified: true });
    expect((await alice.call(startprivate, { user: 'bob' })).verified).to.equal(true);
    expect((await alice.call(trust, { user: 'Bob', reset: true })).verified).to.equal(false);
    expect((await alice.refused(verify, { user: 'zed' })).code).to.equal('UNKNOWN_USER');
    expect((await alice.refused(trust, { user: 'zed', reset: true })).code).to.equal('UNKNOWN_USER');
  });

  it('stop with KEY_CHANGED when the other’s key is not the pinned one, until it is trusted anew', async () => {
    const people = await People.gather(cleanup);
    const alice = await people.arrive('alice');
    await alice.agent.close();
    const pins = await Pins.open(alice.home);
    await pins.pin('peer', 'bob', (await makeIdentity('other')).publicKey);
    const again = await people.arrive('alice');
    const bob = await people.arrive('bob');
    const out = await again.refused(startprivate, { user: 'bob' });
    expect(out.code).to.equal('KEY_CHANGED');
    expect(out.exitCode).to.equal(4);
    const back = await bob.refused(startprivate, { user: 'alice' });
    expect(back.code).to.be.oneOf(['KEY_CHANGED', 'PEER_UNREACHABLE']);
    await again.call(trust, { user: 'bob', reset: true });
    expect((await again.call(startprivate, { user: 'bob' })).user).to.equal('bob');
  });

  it('and transfers are closed within a second when one blocks the other, who is not told why', async () => {
    const people = await People.gather(cleanup);
    const alice = await people.arrive('alice');
    const bob = await people.arrive('bob', { clock: hurriedClock(5) });
    const path = join(alice.folder, 'a.bin');
    await writeFile(path, randomBytes(8 * MIB));
    await alice.call(register, { path, chunks: 8 });
    await bob.call(startprivate, { user: 'alice' });
    const heard = await bob.listen();
    const fetching = bob.refused(download, { file: 'a.bin', directory: bob.folder, limitRate: MIB / 4 });
    await heard.find((event) => event.type === 'transfer' && event.transfer.bytes > 0);
    const before = performance.now();
    await alice.call(block, { user: 'bob' });
    expect(await heard.notice('PRIVATE_LOST')).to.include({ from: 'alice' });
    expect(performance.now() - before).to.be.below(1_000);
    expect((await bob.refused(say, { user: 'alice', text: 'x' })).code).to.equal('NO_PRIVATE_LINK');
    expect((await bob.refused(startprivate, { user: 'alice' })).code).to.equal('BLOCKED');
    expect((await fetching).code).to.equal('NO_HOLDER');
    await alice.call(unblock, { user: 'bob' });
    expect((await bob.call(startprivate, { user: 'alice' })).user).to.equal('alice');
  }).timeout(20_000);
});
