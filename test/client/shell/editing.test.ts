import { expect } from 'chai';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { CLIENT } from '../support/client.js';
import { untilCancelled } from '../support/fakeagent.js';
import { PROMPT, shellOnTerminal } from '../support/shell.js';
import { Terminal } from '../support/terminal.js';

describe('client/shell, the line being typed', () => {
  const shell = shellOnTerminal();

  it('completes commands and users by Tab', async () => {
    await shell.open();
    shell.terminal.type('mess');
    await shell.terminal.endsWith(`${PROMPT}mess`);
    shell.terminal.type('\t');
    await shell.terminal.endsWith(`${PROMPT}message`);
    shell.terminal.type('b');
    await shell.terminal.endsWith(`${PROMPT}message b`);
    shell.terminal.type('\t');
    await shell.terminal.endsWith(`${PROMPT}message bob`);
    shell.terminal.type('hi\r');
    expect((await shell.agent.called('message')).params).to.deep.equal({ user: 'bob', text: 'hi' });
  });

  it('searches the history on Ctrl-R as bash does', async () => {
    await shell.open();
    for (const [i, text] of ['message bob first', 'message bob second', 'whoelse'].entries()) {
      shell.terminal.type(`${text}\r`);
      if (text !== 'whoelse') await shell.agent.called('message', i + 1);
    }
    await shell.terminal.shows('carol');
    await shell.terminal.endsWith(PROMPT);
    shell.terminal.type('\u0012');
    await shell.terminal.endsWith("(reverse-i-search)'':");
    shell.terminal.type('mess');
    await shell.terminal.endsWith("(reverse-i-search)'mess': message bob second");
    shell.terminal.type('\u0012');
    await shell.terminal.endsWith("(reverse-i-search)'mess': message bob first");
    shell.terminal.type('x');
    await shell.terminal.endsWith("(failed reverse-i-search)'messx': message bob first");
    await shell.agent.message('bob', 'meanwhile');
    await shell.terminal.shows('bob: meanwhile');
    await shell.terminal.endsWith("(failed reverse-i-search)'messx': message bob first");
    shell.terminal.type('\u007f');
    shell.terminal.type('\u0007'); // Ctrl-G: back to the line as it was.
    await shell.terminal.endsWith(PROMPT);
    shell.terminal.type('half\u0012fir');
    await shell.terminal.endsWith("(reverse-i-search)'fir': message bob first");
    shell.terminal.type('\u0003'); // Ctrl-C, too.
    await shell.terminal.endsWith(`${PROMPT}half`);
    shell.terminal.type('\u0012\u0012'); // Again what was searched for before.
    await shell.terminal.endsWith("(reverse-i-search)'fir': message bob first");
    shell.terminal.type('\u0005!\r'); // Ctrl-E takes the line up.
    expect((await shell.agent.called('message', 3)).params['text']).to.equal('first!');
    await shell.terminal.endsWith(PROMPT);
    shell.terminal.type('\u0012second\r');
    expect((await shell.agent.called('message', 4)).params['text']).to.equal('second');
  });

  it('lists what Tab can offer when it is pressed again', async () => {
    await shell.open();
    shell.terminal.type('whoels');
    await shell.terminal.endsWith(`${PROMPT}whoels`);
    shell.terminal.type('\t');
    await shell.terminal.endsWith(`${PROMPT}whoelse`);
    shell.terminal.type('\t');
    await shell.terminal.shows(/\nwhoelse {2,}whoelsesince\nalice> whoelse$/);
    shell.agent.handlers['list_groups'] = () => ({ groups: [{ group: 'skii', mode: 'focus', members: 1 }] });
    shell.terminal.type('\u0015join_group s');
    await shell.terminal.endsWith(`${PROMPT}join_group s`);
    shell.terminal.type('\t');
    await shell.terminal.endsWith(`${PROMPT}join_group skii`);
  });

  it('is there again after Ctrl-Z and fg', async function () {
    if (!existsSync('/bin/bash')) this.skip();
    shell.use(new Terminal(shell.agent.home, ['--norc', '-i'], { PS1: 'bash: ' }, '/bin/bash'));
    await shell.terminal.endsWith('bash:');
    shell.terminal.type(`"${process.execPath}" "${CLIENT}"\r`);
    await shell.terminal.endsWith(PROMPT);
    shell.terminal.type('message bob half');
    await shell.terminal.endsWith(`${PROMPT}message bob half`);
    shell.terminal.type('\u001a');
    await shell.terminal.shows('Stopped');
    await shell.terminal.endsWith('bash:');
    shell.terminal.type('fg\r');
    await shell.terminal.endsWith(`${PROMPT}message bob half`);
    shell.terminal.type(' and half\r');
    expect((await shell.agent.called('message')).params['text']).to.equal('half and half');
    await shell.terminal.shows('delivered');
  });

  it('takes a long line that is pasted at once', async () => {
    await shell.open();
    const text = Array.from({ length: 1_600 }, (_, i) => `word ${i}`)
      .join(' ')
      .slice(0, 16_000);
    shell.terminal.type(`message bob ${text}`);
    await shell.terminal.shows(text.slice(-20));
    shell.terminal.type('\r');
    expect((await shell.agent.called('message')).params['text']).to.equal(text);
    await shell.terminal.shows('delivered');
    shell.terminal.type('message bob one\u2028two\r');
    expect((await shell.agent.called('message', 2)).params['text']).to.equal('one two');
  });

  it('edits wide characters', async () => {
    await shell.open();
    shell.terminal.type('message bob 日本👍é');
    await shell.terminal.endsWith(`${PROMPT}message bob 日本👍é`);
    shell.terminal.type('\u001b[D\u001b[D\u007f語');
    await shell.terminal.endsWith(`${PROMPT}message bob 日語👍é`);
    expect(shell.terminal.display.cursor.column).to.equal(`${PROMPT}message bob `.length + 4);
    shell.terminal.type('\r');
    expect((await shell.agent.called('message')).params['text']).to.equal('日語👍é');
  });

  it('clears the screen on Ctrl-L, and keeps the line', async () => {
    await shell.open();
    shell.terminal.type('half');
    await shell.terminal.endsWith(`${PROMPT}half`);
    shell.terminal.type('\u000c');
    await shell.terminal.holds(() => shell.terminal.display.text === `${PROMPT}half`, 'the line alone');
  });

  it('shows what is typed while a command runs', async () => {
    let finish: (result: object) => void = () => undefined;
    shell.agent.handlers['whoelse'] = () => new Promise<object>((resolve) => (finish = resolve));
    await shell.open();
    shell.terminal.type('whoelse\r');
    await shell.agent.called('whoelse');
    shell.terminal.type('message bob ha');
    await shell.terminal.endsWith('... message bob ha');
    finish({ users: ['zoe'] });
    await shell.terminal.endsWith(`${PROMPT}message bob ha`);
    expect(shell.terminal.display.lines.at(-2)).to.equal('zoe');
  });

  it('keeps a line that is longer than the screen, and the cursor within it', async () => {
    await shell.open();
    const text = 'message bob ' + 'abcdefghij'.repeat(12);
    shell.terminal.type(text);
    await shell.terminal.shows(new RegExp(`${Array.from('abcdefghij'.repeat(12)).join('\\n?')}$`));
    shell.terminal.type('\u0001'); // Ctrl-A: to the beginning.
    await shell.agent.message('bob', 'one');
    await shell.terminal.shows('bob: one');
    await shell.agent.message('bob', 'two');
    await shell.terminal.shows('bob: two');
    shell.terminal.type('\u001b[C\u001b[C\u0005!\r'); // Ctrl-E: to the end.
    expect((await shell.agent.called('message')).params['text']).to.equal('abcdefghij'.repeat(12) + '!');
    await shell.terminal.shows('delivered');
    const shown = shell.terminal.display.text.split(PROMPT.trim());
    expect(shown.filter((piece) => piece.includes('abcdefghij'))).to.have.length(1);
  });

  it('keeps what is typed while a command runs', async () => {
    let finish: (result: object) => void = () => undefined;
    shell.agent.handlers['whoelse'] = () => new Promise<object>((resolve) => (finish = resolve));
    await shell.open();
    shell.terminal.type('whoelse\r');
    await shell.agent.called('whoelse');
    shell.terminal.type('message bob queued\rmessage bob ha');
    await shell.agent.message('carol', 'meanwhile');
    await shell.terminal.shows('carol: meanwhile');
    finish({ users: ['zoe'] });
    await shell.agent.called('message');
    await shell.terminal.endsWith(`${PROMPT}message bob ha`);
    expect(shell.agent.callsOf('message')).to.deep.equal([{ user: 'bob', text: 'queued' }]);
    expect(shell.terminal.display.text).to.match(
      /carol: meanwhile\nzoe\nalice> message bob queued\ndelivered\nalice> message bob ha$/,
    );
  });

  it('remembers lines for the next time, but not what is private', async () => {
    shell.agent.handlers['private'] = () => ({ id: 'a'.repeat(32), delivered: true });
    await shell.open();
    shell.terminal.type('message bob first\r');
    await shell.agent.called('message');
    shell.terminal.type('private bob secret\r');
    await shell.agent.called('private');
    await shell.terminal.endsWith(PROMPT);
    shell.terminal.type('exit\r');
    await shell.terminal.ended;
    expect(readFileSync(join(shell.agent.home, 'history'), 'utf8'))
      .to.contain('message bob first')
      .and.not.contain('secret');
    await shell.open();
    shell.terminal.type('\u001b[A\u001b[A');
    await shell.terminal.endsWith(`${PROMPT}message bob first`);
  });

  it('drops the line on Ctrl-C, and cancels the command that runs', async () => {
    shell.agent.handlers['whoelse'] = (_, call) => untilCancelled(call);
    await shell.open();
    shell.terminal.type('message bob never');
    await shell.terminal.endsWith(`${PROMPT}message bob never`);
    shell.terminal.type('\u0003');
    await shell.terminal.endsWith(PROMPT);
    await shell.terminal.shows('never^C');
    shell.terminal.type('whoelse\r');
    const { call } = await shell.agent.called('whoelse');
    const cancelled = new Promise((resolve) => call.signal.addEventListener('abort', resolve));
    shell.terminal.type('\u0003');
    await cancelled;
    await shell.terminal.shows('[CANCELLED]');
    await shell.terminal.endsWith(PROMPT);
    expect(shell.agent.callsOf('message')).to.deep.equal([]);
  });
});
