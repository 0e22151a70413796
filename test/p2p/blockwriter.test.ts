import { expect } from 'chai';
import { BlockWriter } from '../../src/p2p/blockwriter.js';
import { systemClock } from '../../src/protocol/clock.js';

describe('p2p/blockwriter', () => {
  it('writes at once while the disk is fast, and keeps the loop free when it is not', async () => {
    let now = 0;
    let slow = 0;
    const log: string[] = [];
    const writer = new BlockWriter(
      {
        writeNow: (block) => {
          now += slow;
          return log.push(`now ${block}`) > 0;
        },
        write: async (block) => {
          log.push(`begin ${block}`);
          await Promise.resolve();
          return log.push(`end ${block}`) > 0;
        },
      },
      { ...systemClock, monotonicMs: () => now },
    );
    const bytes = Buffer.alloc(1);
    await writer.write(0, bytes);
    slow = 100;
    await writer.write(1, bytes);
    slow = 0;
    await Promise.all([2, 3].map((block) => writer.write(block, bytes)));
    now += 60_000;
    await writer.write(4, bytes);
    expect(log).to.deep.equal(['now 0', 'now 1', 'begin 2', 'end 2', 'begin 3', 'end 3', 'now 4']);
  });

  it('goes on after a block that could not be written', async () => {
    let full = true;
    const writer = new BlockWriter(
      {
        writeNow: () => {
          if (full) throw new Error('full');
          return true;
        },
        write: () => Promise.reject(new Error('full')),
      },
      systemClock,
    );
    const error: unknown = await writer.write(0, Buffer.alloc(1)).catch((thrown: unknown) => thrown);
    expect((error as Error).message).to.equal('full');
    full = false;
    await writer.write(0, Buffer.alloc(1));
  });
});
