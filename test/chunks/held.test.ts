import { expect } from 'chai';
import fc from 'fast-check';
import { BitSet } from '../../src/chunks/bits.js';
import { HeldBlocks } from '../../src/chunks/held.js';
import { blockPlace, blocksOfChunk, planChunks } from '../../src/chunks/plan.js';
import { MIB } from './support.js';

describe('chunks/held', () => {
  /** Chunks of one block, of several, and both. */
  const plans = [planChunks(1000, 37), planChunks(20 * MIB + 5, 3), planChunks(7 * MIB + 2, 7), planChunks(0, 1)];

  it('counts blocks, bytes and whole chunks, however they come and go', () => {
    const step = fc.record({ add: fc.boolean(), a: fc.nat(36), b: fc.nat(36) });
    fc.assert(
      fc.property(fc.constantFrom(...plans), fc.array(step, { maxLength: 12 }), fc.nat(36), (plan, steps, before) => {
        const begun = new BitSet(plan.blocks);
        const model = new Set<number>();
        for (let block = 0; block < Math.min(before, plan.blocks); block++) {
          begun.add(block);
          model.add(block);
        }
        const held = new HeldBlocks(plan, begun);
        for (const { add, a, b } of plan.blocks === 0 ? [] : steps) {
          const [first, last] = [a % plan.blocks, b % plan.blocks].sort((x, y) => x - y) as [number, number];
          const numbers = Array.from({ length: last - first + 1 }, (_, i) => first + i);
          if (add) {
            const added = held.addRun({ first, count: numbers.length });
            const count = added.reduce((sum, run) => sum + run.count, 0);
            expect(count).to.equal(numbers.filter((block) => !model.has(block)).length);
            for (const block of numbers) model.add(block);
            expect(held.hasRun({ first, count: numbers.length })).to.equal(true);
          } else {
            held.delete(first);
            model.delete(first);
            expect(held.hasRun({ first, count: numbers.length })).to.equal(false);
          }
        }
        expect(held.count).to.equal(model.size);
        expect(held.complete).to.equal(model.size === plan.blocks);
        expect(held.bytes).to.equal([...model].reduce((sum, block) => sum + blockPlace(plan, block).length, 0));
        const whole = new BitSet(plan.chunks);
        for (let chunk = 0; chunk < plan.chunks; chunk++) {
          const { first, count } = blocksOfChunk(plan, chunk);
          const missing = Array.from({ length: count }, (_, i) => first + i).filter((block) => !model.has(block));
          expect(held.missing(chunk)).to.deep.equal(missing);
          expect(held.hasChunk(chunk)).to.equal(missing.length === 0);
          if (missing.length === 0) whole.add(chunk);
        }
        expect(held.chunks()).to.deep.equal(whole.toBytes());
      }),
    );
  });
});
