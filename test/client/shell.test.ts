import { expect } from 'chai';
import { once } from 'node:events';
import { ParleyError } from '../../src/protocol/errors.js';
import { untilCancelled } from './support/fakeagent.js';
import { PROMPT, shellOnTerminal } from './support/shell.js';

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
  const shell = shellOnTerminal();

  it('prints a message above the half-typed line, which stays whole', async () => {
    await shell.open();
    shell.terminal.type('message bob half a line');
    await shell.terminal.endsWith(`${PROMPT}message bob half a line`);
    await shell.agent.message('bob', 'hello\u001b[2J');
    await shell.terminal.shows('hello\\u{1b}[2J');
    await shell.terminal.endsWith(`${PROMPT}message bob half a line`);
    expect(shell.terminal.display.lines.at(-2)).to.equal('[2030-01-01 12:00]              bob: hello\\u{1b}[2J');
    shell.terminal.type(', and the rest\r');
    expect((await shell.agent.called('message')).params).to.deep.equal({
      user: 'bob',
      text: 'half a line, and the rest',
    });
    await shell.terminal.shows('delivered');
  });

  it('shows what came meanwhile, once, and listens as one that shows', async () => {
    shell.agent.handlers['inbox'] = async () => {
      await shell.agent.tell({
        type: 'message',
        id: '2'.repeat(32),
        from: 'bob',
        to: 'alice',
        text: 'second',
        at: '2030-01-01T12:00:00.000Z',
      });
      await shell.agent.message('bob', 'third');
      return { messages: [stored(1, 'first'), stored(2, 'second')] };
    };
    await shell.open();
    await shell.terminal.shows(/first[\s\S]*second[\s\S]*third/);
    expect(shell.terminal.display.text.match(/second/g)).to.have.length(1);
    expect(shell.agent.callsOf('listen')).to.deep.equal([{ shows: true }]);
    expect(shell.agent.callsOf('inbox')).to.deep.equal([{ unread: true }]);
  });

  it('shows in the prompt who, in which group, and how much is unread', async () => {
    const standing = (group: string | null, unread: number): Promise<void> =>
      shell.agent.tell({ type: 'standing', user: 'Alice', group, unread, at: '2030-01-01T12:00:00.000Z' });
    await shell.open();
    shell.terminal.type('half');
    await shell.terminal.endsWith(`${PROMPT}half`);
    await standing('skii', 0);
    await shell.terminal.endsWith('Alice@skii> half');
    await standing('skii', 3);
    await shell.terminal.endsWith('Alice@skii (3)> half');
    await standing('skii', 0);
    await shell.terminal.endsWith('Alice@skii> half');
    await standing(null, 0);
    await shell.terminal.endsWith('Alice> half');
    expect(shell.terminal.display.text).not.to.contain('unread');
  });

  it('prints lines about groups as they are', async () => {
    await shell.open();
    const text = '[aysha not responsive, removed from group skii]';
    const more = { from: 'server', group: 'skii', user: 'aysha', at: '2030-01-01T12:00:00.000Z' };
    await shell.agent.tell({ type: 'notice', code: 'GROUP_REMOVED', text, ...more });
    await shell.terminal.shows(text);
    expect(shell.terminal.display.lines.at(-2)).to.equal(text);
  });

  it('explains itself', async () => {
    await shell.open();
    shell.terminal.type('help\r');
    await shell.terminal.shows('In the shell: type commands without client');
    shell.terminal.type('help exit\r');
    await shell.terminal.shows('Leaves the shell');
  });

  it('rings for what is for this user alone, when told to', async () => {
    await shell.open(['--bell', '--notify']);
    const at = '2030-01-01T12:00:00.000Z';
    await shell.agent.tell({ type: 'broadcast', id: '1'.repeat(32), from: 'bob', to: 'all', text: 'to all', at });
    await shell.terminal.shows('to all: to all');
    expect(shell.terminal.raw).not.to.contain('\u0007');
    await shell.agent.message('bob', 'secret words');
    await shell.terminal.shows('secret words');
    await shell.terminal.holds(() => shell.terminal.raw.endsWith('\u0007'), 'a bell');
    expect(shell.terminal.raw).to.contain('\u0007\u001b]9;Parley: message from bob\u0007');
    await shell.terminal.endsWith(PROMPT);
    shell.terminal.close();
    await shell.open();
    await shell.agent.message('bob', 'quietly');
    await shell.terminal.shows('quietly');
    expect(shell.terminal.raw).not.to.contain('\u0007');
  });

  it('works on a terminal of 20 columns', async () => {
    await shell.open([], {}, 20);
    shell.terminal.type('message bob a line that goes over rows');
    await shell.terminal.endsWith(' rows');
    const at = new Date().toISOString();
    await shell.agent.tell({
      type: 'message',
      id: '1'.repeat(32),
      from: 'bob',
      to: 'alice',
      text: 'words that need rows',
      at,
    });
    await shell.terminal.shows(/\] bob:\n {2}words that need\n {2}rows\n/);
    expect(shell.terminal.display.lines.slice(-3)).to.deep.equal([
      'alice> message bob a',
      ' line that goes over',
      ' rows',
    ]);
    shell.terminal.type('\r');
    expect((await shell.agent.called('message')).params['text']).to.equal('a line that goes over rows');
    await shell.terminal.endsWith(PROMPT);
  });

  it('has no colours when none are wanted', async () => {
    await shell.open();
    await shell.agent.message('bob', 'hello');
    await shell.terminal.shows('bob: hello');
    expect(shell.terminal.raw).to.contain('\u001b[36mbob:');
    shell.terminal.close();
    await shell.open([], { NO_COLOR: '1' });
    await shell.agent.message('bob', 'hello');
    await shell.terminal.shows('bob: hello');
    // eslint-disable-next-line no-control-regex -- that is the point
    expect(shell.terminal.raw).not.to.match(/\u001b\[\d*m/);
  });

  it('says what is wrong in a sentence and a code, and goes on', async () => {
    shell.agent.handlers['message'] = () => {
      throw new ParleyError('BLOCKED', { user: 'bob' });
    };
    await shell.open();
    shell.terminal.type('message bob hi\r');
    await shell.terminal.shows('bob does not take this from you, or you block bob [BLOCKED]');
    shell.terminal.type('messag bob hi\r');
    await shell.terminal.shows('did you mean message?');
    shell.terminal.type('exti\r');
    await shell.terminal.shows('did you mean exit?');
    shell.terminal.type('help whoelse\r');
    await shell.terminal.shows('client whoelse');
    shell.terminal.type('listen\r');
    await shell.terminal.shows('listens all the time');
    await shell.terminal.endsWith(PROMPT);
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
    shell.agent.handlers['download'] = async (_, call) => {
      await call.emit(state(50));
      await new Promise<void>((resolve) => (go = resolve));
      await call.emit(state(100));
      return { file: 'f', path: '/f', sizeBytes: 100, chunks: [0], held: [0], complete: true, sources: [] };
    };
    await shell.open();
    shell.terminal.type('download f\r');
    await shell.terminal.shows(/50 B of 100 B {2}5 B\/s {2}9 s left/);
    await shell.agent.message('bob', 'see you');
    await shell.terminal.shows(/bob: see you[\s\S]*50 B of 100 B/);
    go();
    await shell.terminal.shows(/f: complete/);
    await shell.terminal.endsWith(PROMPT);
    expect(shell.terminal.display.text).to.contain('100 B of 100 B');
  });

  it('leaves on Ctrl-D and exit, and the agent goes on', async () => {
    await shell.open();
    shell.terminal.type('\u0004');
    expect(await shell.terminal.ended).to.equal(0);
    expect(shell.terminal.display.text).to.contain('the agent goes on');
    await shell.open();
    shell.terminal.type('nonsense\rexit\r');
    expect(await shell.terminal.ended).to.equal(0);
    expect(shell.agent.callsOf('logout')).to.deep.equal([]);
  });

  it('ends with logout', async () => {
    shell.agent.handlers['logout'] = () => {
      setTimeout(() => void shell.agent.hangUp(), 10);
      return {};
    };
    await shell.open();
    shell.terminal.type('logout\r');
    expect(await shell.terminal.ended).to.equal(0);
    expect(shell.terminal.display.text).to.contain('logged out').and.not.contain('goes on');
  });

  it('tells a logout elsewhere from an agent that was killed', async () => {
    await shell.open();
    await shell.agent.hangUp();
    expect(await shell.terminal.ended).to.equal(1);
    expect(shell.terminal.display.text).to.contain('[AGENT_GONE]').and.not.contain('logged out');
    shell.terminal.close();
    let end: () => void = () => undefined;
    shell.agent.handlers['listen'] = () => new Promise((resolve) => (end = () => resolve({})));
    await shell.open();
    const { call } = await shell.agent.called('listen', 2);
    const answered = once(call.signal, 'abort');
    end();
    await answered;
    await shell.agent.hangUp();
    expect(await shell.terminal.ended).to.equal(0);
    expect(shell.terminal.display.text).to.contain('logged out');
  });

  it('ends when the session does, and says why', async () => {
    await shell.open();
    shell.terminal.type('half');
    await shell.terminal.endsWith(`${PROMPT}half`);
    await shell.agent.hangUp(new ParleyError('LOGIN_REQUIRED'));
    expect(await shell.terminal.ended).to.equal(4);
    expect(shell.terminal.display.text).to.contain('[LOGIN_REQUIRED]');
  });

  it('works on a terminal that can do nothing', async () => {
    await shell.open([], { TERM: 'dumb' });
    shell.terminal.type('whoelse\r');
    await shell.terminal.shows('carol');
    await shell.agent.message('bob', 'hello');
    await shell.terminal.shows('bob: hello');
    // eslint-disable-next-line no-control-regex -- that is the point
    expect(shell.terminal.raw).not.to.match(/\u001b/);
    await shell.terminal.endsWith(PROMPT);
    shell.terminal.type('half\u0003');
    await shell.terminal.shows('exit or Ctrl-D leaves');
    await shell.terminal.endsWith(PROMPT);
    shell.agent.handlers['whoelse'] = (_, call) => untilCancelled(call);
    shell.terminal.type('whoelse\r');
    await shell.agent.called('whoelse', 2);
    shell.terminal.type('\u0003');
    await shell.terminal.shows('[CANCELLED]');
    shell.agent.handlers['download'] = (_, call) => untilCancelled(call);
    shell.terminal.type(`download "big file" -j 2\r`);
    await shell.agent.called('download');
    shell.terminal.type('\u0003');
    await shell.terminal.shows(`to go on: download 'big file' -j 2`);
    shell.terminal.type('exit\r');
    expect(await shell.terminal.ended).to.equal(0);
  });
});
