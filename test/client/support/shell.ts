/** The shell on a terminal beside a scripted agent, for a suite of tests. */
import { FakeAgent } from './fakeagent.js';
import { Terminal } from './terminal.js';

export const PROMPT = 'alice> ';

export interface ShellOnTerminal {
  /** New for each test. */
  readonly agent: FakeAgent;
  /** Of the shell that was opened last. */
  readonly terminal: Terminal;
  /** Starts the shell with these words and environment, and waits for its prompt. */
  open(words?: string[], more?: Record<string, string>, columns?: number): Promise<void>;
  /** Another terminal, which is closed in the end, too. */
  use(terminal: Terminal): void;
}

/** Called once in a suite: begins and ends with each test of it. */
export function shellOnTerminal(): ShellOnTerminal {
  let agent: FakeAgent | undefined;
  let terminal: Terminal | undefined;
  beforeEach(async () => {
    agent = await FakeAgent.start({
      message: () => ({ id: 'a'.repeat(32), delivered: true }),
      wholast: () => ({ users: [{ user: 'bob', lastSeen: '2030-01-01T12:00:00.000Z', online: true }] }),
    });
  });
  afterEach(async () => {
    terminal?.close();
    await agent?.close();
    terminal = undefined;
  });
  return {
    get agent() {
      if (agent === undefined) throw new Error('no test runs');
      return agent;
    },
    get terminal() {
      if (terminal === undefined) throw new Error('no shell was opened');
      return terminal;
    },
    async open(words = [], more = {}, columns = 80) {
      terminal = new Terminal(this.agent.home, words, more, process.execPath, { columns, rows: 30 });
      await terminal.endsWith(PROMPT);
    },
    use(another) {
      terminal = another;
    },
  };
}
