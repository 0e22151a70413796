/** Pushed messages: kept, shown and acknowledged once each, also by the agent that comes after one that was killed. */
import { expect } from 'chai';
import { silentLog } from '../../../src/client/agent/log.js';
import { ReceivedLog } from '../../../src/client/agent/receivedlog.js';
import { Receiver } from '../../../src/client/agent/receiver.js';
import type { PushedMessage } from '../../../src/protocol/events.js';
import { FakeClock } from '../../support/fakeclock.js';
import { pushed } from './scriptedserver.js';
import { Cleanup, until } from './support.js';

const ACCOUNT = 'alice@here:1';
const message = (position: number): PushedMessage => pushed(position) as PushedMessage;

describe('client/agent receiver', () => {
  const cleanup = new Cleanup();
  afterEach(() => cleanup.run());

  interface Agent {
    readonly receiver: Receiver;
    readonly shown: number[];
    readonly acknowledged: number[];
    readonly received: ReceivedLog;
  }

  /** What an agent has of this; the one before it did not say goodbye. */
  async function agent(home: string): Promise<Agent> {
    const received = await ReceivedLog.open(home);
    cleanup.add(() => received.close());
    const seen: Agent = {
      received,
      shown: [],
      acknowledged: [],
      receiver: new Receiver({
        log: silentLog,
        clock: new FakeClock(),
        received,
        onMessage: ({ position }) => void seen.shown.push(position),
        acknowledge: (position) => void seen.acknowledged.push(position),
      }),
    };
    seen.receiver.begin(ACCOUNT);
    return seen;
  }

  it('shows each once, in order, and acknowledges what is kept', async () => {
    const home = await cleanup.folder();
    const first = await agent(home);
    for (const position of [1, 2, 2, 3]) first.receiver.take(message(position));
    await until(() => first.acknowledged.at(-1) === 3);
    expect(first.shown).to.deep.equal([1, 2, 3]);
    const second = await agent(home);
    for (const position of [2, 3, 4]) second.receiver.take(message(position));
    await until(() => second.acknowledged.at(-1) === 4);
    expect(second.shown).to.deep.equal([4]);
  });

  it('does not show again what a focus group had held and was shown on leaving, when the server pushes it yet', async () => {
    const home = await cleanup.folder();
    const first = await agent(home);
    first.receiver.take(message(1));
    await first.receiver.showHeld([message(2).id, message(3).id]);
    // What was pushed before comes before.
    expect(first.shown).to.deep.equal([1]);
    const second = await agent(home);
    for (const position of [1, 2, 3, 4]) second.receiver.take(message(position));
    await until(() => second.acknowledged.at(-1) === 4);
    expect(second.shown).to.deep.equal([4]);
  });

  it('keeps what is pushed behind a focus group that is left behind what that held', async () => {
    const home = await cleanup.folder();
    const { receiver, shown, acknowledged } = await agent(home);
    const release = receiver.leaving();
    receiver.take(message(1)); // From before the group.
    receiver.left();
    receiver.take(message(4)); // The group held 2 and 3; their answer is still on its way.
    await receiver.showHeld([message(2).id, message(3).id]);
    expect(shown).to.deep.equal([1]);
    expect(acknowledged, 'what waits is not kept').to.deep.equal([1]);
    receiver.take(message(5));
    release();
    await until(() => acknowledged.at(-1) === 5);
    expect(shown).to.deep.equal([1, 4, 5]);
  });

  it('takes another message at a position that was used before: that server has lost some', async () => {
    const home = await cleanup.folder();
    const first = await agent(home);
    first.receiver.take(message(1));
    await until(() => first.acknowledged.length > 0);
    const second = await agent(home);
    second.receiver.take({ ...message(1), id: 'f'.repeat(32) });
    await until(() => second.shown.length === 1);
    expect(second.received.messages(ACCOUNT).map(({ id }) => id)).to.deep.equal(['f'.repeat(32)]);
  });
});
