import { expect } from 'chai';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { CLIENT } from '../support/client.js';
import { FakeAgent, untilCancelled } from '../support/fakeagent.js';
import { Terminal } from '../support/terminal.js';

const PROMPT = 'alice> ';

describe('client/shell, the line being typed', () => {
  let agent: FakeAgent;
  let terminal: Terminal;
  beforeEach(async () => {
    agent = await FakeAgent.start({
      message: () => ({ id: 'a'.repeat(32), delivered: true }),
      wholast: () => ({ users: [{ user: 'bob', lastSeen: '2030-01-01T12:00:00.000Z', online: true }] }),
    });
  });
  afterEach(async () => {
    terminal.close();
    await agent.close();
  });

  const open = async (words: string[] = [], more: Record<string, string> = {}, columns = 80): Promise<void> => {
    terminal = new Terminal(agent.home, words, more, process.execPath, { columns, rows: 30 });
    await terminal.endsWith(PROMPT);
  };

  it('completes commands and users by Tab', async () => {
    await open();
    terminal.type('mess');
    await terminal.endsWith(`${PROMPT}mess`);
    terminal.type('\t');
    await terminal.endsWith(`${PROMPT}message`);
    terminal.type('b');
    await terminal.endsWith(`${PROMPT}message b`);
    terminal.type('\t');
    await terminal.endsWith(`${PROMPT}message bob`);
    terminal.type('hi\r');
    expect((await agent.called('message')).params).to.deep.equal({ user: 'bob', text: 'hi' });
  });

  it('searches the history on Ctrl-R as bash does', async () => {
    await open();
    for (const [i, text] of ['message bob first', 'message bob second', 'whoelse'].entries()) {
      terminal.type(`${text}\r`);
      if (text !== 'whoelse') await agent.called('message', i + 1);
    }
    await terminal.shows('carol');
    await terminal.endsWith(PROMPT);
    terminal.type('\u0012');
    await terminal.endsWith("(reverse-i-search)'':");
    terminal.type('mess');
    await terminal.endsWith("(reverse-i-search)'mess': message bob second");
    terminal.type('\u0012');
    await terminal.endsWith("(reverse-i-search)'mess': message bob first");
    terminal.type('x');
    await terminal.endsWith("(failed reverse-i-search)'messx': message bob first");
    await agent.message('bob', 'meanwhile');
    await terminal.shows('bob: meanwhile');
    await terminal.endsWith("(failed reverse-i-search)'messx': message bob first");
    terminal.type('\u007f');
    terminal.type('\u0007'); // Ctrl-G: back to the line as it was.
    await terminal.endsWith(PROMPT);
    terminal.type('half\u0012fir');
    await terminal.endsWith("(reverse-i-search)'fir': message bob first");
    terminal.type('\u0003'); // Ctrl-C, too.
    await terminal.endsWith(`${PROMPT}half`);
    terminal.type('\u0012\u0012'); // Again what was searched for before.
    await terminal.endsWith("(reverse-i-search)'fir': message bob first");
    terminal.type('\u0005!\r'); // Ctrl-E takes the line up.
    expect((await agent.called('message', 3)).params['text']).to.equal('first!');
    await terminal.endsWith(PROMPT);
    terminal.type('\u0012second\r');
    expect((await agent.called('message', 4)).params['text']).to.equal('second');
  });

  it('lists what Tab can offer when it is pressed again', async () => {
    await open();
    terminal.type('whoels');
    await terminal.endsWith(`${PROMPT}whoels`);
    terminal.type('\t');
    await terminal.endsWith(`${PROMPT}whoelse`);
    terminal.type('\t');
    await terminal.shows(/\nwhoelse {2,}whoelsesince\nalice> whoelse$/);
    agent.handlers['list_groups'] = () => ({ groups: [{ group: 'skii', mode: 'focus', members: 1 }] });
    terminal.type('\u0015join_group s');
    await terminal.endsWith(`${PROMPT}join_group s`);
    terminal.type('\t');
    await terminal.endsWith(`${PROMPT}join_group skii`);
  });

  it('is there again after Ctrl-Z and fg', async function () {
    if (!existsSync('/bin/bash')) this.skip();
    terminal = new Terminal(agent.home, ['--norc', '-i'], { PS1: 'bash: ' }, '/bin/bash');
    await terminal.endsWith('bash:');
    terminal.type(`"${process.execPath}" "${CLIENT}"\r`);
    await terminal.endsWith(PROMPT);
    terminal.type('message bob half');
    await terminal.endsWith(`${PROMPT}message bob half`);
    terminal.type('\u001a');
    await terminal.shows('Stopped');
    await terminal.endsWith('bash:');
    terminal.type('fg\r');
    await terminal.endsWith(`${PROMPT}message bob half`);
    terminal.type(' and half\r');
    expect((await agent.called('message')).params['text']).to.equal('half and half');
    await terminal.shows('delivered');
  });

  it('takes a long line that is pasted at once', async () => {
    await open();
    const text = Array.from({ length: 1_600 }, (_, i) => `word ${i}`)
      .join(' ')
      .slice(0, 16_000);
    terminal.type(`message bob ${text}`);
    await terminal.shows(text.slice(-20));
    terminal.type('\r');
    expect((await agent.called('message')).params['text']).to.equal(text);
    await terminal.shows('delivered');
    terminal.type('message bob one\u2028two\r');
    expect((await agent.called('message', 2)).params['text']).to.equal('one two');
  });

  it('edits wide characters', async () => {
    await open();
    terminal.type('message bob 日本👍é');
    await terminal.endsWith(`${PROMPT}message bob 日本👍é`);
    terminal.type('\u001b[D\u001b[D\u007f語');
    await terminal.endsWith(`${PROMPT}message bob 日語👍é`);
    expect(terminal.display.cursor.column).to.equal(`${PROMPT}message bob `.length + 4);
    terminal.type('\r');
    expect((await agent.called('message')).params['text']).to.equal('日語👍é');
  });

  it('clears the screen on Ctrl-L, and keeps the line', async () => {
    await open();
    terminal.type('half');
    await terminal.endsWith(`${PROMPT}half`);
    terminal.type('\u000c');
    await terminal.holds(() => terminal.display.text === `${PROMPT}half`, 'the line alone');
  });

  it('shows what is typed while a command runs', async () => {
    let finish: (result: object) => void = () => undefined;
    agent.handlers['whoelse'] = () => new Promise<object>((resolve) => (finish = resolve));
    await open();
    terminal.type('whoelse\r');
    await agent.called('whoelse');
    terminal.type('message bob ha');
    await terminal.endsWith('... message bob ha');
    finish({ users: ['zoe'] });
    await terminal.endsWith(`${PROMPT}message bob ha`);
    expect(terminal.display.lines.at(-2)).to.equal('zoe');
  });

  it('keeps a line that is longer than the screen, and the cursor within it', async () => {
    await open();
    const text = 'message bob ' + 'abcdefghij'.repeat(12);
    terminal.type(text);
    await terminal.shows(new RegExp(`${Array.from('abcdefghij'.repeat(12)).join('\\n?')}$`));
    terminal.type('\u0001'); // Ctrl-A: to the beginning.
    await agent.message('bob', 'one');
    await terminal.shows('bob: one');
    await agent.message('bob', 'two');
    await terminal.shows('bob: two');
    terminal.type('\u001b[C\u001b[C\u0005!\r'); // Ctrl-E: to the end.
    expect((await agent.called('message')).params['text']).to.equal('abcdefghij'.repeat(12) + '!');
    await terminal.shows('delivered');
    const shown = terminal.display.text.split(PROMPT.trim());
    expect(shown.filter((piece) => piece.includes('abcdefghij'))).to.have.length(1);
  });

  it('keeps what is typed while a command runs', async () => {
    let finish: (result: object) => void = () => undefined;
    agent.handlers['whoelse'] = () => new Promise<object>((resolve) => (finish = resolve));
    await open();
    terminal.type('whoelse\r');
    await agent.called('whoelse');
    terminal.type('message bob queued\rmessage bob ha');
    await agent.message('carol', 'meanwhile');
    await terminal.shows('carol: meanwhile');
    finish({ users: ['zoe'] });
    await agent.called('message');
    await terminal.endsWith(`${PROMPT}message bob ha`);
    expect(agent.callsOf('message')).to.deep.equal([{ user: 'bob', text: 'queued' }]);
    expect(terminal.display.text).to.match(
      /carol: meanwhile\nzoe\nalice> message bob queued\ndelivered\nalice> message bob ha$/,
    );
  });

  it('remembers lines for the next time, but not what is private', async () => {
    agent.handlers['private'] = () => ({ id: 'a'.repeat(32), delivered: true });
    await open();
    terminal.type('message bob first\r');
    await agent.called('message');
    terminal.type('private bob secret\r');
    await agent.called('private');
    await terminal.endsWith(PROMPT);
    terminal.type('exit\r');
    await terminal.ended;
    expect(readFileSync(join(agent.home, 'history'), 'utf8'))
      .to.contain('message bob first')
      .and.not.contain('secret');
    await open();
    terminal.type('\u001b[A\u001b[A');
    await terminal.endsWith(`${PROMPT}message bob first`);
  });

  it('drops the line on Ctrl-C, and cancels the command that runs', async () => {
    agent.handlers['whoelse'] = (_, call) => untilCancelled(call);
    await open();
    terminal.type('message bob never');
    await terminal.endsWith(`${PROMPT}message bob never`);
    terminal.type('\u0003');
    await terminal.endsWith(PROMPT);
    await terminal.shows('never^C');
    terminal.type('whoelse\r');
    const { call } = await agent.called('whoelse');
    const cancelled = new Promise((resolve) => call.signal.addEventListener('abort', resolve));
    terminal.type('\u0003');
    await cancelled;
    await terminal.shows('[CANCELLED]');
    await terminal.endsWith(PROMPT);
    expect(agent.callsOf('message')).to.deep.equal([]);
  });
});
