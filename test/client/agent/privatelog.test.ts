import { expect } from 'chai';
import { appendFile, readFile, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { PRIVATE_LOG_FILE, PrivateLog } from '../../../src/client/agent/privatelog.js';
import type { PrivateMessage } from '../../../src/client/agent/privatelog.js';
import { Cleanup } from './support.js';

describe('client/agent/privatelog', () => {
  const cleanup = new Cleanup();
  afterEach(() => cleanup.run());

  const message = (n: number, account = 'alice@here'): PrivateMessage => ({
    account,
    id: n.toString(16).padStart(32, '0'),
    from: 'bob',
    to: 'alice',
    text: `text ${n}\n"quoted"`,
    sentAt: '2030-01-01T00:00:00.000Z',
  });
  const open = async (home: string): Promise<PrivateLog> => {
    const log = await PrivateLog.open(home);
    cleanup.add(() => log.close());
    return log;
  };

  it('keeps messages for good, in order, each once, for their account', async () => {
    const home = await cleanup.folder();
    const log = await open(home);
    const outcomes = await Promise.all([1, 2, 2, 3].map((n) => log.append(message(n))));
    expect(outcomes).to.deep.equal([true, true, false, true]);
    expect(await log.append(message(1))).to.equal(false);
    await log.append(message(4, 'other@here'));
    await log.close();
    const again = await open(home);
    expect(await again.append(message(1)), 'sent again after a restart').to.equal(false);
    const kept = again.messages('alice@here');
    expect(kept).to.deep.equal([1, 2, 3].map((n) => ({ ...message(n), unread: true })));
    expect((await stat(join(home, PRIVATE_LOG_FILE))).mode & 0o777).to.equal(0o600);
  });

  it('remembers what was shown', async () => {
    const home = await cleanup.folder();
    const log = await open(home);
    for (const n of [1, 2, 3]) await log.append(message(n));
    await log.markRead([message(1).id, message(3).id, message(9).id]);
    await log.close();
    const again = await open(home);
    expect([log.countUnread('alice@here'), again.countUnread('alice@here')]).to.deep.equal([1, 1]);
    const unread = again.messages('alice@here').filter((each) => each.unread);
    expect(unread.map(({ id }) => id)).to.deep.equal([message(2).id]);
  });

  it('goes on after a torn end and passes over what it cannot read', async () => {
    const home = await cleanup.folder();
    const path = join(home, PRIVATE_LOG_FILE);
    const log = await open(home);
    await log.append(message(1));
    await log.append(message(2));
    await log.close();
    await truncate(path, (await stat(path)).size - 5);
    await writeFile(path, Buffer.concat([Buffer.from('not JSON\n{"type":"new kind"}\n'), await readFile(path)]));
    const torn = await open(home);
    expect(torn.messages('alice@here').map(({ id }) => id)).to.deep.equal([message(1).id]);
    await torn.append(message(3));
    await torn.close();
    await appendFile(path, '{"type":"message","id"');
    const again = await open(home);
    expect(again.messages('alice@here').map(({ id }) => id)).to.deep.equal([message(1).id, message(3).id]);
  });
});
