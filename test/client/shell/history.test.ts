import { expect } from 'chai';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isKept, openHistory } from '../../../src/client/shell/history.js';

describe('client/shell/history', () => {
  let home: string;
  beforeEach(() => {
    home = mkdtempSync(join(tmpdir(), 'parley-history-'));
  });
  afterEach(() => rmSync(home, { recursive: true, force: true }));

  it('keeps lines for the next shell, newest first, for this user alone', async () => {
    const history = await openHistory(home);
    for (const line of ['whoelse', 'message bob hi', 'message bob hi', 'private bob secret', ' hidden', '']) {
      await history.add(line);
    }
    expect((await openHistory(home)).lines).to.deep.equal(['message bob hi', 'whoelse']);
    if (process.platform !== 'win32') expect(statSync(join(home, 'history')).mode & 0o777).to.equal(0o600);
  });

  it('does not grow without end', async () => {
    writeFileSync(join(home, 'history'), Array.from({ length: 2_500 }, (_, i) => `line ${i}\n`).join(''));
    expect((await openHistory(home)).lines)
      .to.have.length(1_000)
      .with.property('0', 'line 2499');
    expect(readFileSync(join(home, 'history'), 'utf8').split('\n')).to.have.length(1_001);
  });

  it('is none when it cannot be kept', async () => {
    const history = await openHistory(join(home, 'absent'));
    expect(history.lines).to.deep.equal([]);
    await history.add('whoelse');
  });

  it('knows what is not for files', () => {
    expect(['PRIVATE bob x', 'login alice', ' message bob x', ''].filter(isKept)).to.deep.equal([]);
    expect(isKept('message bob x')).to.equal(true);
  });
});
