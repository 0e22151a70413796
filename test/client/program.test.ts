import { expect } from 'chai';
import { findCommand, typedCommands, usageOf } from '../../src/client/catalog.js';
import { completeParams } from '../../src/client/execute.js';
import { helpText, parseCommandLine, splitGlobals } from '../../src/client/program.js';
import type { Invocation } from '../../src/client/program.js';
import { SETTINGS } from '../../src/client/settings.js';
import { ParleyError } from '../../src/protocol/errors.js';

const CWD = '/home/alice';

/** `name {params}` of a line, or the code it is refused with. */
function outcome(...words: string[]): string {
  try {
    const invocation = parseCommandLine(words, CWD);
    if (invocation.kind !== 'command') return invocation.kind;
    const { spec, params } = invocation;
    const complete = spec.name === 'login' ? params : completeParams(spec, params, CWD);
    return `${spec.name} ${JSON.stringify(complete)}`;
  } catch (thrown) {
    if (thrown instanceof ParleyError) return thrown.code;
    throw thrown;
  }
}

function sentence(...words: string[]): string {
  try {
    parseCommandLine(words, CWD);
  } catch (thrown) {
    return (thrown as Error).message;
  }
  return 'not refused';
}

const flagsOf = (...words: string[]): object => {
  const invocation: Invocation = parseCommandLine(words, CWD);
  return invocation.kind === 'text' ? {} : invocation.flags;
};

const GOOD: readonly (readonly [string[], string])[] = [
  [['login'], 'login {}'],
  [['login', 'alice'], 'login {"user":"alice"}'],
  [['logout'], 'logout {}'],
  [['DEREG'], 'logout {}'],
  [['status'], 'status {}'],
  [['listen'], 'listen {}'],
  [['WhoElse'], 'whoelse {}'],
  [['whoelsesince', '0'], 'whoelsesince {"seconds":0}'],
  [['whoelsesince', '99999999999999999999'], 'whoelsesince {"seconds":9007199254740991}'],
  [['wholast', '007'], 'wholast {"minutes":7}'],
  [['message', 'bob', 'hi', 'there'], 'message {"user":"bob","text":"hi there"}'],
  [['send', 'bob', 'hi  there '], 'message {"user":"bob","text":"hi  there "}'],
  [['message', 'bob', '--', '-x', '--json'], 'message {"user":"bob","text":"-x --json"}'],
  [['message', 'bob', '-5', 'degrees'], 'message {"user":"bob","text":"-5 degrees"}'],
  [['message', '__proto__', 'hi'], 'message {"user":"__proto__","text":"hi"}'],
  [['Broadcast', 'hi', 'all'], 'broadcast {"text":"hi all"}'],
  [['broadcast', 'user', 'hello'], 'broadcast {"text":"user hello"}'],
  [['broadcast', 'user', 'bob', 'hello'], 'broadcast {"text":"user bob hello"}'],
  [['broadcast', 'user', 'bob,carol', 'hello'], 'broadcast {"text":"hello","to":["bob","carol"]}'],
  [['broadcast', '--json', 'USER', 'bob,carol', 'hello'], 'broadcast {"text":"hello","to":["bob","carol"]}'],
  [['broadcast', 'user', '--json', 'bob,carol', 'hello'], 'broadcast {"text":"hello","to":["bob","carol"]}'],
  [['broadcast', '--to', 'bob', 'hello'], 'broadcast {"text":"hello","to":["bob"]}'],
  [['broadcast', '--to=bob, carol', 'hello'], 'broadcast {"text":"hello","to":["bob","carol"]}'],
  [['broadcast', '--', 'user', 'bob,carol', 'x'], 'broadcast {"text":"user bob,carol x"}'],
  [['create_group', 'skii'], 'create_group {"group":"skii"}'],
  [['Create_Group', 'news', '--open'], 'create_group {"group":"news","open":true}'],
  [['list_groups'], 'list_groups {}'],
  [['join_group', 'skii'], 'join_group {"group":"skii"}'],
  [['send_group', 'hi', 'all'], 'send_group {"text":"hi all"}'],
  [['send_group', '--group', 'news', 'hi', 'all'], 'send_group {"text":"hi all","group":"news"}'],
  [['list_members'], 'list_members {}'],
  [['list_members', 'news'], 'list_members {"group":"news"}'],
  [['leave_group'], 'leave_group {}'],
  [['leave_group', 'news'], 'leave_group {"group":"news"}'],
  [['Inbox'], 'inbox {}'],
  [['inbox', '--search', 'exam room'], 'inbox {"search":"exam room"}'],
  [['inbox', '--unread', '--with', 'bob', '--limit', '3'], 'inbox {"unread":true,"with":"bob","limit":3}'],
  [['block', 'bob'], 'block {"user":"bob"}'],
  [['unblock', 'bob'], 'unblock {"user":"bob"}'],
  [['startprivate', 'bob'], 'startprivate {"user":"bob"}'],
  [['private', 'bob', 'psst'], 'private {"user":"bob","text":"psst"}'],
  [['stopprivate', 'bob'], 'stopprivate {"user":"bob"}'],
  [['verify', 'bob'], 'verify {"user":"bob"}'],
  [['verify', '--confirm', 'bob'], 'verify {"user":"bob","confirm":true}'],
  [['trust', 'bob', '--reset'], 'trust {"user":"bob","reset":true}'],
  [['register', 'a.txt', '5'], 'register {"path":"/home/alice/a.txt","chunks":5}'],
  [['register', '/tmp/a b.txt', '0'], 'register {"path":"/tmp/a b.txt","chunks":0}'],
  [['unregister', 'a.txt'], 'unregister {"file":"a.txt"}'],
  [['seed', '../x'], 'seed {"path":"/home/x"}'],
  [['files'], 'files {}'],
  [['files', '*.pdf'], 'files {"pattern":"*.pdf"}'],
  [['searchfile', '../a'], 'searchFile {"file":"../a"}'],
  [['SEARCHCHUNK', 'f', '0', '4'], 'searchChunk {"file":"f","chunks":[0,4]}'],
  [['download', 'f'], 'download {"file":"f","directory":"/home/alice"}'],
  [
    ['download', 'f', '0', '2', '-o', 'x/'],
    'download {"file":"f","chunks":[0,2],"output":"/home/alice/x/","directory":"/home/alice"}',
  ],
  [
    ['download', '-j4', 'f', '--overwrite'],
    'download {"file":"f","jobs":4,"overwrite":true,"directory":"/home/alice"}',
  ],
  [['download', 'f', '--limit-rate', '1.5M'], 'download {"file":"f","limitRate":1572864,"directory":"/home/alice"}'],
  [['download', 'f', '--limit-rate', '10KiB/s'], 'download {"file":"f","limitRate":10240,"directory":"/home/alice"}'],
  [['transfers'], 'transfers {}'],
  [['why', 'a.txt'], 'why {"file":"a.txt"}'],
];

const WRONG: readonly (readonly [string[], string])[] = [
  [['nonsense'], 'USAGE'],
  [['whoelse', 'extra'], 'USAGE'],
  [['whoelse', '--nonsense'], 'USAGE'],
  [['--nonsense', 'whoelse'], 'USAGE'],
  [['--nonsense'], 'USAGE'],
  [['login', 'a', 'b'], 'USAGE'],
  [['whoelsesince'], 'USAGE'],
  [['whoelsesince', 'x'], 'USAGE'],
  [['whoelsesince', '-1'], 'USAGE'],
  [['whoelsesince', '1.5'], 'USAGE'],
  [['whoelsesince', '+1'], 'USAGE'],
  [['whoelsesince', '0x10'], 'USAGE'],
  [['whoelsesince', '١'], 'USAGE'],
  [['whoelsesince', ''], 'USAGE'],
  [['wholast', 'ten'], 'USAGE'],
  [['message'], 'USAGE'],
  [['message', '', 'hi'], 'USAGE'],
  [['message', 'bob', '-x'], 'USAGE'],
  [['message', 'bob'], 'EMPTY_MESSAGE'],
  [['message', 'bob', ' \t'], 'EMPTY_MESSAGE'],
  [['message', 'bob', 'x'.repeat(16 * 1024 + 1)], 'MESSAGE_TOO_LONG'],
  [['message', 'x'.repeat(300), 'hi'], 'UNKNOWN_USER'],
  [['broadcast'], 'EMPTY_MESSAGE'],
  [['broadcast', 'user', 'a,b'], 'EMPTY_MESSAGE'],
  [['broadcast', '--to'], 'USAGE'],
  [['broadcast', '--to', 'a,,b', 'x'], 'USAGE'],
  [['broadcast', '--to', Array(600).fill('u').join(), 'x'], 'USAGE'],
  [['inbox', '--limit', '0'], 'USAGE'],
  [['inbox', '--limit', 'x'], 'USAGE'],
  [['inbox', '--before', 'x'], 'USAGE'],
  [['inbox', 'extra'], 'USAGE'],
  [['block'], 'USAGE'],
  [['private', 'bob'], 'EMPTY_MESSAGE'],
  [['trust', 'bob'], 'USAGE'],
  [['trust'], 'USAGE'],
  [['register', 'f'], 'USAGE'],
  [['register', 'f', '-1'], 'USAGE'],
  [['register', 'f', 'five'], 'USAGE'],
  [['searchFile'], 'USAGE'],
  [['searchFile', 'x'.repeat(2000)], 'FILE_NOT_REGISTERED'],
  [['searchChunk', 'f'], 'USAGE'],
  [['searchChunk', 'f', '1', 'x'], 'USAGE'],
  [['searchChunk', 'f', ...Array<string>(5000).fill('1')], 'USAGE'],
  [['download'], 'USAGE'],
  [['download', 'f', '-1'], 'USAGE'],
  [['download', 'f', '-j', '0'], 'USAGE'],
  [['download', 'f', '--limit-rate', '0'], 'USAGE'],
  [['download', 'f', '--limit-rate', 'fast'], 'USAGE'],
  [['download', 'f', ...Array.from({ length: 20_000 }, (_, i) => String(i))], 'USAGE'],
  [['agent', 'extra'], 'USAGE'],
  [['127.0.0.1'], 'USAGE'],
  [['whoelsesinc', '5'], 'USAGE'],
  [['help', 'nonsense'], 'USAGE'],
];

describe('client/program', () => {
  for (const [words, expected] of GOOD) {
    it(`takes ${words.join(' ')}`, () => {
      expect(outcome(...words)).to.equal(expected);
    });
  }

  for (const [words, expected] of WRONG) {
    it(`refuses ${words.join(' ').slice(0, 60)}`, () => {
      expect(outcome(...words)).to.equal(expected);
    });
  }

  it('has a good line of every command in this table', () => {
    const tried = new Set(GOOD.map(([words]) => findCommand(words[0] ?? '')?.name));
    expect(typedCommands.map(({ name }) => name).filter((name) => !tried.has(name))).to.deep.equal([]);
  });

  it('opens the shell without a command, or with an address alone', () => {
    expect(flagsOf()).to.deep.equal({});
    expect(flagsOf('--json')).to.deep.equal({ json: true });
    expect(flagsOf('127.0.0.1', '8100')).to.deep.equal({ server: '127.0.0.1:8100' });
    expect(flagsOf('localhost', '8100', '--user', 'bob')).to.deep.equal({ server: 'localhost:8100', user: 'bob' });
    expect(flagsOf('chat-host', '8100')).to.deep.equal({ server: 'chat-host:8100' });
    expect(flagsOf('::1', '8100')).to.deep.equal({ server: '[::1]:8100' });
    expect(outcome('1.2.3.4', '8100', '--server', 'x:1')).to.equal('USAGE');
  });

  it('takes the options of every command before and behind its name', () => {
    const all = { json: true, quiet: true, user: 'u', home: 'h', server: 's:1', color: 'never' };
    const words = ['--json', '-q', '--user', 'u', '--home=h', '--server', 's:1', '--color', 'never'];
    expect(flagsOf(...words, 'whoelse')).to.deep.equal(all);
    expect(flagsOf('whoelse', ...words)).to.deep.equal(all);
    expect(flagsOf('message', ...words.slice(0, 4), 'bob', ...words.slice(4), 'hi')).to.deep.equal(all);
    expect(flagsOf('-qv', 'whoelse')).to.deep.equal({ quiet: true, verbose: true });
    expect(splitGlobals(['a', '--', '--json'])).to.deep.equal({ globals: [], words: ['a', '--', '--json'] });
  });

  it('has no command whose options are also those of every command', () => {
    const names = (flags: string): string[] => flags.split(/[ ,]+/).filter((part) => part.startsWith('-'));
    const everywhere = new Set(Object.values(SETTINGS).flatMap(({ flags }) => names(flags)));
    const own = typedCommands.flatMap(({ cli }) => (cli.options ?? []).flatMap(({ flags }) => names(flags)));
    expect(own.filter((name) => everywhere.has(name))).to.deep.equal([]);
  });

  it('says what may have been meant, and how it is used', () => {
    expect(sentence('whoelsesinc', '5')).to.match(/whoelsesinc.*did you mean whoelsesince/);
    expect(sentence('broadcast', '--too', 'a', 'b')).to.match(/--too.*did you mean --to/);
    expect(sentence('register', 'f')).to.match(/number_of_chunks.*usage: client register <file> <number_of_chunks>/);
    expect(sentence('message', 'bob', '-x')).to.contain('put -- before');
    expect(() => completeParams(findCommand('trust')!, { user: 'bob' }, CWD)).to.throw(ParleyError, /add --reset/);
  });

  it('prints help of all and of one command', () => {
    for (const { name } of typedCommands) expect(helpText([])).to.contain(`  ${name}`);
    expect(helpText(['Message'])).to.contain('client message');
    expect(helpText(['agent'])).to.contain('agent');
    expect(outcome('message', '--help')).to.equal('text');
    expect(outcome('--help')).to.equal('text');
    expect(outcome('--version')).to.equal('text');
  });

  it('says in the help of a command how it is used, with examples and refusals', () => {
    const help = helpText(['startprivate']);
    expect(help).to.match(/Usage: client startprivate <user>/);
    expect(help).to.match(/Examples:\n {2}client startprivate/);
    expect(help).to.match(/Refused with:\n(.*\n)* {2}USER_OFFLINE +USER is not online/);
    expect(helpText(['completion'])).to.contain('eval "$(client completion bash)"');
  });

  it('prints a script for completion', () => {
    expect(outcome('completion', 'bash')).to.equal('text');
    expect(outcome('completion', 'sh')).to.equal('USAGE');
    expect(outcome('completion')).to.equal('USAGE');
  });

  it('writes usage lines from the specs', () => {
    expect(usageOf(findCommand('message')!)).to.equal('message <user> <text...>');
    expect(usageOf(findCommand('download')!)).to.equal(
      'download [--output <path>] [--jobs <n>] [--limit-rate <rate>] [--overwrite] <file> [n...]',
    );
  });
});
