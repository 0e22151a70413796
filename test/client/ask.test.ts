import { expect } from 'chai';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CLIENT } from './support/client.js';
import { Terminal } from './support/terminal.js';

describe('client, questions on a terminal', () => {
  let home: string;
  let terminal: Terminal | undefined;
  beforeEach(() => {
    home = mkdtempSync(join(tmpdir(), 'parley-ask-'));
  });
  afterEach(() => {
    terminal?.close();
    rmSync(home, { recursive: true, force: true });
  });

  it('asks for name and password, shows no password, and puts the terminal back', async () => {
    const command = `"${process.execPath}" "$CLIENT" --server 127.0.0.1:1 whoelse; echo "code $?"; stty -a | tr ' ;' '\\n\\n' | grep -E '^-?(echo|icanon|isig)$' | sort | tr '\\n' ' '; echo end`;
    terminal = new Terminal(home, ['-c', command], { CLIENT }, '/bin/sh');
    await terminal.shows('user at 127.0.0.1:1:');
    terminal.type('alice\r');
    await terminal.shows('password of alice at 127.0.0.1:1:');
    terminal.type('s3cret\r');
    await terminal.shows('code 3');
    await terminal.shows('echo icanon isig end');
    expect(terminal.raw).to.contain('SERVER_UNREACHABLE').and.not.contain('s3cret');
  });

  it('is given up by Ctrl-C', async () => {
    terminal = new Terminal(home, ['--user', 'alice', 'whoelse']);
    await terminal.shows('password of alice');
    terminal.type('s3c\u0003');
    expect(await terminal.ended).to.equal(130);
  });
});
