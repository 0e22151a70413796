/** Whatever is written by a whole conversation, at the highest log level: secrets are nowhere they do not belong (R1, R9). */
import { expect } from 'chai';
import { readFileSync, readdirSync } from 'node:fs';
import { join, relative } from 'node:path';
import { makeIdentity } from '../../src/protocol/certificate.js';
import { serverCommands } from '../../src/protocol/commands/server.js';
import { encodeFrame } from '../../src/protocol/frame.js';
import { Cast, SERVER_MAIN, runProcess } from '../support/cast.js';
import { refusal } from '../support/refusal.js';
import { dialServer } from '../support/server.js';

const PASSWORDS = { alice: 'Pw-canary-alice', bob: 'Pw-canary-bob', carol: 'Pw-canary-carol' };
const WRONG = 'Pw-canary-wrong';
const CHANGED = 'Pw-canary-changed';
const { login, resume, message, broadcast } = serverCommands;

/** A text of this kind, to be looked for. */
const text = (kind: string): string => `Text-canary-${kind}`;

describe('secrets', function () {
  this.timeout(60_000);
  const cast = new Cast(PASSWORDS);
  const said: string[] = [];
  const tokens: string[] = [];
  const arguments_: string[] = [];
  /** Every file that was written, by its path in the cast's folder. */
  const written = new Map<string, string>();

  before(async () => {
    await cast.start('--log-level', 'trace', '--log-format', 'json', '--metrics', '127.0.0.1:0');
    await converse();
    await throughRawConnections();
    noteArguments(cast.serverPid, ...['alice', 'bob'].map((name) => cast.person(name, '').agentPid));
    await administer();
  });
  after(() => cast.close());

  async function converse(): Promise<void> {
    const run = async (who: ReturnType<Cast['person']>, ...words: string[]): Promise<number | null> => {
      const { code, stdout, stderr } = await who.run(...words);
      // What was asked for is shown to who asked: only what is told besides is looked through.
      said.push(stderr, words[0] === 'inbox' ? '' : stdout);
      noteArguments(who.agentPid);
      return code;
    };
    expect(await run(cast.person('bob', WRONG), 'login')).to.equal(4);
    const [alice, bob] = [cast.person('alice', PASSWORDS.alice), cast.person('bob', PASSWORDS.bob)];
    const steps: [typeof alice, ...string[]][] = [
      [alice, 'login'],
      [bob, 'login'],
      [alice, 'message', 'bob', text('message')],
      [alice, 'broadcast', text('broadcast')],
      [alice, 'startprivate', 'bob'],
      [alice, 'private', 'bob', text('private')],
      [alice, 'create_group', 'skii'],
      [alice, 'join_group', 'skii'],
      [bob, 'join_group', 'skii'],
      [bob, 'send_group', text('group')],
      [bob, 'leave_group'],
      [alice, 'leave_group'],
      [bob, 'inbox'],
    ];
    for (const [who, ...words] of steps) expect(await run(who, ...words), words.join(' ')).to.equal(0);
    expect(await run(alice, 'message', 'nobody', text('refused'))).to.equal(1);
    expect(await run(bob, 'block', 'alice')).to.equal(0);
    expect(await run(alice, 'message', 'bob', text('blocked'))).to.equal(1);
  }

  async function throughRawConnections(): Promise<void> {
    const [host = '', port = ''] = cast.address.split(':');
    const at = { host, port: Number(port) };
    const identity = await makeIdentity('carol');
    const first = await dialServer(at, { identity });
    await refusal(first.call(login, { user: 'carol', password: WRONG }));
    await refusal(first.call(login, { user: WRONG, password: WRONG }));
    await refusal(first.call(resume, { token: text('token') }));
    const { token = '' } = await first.call(login, { user: 'carol', password: PASSWORDS.carol });
    await refusal(first.call(message, { id: 'not an id', user: 'bob', text: text('malformed') }));
    await refusal(first.call(broadcast, { to: ['nobody'], text: text('broadcast to nobody') }));
    first.socket.destroy();
    const second = await dialServer(at, { identity });
    const { token: next = '' } = await second.call(resume, { token });
    tokens.push(token, next);
    // Frames that are none, and one that is too large.
    second.socket.write(encodeFrame('call', 99, `{"command":"message","params":{"text":"${text('broken')}`));
    await second.closed;
    const third = await dialServer(at);
    third.socket.write(Buffer.concat([Buffer.from('ffffffff01', 'hex'), Buffer.from(text('garbage'))]));
    await third.closed;
  }

  async function administer(): Promise<void> {
    const server = async (input: string, ...words: string[]): Promise<void> => {
      const { code, stdout, stderr } = await runProcess([SERVER_MAIN, ...words, '--data', cast.data], { input });
      expect(code, words.join(' ')).to.equal(0);
      said.push(stdout, stderr);
    };
    await server(`${CHANGED}\n`, 'user', 'passwd', 'carol');
    await server('', 'status', '--json');
    await server('', 'user', 'unlock', 'carol');
    await server('', 'user', 'list');
    await server('', 'kick', 'alice');
    await Promise.all(['alice', 'bob'].map((name) => cast.person(name, '').leave()));
    await cast.stop();
    for (const entry of readdirSync(cast.folder, { recursive: true, withFileTypes: true })) {
      if (!entry.isFile()) continue;
      const path = join(entry.parentPath, entry.name);
      written.set(relative(cast.folder, path), readFileSync(path, 'latin1'));
    }
  }

  /** What anybody on the machine sees of running processes, where the system shows it. */
  function noteArguments(...pids: number[]): void {
    for (const pid of pids) {
      try {
        arguments_.push(readFileSync(`/proc/${pid}/cmdline`, 'utf8'));
      } catch {
        // Gone, or not on Linux.
      }
    }
  }

  const holding = (secret: string): string[] =>
    [...written].filter(([, bytes]) => bytes.includes(secret)).map(([path]) => path);
  const isMessageStore = (path: string): boolean => /^data\/parley\.db(-wal|-shm)?$/.test(path);
  const isHome = (path: string): boolean => /^(alice|bob)-home\//.test(path) && !path.endsWith('.log');

  it('the conversation is there to be found', () => {
    expect(holding(text('message')).some(isMessageStore)).to.equal(true);
    expect(holding(text('group')).some(isMessageStore)).to.equal(true);
    expect(holding(text('private')).some(isHome)).to.equal(true);
    expect(cast.serverLog).to.contain('"user":"carol"').and.contain('kicked by the operator');
    expect(tokens.map((token) => token.length)).to.deep.equal([43, 43]);
  });

  it('passwords are in the file that they were written to by hand, and nowhere else', () => {
    for (const password of Object.values(PASSWORDS)) expect(holding(password)).to.deep.equal(['Credentials.txt']);
    for (const password of [WRONG, CHANGED]) expect(holding(password)).to.deep.equal([]);
    expect(cast.serverLog).not.to.contain('Pw-canary');
    expect(said.join('\n')).not.to.contain('Pw-canary');
    expect(arguments_.join('\n')).not.to.contain('Pw-canary');
  });

  it('texts are in the server’s database and in homes, private ones in homes only, refused ones nowhere on the server', () => {
    for (const [path, bytes] of written) {
      if (!isMessageStore(path) && !isHome(path)) expect(bytes, path).not.to.contain('Text-canary');
    }
    expect(holding(text('private')).filter((path) => !isHome(path))).to.deep.equal([]);
    for (const kind of ['refused', 'blocked', 'malformed', 'broken', 'garbage', 'broadcast to nobody', 'token']) {
      expect(
        holding(text(kind)).filter((path) => !isHome(path)),
        kind,
      ).to.deep.equal([]);
    }
    expect(cast.serverLog).not.to.contain('canary');
    expect(said.join('\n')).not.to.contain('Text-canary');
  });

  it('resume tokens are nowhere', () => {
    for (const token of tokens) {
      expect(holding(token)).to.deep.equal([]);
      expect(cast.serverLog + said.join('\n')).not.to.contain(token);
    }
  });

  it('private keys are in their own file, for their user alone', () => {
    const keys = [...written].flatMap(([path, bytes]) =>
      [...bytes.matchAll(/-----BEGIN (?:EC )?PRIVATE KEY-----\n([^-]+)/g)].map(([, key = '']) => ({ path, key })),
    );
    expect(keys.map(({ path }) => path).sort()).to.deep.equal([
      'alice-home/identity.pem',
      'bob-home/identity.pem',
      'data/server.key.pem',
    ]);
    for (const { path, key } of keys) {
      for (const line of key.trim().split('\n')) {
        expect(holding(line)).to.deep.equal([path]);
        expect(cast.serverLog + said.join('\n')).not.to.contain(line);
      }
    }
  });

  it('the log is one JSON object a line, with no more than names, addresses, counts, codes and reasons', () => {
    const fields = new Set<string>();
    for (const line of cast.serverLog.trim().split('\n')) {
      for (const name of Object.keys(JSON.parse(line) as object)) fields.add(name);
    }
    expect([...fields].filter((name) => /text|password|token|key|body|secret/i.test(name))).to.deep.equal([]);
  });
});
