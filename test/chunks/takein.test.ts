import { rename, readFile, open } from 'node:fs/promises';
import { expect } from 'chai';
import { runBlockJob } from '../../src/chunks/blockjob.js';
import { BlockThread, blockThreadFor, THREAD_FROM_BYTES } from '../../src/chunks/blockthread.js';
import { FRESH_MS } from '../../src/chunks/freshblocks.js';
import { openPart } from '../../src/chunks/part.js';
import type { Part } from '../../src/chunks/part.js';
import { bytesOfBlocks } from '../../src/chunks/plan.js';
import type { BlockRange } from '../../src/chunks/plan.js';
import { deferred } from '../../src/protocol/deferred.js';
import { bytesOf, refusalOf, sampleOf, useFolder } from './support.js';
import type { Sample } from './support.js';

/** As they come: one behind another in shared memory. */
function came(sample: Sample, blocks: BlockRange): Buffer {
  const { offset, length } = bytesOfBlocks(sample.plan, blocks);
  const bytes = Buffer.from(new SharedArrayBuffer(length));
  bytes.set(sample.bytes.subarray(offset, offset + length));
  return bytes;
}

async function takeAll(part: Part, sample: Sample, count: number): Promise<void> {
  for (let first = 0; first < sample.plan.blocks; first += count) {
    const blocks = { first, count: Math.min(count, sample.plan.blocks - first) };
    expect(await part.takeIn(blocks, came(sample, blocks))).to.deep.equal([]);
  }
}

describe('chunks/part, with a thread for its blocks', () => {
  const at = useFolder();
  const bytes = bytesOf(THREAD_FROM_BYTES + 12_345);
  const few = sampleOf(bytes, 2);
  const many = sampleOf(bytes, 1001);
  const thread = new BlockThread();
  after(() => thread.stopWhenIdle());

  it('has one for a large file only', () => {
    expect(blockThreadFor(THREAD_FROM_BYTES - 1)).to.equal(undefined);
  });

  it('takes blocks whose digests it knows, refuses others, and finishes as the file', async () => {
    const part = await openPart({ target: at('f'), manifest: few.manifest, thread });
    const first = { first: 0, count: 1 };
    expect(await part.takeIn(first, came(few, first)).catch((e: unknown) => e)).to.be.instanceOf(RangeError);
    for (const chunk of [0, 1]) part.learn(chunk, few.digests(chunk));
    const wrong = came(few, { first: 0, count: 3 });
    wrong.writeUInt8(wrong.readUInt8(1024 * 1024 + 5) ^ 1, 1024 * 1024 + 5);
    expect(await part.takeIn({ first: 0, count: 3 }, wrong)).to.deep.equal([1]);
    expect([0, 1, 2, 3].map((block) => part.has(block))).to.deep.equal([true, false, true, false]);
    await takeAll(part, few, 1);
    await part.finish();
    await part.close();
    expect((await readFile(at('f'))).equals(bytes)).to.equal(true);
  });

  it('takes many small chunks at once, without their digests, and resumes', async () => {
    const part = await openPart({ target: at('f'), manifest: many.manifest, thread });
    const blocks = { first: 5, count: 40 };
    const wrong = came(many, blocks);
    wrong.writeUInt8(wrong.readUInt8(0) ^ 1, 0);
    expect(await part.takeIn(blocks, wrong)).to.deep.equal([5]);
    expect(part.hasChunk(5)).to.equal(false);
    expect(part.hasChunk(6)).to.equal(true);
    expect(part.blockDigests(6)).to.deep.equal(many.digests(6));
    await part.close();
    const again = await openPart({ target: at('f'), manifest: many.manifest, thread });
    expect(again.missing().length).to.equal(1001 - 39);
    await takeAll(again, many, 60);
    await again.finish();
    await again.close();
    expect((await readFile(at('f'))).equals(bytes)).to.equal(true);
  });

  it('finds what was spoilt on disk, wherever it is, and takes that again', async () => {
    let ms = 0;
    const part = await openPart({ target: at('f'), manifest: few.manifest, thread, now: () => ms });
    for (const chunk of [0, 1]) part.learn(chunk, few.digests(chunk));
    await takeAll(part, few, 1);
    const other = await open(part.path, 'r+');
    for (const place of [3, bytes.length - 1])
      await other.write(Buffer.from([~bytes.readUInt8(place) & 0xff]), 0, 1, place);
    await other.close();
    ms += FRESH_MS + 1;
    expect((await refusalOf(part.finish())).code).to.equal('HASH_MISMATCH');
    expect(part.missing()).to.deep.equal([0, few.plan.blocks - 1]);
    await takeAll(part, few, 1);
    await part.finish();
    await part.close();
    expect((await readFile(at('f'))).equals(bytes)).to.equal(true);
  });

  it('counts what is being taken before it is closed, and takes nothing afterwards or from a folder that is gone', async () => {
    const part = await openPart({ target: at('f'), manifest: many.manifest, thread });
    const blocks = { first: 0, count: 60 };
    const taking = part.takeIn(blocks, came(many, blocks));
    await part.close();
    expect(await taking).to.deep.equal([]);
    expect((await refusalOf(part.takeIn(blocks, came(many, blocks)))).code).to.equal('CANCELLED');
    const again = await openPart({ target: at('f'), manifest: many.manifest, thread });
    expect(again.missing().length).to.equal(1001 - 60);
    await rename(again.path, at('elsewhere'));
    await again.isInPlace();
    expect((await refusalOf(again.takeIn(blocks, came(many, blocks)))).code).to.equal('DISK_FULL');
    await again.close();
  });

  it('stays open for whoever gets the bytes elsewhere, and counts what they say they wrote', async () => {
    const part = await openPart({ target: at('f'), manifest: many.manifest });
    const blocks = { first: 0, count: 3 };
    const written = deferred<void>();
    const taking = part.takeBy(blocks, async (work) => {
      await written.promise;
      return runBlockJob({ ...work, bytes: came(many, blocks) });
    });
    let isClosed = false;
    const closing = part.close().then(() => (isClosed = true));
    for (let i = 0; i < 20; i++) await new Promise(setImmediate);
    expect(isClosed).to.equal(false);
    written.resolve();
    expect(await taking).to.deep.equal([]);
    await closing;
    const again = await openPart({ target: at('f'), manifest: many.manifest });
    expect(again.missing().length).to.equal(1001 - 3);
    const five = { first: 3, count: 5 };
    const without = again.takeBy(five, (work) => {
      const first = { ...work, lengths: work.lengths.slice(0, 2), expected: work.expected.subarray(0, 2 * 32) };
      return Promise.resolve(runBlockJob({ ...first, bytes: came(many, { first: 3, count: 2 }) }));
    });
    expect(await without).to.deep.equal([5, 6, 7]);
    expect([0, 1, 2, 3, 4, 5].map((block) => again.has(block))).to.deep.equal([true, true, true, true, true, false]);
    const full = Object.assign(new Error('no space'), { code: 'ENOSPC', errno: -28 });
    const refused = await refusalOf(again.takeBy({ first: 3, count: 1 }, () => Promise.reject(full)));
    expect(refused.code).to.equal('DISK_FULL');
    await again.close();
  });
});
