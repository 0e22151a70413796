import { expect } from 'chai';
import { readFile, readdir, symlink, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { loadXxHash64 } from '../../src/chunks/digest.js';
import type { XxHash64 } from '../../src/chunks/digest.js';
import { noProgress, readSidecar } from '../../src/chunks/sidecar.js';
import type { Progress } from '../../src/chunks/sidecar.js';
import { SidecarLog } from '../../src/chunks/sidecarlog.js';
import { bytesOf, MIB, sampleOf, useFolder } from './support.js';

const sample = sampleOf(bytesOf(5 * MIB + 3), 3);
const other = sampleOf(bytesOf(5 * MIB + 3, 2), 3);

describe('chunks/sidecar', () => {
  const at = useFolder();
  let xxHash64: XxHash64;
  before(async () => void (xxHash64 = await loadXxHash64()));

  const paths = (): { state: string; stateTemporary: string } => ({ state: at('s'), stateTemporary: at('s.tmp') });
  const create = (progress: Progress = noProgress(sample.plan)): Promise<SidecarLog> =>
    SidecarLog.create(paths(), sample, progress, xxHash64);
  const read = (subject = sample): Promise<Progress | 'absent' | 'other'> => readSidecar(at('s'), subject, xxHash64);
  const readBack = async (): Promise<{ chunks: number[]; claimed: unknown[] }> => {
    const progress = await read();
    if (typeof progress === 'string') throw new Error(progress);
    const chunks = [0, 1, 2].filter((chunk) => progress.digests.has(chunk));
    for (const chunk of chunks) expect(progress.digests.get(chunk)).to.deep.equal(sample.digests(chunk));
    return { chunks, claimed: [...progress.claimed.runs()] };
  };

  /** A sidecar that was written in several goes; returns its lengths in between. */
  async function write(): Promise<number[]> {
    const progress = noProgress(sample.plan);
    const log = await create(progress);
    for (const chunk of [0, 1, 2]) progress.digests.set(chunk, sample.digests(chunk));
    const lengths = [(await readFile(at('s'))).length];
    const steps = [
      () => log.addDigests([{ first: 1, count: 1 }]),
      () => log.addClaim([{ first: 2, count: 1 }]),
      () =>
        log.addDigests([
          { first: 0, count: 1 },
          { first: 2, count: 1 },
        ]),
      () =>
        log.addClaim([
          { first: 0, count: 2 },
          { first: 5, count: 1 },
        ]),
    ];
    for (const step of steps) {
      step();
      expect(log.dirty).to.equal(true);
      await log.sync();
      expect(log.dirty).to.equal(false);
      lengths.push((await readFile(at('s'))).length);
    }
    await log.close();
    await log.close();
    return lengths;
  }

  it('gives back what was written', async () => {
    expect(await read()).to.equal('absent');
    await write();
    expect(await readBack()).to.deep.equal({
      chunks: [0, 1, 2],
      claimed: [
        { first: 0, count: 3 },
        { first: 5, count: 1 },
      ],
    });
    expect(await readdir(dirname(at('s')))).to.deep.equal(['s']);
  });

  it('is written anew with all that is known, in the place of the old one', async () => {
    await write();
    const progress = await read();
    if (typeof progress === 'string') throw new Error(progress);
    progress.claimed.delete(1);
    await (await create(progress)).close();
    expect(await readBack()).to.deep.equal({
      chunks: [0, 1, 2],
      claimed: [
        { first: 0, count: 1 },
        { first: 2, count: 1 },
        { first: 5, count: 1 },
      ],
    });
  });

  it('says up to any cut what was whole by then', async () => {
    const lengths = await write();
    const bytes = await readFile(at('s'));
    const [header = 0, digests = 0, claim = 0, more = 0, all = 0] = lengths;
    for (let length = 0; length <= bytes.length; length++) {
      await writeFile(at('s'), bytes.subarray(0, length));
      if (length < header) expect(await read()).to.equal('other');
      else {
        const { chunks, claimed } = await readBack();
        expect(chunks).to.deep.equal(length < digests ? [] : length < more ? [1] : [0, 1, 2]);
        expect(claimed).to.have.lengthOf(length < claim ? 0 : length < all ? 1 : 2);
      }
    }
  });

  it('believes nothing from a flipped bit on', async () => {
    const lengths = await write();
    const bytes = await readFile(at('s'));
    for (let i = 0; i < bytes.length; i++) {
      const flipped = Buffer.from(bytes);
      flipped[i] = (flipped[i] ?? 0) ^ (1 << (i % 8));
      await writeFile(at('s'), flipped);
      const whole = lengths.filter((length) => length <= i).length;
      if (whole === 0) expect(await read()).to.equal('other');
      else {
        const { chunks, claimed } = await readBack();
        expect(chunks).to.deep.equal([[], [1], [1], [0, 1, 2]][whole - 1]);
        expect(claimed).to.have.lengthOf([0, 0, 1, 1][whole - 1] ?? -1);
      }
    }
  });

  it('keeps records in order whenever they come, also while others are written', async () => {
    const many = sampleOf(bytesOf(500), 500);
    const begun = noProgress(many.plan);
    const log = await SidecarLog.create(paths(), many, begun, xxHash64);
    const syncs: Promise<void>[] = [];
    for (let chunk = 0; chunk < 500; chunk++) {
      begun.digests.set(chunk, many.digests(chunk));
      log.addDigests([{ first: chunk, count: 1 }]);
      log.addClaim([{ first: chunk, count: 1 }]);
      if (chunk % 7 === 0) syncs.push(log.sync());
      // The turns of the loop fall anywhere into the writing.
      for (let i = 0; i < chunk % 5; i++) await Promise.resolve();
      if (chunk % 11 === 0) await new Promise(setImmediate);
    }
    await Promise.all(syncs);
    await log.sync();
    expect(log.dirty).to.equal(false);
    await log.close();
    const progress = await readSidecar(at('s'), many, xxHash64);
    if (typeof progress === 'string') throw new Error(progress);
    expect(progress.digests.count).to.equal(500);
    expect(progress.claimed.count).to.equal(500);
  });

  it('is of one file only, and no link', async () => {
    await write();
    expect(await read(other)).to.equal('other');
    expect(await readSidecar(at('.'), sample, xxHash64)).to.equal('other');
    await symlink(at('s'), at('link'));
    expect(await readSidecar(at('link'), sample, xxHash64)).to.equal('other');
  });

  it('takes the digests of 65,536 chunks', async () => {
    const many = sampleOf(bytesOf(65_536), 65_536);
    const all = noProgress(many.plan);
    for (let chunk = 0; chunk < 65_536; chunk++) all.digests.set(chunk, many.digests(chunk));
    const log = await SidecarLog.create(paths(), many, all, xxHash64);
    await log.close();
    const progress = await readSidecar(at('s'), many, xxHash64);
    if (typeof progress === 'string') throw new Error(progress);
    expect(progress.digests.count).to.equal(65_536);
    expect(progress.digests.bytes.equals(all.digests.bytes)).to.equal(true);
  });
});
