import { open, readFile, writeFile } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { expect } from 'chai';
import type { BlockJob } from '../../src/chunks/blockjob.js';
import { BlockThread, MAX_WAITING } from '../../src/chunks/blockthread.js';
import { blockDigest, chunkDigest } from '../../src/chunks/digest.js';
import { bytesOf, MIB, useFolder } from './support.js';

describe('chunks/blockthread', () => {
  const at = useFolder();
  const lengths = [300_000, 200_000, 100_000];
  const sizeBytes = 600_000;
  const bytes = Buffer.from(new SharedArrayBuffer(sizeBytes));
  bytes.set(bytesOf(sizeBytes));
  const blocks = [bytes.subarray(0, 300_000), bytes.subarray(300_000, 500_000), bytes.subarray(500_000)];
  const digests = blocks.map((block) => blockDigest(block));
  let thread: BlockThread;
  let file: FileHandle;

  beforeEach(async () => {
    thread = new BlockThread();
    await writeFile(at('f'), Buffer.alloc(MIB));
    file = await open(at('f'), 'r+');
  });
  afterEach(async () => {
    thread.stopWhenIdle();
    await file.close();
  });

  function job(more: Partial<BlockJob> = {}): BlockJob {
    return { fd: file.fd, position: 1000, lengths, expected: Buffer.concat(digests), of: 'block', bytes, ...more };
  }

  it('writes the blocks that are good at their places, and no other', async () => {
    const spoilt = Buffer.concat([digests[0]!, blockDigest(Buffer.alloc(0)), digests[2]!]);
    const result = await thread.run(job({ expected: spoilt }));
    expect(result.good).to.deep.equal([true, false, true]);
    expect(Buffer.from(result.digests).equals(Buffer.concat(digests))).to.equal(true);
    const written = await readFile(at('f'));
    expect(written.subarray(0, 1000).equals(Buffer.alloc(1000))).to.equal(true);
    expect(written.subarray(1000, 301_000).equals(blocks[0]!)).to.equal(true);
    expect(written.subarray(301_000, 501_000).equals(Buffer.alloc(200_000))).to.equal(true);
    expect(written.subarray(501_000, 601_000).equals(blocks[2]!)).to.equal(true);
  });

  it('knows blocks by the digests of chunks that are one block each', async () => {
    const ofChunks = Buffer.concat(digests.map((digest) => chunkDigest(digest)));
    expect((await thread.run(job({ expected: ofChunks, of: 'chunk' }))).good).to.deep.equal([true, true, true]);
    expect((await thread.run(job({ of: 'chunk' }))).good).to.deep.equal([false, false, false]);
  });

  it('looks at what is in the file, also where that is more than it reads at once, or ends early', async () => {
    await file.write(bytes, 0, sizeBytes, 1000);
    const look = await thread.run(job({ bytes: undefined }));
    expect(look.good).to.deep.equal([true, true, true]);
    const much = bytesOf(3 * MIB, 2);
    await writeFile(at('f'), much.subarray(0, -1));
    const places = [0, 1, 2].map((i) => blockDigest(much.subarray(i * MIB, (i + 1) * MIB)));
    const expected = Buffer.concat(places);
    const { good } = await thread.run({
      fd: file.fd,
      position: 0,
      lengths: [MIB, MIB, MIB],
      expected,
      of: 'block',
      bytes: undefined,
    });
    expect(good).to.deep.equal([true, true, false]);
  });

  it('says what the file system refuses, by its code', async () => {
    const readOnly = await open(at('f'), 'r');
    const refused: unknown = await thread.run(job({ fd: readOnly.fd })).catch((thrown: unknown) => thrown);
    await readOnly.close();
    expect(refused).to.be.instanceOf(Error).and.to.include({ code: 'EBADF' });
    expect(refused).to.have.property('errno');
  });

  it('does what is more than it can hold at once', async () => {
    const many = await Promise.all(Array.from({ length: 4 * MAX_WAITING }, () => thread.run(job())));
    expect(many.every(({ good }) => good.every((each) => each))).to.equal(true);
  });

  it('goes on without a thread when that dies or cannot be started', async () => {
    for (const script of ['process.exit(1)', 'throw new Error("no")', 'import "nothing-of-that-name"']) {
      const dying = new BlockThread(new URL(`data:text/javascript,${encodeURIComponent(script)}`));
      for (let round = 0; round < 2; round += 1) {
        expect((await dying.run(job())).good, script).to.deep.equal([true, true, true]);
      }
    }
  });

  it('starts again after it was ended', async () => {
    await thread.run(job());
    thread.stopWhenIdle();
    expect((await thread.run(job())).good).to.deep.equal([true, true, true]);
  });
});
