import { expect } from 'chai';
import { Claims, CLAIM_BYTES } from '../../src/chunks/claims.js';
import type { SidecarLog } from '../../src/chunks/sidecar.js';
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
    addClaim: (runs: readonly { first: number; count: number }[]) => {
      if (runs.length === 0) return;
      dirty = true;
      events.push(`claims ${runs.map(({ first, count }) => `${first}+${count}`).join(' ')}`);
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

describe('chunks/claims', () => {
  it('syncs the data before it claims it, and the claim after', async () => {
    const { claims, events } = recorder();
    for (const block of [4, 2, 3]) claims.add(block, 1);
    await claims.flush();
    expect(events).to.deep.equal(['data synced', 'claims 2+3', 'sidecar synced']);
    await claims.flush();
    expect(events).to.have.lengthOf(3);
    await claims.close();
  });

  it('leaves a block that was written during a sync to the next one', async () => {
    const { claims, events } = recorder();
    claims.add(0, 1);
    const first = claims.flush();
    await Promise.resolve();
    claims.add(1, 1);
    await first;
    expect(events).to.deep.equal(['data synced', 'claims 0+1', 'sidecar synced']);
    await claims.flush();
    expect(events.slice(3)).to.deep.equal(['data synced', 'claims 1+1', 'sidecar synced']);
    await claims.close();
  });

  it('flushes by itself when much was written', async () => {
    const { claims, events } = recorder();
    claims.add(0, CLAIM_BYTES - 1);
    claims.add(1, 1);
    for (let turn = 0; turn < 100 && events.length < 3; turn++) await new Promise(setImmediate);
    expect(events[1]).to.equal('claims 0+2');
    await claims.close();
  });

  it('claims nothing that could not be synced, says so, and claims it once it can', async () => {
    const { claims, events, refuse } = recorder();
    claims.add(0, 1);
    refuse('data');
    const error = await refusalOf(claims.flush());
    expect(error.code).to.equal('DISK_FULL');
    expect(error.message).to.contain('/f.part').and.to.contain('the disk is full');
    expect(events).to.deep.equal([]);
    claims.add(1, 1);
    await claims.flush();
    expect(events).to.deep.equal(['data synced', 'claims 0+2', 'sidecar synced']);
    await claims.close();
  });

  it('tries a claim again that could not be written', async () => {
    const { claims, events, refuse } = recorder();
    claims.add(0, 1);
    refuse('sidecar');
    expect((await refusalOf(claims.flush())).code).to.equal('DISK_FULL');
    await claims.flush();
    expect(events).to.deep.equal(['data synced', 'claims 0+1', 'sidecar synced']);
    await claims.close();
  });
});
