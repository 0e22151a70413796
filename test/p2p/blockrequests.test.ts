import { expect } from 'chai';
import { BlockRequests } from '../../src/p2p/blockrequests.js';
import type { Run, RunOutcome } from '../../src/p2p/blockrequests.js';
import { ParleyError } from '../../src/protocol/errors.js';
import { BLOCK_BYTES } from '../../src/protocol/limits.js';

const never = new AbortController().signal;
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

interface Sent {
  readonly blocks: number[];
  came(): void;
  done(outcome?: Partial<RunOutcome>): void;
  fail(error: Error): void;
}

function recorded(): { requests: BlockRequests; sent: Sent[] } {
  const sent: Sent[] = [];
  const fetch = (run: Run, onAnswer: () => void): Promise<RunOutcome> =>
    new Promise((resolve, reject) =>
      sent.push({
        blocks: run.map(({ block }) => block),
        came: onAnswer,
        done: (outcome) => resolve({ isKept: true, bad: [], ...outcome }),
        fail: reject,
      }),
    );
  return { requests: new BlockRequests({ fetch, lie: () => new ParleyError('HASH_MISMATCH', { file: 'f' }) }), sent };
}

const onGood = (): void => undefined;

function ask(requests: BlockRequests, block: number, bytes = 1000, signal = never): Promise<string> {
  return requests.add({ block, bytes, signal, onGood }, true).then(
    (isKept) => (isKept ? 'kept' : 'not kept'),
    (thrown: unknown) => (thrown as ParleyError).code,
  );
}

describe('p2p/blockrequests', () => {
  it('joins small blocks that stand side by side, up to a block’s bytes, in whatever order they are asked', async () => {
    const { requests, sent } = recorded();
    for (const block of [7, 3, 4, 9, 5, 8]) void ask(requests, block);
    await turn();
    expect(sent.map(({ blocks }) => blocks)).to.deep.equal([
      [3, 4, 5],
      [7, 8, 9],
    ]);
    sent.forEach((each) => each.came());
    for (let block = 20; block < 24; block += 1) void ask(requests, block, BLOCK_BYTES / 2);
    await turn();
    expect(sent.slice(2).map(({ blocks }) => blocks)).to.deep.equal([
      [20, 21],
      [22, 23],
    ]);
  });

  it('asks at once for what cannot be joined', () => {
    const { requests, sent } = recorded();
    void ask(requests, 1, BLOCK_BYTES);
    void requests.add({ block: 2, bytes: 10, signal: never, onGood }, false);
    expect(sent.map(({ blocks }) => blocks)).to.deep.equal([[1], [2]]);
  });

  it('has what waits become longer while a few are answered', async () => {
    const { requests, sent } = recorded();
    for (const block of [0, 10, 20]) void ask(requests, block);
    await turn();
    for (let block = 40; block < 60; block += 1) {
      void ask(requests, block);
      await turn();
    }
    expect(sent.length).to.equal(3);
    sent[0]!.came();
    await turn();
    expect(sent.length).to.equal(4);
    expect(sent[3]!.blocks.length).to.equal(20);
  });

  it('says of each what became of it', async () => {
    const { requests, sent } = recorded();
    const all = [1, 2, 3].map((block) => ask(requests, block));
    await turn();
    sent[0]!.came();
    sent[0]!.done({ bad: [2] });
    expect(await Promise.all(all)).to.deep.equal(['kept', 'HASH_MISMATCH', 'kept']);
    const full = ask(requests, 4);
    await turn();
    sent[1]!.came();
    sent[1]!.done({ isKept: false });
    expect(await full).to.equal('not kept');
  });

  it('asks one by one when something of a run is not there, and fails together otherwise', async () => {
    const { requests, sent } = recorded();
    const all = [1, 2].map((block) => ask(requests, block));
    await turn();
    sent[0]!.fail(new ParleyError('CHUNK_GONE', { chunk: 2 }));
    await turn();
    expect(sent.slice(1).map(({ blocks }) => blocks)).to.deep.equal([[1], [2]]);
    sent[1]!.done();
    sent[2]!.fail(new ParleyError('CHUNK_GONE', { chunk: 2 }));
    expect(await Promise.all(all)).to.deep.equal(['kept', 'CHUNK_GONE']);
    const others = [1, 2].map((block) => ask(requests, block));
    await turn();
    sent[3]!.fail(new ParleyError('PEER_UNREACHABLE', { user: 'a', reason: 'gone' }));
    expect(await Promise.all(others)).to.deep.equal(['PEER_UNREACHABLE', 'PEER_UNREACHABLE']);
  });

  it('does not ask for what is not wanted any more', async () => {
    const { requests, sent } = recorded();
    const stop = new AbortController();
    const all = [ask(requests, 1, 1000, stop.signal), ask(requests, 2)];
    stop.abort();
    await turn();
    expect(sent.map(({ blocks }) => blocks)).to.deep.equal([[2]]);
    sent[0]!.done();
    expect(await Promise.all(all)).to.deep.equal(['CANCELLED', 'kept']);
  });
});
