import { expect } from 'chai';
import { orderOf } from './syscalls.js';
import { hasStrace, traceOrder } from './trace.js';
import { BROKEN_SERVER } from './broken.js';

const SOCKET = '7<TCP:[127.0.0.1:8100->127.0.0.1:4711]>';
const OTHER = '8<TCP:[127.0.0.1:8100->127.0.0.1:4712]>';
const asked = `11 read(${SOCKET}, ""..., 65536) = 180`;
const kept = '11 fdatasync(9</data/parley.db-wal>) = 0';
const answered = `11 writev(${SOCKET}, [{iov_base=""..., iov_len=90}], 1) = 90`;

describe('the order of system calls', function () {
  this.timeout(60_000);
  const order = (...lines: string[]): [number, number] => {
    const { answers, synced } = orderOf(lines.join('\n'), 4711);
    return [answers, synced];
  };

  it('is read from a trace', () => {
    expect(order(asked, kept, answered)).to.deep.equal([1, 1]);
    expect(order(asked, answered, kept)).to.deep.equal([1, 0]);
    expect(order(kept, asked, answered)).to.deep.equal([1, 0]);
    expect(order(asked, kept, answered, asked, answered)).to.deep.equal([2, 1]);
    expect(order(asked, kept.replace('-wal', ''), answered), 'another file').to.deep.equal([1, 0]);
    expect(order(asked, kept.replace('= 0', '= -1 EIO (Input/output error)'), answered)).to.deep.equal([1, 0]);
    expect(order(asked, kept, `11 write(${OTHER}, ""..., 90) = 90`), 'another socket').to.deep.equal([0, 0]);
    expect(order(asked.replace('180', '-1 EAGAIN (Resource temporarily unavailable)'), answered)).to.deep.equal([0, 0]);
  });

  it('counts a sync when it is over, and a write when it begins', () => {
    const begun = '11 fdatasync(9</data/parley.db-wal> <unfinished ...>';
    const over = '11 <... fdatasync resumed>) = 0';
    const writing = `12 write(${SOCKET}, ""..., 90 <unfinished ...>`;
    expect(order(asked, begun, writing, over)).to.deep.equal([1, 0]);
    expect(order(asked, begun, over, writing)).to.deep.equal([1, 1]);
  });

  it('has the log synced before each acknowledgement, one by one and pipelined (npm run syscalls)', async function () {
    if (!hasStrace()) return this.skip();
    const single = await traceOrder({ messages: 25, how: 'one by one' });
    expect(single.answers).to.be.at.least(25);
    expect(single.synced).to.equal(single.answers);
    const together = await traceOrder({ messages: 25, how: 'pipelined' });
    expect(together.answers).to.be.at.least(1);
    expect(together.synced).to.equal(together.answers);
  });

  it('is found wrong at a server that does not sync, and at one that answers first', async function () {
    if (!hasStrace()) return this.skip();
    for (const kind of ['careless', 'hasty'] as const) {
      const { answers, synced } = await traceOrder({ messages: 25, how: 'one by one', main: [BROKEN_SERVER, kind] });
      expect(answers, kind).to.be.at.least(25);
      expect(synced, kind).to.be.below(answers);
    }
    const { answers, synced } = await traceOrder({ messages: 25, how: 'one by one', main: [BROKEN_SERVER, 'honest'] });
    expect(synced).to.equal(answers);
  });
});
