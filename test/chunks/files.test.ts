import { expect } from 'chai';
import { writeFile } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { openRegular, readFully, readSpans, writeFully } from '../../src/chunks/files.js';
import { planChunks, spansOf } from '../../src/chunks/plan.js';
import { bytesOf, MIB, useFolder } from './support.js';

const BYTES = bytesOf(7 * MIB + 5);

describe('chunks/files', () => {
  const at = useFolder();
  let file: FileHandle;
  beforeEach(async () => {
    await writeFile(at('f'), BYTES);
    file = await openRegular(at('f'));
  });
  afterEach(() => file.close());

  it('reads spans in order and whole, however slow the consumer', async () => {
    const parts: Buffer[] = [];
    for await (const { span, bytes } of readSpans(file, spansOf(planChunks(BYTES.length, 3)))) {
      expect(bytes.length).to.equal(span.length);
      await new Promise(setImmediate);
      parts.push(Buffer.from(bytes));
    }
    expect(Buffer.concat(parts).equals(BYTES)).to.equal(true);
  });

  it('gives what there is where the file ends early', async () => {
    const lengths: number[] = [];
    for await (const { bytes } of readSpans(file, spansOf(planChunks(9 * MIB, 9)))) lengths.push(bytes.length);
    expect(lengths).to.deep.equal([...Array<number>(7).fill(MIB), 5, 0]);
  });

  it('can be left in the middle', async () => {
    for await (const { span } of readSpans(file, spansOf(planChunks(BYTES.length, 1)))) {
      if (span.blocks.first === 2) break;
    }
    const target = Buffer.alloc(10);
    expect(await readFully(file, target, 2, 8, 100)).to.equal(8);
    expect(target.subarray(2).equals(BYTES.subarray(100, 108))).to.equal(true);
  });

  it('finishes what the system does only partly', async () => {
    const stored = Buffer.alloc(10);
    const slow = {
      write: (bytes: Buffer, from: number, _length: number, position: number) => {
        bytes.copy(stored, position, from, from + 3);
        return Promise.resolve({ bytesWritten: Math.min(3, bytes.length - from) });
      },
      read: (target: Buffer, start: number, length: number, position: number) =>
        Promise.resolve({ bytesRead: stored.copy(target, start, position, Math.min(position + 3, position + length)) }),
    } as unknown as FileHandle;
    await writeFully(slow, Buffer.from('12345678'), 2);
    expect(stored.toString('latin1')).to.equal('\0\x0012345678');
    const target = Buffer.alloc(8);
    expect(await readFully(slow, target, 0, 8, 2)).to.equal(8);
    expect(target.toString()).to.equal('12345678');
  });
});
