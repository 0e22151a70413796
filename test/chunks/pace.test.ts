import { expect } from 'chai';
import { open, writeFile } from 'node:fs/promises';
import { Pace } from '../../src/chunks/pace.js';
import { bytesOf, MIB, useFolder } from './support.js';

describe('chunks/pace', () => {
  const at = useFolder();

  it('asks on this thread while answers come at once, and for a while not after one that did not', async () => {
    let now = 1000;
    const pace = new Pace(() => now);
    const ask = (takesMs: number): Promise<string> =>
      pace.run(
        () => {
          now += takesMs;
          return 'this thread';
        },
        () => Promise.resolve('the pool'),
      );
    expect(await ask(0.01)).to.equal('this thread');
    expect(await ask(2)).to.equal('this thread');
    expect(await ask(0.01)).to.equal('the pool');
    now += 99;
    expect(await ask(0.01)).to.equal('the pool');
    now += 2;
    expect(await ask(0.01)).to.equal('this thread');
  });

  it('gives on what is thrown, and counts how long that took', async () => {
    let now = 1000;
    const pace = new Pace(() => now);
    const failing = pace.run<string>(
      () => {
        now += 2;
        throw new Error('gone');
      },
      () => Promise.resolve('the pool'),
    );
    expect(await failing.catch((error: unknown) => (error as Error).message)).to.equal('gone');
    const next = pace.run(
      () => 'this thread',
      () => Promise.resolve('the pool'),
    );
    expect(await next).to.equal('the pool');
  });

  it('lets others have their turn', async () => {
    let now = 1000;
    const pace = new Pace(() => now);
    let turns = 0;
    const count = (): void => {
      turns += 1;
      if (turns < 100) setImmediate(count);
    };
    setImmediate(count);
    for (let i = 0; i < 100; i++) {
      now += 0.2;
      await pace.run(
        () => undefined,
        () => Promise.resolve(undefined),
      );
    }
    expect(turns).to.be.within(3, 6);
  });

  it('reads small and large pieces alike', async () => {
    const bytes = bytesOf(MIB, 1);
    await writeFile(at('f'), bytes);
    const file = await open(at('f'));
    const pace = new Pace();
    for (const [length, position] of [
      [MIB, 0],
      [1000, 5],
    ] as const) {
      const target = Buffer.alloc(length + 1);
      expect(await pace.read(file.fd, target, 1, length, position)).to.equal(length);
      expect(target.subarray(1).equals(bytes.subarray(position, position + length))).to.equal(true);
    }
    expect(await pace.read(file.fd, Buffer.alloc(10), 0, 10, MIB)).to.equal(0);
    await file.close();
  });
});
