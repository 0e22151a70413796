import { expect } from 'chai';
import fc from 'fast-check';
import { inputLines, MAX_LINE_CHARACTERS } from '../../../src/client/shell/input.js';
import { ParleyError } from '../../../src/protocol/errors.js';

async function* pieces(bytes: Buffer, cuts: readonly number[]): AsyncGenerator<Buffer> {
  const places = [...new Set(cuts.map((cut) => cut % (bytes.length + 1)))].sort((a, b) => a - b);
  let from = 0;
  for (const to of [...places, bytes.length]) {
    yield await Promise.resolve(bytes.subarray(from, to));
    from = to;
  }
}

async function linesOf(input: AsyncIterable<Buffer>): Promise<(string | ParleyError)[]> {
  const lines: (string | ParleyError)[] = [];
  for await (const line of inputLines(input)) lines.push(line);
  return lines;
}

describe('client/shell/input', () => {
  it('gives the same lines however the bytes come', async () => {
    const line = fc.string({ unit: fc.constantFrom('a', ' ', 'é', '😀', '\u2028', '\u0085', '"') });
    await fc.assert(
      fc.asyncProperty(fc.array(line), fc.array(fc.nat()), fc.constantFrom('\n', '\r\n'), async (lines, cuts, end) => {
        const text = lines.map((each) => each + end).join('');
        expect(await linesOf(pieces(Buffer.from(text), cuts))).to.deep.equal(lines);
      }),
    );
  });

  it('gives a last line without an end', async () => {
    expect(await linesOf(pieces(Buffer.from('a\nb'), []))).to.deep.equal(['a', 'b']);
    expect(await linesOf(pieces(Buffer.from('\n'), []))).to.deep.equal(['']);
    expect(await linesOf(pieces(Buffer.from(''), []))).to.deep.equal([]);
  });

  it('refuses a line without an end in sight, keeps none of it, and goes on behind it', async () => {
    const longest = 'x'.repeat(MAX_LINE_CHARACTERS);
    const [whole, long, next] = await linesOf(pieces(Buffer.from(`${longest}\n${longest}y\nwhoelse\n`), [70_000]));
    expect(whole).to.equal(longest);
    expect(long).to.be.instanceOf(ParleyError).with.property('code', 'USAGE');
    expect(next).to.equal('whoelse');
    let largest = 0;
    async function* endless(): AsyncGenerator<Buffer> {
      const piece = Buffer.alloc(1024 * 1024, 'z');
      for (let i = 0; i < 256; i++) {
        yield await Promise.resolve(piece);
        largest = Math.max(largest, process.memoryUsage().heapUsed);
      }
    }
    const before = process.memoryUsage().heapUsed;
    expect(await linesOf(endless())).to.have.length(1);
    expect(largest - before).to.be.below(100 * 1024 * 1024);
  });
});
