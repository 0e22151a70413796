/** Private messages over links that break under them. */
import { expect } from 'chai';
import { FaceEvents } from '../../../src/client/agent/faceevents.js';
import { silentLog } from '../../../src/client/agent/log.js';
import type { Peers } from '../../../src/client/agent/peers.js';
import { PrivateChats } from '../../../src/client/agent/privatechats.js';
import type { PrivateLog } from '../../../src/client/agent/privatelog.js';
import { TAKE_UP_MS } from '../../../src/client/agent/outboxentries.js';
import { DELIVERY_MS } from '../../../src/client/agent/privatesending.js';
import { RETRY_PAUSES_MS } from '../../../src/client/agent/retry.js';
import { Standing } from '../../../src/client/agent/standing.js';
import type { Pins } from '../../../src/p2p/pins.js';
import { PrivateChat } from '../../../src/p2p/privatechat.js';
import type { PrivateMessage } from '../../../src/p2p/privatechat.js';
import type { Identity } from '../../../src/protocol/certificate.js';
import { Connection } from '../../../src/protocol/connection.js';
import { deferred } from '../../../src/protocol/deferred.js';
import { ParleyError } from '../../../src/protocol/errors.js';
import { makeHello } from '../../../src/protocol/hello.js';
import { FakeClock } from '../../support/fakeclock.js';
import { linkedPair } from '../../support/pair.js';
import { refusal } from '../../support/refusal.js';
import { until } from './support.js';

/** What bob does with a message that came over the link of this number. */
type Behaviour = (message: PrivateMessage, link: number, connection: Connection) => Promise<void> | void;

describe('client/agent private chats over links that break', () => {
  const never = new AbortController().signal;
  let clock: FakeClock;
  let links: Connection[];
  /** Every message that bob was handed. */
  let came: PrivateMessage[];
  let behaviour: Behaviour;
  let refused: ParleyError | undefined;
  /** New links are neither had nor refused. */
  let hangs: boolean;
  let attempts: number;
  let chats: PrivateChats;

  beforeEach(() => {
    clock = new FakeClock();
    links = [];
    came = [];
    refused = undefined;
    hangs = false;
    attempts = 0;
    const events = new FaceEvents(clock);
    chats = new PrivateChats({
      clock,
      identity: {} as Identity,
      pins: { get: () => undefined } as unknown as Pins,
      log: silentLog,
      session: { call: () => Promise.resolve({ user: 'bob' }) } as never,
      peers: { connect, isBlocked: () => false } as unknown as Peers,
      events,
      privateLog: { messages: () => [] } as unknown as PrivateLog,
      standing: new Standing({ events, user: () => 'alice', privateUnread: () => 0 }),
      account: () => ({ user: 'alice', server: 'here:1' }),
    });
  });
  afterEach(() => {
    for (const link of links) link.destroy();
  });

  const connect: Peers['connect'] = async (_user, _purpose, { prepare, signal }) => {
    attempts += 1;
    if (hangs) {
      await new Promise((_, reject) => signal?.addEventListener('abort', () => reject(new ParleyError('CANCELLED'))));
    }
    if (refused !== undefined) throw refused;
    const [ours, theirs] = linkedPair();
    const mine = new Connection(ours, {
      hello: makeHello('peer'),
      end: 'dialer',
      clock,
      lost: (reason) => new ParleyError('PEER_UNREACHABLE', { user: 'bob', reason }),
    });
    const introduction = { peer: 'bob' } as never;
    prepare?.(mine, introduction);
    const his = new Connection(theirs, { hello: makeHello('peer'), end: 'listener', clock });
    const number = links.push(his);
    new PrivateChat({
      peer: 'alice',
      connection: his,
      onMessage: async (message) => {
        came.push(message);
        await behaviour(message, number, his);
      },
    });
    await mine.ready;
    return introduction;
  };

  /** Lets time pass until the work has ended. */
  async function passing<T>(work: Promise<T>): Promise<T> {
    let ended = false;
    void work.then(
      () => (ended = true),
      () => (ended = true),
    );
    await until(async () => {
      await clock.advance(RETRY_PAUSES_MS[0] ?? 1);
      return ended;
    });
    return work;
  }

  it('are sent again over a new link, as the same message', async () => {
    behaviour = (_message, link, connection) => {
      if (link < 3) connection.destroy();
    };
    await chats.start('bob', never);
    const sent = await passing(chats.send('bob', 'hello', never));
    expect(links).to.have.lengthOf(3);
    expect(came.map(({ id, text, sentAt }) => [id, text, sentAt])).to.deep.equal(
      Array.from({ length: 3 }, () => [sent.id, 'hello', sent.sentAt]),
    );
  });

  it('keep their order when the first has to be sent again', async () => {
    behaviour = (_message, link, connection) => {
      if (link === 1) connection.destroy();
    };
    await chats.start('bob', never);
    await passing(Promise.all(['one', 'two', 'three'].map((text) => chats.send('bob', text, never))));
    expect(came.map(({ text }) => text)).to.deep.equal(['one', 'one', 'two', 'three']);
  });

  it('are said to be undelivered when no link can be had in time', async () => {
    behaviour = (_message, _link, connection) => {
      connection.destroy();
      refused = new ParleyError('USER_OFFLINE', { user: 'bob' });
    };
    await chats.start('bob', never);
    const before = clock.monotonicMs();
    const error = await passing(refusal(chats.send('bob', 'hello', never)));
    expect([error.code, error.exitCode]).to.deep.equal(['PEER_UNREACHABLE', 3]);
    expect(error.message).to.include('was not acknowledged');
    expect(clock.monotonicMs() - before).to.be.below(25_000);
  });

  it('are not sent again to who ended the chat, or blocks', async () => {
    behaviour = (_message, _link, connection) => {
      connection.destroy();
      refused = new ParleyError('BLOCKED', { user: 'bob' });
    };
    await chats.start('bob', never);
    expect((await passing(refusal(chats.send('bob', 'hello', never)))).code).to.equal('BLOCKED');
    refused = undefined;
    behaviour = () => undefined;
    await chats.start('bob', never);
    await chats.stop('bob');
    expect((await refusal(chats.send('bob', 'hello', never))).code).to.equal('NO_PRIVATE_LINK');
  });

  /** The link breaks under the next message, and no other can be had. */
  function vanish(): void {
    behaviour = (_message, _link, connection) => {
      connection.destroy();
      refused = new ParleyError('USER_OFFLINE', { user: 'bob' });
    };
  }

  it('are sent over a new link when the other end falls silent', async () => {
    behaviour = (_message, link) => (link === 1 ? new Promise<void>(() => undefined) : undefined);
    await chats.start('bob', never);
    const sent = await passing(chats.send('bob', 'hello', never));
    expect(links).to.have.lengthOf(2);
    expect(came.map(({ id }) => id)).to.deep.equal([sent.id, sent.id]);
    expect(clock.monotonicMs()).to.be.below(8_000);
  });

  it('give up together, each saying whether it may have arrived', async () => {
    vanish();
    await chats.start('bob', never);
    const all = ['one', 'two', 'three'].map((text) => refusal(chats.send('bob', text, never)));
    const errors = await passing(Promise.all(all));
    expect(clock.monotonicMs()).to.be.within(DELIVERY_MS, DELIVERY_MS + 1_000);
    expect(errors.map(({ code }) => code)).to.deep.equal(all.map(() => 'PEER_UNREACHABLE'));
    expect(errors[0]?.message).to.include('may have arrived').and.include('they are not online');
    for (const { message } of errors.slice(1)) expect(message).to.include('was not delivered');
    expect(came).to.have.lengthOf(1);
  });

  it('give up in time when a new link neither comes nor fails', async () => {
    vanish();
    await chats.start('bob', never);
    hangs = true;
    const error = await passing(refusal(chats.send('bob', 'hello', never)));
    expect(error.code).to.equal('PEER_UNREACHABLE');
    expect(clock.monotonicMs()).to.be.within(DELIVERY_MS, DELIVERY_MS + 1_000);
  });

  it('are the same message when they are sent again after nobody knew whether they arrived', async () => {
    vanish();
    await chats.start('bob', never);
    await passing(refusal(chats.send('bob', 'hello', never)));
    refused = undefined;
    behaviour = () => undefined;
    await chats.start('bob', never);
    const other = await chats.send('bob', 'other', never);
    const again = await chats.send('bob', 'hello', never);
    expect([again.id, again.sentAt]).to.deep.equal([came[0]?.id, came[0]?.sentAt]);
    const once = await chats.send('bob', 'hello', never);
    expect(new Set([other.id, again.id, once.id]).size, 'what is answered is over').to.equal(3);
  });

  it('are another message ten minutes later', async () => {
    vanish();
    await chats.start('bob', never);
    await passing(refusal(chats.send('bob', 'hello', never)));
    await clock.advance(TAKE_UP_MS + 1);
    refused = undefined;
    behaviour = () => undefined;
    await chats.start('bob', never);
    expect((await chats.send('bob', 'hello', never)).id).to.not.equal(came[0]?.id);
  });

  it('can be cancelled while others are before them, which they do not let pass', async () => {
    const first = deferred<void>();
    behaviour = ({ text }) => (text === 'one' ? first.promise : undefined);
    await chats.start('bob', never);
    const cancel = new AbortController();
    const one = chats.send('bob', 'one', never);
    const two = refusal(chats.send('bob', 'two', cancel.signal));
    const three = chats.send('bob', 'three', never);
    cancel.abort();
    expect((await two).code).to.equal('CANCELLED');
    expect(came.map(({ text }) => text)).to.not.include('three');
    first.resolve();
    await Promise.all([one, three]);
    expect(came.map(({ text }) => text)).to.deep.equal(['one', 'three']);
  });

  it('are given up, and said to be undelivered, when the agent ends', async () => {
    vanish();
    await chats.start('bob', never);
    const sent = refusal(chats.send('bob', 'hello', never));
    await until(() => came.length === 1 && links[0]?.isOpen === false);
    const before = attempts;
    await chats.close();
    expect((await sent).code).to.equal('PEER_UNREACHABLE');
    expect(attempts).to.equal(before);
  });
});
