/** What comes while a line is typed: the line stays whole, and every row of the screen is one of those that belong there. */
import { expect } from 'chai';
import { messageLines } from '../../src/client/render/lines.js';
import { makeStyle } from '../../src/client/style.js';
import { FakeAgent } from './support/fakeagent.js';
import { Terminal } from './support/terminal.js';

const AT = '2030-01-01T12:00:00.000Z';
const MESSAGES = 1_000;
const SOURCES = ['bob', 'carol', 'dave', 'erin'];
const TYPED = 'message bob a line of some length, typed while others talk';

const textOf = (n: number): string => `message ${String(n).padStart(4, '0')} of many`;

const rowsOf = (text: string, columns: number): string[] =>
  Array.from({ length: Math.ceil(text.length / columns) }, (_, i) =>
    text.slice(i * columns, (i + 1) * columns).trimEnd(),
  );

const progress = (bytes: number): object => ({
  type: 'transfer',
  transfer: {
    file: 'movie.mkv',
    direction: 'download',
    state: 'running',
    sizeBytes: 4 * MESSAGES,
    bytes: 4 * bytes,
    rate: 5,
    secondsLeft: 9,
    sources: SOURCES.map((user) => ({ user, bytes, rate: 5 })),
  },
});

describe('client, the shell in a storm', function () {
  this.timeout(30_000);
  let agent: FakeAgent;
  let terminal: Terminal;
  let sent = 0;
  beforeEach(async () => {
    sent = 0;
    agent = await FakeAgent.start({ message: () => ({ id: 'a'.repeat(32), delivered: true }) });
  });
  afterEach(async () => {
    terminal.close();
    await agent.close();
  });

  const send = (): Promise<void> => {
    const n = sent++;
    const id = n.toString(16).padStart(32, '0');
    return agent.tell({ type: 'message', id, from: 'bob', to: 'alice', text: textOf(n), at: AT });
  };

  /** The rows that these messages take, on a terminal in UTC. */
  const messageRows = (count: number, columns: number): string[] =>
    Array.from({ length: count }, (_, n) =>
      messageLines([{ kind: 'message', from: 'bob', to: 'alice', text: textOf(n), at: AT }], makeStyle(false, columns)),
    ).flatMap((line) => line.split('\n').flatMap((row) => rowsOf(row, columns)));

  /** Resolves once the screen is exactly: what stood before, some messages, bars, the line. Rejects when it never is. */
  async function isWhole(before: readonly string[], columns: number, bars: number, line: string): Promise<void> {
    const input = rowsOf(line, columns);
    await terminal.holds(() => {
      const rows = terminal.display.lines;
      const body = rows.length - input.length;
      const messages = rows.slice(before.length, body - bars);
      return (
        same(rows.slice(0, before.length), before) &&
        same(rows.slice(body), input) &&
        rows.slice(body - bars, body).every((row) => /^(movie\.m\S+| {2}\w+) .*(B\/s|left|…)$/.test(row)) &&
        same(messages, messageRows(sent, columns))
      );
    }, `${sent} messages, ${bars} bars, and ${line}`);
  }
  const same = (one: readonly string[], other: readonly string[]): boolean =>
    one.length === other.length && one.every((row, i) => row === other[i]);

  for (const size of [
    { columns: 80, rows: 24 },
    { columns: 40, rows: 12 },
    { columns: 20, rows: 24 },
  ]) {
    const { columns, rows } = size;
    it(`keeps line and rows whole, ${columns}x${rows}: ${MESSAGES} messages and 5 bars`, async () => {
      let go: () => void = () => undefined;
      let move: (bytes: number) => Promise<void> = () => Promise.resolve();
      agent.handlers['download'] = async (_, call) => {
        move = (bytes) => call.emit(progress(bytes));
        await move(0);
        await new Promise<void>((resolve) => (go = resolve));
        return { file: 'movie.mkv', path: '/m', sizeBytes: 8, chunks: [0], held: [0], complete: true, sources: [] };
      };
      terminal = new Terminal(agent.home, [], {}, process.execPath, size);
      await terminal.endsWith('alice>');
      terminal.type('download movie.mkv\r');
      await agent.called('download');
      await terminal.shows(/movie\.m[\s\S]*erin/);
      const before = terminal.display.lines.slice(
        0,
        terminal.display.lines.findIndex((row) => /^movie\.m/.test(row)),
      );
      for (let i = 0; i < TYPED.length; i++) {
        const until = Math.round((MESSAGES * (i + 1)) / TYPED.length);
        terminal.type(TYPED[i] ?? '');
        const moved = move(until);
        while (sent < until) void send();
        await moved;
        await isWhole(before, columns, 5, `... ${TYPED.slice(0, i + 1)}`);
      }
      expect(sent).to.equal(MESSAGES);
      go();
      await terminal.shows('every byte');
      await terminal.holds(() => terminal.display.text.replaceAll('\n', '').endsWith(`alice> ${TYPED}`), 'the prompt');
      terminal.type('!\r');
      expect((await agent.called('message')).params['text']).to.equal(`${TYPED.slice('message bob '.length)}!`);
    });
  }

  it('draws bars of a single command, too, and none on a terminal without cursor movements', async () => {
    let go: () => void = () => undefined;
    const gone = new Promise<void>((resolve) => (go = resolve));
    agent.handlers['download'] = async (_, call) => {
      for (const bytes of [0, 500]) await call.emit(progress(bytes));
      await gone;
      return { file: 'movie.mkv', path: '/m', sizeBytes: 8, chunks: [0], held: [0], complete: true, sources: [] };
    };
    terminal = new Terminal(agent.home, ['download', 'movie.mkv'], {}, process.execPath, { columns: 60, rows: 8 });
    await terminal.shows(
      /movie\.mkv +\[=+ +\] 2\.0 KiB of 3\.9 KiB {2}5 B\/s {2}9 s left\n {2}bob .*\n.*\n.*\n {2}erin .*$/,
    );
    go();
    expect(await terminal.ended).to.equal(0);
    expect(terminal.display.lines).to.have.length(8);
    expect(terminal.display.lines[0]).to.match(/^movie\.mkv \[=+\] 3\.9 KiB of 3\.9 KiB/);
    expect(terminal.display.lines[5]).to.equal('movie.mkv: complete, 8 B, every byte checked');
    terminal = new Terminal(agent.home, ['download', 'movie.mkv'], { TERM: 'dumb' });
    expect(await terminal.ended).to.equal(0);
    expect(terminal.display.lines[0]).to.equal('movie.mkv: complete, 8 B, every byte checked');
  });

  it('draws what comes at once at once', async () => {
    terminal = new Terminal(agent.home);
    await terminal.endsWith('alice>');
    terminal.type('half');
    await terminal.endsWith('alice> half');
    const { length } = terminal.raw;
    await Promise.all(Array.from({ length: MESSAGES }, send));
    await isWhole(terminal.display.lines.slice(0, 1), 80, 0, 'alice> half');
    const drawings = terminal.raw.slice(length).split('\u001b[J').length - 1;
    expect(drawings).to.be.below(MESSAGES / 10);
  });
});
