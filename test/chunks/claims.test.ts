import { expect } from 'chai';
import { Claims, CLAIM_BYTES } from '../../src/chunks/claims.js';
import type { BlockRange } from '../../src/chunks/plan.js';
import type { SidecarLog } from '../../src/chunks/sidecarlog.js';
import { refusalOf } from './support.js';

/** A file and a sidecar that write down what is asked of them, in order; each may refuse once. */
function recorder(): { claims: Claims; events: string[]; refuse: (what: 'data' | 'sidecar') => void } {
  const events: string[] = [];
  const refusing = new Set<string>();
  let dirty = false;
  const step = async (what: string, event: string): Promise<void> => {
    await new Promise(setImmediate);
    if (refusing.delete(what)) throw Object.assign(new Error('no space'), { code: 'ENOSPC', errno: -28 });
    events.push(event);
  };
  const file = { datasync: () => step('data', 'data synced'), isInPlace: () => Promise.resolve(true) };
  const log = {
    get dirty(): boolean {
      return dirty;
    },
    addClaim: (runs: readonly BlockRange[]) => {
      if (runs.length === 0) return;
      dirty = true;
      events.push(`claims ${textOf(runs)}`);
    },
    addDigests: (chunks: readonly BlockRange[]) => {
      dirty = true;
      events.push(`digests ${textOf(chunks)}`);
    },
    sync: async () => {
      await step('sidecar', 'sidecar synced');
      dirty = false;
    },
    close: () => Promise.resolve(),
  };
  const claims = new Claims('/f.part', file, log as unknown as SidecarLog);
  return { claims, events, refuse: (what) => void refusing.add(what) };
}

const textOf = (runs: readonly BlockRange[]): string => runs.map(({ first, count }) => `${first}+${count}`).join(' ');
const one = (first: number): BlockRange => ({ first, count: 1 });

describe('chunks/claims', () => {
  it('syncs the data before it claims it, and the claim after', async () => {
    const { claims, events } = recorder();
    for (const block of [4, 2, 3]) claims.add(one(block), 1);
    await claims.flush();
    expect(events).to.deep.equal(['data synced', 'claims 2+3', 'sidecar synced']);
    await claims.flush();
    expect(events).to.have.lengthOf(3);
    await claims.close();
  });

  it('leaves a block that was written during a sync to the next one', async () => {
    const { claims, events } = recorder();
    claims.add(one(0), 1);
    const first = claims.flush();
    await Promise.resolve();
    claims.add(one(1), 1);
    await first;
    expect(events).to.deep.equal(['data synced', 'claims 0+1', 'sidecar synced']);
    await claims.flush();
    expect(events.slice(3)).to.deep.equal(['data synced', 'claims 1+1', 'sidecar synced']);
    await claims.close();
  });

  it('flushes by itself when much was written', async () => {
    const { claims, events } = recorder();
    claims.add(one(0), CLAIM_BYTES - 1);
    claims.add(one(1), 1);
    for (let turn = 0; turn < 100 && events.length < 3; turn++) await new Promise(setImmediate);
    expect(events[1]).to.equal('claims 0+2');
    await claims.close();
  });

  it('claims nothing that could not be synced, says so, and claims it once it can', async () => {
    const { claims, events, refuse } = recorder();
    claims.add(one(0), 1);
    refuse('data');
    const error = await refusalOf(claims.flush());
    expect(error.code).to.equal('DISK_FULL');
    expect(error.message).to.contain('/f.part').and.to.contain('the disk is full');
    expect(events).to.deep.equal([]);
    claims.add(one(1), 1);
    await claims.flush();
    expect(events).to.deep.equal(['data synced', 'claims 0+2', 'sidecar synced']);
    await claims.close();
  });

  it('tries a claim again that could not be written', async () => {
    const { claims, events, refuse } = recorder();
    claims.add(one(0), 1);
    refuse('sidecar');
    expect((await refusalOf(claims.flush())).code).to.equal('DISK_FULL');
    await claims.flush();
    expect(events).to.deep.equal(['data synced', 'claims 0+1', 'sidecar synced']);
    await claims.close();
  });

  it('claims runs that touch as one', async () => {
    const { claims, events } = recorder();
    for (const first of [64, 0, 128]) claims.add({ first, count: 64 }, 1);
    claims.add({ first: 300, count: 5 }, 1);
    await claims.flush();
    expect(events[1]).to.equal('claims 0+192 300+5');
    await claims.close();
  });

  it('notes the digests of chunks of one block together, those of larger ones at once, and all before a claim', async () => {
    const { claims, events } = recorder();
    claims.addDigests({ first: 7, count: 1 }, 2);
    expect(events).to.deep.equal(['digests 7+1']);
    claims.addDigests(one(2), 1);
    claims.addDigests(one(1), 1);
    expect(events).to.have.lengthOf(1);
    claims.addDigests({ first: 100, count: 256 }, 256);
    expect(events[1]).to.equal('digests 1+2 100+256');
    claims.addDigests(one(9), 1);
    claims.add(one(9), 1);
    await claims.flush();
    expect(events.slice(2)).to.deep.equal(['data synced', 'digests 9+1', 'claims 9+1', 'sidecar synced']);
    await claims.close();
  });

  it('notes the digests of a few large chunks soon, too: without them their blocks are not found after a kill', async () => {
    const { claims, events } = recorder();
    for (let block = 0; block < 4; block++) {
      expect(events).to.deep.equal([]);
      claims.addDigests(one(block), 1);
      claims.add(one(block), 1024 * 1024);
    }
    expect(events).to.deep.equal(['digests 0+4']);
    await claims.close();
  });

  it('remembers that what was written could not be synced', async () => {
    const { claims, refuse } = recorder();
    claims.add(one(0), 1);
    refuse('data');
    await refusalOf(claims.flush());
    await claims.flush();
    expect(claims.wasRefused).to.equal(true);
    await claims.close();
  });
});
