import { expect } from 'chai';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ParleyError } from '../../src/protocol/errors.js';
import { CLIENT } from './support/client.js';
import { FakeAgent, untilCancelled } from './support/fakeagent.js';
import { Terminal } from './support/terminal.js';

const PROMPT = 'alice> ';
const stored = (n: number, text: string): object => ({
  id: String(n).repeat(32),
  kind: 'message',
  from: 'bob',
  to: 'alice',
  text,
  sentAt: '2030-01-01T12:00:00.000Z',
  unread: true,
});

describe('client, the shell on a terminal', () => {
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

  it('prints a message above the half-typed line, which stays whole', async () => {
    await open();
    terminal.type('message bob half a line');
    await terminal.endsWith(`${PROMPT}message bob half a line`);
    await agent.message('bob', 'hello\u001b[2J');
    await terminal.shows('hello\\u{1b}[2J');
    await terminal.endsWith(`${PROMPT}message bob half a line`);
    expect(terminal.display.lines.at(-2)).to.equal('[2030-01-01 12:00]              bob: hello\\u{1b}[2J');
    terminal.type(', and the rest\r');
    expect((await agent.called('message')).params).to.deep.equal({ user: 'bob', text: 'half a line, and the rest' });
    await terminal.shows('delivered');
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

  it('shows what came meanwhile, once, and listens as one that shows', async () => {
    agent.handlers['inbox'] = async () => {
      await agent.tell({
        type: 'message',
        id: '2'.repeat(32),
        from: 'bob',
        to: 'alice',
        text: 'second',
        at: '2030-01-01T12:00:00.000Z',
      });
      await agent.message('bob', 'third');
      return { messages: [stored(1, 'first'), stored(2, 'second')] };
    };
    await open();
    await terminal.shows(/first[\s\S]*second[\s\S]*third/);
    expect(terminal.display.text.match(/second/g)).to.have.length(1);
    expect(agent.callsOf('listen')).to.deep.equal([{ shows: true }]);
    expect(agent.callsOf('inbox')).to.deep.equal([{ unread: true }]);
  });

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

  it('shows in the prompt who, in which group, and how much is unread', async () => {
    const standing = (group: string | null, unread: number): Promise<void> =>
      agent.tell({ type: 'standing', user: 'Alice', group, unread, at: '2030-01-01T12:00:00.000Z' });
    await open();
    terminal.type('half');
    await terminal.endsWith(`${PROMPT}half`);
    await standing('skii', 0);
    await terminal.endsWith('Alice@skii> half');
    await standing('skii', 3);
    await terminal.endsWith('Alice@skii (3)> half');
    await standing('skii', 0);
    await terminal.endsWith('Alice@skii> half');
    await standing(null, 0);
    await terminal.endsWith('Alice> half');
    expect(terminal.display.text).not.to.contain('unread');
  });

  it('prints lines about groups as they are', async () => {
    await open();
    const text = '[aysha not responsive, removed from group skii]';
    const more = { from: 'server', group: 'skii', user: 'aysha', at: '2030-01-01T12:00:00.000Z' };
    await agent.tell({ type: 'notice', code: 'GROUP_REMOVED', text, ...more });
    await terminal.shows(text);
    expect(terminal.display.lines.at(-2)).to.equal(text);
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

  it('rings for what is for this user alone, when told to', async () => {
    await open(['--bell', '--notify']);
    const at = '2030-01-01T12:00:00.000Z';
    await agent.tell({ type: 'broadcast', id: '1'.repeat(32), from: 'bob', to: 'all', text: 'to all', at });
    await terminal.shows('to all: to all');
    expect(terminal.raw).not.to.contain('\u0007');
    await agent.message('bob', 'secret words');
    await terminal.shows('secret words');
    await terminal.holds(() => terminal.raw.endsWith('\u0007'), 'a bell');
    expect(terminal.raw).to.contain('\u0007\u001b]9;Parley: message from bob\u0007');
    await terminal.endsWith(PROMPT);
    terminal.close();
    await open();
    await agent.message('bob', 'quietly');
    await terminal.shows('quietly');
    expect(terminal.raw).not.to.contain('\u0007');
  });

  it('works on a terminal of 20 columns', async () => {
    await open([], {}, 20);
    terminal.type('message bob a line that goes over rows');
    await terminal.endsWith(' rows');
    const at = new Date().toISOString();
    await agent.tell({
      type: 'message',
      id: '1'.repeat(32),
      from: 'bob',
      to: 'alice',
      text: 'words that need rows',
      at,
    });
    await terminal.shows(/\] bob:\n {2}words that need\n {2}rows\n/);
    expect(terminal.display.lines.slice(-3)).to.deep.equal(['alice> message bob a', ' line that goes over', ' rows']);
    terminal.type('\r');
    expect((await agent.called('message')).params['text']).to.equal('a line that goes over rows');
    await terminal.endsWith(PROMPT);
  });

  it('has no colours when none are wanted', async () => {
    await open();
    await agent.message('bob', 'hello');
    await terminal.shows('bob: hello');
    expect(terminal.raw).to.contain('\u001b[36mbob:');
    terminal.close();
    await open([], { NO_COLOR: '1' });
    await agent.message('bob', 'hello');
    await terminal.shows('bob: hello');
    // eslint-disable-next-line no-control-regex -- that is the point
    expect(terminal.raw).not.to.match(/\u001b\[\d*m/);
  });

  it('says what is wrong in a sentence and a code, and goes on', async () => {
    agent.handlers['message'] = () => {
      throw new ParleyError('BLOCKED', { user: 'bob' });
    };
    await open();
    terminal.type('message bob hi\r');
    await terminal.shows('bob does not take this from you, or you block bob [BLOCKED]');
    terminal.type('messag bob hi\r');
    await terminal.shows('did you mean message?');
    terminal.type('exti\r');
    await terminal.shows('did you mean exit?');
    terminal.type('help whoelse\r');
    await terminal.shows('client whoelse');
    terminal.type('listen\r');
    await terminal.shows('listens all the time');
    await terminal.endsWith(PROMPT);
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

  it('draws bars, and prints messages above them', async () => {
    const state = (bytes: number): object => ({
      type: 'transfer',
      transfer: {
        file: 'f',
        direction: 'download',
        state: 'running',
        sizeBytes: 100,
        bytes,
        rate: 5,
        secondsLeft: 9,
        sources: [{ user: 'bob', bytes, rate: 5 }],
      },
    });
    let go: () => void = () => undefined;
    agent.handlers['download'] = async (_, call) => {
      await call.emit(state(50));
      await new Promise<void>((resolve) => (go = resolve));
      await call.emit(state(100));
      return { file: 'f', path: '/f', sizeBytes: 100, chunks: [0], held: [0], complete: true, sources: [] };
    };
    await open();
    terminal.type('download f\r');
    await terminal.shows(/50 B of 100 B {2}5 B\/s {2}9 s left/);
    await agent.message('bob', 'see you');
    await terminal.shows(/bob: see you[\s\S]*50 B of 100 B/);
    go();
    await terminal.shows(/f: complete/);
    await terminal.endsWith(PROMPT);
    expect(terminal.display.text).to.contain('100 B of 100 B');
  });

  it('leaves on Ctrl-D and exit, and the agent goes on', async () => {
    await open();
    terminal.type('\u0004');
    expect(await terminal.ended).to.equal(0);
    expect(terminal.display.text).to.contain('the agent goes on');
    await open();
    terminal.type('nonsense\rexit\r');
    expect(await terminal.ended).to.equal(0);
    expect(agent.callsOf('logout')).to.deep.equal([]);
  });

  it('ends with logout', async () => {
    agent.handlers['logout'] = () => {
      setTimeout(() => void agent.hangUp(), 10);
      return {};
    };
    await open();
    terminal.type('logout\r');
    expect(await terminal.ended).to.equal(0);
    expect(terminal.display.text).to.contain('logged out').and.not.contain('goes on');
  });

  it('tells a logout elsewhere from an agent that was killed', async () => {
    await open();
    await agent.hangUp();
    expect(await terminal.ended).to.equal(1);
    expect(terminal.display.text).to.contain('[AGENT_GONE]').and.not.contain('logged out');
    terminal.close();
    let end: () => void = () => undefined;
    agent.handlers['listen'] = () => new Promise((resolve) => (end = () => resolve({})));
    await open();
    const { call } = await agent.called('listen', 2);
    const answered = once(call.signal, 'abort');
    end();
    await answered;
    await agent.hangUp();
    expect(await terminal.ended).to.equal(0);
    expect(terminal.display.text).to.contain('logged out');
  });

  it('ends when the session does, and says why', async () => {
    await open();
    terminal.type('half');
    await terminal.endsWith(`${PROMPT}half`);
    await agent.hangUp(new ParleyError('LOGIN_REQUIRED'));
    expect(await terminal.ended).to.equal(4);
    expect(terminal.display.text).to.contain('[LOGIN_REQUIRED]');
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

  it('works on a terminal that can do nothing', async () => {
    await open([], { TERM: 'dumb' });
    terminal.type('whoelse\r');
    await terminal.shows('carol');
    await agent.message('bob', 'hello');
    await terminal.shows('bob: hello');
    // eslint-disable-next-line no-control-regex -- that is the point
    expect(terminal.raw).not.to.match(/\u001b/);
    await terminal.endsWith(PROMPT);
    terminal.type('half\u0003');
    await terminal.shows('exit or Ctrl-D leaves');
    await terminal.endsWith(PROMPT);
    agent.handlers['whoelse'] = (_, call) => untilCancelled(call);
    terminal.type('whoelse\r');
    await agent.called('whoelse', 2);
    terminal.type('\u0003');
    await terminal.shows('[CANCELLED]');
    terminal.type('exit\r');
    expect(await terminal.ended).to.equal(0);
  });
});
