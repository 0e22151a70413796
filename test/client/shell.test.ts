import { expect } from 'chai';
import { once } from 'node:events';
import { ParleyError } from '../../src/protocol/errors.js';
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

  it('explains itself', async () => {
    await open();
    terminal.type('help\r');
    await terminal.shows('In the shell: type commands without client');
    terminal.type('help exit\r');
    await terminal.shows('Leaves the shell');
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
    agent.handlers['download'] = (_, call) => untilCancelled(call);
    terminal.type(`download "big file" -j 2\r`);
    await agent.called('download');
    terminal.type('\u0003');
    await terminal.shows(`to go on: download 'big file' -j 2`);
    terminal.type('exit\r');
    expect(await terminal.ended).to.equal(0);
  });
});
