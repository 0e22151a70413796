import { expect } from 'chai';
import { SLOW_AFTER_MS, noHolder, reasonsOf, reasonsOfEnd } from '../../src/p2p/diagnosis.js';
import type { DownloadView, Failure, HolderView, Reason } from '../../src/p2p/diagnosis.js';
import type { DownloadOptions } from '../../src/p2p/download.js';
import { Provider, SERVED_AT_ONCE_PER_USER } from '../../src/p2p/provider.js';
import { sourceShare } from '../../src/p2p/share.js';
import type { Share } from '../../src/p2p/share.js';
import { ParleyError } from '../../src/protocol/errors.js';
import type { ErrorCode } from '../../src/protocol/errors.js';
import type { Source } from '../../src/chunks/source.js';
import { FakeClock } from '../support/fakeclock.js';
import { askBlock, bitmapOf, connectTo, downloadFrom, holder, makeFile, range } from './swarm.js';
import type { TestFile, TestHolder } from './swarm.js';

/** A fault is to be named within so long. */
const SOON_MS = 2_000;

interface Fault {
  readonly holders?: readonly TestHolder[];
  readonly options?: (file: TestFile) => Omit<Partial<DownloadOptions>, 'part'>;
  readonly code: string;
  readonly more?: Partial<Reason>;
}

/** Never settles. */
const never = (): Promise<never> => new Promise(() => undefined);

function refusing(code: ErrorCode, details: Record<string, string> = {}): NonNullable<Fault['options']> {
  const error = new ParleyError(code, { user: 'bob', reason: 'nobody answers', ...details });
  return () => ({ connect: () => Promise.reject(error) });
}

/** A link to a provider that all users share. */
function sharing(file: TestFile, provider: Provider, user: string, to: TestHolder): ReturnType<typeof connectTo> {
  return connectTo(file, to, (connection) => provider.serve(user, connection));
}

/** The whole file; reading a block takes as long as `beforeRead` does. */
function wholeShare(file: TestFile, beforeRead: () => Promise<void> = () => Promise.resolve()): Share {
  const source = {
    plan: file.plan,
    usable: true,
    read: async (_block: number, target: Uint8Array) => {
      await beforeRead();
      return target.length;
    },
  } as unknown as Source;
  return sourceShare(file.name, source, file.blockDigests);
}

const all = range(3);
const bob = (more: Partial<TestHolder> = {}): TestHolder => holder('bob', all, more);

const FAULTS: Readonly<Record<string, Fault>> = {
  'nobody holds it': { holders: [], code: 'NO_HOLDER', more: { chunks: all } },
  'a holder cannot be reached': {
    holders: [bob()],
    options: refusing('PEER_UNREACHABLE', { address: '127.0.0.1:9' }),
    code: 'PEER_UNREACHABLE',
    more: { user: 'bob', address: '127.0.0.1:9' },
  },
  'a holder blocks this user': {
    holders: [bob()],
    options: refusing('BLOCKED'),
    code: 'BLOCKED',
    more: { user: 'bob' },
  },
  'a holder has another key': {
    holders: [bob()],
    options: refusing('KEY_CHANGED', { who: 'bob' }),
    code: 'KEY_CHANGED',
    more: { user: 'bob' },
  },
  'a holder has gone': {
    holders: [bob()],
    options: refusing('USER_OFFLINE'),
    code: 'USER_OFFLINE',
    more: { user: 'bob' },
  },
  'a link is still being made': {
    holders: [bob()],
    options: () => ({ connect: never }),
    code: 'LINKING',
    more: { user: 'bob' },
  },
  'all slots of a holder are others’': {
    holders: [bob()],
    options: (file) => {
      const provider = new Provider({ shares: { find: () => wholeShare(file, never) } });
      for (const user of ['carol', 'dave', 'erin', 'frank']) {
        const { connection } = sharing(file, provider, user, bob());
        for (let n = 0; n < SERVED_AT_ONCE_PER_USER; n++) {
          const place = { root: file.manifest.root, chunk: 0, block: 0 };
          askBlock(connection, place, Buffer.alloc(1_000_000), new AbortController().signal).catch(() => undefined);
        }
      }
      return {
        connect: async () => {
          // The others ask first.
          await new Promise((resolve) => setTimeout(resolve, 200));
          return sharing(file, provider, 'me', bob());
        },
      };
    },
    code: 'QUEUED',
    more: { user: 'bob', ahead: 4 },
  },
  'its own limit': { holders: [bob()], options: () => ({ limitRate: 1_000 }), code: 'RATE_LIMIT' },
  'a holder’s limit': {
    holders: [bob()],
    options: (file) => {
      const provider = new Provider({ shares: { find: () => wholeShare(file) }, limitRate: 1_000 });
      const other = sharing(file, provider, 'carol', bob());
      downloadFrom(file, [bob()], { connect: () => Promise.resolve(other) });
      return { connect: () => Promise.resolve(sharing(file, provider, 'me', bob())) };
    },
    code: 'RATE_LIMIT',
    more: { user: 'bob' },
  },
  'a holder lies': {
    holders: [bob({ spoil: (_block, bytes) => bytes.fill(0) })],
    code: 'HASH_MISMATCH',
    more: { user: 'bob' },
  },
  'the server is away': {
    holders: [],
    options: () => ({ locate: () => Promise.reject(new ParleyError('SERVER_UNREACHABLE', { server: 'here' })) }),
    code: 'SERVER_UNREACHABLE',
  },
  'a holder stands still': {
    holders: [bob({ beforeRead: never })],
    code: 'SLOW_HOLDER',
    more: { user: 'bob' },
  },
};

describe('p2p/diagnosis', () => {
  for (const [what, { holders = [], options, code, more = {} }] of Object.entries(FAULTS)) {
    it(`names ${code} when ${what}`, async () => {
      const file = makeFile(3_000_000, 3);
      const begun = performance.now();
      const stop = new AbortController();
      let view: (() => Promise<DownloadView>) | undefined;
      const { result } = downloadFrom(file, holders, {
        ...options?.(file),
        signal: stop.signal,
        onBegun: (running) => {
          ({ view } = running);
        },
      });
      const named = async (): Promise<Reason | undefined> =>
        view === undefined ? undefined : reasonsOf(await view()).find((reason) => reason.code === code);
      let reason = await named();
      while (reason === undefined && performance.now() - begun < SOON_MS) {
        await new Promise((resolve) => setTimeout(resolve, 50));
        reason = await named();
      }
      expect(reason, 'is named').to.deep.include({ code, ...more });
      expect(reason?.text).to.be.a('string').and.not.equal('');
      stop.abort();
      await result.catch(() => undefined);
    });
  }

  it('calls a holder slow only after a while, and not while bytes of a first large block come', async () => {
    const file = makeFile(1_000_000, 1);
    const clock = new FakeClock();
    const bob = holder('bob', [0]);
    let [received, isMoving] = [0, true];
    let view: (() => Promise<DownloadView>) | undefined;
    const stop = new AbortController();
    const { result } = downloadFrom(file, [], {
      clock,
      signal: stop.signal,
      locate: () => Promise.resolve([{ user: 'bob', bitmap: bitmapOf([0], 1).toString('base64') }]),
      connect: () => {
        const { connection } = connectTo(file, { ...bob, beforeRead: never }, undefined, { clock });
        return Promise.resolve({ connection, bytesReceived: () => received });
      },
      onBegun: (running) => ({ view } = running),
    });
    const codes = async (): Promise<string[]> => reasonsOf(await view!()).map(({ code }) => code);
    /** Bytes come, or not, for so long; what is said meanwhile. */
    const saidIn = async (ms: number): Promise<Set<string>> => {
      const said = new Set<string>();
      for (let at = 0; at < ms; at += 50) {
        await clock.advance(50);
        if (isMoving) received += 5_000;
        for (let turn = 0; turn < 5; turn += 1) await new Promise(setImmediate);
        for (const code of await codes()) said.add(code);
      }
      return said;
    };
    await clock.advance(0);
    for (let turn = 0; turn < 20; turn += 1) await new Promise(setImmediate);
    expect(await saidIn(4_000), 'at 100 KB/s').to.deep.equal(new Set(['RUNNING']));
    isMoving = false;
    await saidIn(1_500);
    expect(await codes(), 'when nothing comes any more').to.deep.equal(['SLOW_HOLDER']);
    expect(await saidIn(10_000), 'as long as nothing comes').to.deep.equal(new Set(['SLOW_HOLDER']));
    stop.abort();
    await result.catch(() => undefined);
  });

  const linked: HolderView = {
    user: 'bob',
    state: 'linked',
    rate: 0,
    asked: 2,
    waitingMs: 0,
    isUseful: true,
    error: undefined,
    retrySeconds: 0,
    queue: undefined,
  };
  const viewOf = (holder: HolderView, rate = holder.rate): DownloadView => ({
    file: 'a',
    sizeBytes: 10,
    bytes: 5,
    rate,
    unheld: [],
    isLimited: false,
    locateError: undefined,
    holders: [holder],
  });

  it('does not say that blocks come over a link that is gone, though they did a moment ago', () => {
    const error = new ParleyError('USER_OFFLINE', { user: 'bob' });
    const gone = viewOf({ ...linked, state: 'known', rate: 1e6, asked: 0, error, retrySeconds: 2 });
    expect(reasonsOf(gone).map(({ code }) => code)).to.deep.equal(['USER_OFFLINE']);
  });

  it('says from whom blocks come when nothing is wrong', () => {
    const sending = viewOf({ ...linked, rate: 1e6, waitingMs: 60_000 });
    expect(reasonsOf(sending)).to.deep.equal([{ code: 'RUNNING', text: 'blocks come from bob' }]);
  });

  it('says of whom blocks were asked before the first one is there', () => {
    const asked = [{ code: 'RUNNING', text: 'blocks were asked of bob' }];
    expect(reasonsOf(viewOf(linked))).to.deep.equal(asked);
    expect(reasonsOf(viewOf({ ...linked, waitingMs: SLOW_AFTER_MS - 1 }))).to.deep.equal(asked);
    const [slow, ...more] = reasonsOf(viewOf({ ...linked, waitingMs: SLOW_AFTER_MS }));
    expect([slow?.code, more]).to.deep.equal(['SLOW_HOLDER', []]);
    expect(reasonsOf(viewOf({ ...linked, asked: 0 }))[0]?.code).to.equal('LINKING');
  });

  describe('nobody left to ask', () => {
    const failure = (user: string, code: ErrorCode, details: Record<string, string> = {}): Failure => ({
      user,
      error: new ParleyError(code, { user, ...details }),
    });
    const address = '10.0.0.7:4711';

    it('is told apart from holders that cannot be reached, or refuse', () => {
      expect(noHolder('a', [0], []).message).to.contain('nobody who can be reached holds chunk 0 of a;');
      const failures = [
        failure('alice', 'PEER_UNREACHABLE', { reason: `connect ECONNREFUSED ${address}`, address }),
        failure('bob', 'PEER_UNREACHABLE', { reason: 'no answer within 5 s', address }),
        failure('carol', 'BLOCKED'),
      ];
      expect(noHolder('a', [0, 1, 2, 7], failures).message).to.contain(
        'holds chunks 0-2, 7 of a (alice could not be reached: connect ECONNREFUSED 10.0.0.7:4711, ' +
          'bob could not be reached: no answer within 5 s at 10.0.0.7:4711, carol takes nothing from you, or you block carol);',
      );
    });

    it('names three of many in the sentence, and all for scripts', () => {
      const error = noHolder(
        'a',
        range(2_000),
        ['a', 'b', 'c', 'd', 'e'].map((user) => failure(user, 'SERVER_BUSY')),
      );
      expect(error.message).to.contain(
        'chunks 0-1999 of a (a: SERVER_BUSY, b: SERVER_BUSY, c: SERVER_BUSY, and 2 more)',
      );
      expect(error.details['failed']).to.have.length(5);
      expect(error.details['chunks']).to.have.length(1_000);
      expect(reasonsOfEnd(error).map(({ code, user }) => `${code} ${user}`)).to.deep.equal([
        'NO_HOLDER undefined',
        ...['a', 'b', 'c', 'd', 'e'].map((user) => `SERVER_BUSY ${user}`),
      ]);
    });
  });
});
