import { expect } from 'chai';
import { peerCommands } from '../../src/protocol/commands/peer.js';
import { Connection } from '../../src/protocol/connection.js';
import { deferred } from '../../src/protocol/deferred.js';
import { ParleyError } from '../../src/protocol/errors.js';
import { makeHello } from '../../src/protocol/hello.js';
import { MAX_MESSAGE_BYTES } from '../../src/protocol/limits.js';
import { PrivateChat } from '../../src/p2p/privatechat.js';
import type { PrivateMessage } from '../../src/p2p/privatechat.js';
import { linkedPair } from '../support/pair.js';
import { refusal } from '../support/refusal.js';
import { cleanUp, linkedPair as tlsPair, makeEnd } from './ends.js';

function connections(): { alice: Connection; bob: Connection } {
  const [left, right] = linkedPair();
  const lost = (reason: string): ParleyError => new ParleyError('PEER_UNREACHABLE', { user: 'bob', reason });
  return {
    alice: new Connection(left, { hello: makeHello('peer'), end: 'dialer', lost }),
    bob: new Connection(right, { hello: makeHello('peer'), end: 'listener' }),
  };
}

const ignore = (): Promise<void> => Promise.resolve();

describe('p2p/privatechat', () => {
  it('says delivered only when the other end keeps the message', async () => {
    const { alice, bob } = connections();
    const kept = deferred<undefined>();
    const came = deferred<PrivateMessage>();
    const chat = new PrivateChat({ peer: 'bob', connection: alice, onMessage: ignore });
    new PrivateChat({
      peer: 'alice',
      connection: bob,
      onMessage: async (message) => {
        came.resolve(message);
        await kept.promise;
      },
    });
    let delivered = false;
    const sent = chat.send('hi ☕').finally(() => (delivered = true));
    const message = await came.promise;
    expect(message.text).to.equal('hi ☕');
    for (let turn = 0; turn < 10; turn += 1) await new Promise(setImmediate);
    expect(delivered).to.equal(false);
    kept.resolve(undefined);
    expect(await sent).to.deep.equal(message);
    await chat.close();
  });

  it('keeps messages in order and one at a time, both ways', async () => {
    const { alice, bob } = connections();
    const logs: Record<string, string[]> = { alice: [], bob: [] };
    let busy = 0;
    const keep =
      (log: string[]) =>
      async ({ text }: PrivateMessage): Promise<void> => {
        busy += 1;
        expect(busy).to.be.at.most(2); // One at each end.
        for (let turn = Number(text) % 3; turn > 0; turn -= 1) await new Promise(setImmediate);
        log.push(text);
        busy -= 1;
      };
    const ours = new PrivateChat({ peer: 'bob', connection: alice, onMessage: keep(logs['alice']!) });
    const theirs = new PrivateChat({ peer: 'alice', connection: bob, onMessage: keep(logs['bob']!) });
    const texts = Array.from({ length: 20 }, (_, i) => `${i}`);
    await Promise.all(texts.flatMap((text) => [ours.send(text), theirs.send(text)]));
    expect(logs).to.deep.equal({ alice: texts, bob: texts });
    await Promise.all([ours.close(), theirs.close()]);
  });

  it('keeps a message that is sent again once, but takes it again when it could not be kept', async () => {
    const { alice, bob } = connections();
    const kept: string[] = [];
    let full = true;
    const chat = new PrivateChat({ peer: 'bob', connection: alice, onMessage: ignore });
    new PrivateChat({
      peer: 'alice',
      connection: bob,
      onMessage: ({ id }) => {
        if (full) return Promise.reject(new ParleyError('DISK_FULL', { path: 'log', reason: 'no space' }));
        kept.push(id);
        return Promise.resolve();
      },
    });
    const id = 'ab'.repeat(16);
    expect((await refusal(chat.send('hi', { id }))).code).to.equal('DISK_FULL');
    full = false;
    await Promise.all([chat.send('hi', { id }), chat.send('hi', { id })]);
    await chat.send('hi', { id });
    expect(kept).to.deep.equal([id]);
    await chat.close();
  });

  it('tells the other end when it is over, after what was under way', async () => {
    const { alice, bob } = connections();
    const kept: string[] = [];
    const ours = new PrivateChat({ peer: 'bob', connection: alice, onMessage: ignore });
    const theirs = new PrivateChat({
      peer: 'alice',
      connection: bob,
      onMessage: async ({ text }) => {
        for (let turn = 0; turn < 5; turn += 1) await new Promise(setImmediate);
        kept.push(text);
      },
    });
    const sent = ours.send('last words');
    await ours.close();
    await ours.close();
    await sent;
    expect(kept).to.deep.equal(['last words']);
    expect(await ours.ended).to.include({ by: 'us' });
    expect(await theirs.ended).to.include({ by: 'them' });
    expect(ours.state).to.include({ kind: 'ended', by: 'us' });
    expect((await refusal(ours.send('too late'))).code).to.equal('NO_PRIVATE_LINK');
    expect((await refusal(theirs.send('too late'))).code).to.equal('NO_PRIVATE_LINK');
    expect(alice.isOpen || bob.isOpen).to.equal(false);
  });

  it('ends with the link, and a message under way fails', async () => {
    const { alice, bob } = connections();
    const came = deferred<undefined>();
    const chat = new PrivateChat({ peer: 'bob', connection: alice, onMessage: ignore });
    new PrivateChat({
      peer: 'alice',
      connection: bob,
      onMessage: () => {
        came.resolve(undefined);
        return new Promise<void>(() => undefined);
      },
    });
    const sent = refusal(chat.send('hi'));
    await came.promise;
    bob.destroy();
    expect((await sent).code).to.equal('PEER_UNREACHABLE');
    expect(await chat.ended).to.include({ by: 'loss' });
    await chat.close();
  });

  it('refuses texts that are no messages at both ends, and anything but private messages', async () => {
    const { alice, bob } = connections();
    const kept: string[] = [];
    const chat = new PrivateChat({ peer: 'bob', connection: alice, onMessage: ignore });
    new PrivateChat({ peer: 'alice', connection: bob, onMessage: ({ text }) => Promise.resolve(void kept.push(text)) });
    expect((await refusal(chat.send(' \n'))).code).to.equal('EMPTY_MESSAGE');
    expect((await refusal(chat.send('x'.repeat(MAX_MESSAGE_BYTES + 1)))).code).to.equal('MESSAGE_TOO_LONG');
    const raw = { id: 'cd'.repeat(16), sentAt: new Date().toISOString() };
    expect((await refusal(alice.call(peerCommands.privateMessage, { ...raw, text: '' }))).code).to.equal(
      'EMPTY_MESSAGE',
    );
    const root = 'ef'.repeat(32);
    expect((await refusal(alice.call(peerCommands.watchHeld, { root }))).code).to.equal('UNKNOWN_COMMAND');
    await chat.send('x'.repeat(MAX_MESSAGE_BYTES));
    expect(kept.length).to.equal(1);
    await chat.close();
  });

  describe('over a real link', () => {
    afterEach(cleanUp);

    it('works, and stops when the other end does', async () => {
      const [alice, bob] = await Promise.all([makeEnd('alice'), makeEnd('bob')]);
      const { dialled, accepted } = await tlsPair(alice, bob, 'private');
      const texts: string[] = [];
      const ours = new PrivateChat({ peer: 'bob', connection: dialled.connection, onMessage: ignore });
      const theirs = new PrivateChat({
        peer: 'alice',
        connection: accepted.connection,
        onMessage: ({ text }) => Promise.resolve(void texts.push(text)),
      });
      for (const text of ['one', 'two']) await ours.send(text);
      await theirs.close();
      expect(texts).to.deep.equal(['one', 'two']);
      expect(await ours.ended).to.include({ by: 'them' });
    });
  });
});
