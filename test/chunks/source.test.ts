import { expect } from 'chai';
import { open, rename, rm, truncate, utimes, writeFile } from 'node:fs/promises';
import { buildManifest } from '../../src/chunks/manifest.js';
import { blockPlace } from '../../src/chunks/plan.js';
import { openSource } from '../../src/chunks/source.js';
import type { Source } from '../../src/chunks/source.js';
import { bytesOf, MIB, refusalOf, useFolder } from './support.js';

const OLD = bytesOf(3 * MIB + 10, 1);

/** Reads until the source refuses, and checks each byte that it gave before: an edited file is never served as the old one. */
async function readUntilGone(source: Source): Promise<number> {
  const target = Buffer.alloc(MIB);
  for (let reads = 0; ; reads++) {
    const { offset, length } = blockPlace(source.plan, reads % source.plan.blocks);
    try {
      await source.read(reads % source.plan.blocks, target);
    } catch (error) {
      expect(error).to.have.property('code', 'CHUNK_GONE');
      return reads;
    }
    expect(target.subarray(0, length).equals(OLD.subarray(offset, offset + length))).to.equal(true);
  }
}

describe('chunks/source', () => {
  const at = useFolder();
  let source: Source;

  beforeEach(async () => {
    await writeFile(at('f'), OLD);
    const { identity, plan } = await buildManifest(at('f'), 2);
    source = await openSource({ path: at('f'), identity, plan });
  });
  afterEach(() => source.close());

  it('reads each block to its place in the buffer it is given', async () => {
    const target = Buffer.alloc(MIB + 16, 0xee);
    for (let block = 0; block < source.plan.blocks; block++) {
      const { offset, length } = blockPlace(source.plan, block);
      expect(await source.read(block, target, 16)).to.equal(length);
      expect(target.subarray(16, 16 + length).equals(OLD.subarray(offset, offset + length))).to.equal(true);
    }
    expect(target.subarray(0, 16).equals(Buffer.alloc(16, 0xee))).to.equal(true);
  });

  it('serves many at once', async () => {
    const reads = Array.from({ length: 40 }, async (_, i) => {
      const target = Buffer.alloc(MIB);
      const length = await source.read(i % source.plan.blocks, target);
      const { offset } = blockPlace(source.plan, i % source.plan.blocks);
      return target.subarray(0, length).equals(OLD.subarray(offset, offset + length));
    });
    expect(await Promise.all(reads)).to.deep.equal(Array(40).fill(true));
  });

  it('refuses a buffer too short and a block that is not', async () => {
    await source.read(0, Buffer.alloc(MIB));
    for (const act of [() => source.read(0, Buffer.alloc(MIB), 1), () => source.read(99, Buffer.alloc(MIB))]) {
      expect(await act().catch((e: unknown) => e)).to.be.instanceOf(RangeError);
    }
    expect(source.usable).to.equal(true);
  });

  it('does not serve a file that was cut short', async () => {
    await truncate(at('f'), 2 * MIB);
    expect(await readUntilGone(source)).to.equal(0);
    expect(source.usable).to.equal(false);
  });

  it('does not serve a file that was edited in place, not even the bytes that are still the same', async () => {
    const file = await open(at('f'), 'r+');
    await file.write(Buffer.from('!'), 0, 1, 3 * MIB);
    await file.close();
    const error = await refusalOf(source.read(0, Buffer.alloc(MIB)));
    expect(error.code).to.equal('CHUNK_GONE');
    expect(error.details).to.deep.equal({ file: 'f', chunk: 0 });
    expect((await refusalOf(source.read(0, Buffer.alloc(MIB)))).code).to.equal('CHUNK_GONE');
  });

  it('never serves a byte of an edit, whenever it happens', async () => {
    const reading = readUntilGone(source);
    const file = await open(at('f'), 'r+');
    await file.write(bytesOf(OLD.length, 2), 0, OLD.length, 0);
    await file.close();
    await reading;
  });

  it('soon stops serving a file that was replaced, and until then serves the old bytes', async () => {
    await writeFile(at('g'), bytesOf(OLD.length, 2));
    await rename(at('g'), at('f'));
    await readUntilGone(source);
  });

  it('soon stops serving a file that was deleted', async () => {
    await rm(at('f'));
    await readUntilGone(source);
  });

  it('does not open what is not the promised file any more', async () => {
    const { identity, plan } = await buildManifest(at('f'), 2);
    const reopen = async (): Promise<string> => (await refusalOf(openSource({ path: at('f'), identity, plan }))).code;
    await utimes(at('f'), 1, 1);
    expect(await reopen()).to.equal('CHUNK_GONE');
    await rm(at('f'));
    expect(await reopen()).to.equal('CHUNK_GONE');
  });

  it('closes twice, after the reads under way, and serves no more', async () => {
    const read = source.read(0, Buffer.alloc(MIB)).catch((error: unknown) => error);
    await Promise.all([source.close(), source.close(), read]);
    expect((await refusalOf(source.read(0, Buffer.alloc(MIB)))).code).to.equal('CHUNK_GONE');
  });
});
