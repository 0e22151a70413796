/** `npm run demo`, as the README says it. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect } from 'chai';

const DEMO = fileURLToPath(new URL('../../src/demo/main.js', import.meta.url));

describe('the demo', function () {
  this.timeout(90_000);

  it('does all it says, with parts of a file from two holders at once', async () => {
    // Rejects when it ends with another code than 0.
    const { stdout } = await promisify(execFile)(process.execPath, [DEMO]);
    for (const holder of ['alice', 'bob']) expect(stdout).to.match(new RegExp(`\\d+ MiB from ${holder}`));
    expect(stdout).to.include('The demo is done.');
  });
});
