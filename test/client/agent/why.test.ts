import { expect } from 'chai';
import { whyRunning } from '../../../src/client/agent/why.js';
import type { DownloadView, HolderView } from '../../../src/p2p/diagnosis.js';
import { ParleyError } from '../../../src/protocol/errors.js';

const bob: HolderView = {
  user: 'bob',
  state: 'linked',
  rate: 1e6,
  asked: 2,
  waitingMs: 0,
  isUseful: true,
  error: undefined,
  retrySeconds: 0,
  queue: undefined,
};

const viewOf = (...holders: HolderView[]): DownloadView => ({
  file: 'a',
  sizeBytes: 10,
  bytes: 5,
  rate: 1e6,
  unheld: [],
  isLimited: false,
  locateError: undefined,
  holders,
});

describe('client/agent why', () => {
  it('says of a download that it runs while somebody sends, and that it waits as soon as nobody can', () => {
    expect(whyRunning('a', viewOf(bob)).state).to.equal('running');
    const gone: HolderView = {
      ...bob,
      state: 'known',
      asked: 0,
      error: new ParleyError('USER_OFFLINE', { user: 'bob' }),
    };
    expect(whyRunning('a', viewOf(gone, { ...bob, user: 'carol' })).state).to.equal('running');
    const waiting = whyRunning('a', viewOf(gone));
    expect(waiting.state).to.equal('waiting');
    expect(waiting.reasons.map(({ code }) => code)).to.deep.equal(['USER_OFFLINE']);
  });
});
