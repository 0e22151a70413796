import { expect } from 'chai';
import { BitSet } from '../../../src/chunks/bits.js';
import { openPart } from '../../../src/chunks/part.js';
import { bytesOfBlocks, chunkRange } from '../../../src/chunks/plan.js';
import { copyOwn } from '../../../src/client/agent/owncopy.js';
import type { DownloadResult } from '../../../src/p2p/download.js';
import type { Share } from '../../../src/p2p/share.js';
import { ParleyError } from '../../../src/protocol/errors.js';
import { bytesOf, fetchInto, MIB, refusalOf, sampleOf, useFolder } from '../../chunks/support.js';
import type { Sample } from '../../chunks/support.js';

/** What is there of `sample`: `chunks`, of bytes that may be others; the numbers of the blocks that are read are noted in `reads`. */
function shareOf(sample: Sample, bytes: Buffer, chunks: readonly number[], reads: number[] = []): Share {
  const { plan } = sample;
  const held = new BitSet(plan.chunks);
  for (const chunk of chunks) held.add(chunk);
  return {
    file: 'f',
    plan,
    heldChunks: () => held.toBytes(),
    heldBlocks: () => BitSet.full(plan.blocks),
    lacks: () => undefined,
    coming: () => [],
    blockDigests: (chunk) => sample.digests(chunk),
    read: (first, target, at, count) => {
      reads.push(count);
      const { offset, length } = bytesOfBlocks(plan, { first, count });
      if (offset + length > bytes.length) throw new ParleyError('CHUNK_GONE', { file: 'f', chunk: 0 });
      return Promise.resolve(bytes.copy(target, at, offset, offset + length));
    },
  };
}

describe('client/agent/owncopy', () => {
  const at = useFolder();
  const { signal } = new AbortController();
  const few = sampleOf(bytesOf(5 * MIB + 9), 2);
  const many = sampleOf(bytesOf(3 * MIB), 300);
  const every = ({ plan }: Sample): BitSet => BitSet.full(plan.chunks);
  const expectNothing = ({ chunks, sources }: DownloadResult): void => {
    expect([chunks.count, sources]).to.deep.equal([0, []]);
  };
  const all = (sample: Sample): number[] => Array.from({ length: sample.plan.chunks }, (_, chunk) => chunk);

  it('copies what is there and wanted, whatever the size of the chunks', async () => {
    for (const [i, sample] of [few, many].entries()) {
      const part = await openPart({ target: at(`f${i}`), manifest: sample.manifest });
      const share = shareOf(sample, sample.bytes, all(sample).slice(1));
      const { chunks, sources } = await copyOwn(share, part, every(sample), 'me', signal);
      expect(chunks.numbers()).to.deep.equal(all(sample).slice(1));
      expect(sources).to.deep.equal([{ user: 'me', bytes: sample.bytes.length - chunkRange(sample.plan, 0).length }]);
      expectNothing(await copyOwn(share, part, every(sample), 'me', signal));
      await fetchInto(part, sample);
      await part.finish();
      await part.close();
    }
  });

  it('reads small chunks 1 MiB at a time', async () => {
    const part = await openPart({ target: at('f'), manifest: many.manifest });
    const reads: number[] = [];
    await fetchInto(part, many, [5]);
    await copyOwn(shareOf(many, many.bytes, all(many), reads), part, every(many), 'me', signal);
    expect(part.complete).to.equal(true);
    expect(reads).to.have.lengthOf.below(6);
    await part.close();
  });

  it('leaves out what is not what it should be, or not there any more', async () => {
    for (const [i, sample] of [few, many].entries()) {
      const bytes = Buffer.from(sample.bytes.subarray(0, sample.bytes.length - 1));
      bytes.writeUInt8(bytes.readUInt8(7) ^ 1, 7);
      const part = await openPart({ target: at(`f${i}`), manifest: sample.manifest });
      const { chunks } = await copyOwn(shareOf(sample, bytes, all(sample)), part, every(sample), 'me', signal);
      expect(part.has(0)).to.equal(false);
      expect(part.has(sample.plan.blocks - 1)).to.equal(false);
      expect(chunks.numbers()).to.deep.equal(all(sample).filter((chunk) => part.hasChunk(chunk)));
      expect(part.heldBytes).to.be.above(0);
      await fetchInto(part, sample);
      await part.finish();
      await part.close();
    }
  });

  it('stops when told to, and says when nothing can be written', async () => {
    const part = await openPart({ target: at('f'), manifest: few.manifest });
    const share = shareOf(few, few.bytes, all(few));
    expectNothing(await copyOwn(undefined, part, every(few), 'me', signal));
    const stopped = await copyOwn(share, part, every(few), 'me', AbortSignal.abort()).catch((e: unknown) => e);
    expect(stopped).to.have.property('name', 'AbortError');
    await part.close();
    expect((await refusalOf(copyOwn(share, part, every(few), 'me', signal))).code).to.equal('CANCELLED');
  });
});
