/** CONTRACT section 5 and its commands, through real processes: one-shot, in a script and on a terminal. */
import { expect } from 'chai';
import type { ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import { Terminal } from '../client/support/terminal.js';
import { Cast } from '../support/cast.js';
import type { Person } from '../support/cast.js';

interface Heard {
  readonly type: string;
  readonly code?: string;
  readonly from?: string;
  readonly text?: string;
  readonly group?: string;
}

interface Message {
  readonly kind: string;
  readonly from: string;
  readonly to: string;
  readonly text: string;
  readonly unread: boolean;
}

/** What `client listen` prints. */
class Listener {
  readonly events: Heard[] = [];
  readonly #child: ChildProcess;
  #wake: () => void = () => undefined;

  constructor(person: Person) {
    this.#child = person.start('listen');
    if (this.#child.stdout === null) throw new Error('there is no output');
    createInterface({ input: this.#child.stdout }).on('line', (line) => {
      this.events.push(JSON.parse(line) as Heard);
      this.#wake();
    });
  }

  /** Waits until an event with this text came. */
  async hears(text: string): Promise<Heard> {
    for (;;) {
      const found = this.events.find((event) => event.text === text);
      if (found !== undefined) return found;
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }

  texts(type: string): (string | undefined)[] {
    return this.events.filter((event) => event.type === type).map(({ text }) => text);
  }
}

const PASSWORDS = { alice: 'wonderland-7', bob: 'builder-42', carol: 'sings a song', dave: 'is away' } as const;

describe('groups', function () {
  this.timeout(120_000);
  let cast: Cast;
  let alice: Person;
  let bob: Person;
  let carol: Person;
  let dave: Person;

  beforeEach(async () => {
    cast = new Cast(PASSWORDS);
    await cast.start();
    [alice, bob, carol, dave] = (['alice', 'bob', 'carol', 'dave'] as const).map((name) =>
      cast.person(name, PASSWORDS[name]),
    ) as [Person, Person, Person, Person];
    await Promise.all([alice, bob, carol].map((person) => person.ok('login')));
  });
  afterEach(() => cast.close());

  /** A listener that hears everything from now on. */
  async function listen(person: Person, teller: Person): Promise<Listener> {
    const listener = new Listener(person);
    for (let i = 0; listener.texts('message').length === 0; i++)
      await teller.ok('message', person.name, `are you there ${i}`);
    return listener;
  }

  const held = async (person: Person, ...words: string[]): Promise<Message[]> =>
    (await person.ok('leave_group', ...words))['held'] as Message[];

  it('answer every command in the form of the contract', async () => {
    expect(await alice.ok('create_group', 'exam')).to.deep.equal({ group: 'exam', mode: 'focus' });
    expect(await alice.ok('Create_Group', 'News', '--open')).to.deep.equal({ group: 'News', mode: 'open' });
    expect(await bob.ok('join_group', 'EXAM')).to.deep.equal({ group: 'exam', members: ['bob'] });
    expect(await alice.ok('join_group', 'exam')).to.deep.equal({ group: 'exam', members: ['alice', 'bob'] });
    expect(await carol.ok('list_groups')).to.deep.equal({
      groups: [
        { group: 'exam', mode: 'focus', members: 2 },
        { group: 'News', mode: 'open', members: 0 },
      ],
    });
    const sent = await alice.ok('send_group', 'who', 'has', 'question 3');
    expect(sent).to.have.keys('id', 'recipients');
    expect(sent['id']).to.match(/^[0-9a-f]{32}$/);
    expect(sent['recipients']).to.deep.equal(['bob']);
    expect(await bob.ok('list_members')).to.deep.equal({ group: 'exam', members: ['alice', 'bob'] });
    expect(await bob.ok('list_members', 'exam')).to.deep.equal({ group: 'exam', members: ['alice', 'bob'] });
    const { messages } = (await bob.ok('inbox', '--unread')) as { messages: Message[] };
    expect(messages).to.have.length(1);
    expect(messages[0]).to.deep.include({ kind: 'group', from: 'alice', to: 'exam', text: 'who has question 3' });
    expect(await alice.ok('leave_group')).to.deep.equal({ group: 'exam', held: [] });
    expect(await bob.ok('leave_group', 'exam')).to.deep.equal({ group: 'exam', held: [] });
    expect(await alice.ok('join_group', 'news')).to.deep.equal({ group: 'News', members: ['alice'] });
    expect((await alice.ok('send_group', '--group', 'NEWS', 'to nobody'))['recipients']).to.deep.equal([]);
  });

  it('refuse what cannot be, one-shot', async () => {
    const refusals = async (person: Person, ...steps: (readonly [string, ...string[]])[]): Promise<void> => {
      for (const [wanted, ...words] of steps) expect(await person.refused(...words), words.join(' ')).to.equal(wanted);
    };
    await refusals(
      alice,
      ['1 BAD_NAME', 'create_group', 'server'],
      ['1 BAD_NAME', 'create_group', 'a b'],
      ['1 BAD_NAME', 'create_group', 'x'.repeat(33)],
      ['2 USAGE', 'create_group'],
      ['2 USAGE', 'join_group'],
      ['2 USAGE', 'list_groups', 'extra'],
      ['1 NO_SUCH_GROUP', 'join_group', 'exam'],
      ['1 NOT_IN_GROUP', 'leave_group'],
      ['1 NOT_IN_GROUP', 'leave_group', 'exam'],
      ['1 NOT_IN_GROUP', 'list_members'],
      ['1 NOT_IN_GROUP', 'send_group', 'hi'],
      ['1 NOT_IN_GROUP', 'send_group', '--group', 'exam', 'hi'],
    );
    await alice.ok('create_group', 'exam');
    await alice.ok('create_group', 'other');
    for (const group of ['news', 'chess']) {
      await alice.ok('create_group', group, '--open');
      await alice.ok('join_group', group);
    }
    await refusals(
      alice,
      ['2 USAGE', 'send_group', 'to which'],
      ['2 USAGE', 'leave_group'],
      ['2 USAGE', 'list_members'],
    );
    await alice.ok('join_group', 'exam');
    await refusals(
      alice,
      ['1 GROUP_EXISTS', 'create_group', 'EXAM'],
      ['1 ALREADY_IN_GROUP', 'join_group', 'exam'],
      ['1 ALREADY_IN_GROUP', 'join_group', 'other'],
      ['1 ALREADY_IN_GROUP', 'join_group', 'news'],
      ['1 EMPTY_MESSAGE', 'send_group'],
      ['1 EMPTY_MESSAGE', 'send_group', ' '],
      ['1 MESSAGE_TOO_LONG', 'send_group', 'x'.repeat(16_385)],
      ['1 IN_FOCUS_GROUP', 'message', 'bob', 'hi'],
      ['1 IN_FOCUS_GROUP', 'send', 'bob', 'hi'],
      ['1 IN_FOCUS_GROUP', 'broadcast', 'hi'],
      ['1 IN_FOCUS_GROUP', 'broadcast', '--to', 'bob', 'hi'],
      ['1 IN_FOCUS_GROUP', 'broadcast', 'user', 'bob,carol', 'hi'],
      ['1 IN_FOCUS_GROUP', 'send_group', '--group', 'news', 'hi'],
      ['1 IN_FOCUS_GROUP', 'startprivate', 'bob'],
      ['1 IN_FOCUS_GROUP', 'private', 'bob', 'hi'],
    );
    expect((await alice.ok('send_group', 'only inside'))['recipients']).to.deep.equal([]);
    expect((await bob.ok('inbox'))['messages'], 'nothing came out').to.deep.equal([]);
  });

  it('do and refuse the same in the shell', async () => {
    const run = async (person: Person, ...steps: (readonly [line: string, refusal: string])[]): Promise<object[]> => {
      const { stdout, stderr } = await person.shell(...steps.map(([line]) => line.replace(/^\S+/, '$& --json')));
      const refusals = [...stderr.matchAll(/^\{"error":\{"code":"(\w+)"/gm)].map(([, code]) => code);
      expect(refusals, stderr).to.deep.equal(steps.map(([, code]) => code).filter((code) => code !== ''));
      const lines = stdout.split('\n').filter((line) => line.startsWith('{') && !line.startsWith('{"type"'));
      return lines.map((line) => JSON.parse(line) as object);
    };
    const results = await run(
      alice,
      ['create_group exam', ''],
      ['create_group Exam', 'GROUP_EXISTS'],
      ['create_group all', 'BAD_NAME'],
      ['create_group news --open', ''],
      ['create_group', 'USAGE'],
      ['list_groups', ''],
      ['join_group nowhere', 'NO_SUCH_GROUP'],
      ['leave_group', 'NOT_IN_GROUP'],
      ['list_members', 'NOT_IN_GROUP'],
      ['send_group hi', 'NOT_IN_GROUP'],
      ['join_group news', ''],
      ['join_group exam', ''],
      ['join_group exam', 'ALREADY_IN_GROUP'],
      ['send_group', 'EMPTY_MESSAGE'],
      ['send_group  two  spaces', ''],
      ['message bob hi', 'IN_FOCUS_GROUP'],
      ['broadcast hi', 'IN_FOCUS_GROUP'],
      ['startprivate bob', 'IN_FOCUS_GROUP'],
      ['send_group --group news hi', 'IN_FOCUS_GROUP'],
      ['list_members', ''],
      ['leave_group', ''],
      ['leave_group', ''],
      ['message bob out again', ''],
    );
    expect(results).to.have.length(10);
    expect(results[2]).to.deep.equal({
      groups: [
        { group: 'exam', mode: 'focus', members: 0 },
        { group: 'news', mode: 'open', members: 0 },
      ],
    });
    expect(results[6]).to.deep.equal({ group: 'exam', members: ['alice'] });
    expect(results.slice(7, 9)).to.deep.equal([
      { group: 'exam', held: [] },
      { group: 'news', held: [] },
    ]);
  });

  it('hold what comes from outside, say so, and show it in order on leaving', async () => {
    await alice.ok('create_group', 'exam');
    const listener = await listen(bob, carol);
    await bob.ok('inbox');
    await bob.ok('join_group', 'exam');
    await alice.ok('join_group', 'exam');
    await listener.hears('[alice joined group exam]');
    const before = listener.texts('message').length;
    expect((await carol.ok('message', 'bob', 'first'))['delivered']).to.equal(false);
    expect(await listener.hears('1 message held: carol')).to.include({ type: 'notice', code: 'MESSAGES_HELD' });
    await dave.ok('login');
    await dave.ok('message', 'bob', 'second');
    await listener.hears('2 messages held: carol, dave');
    await alice.ok('send_group', 'inside');
    await carol.ok('broadcast', 'third');
    await dave.ok('message', 'bob', 'fourth');
    await listener.hears('inside');
    await listener.hears('4 messages held: carol, dave');
    expect(listener.texts('message').length, 'nothing from outside').to.equal(before);
    expect(listener.texts('broadcast')).to.deep.equal([]);
    const messages = await held(bob);
    expect(messages.map(({ kind, from, text }) => [kind, from, text])).to.deep.equal([
      ['message', 'carol', 'first'],
      ['message', 'dave', 'second'],
      ['broadcast', 'carol', 'third'],
      ['message', 'dave', 'fourth'],
    ]);
    for (const message of messages) {
      expect(message).to.have.keys('id', 'kind', 'from', 'to', 'text', 'sentAt', 'unread');
    }
    // Shown now: not once more as unread, and in the history for good.
    const { messages: unread } = (await bob.ok('inbox', '--unread')) as { messages: Message[] };
    expect(unread.map(({ text }) => text)).to.deep.equal(['inside']);
    const { messages: all } = (await bob.ok('inbox', '--limit', '5')) as { messages: Message[] };
    expect(all.map(({ text }) => text)).to.deep.equal(['first', 'second', 'inside', 'third', 'fourth']);
    await carol.ok('message', 'bob', 'free again');
    await listener.hears('free again');
  });

  it('remove who leaves without a word, and tell the others', async () => {
    await alice.ok('create_group', 'skii');
    const listener = await listen(alice, carol);
    await alice.ok('join_group', 'skii');
    await bob.ok('join_group', 'skii');
    await listener.hears('[bob joined group skii]');
    process.kill(bob.agentPid, 'SIGKILL');
    const notice = await listener.hears('[bob not responsive, removed from group skii]');
    expect(notice).to.include({ type: 'notice', code: 'GROUP_REMOVED', group: 'skii' });
    expect((await alice.ok('list_members'))['members']).to.deep.equal(['alice']);
    expect(await bob.refused('list_members', 'skii')).to.equal('1 NOT_IN_GROUP');
  });

  it('remove who does not answer any more', async () => {
    await alice.ok('create_group', 'skii');
    const listener = await listen(alice, carol);
    await alice.ok('join_group', 'skii');
    await bob.ok('join_group', 'skii');
    process.kill(bob.agentPid, 'SIGSTOP');
    try {
      await alice.ok('send_group', 'anybody here');
      await listener.hears('[bob not responsive, removed from group skii]');
    } finally {
      process.kill(bob.agentPid, 'SIGCONT');
    }
  });

  it('are left by logging out, when they are focus groups; open ones keep messages for who is away', async () => {
    await alice.ok('create_group', 'exam');
    await alice.ok('create_group', 'news', '--open');
    const listener = await listen(alice, carol);
    for (const person of [alice, bob]) {
      await person.ok('join_group', 'news');
      await person.ok('join_group', 'exam');
    }
    await bob.ok('dereg');
    await listener.hears('[bob left group exam]');
    expect((await alice.ok('list_members', 'news'))['members']).to.deep.equal(['alice', 'bob']);
    await alice.ok('leave_group');
    expect((await alice.ok('send_group', 'the talk is at five'))['recipients']).to.deep.equal(['bob']);
    const { messages } = (await bob.ok('inbox', '--unread')) as { messages: Message[] };
    expect(messages.map(({ kind, from, to, text }) => [kind, from, to, text])).to.deep.equal([
      ['group', 'alice', 'news', 'the talk is at five'],
    ]);
    expect((await bob.ok('list_members'))['group'], 'the only one').to.equal('news');
  });

  it('are kept, with what they hold, when the server is killed and comes back', async () => {
    await alice.ok('create_group', 'exam');
    const listener = await listen(alice, carol);
    await alice.ok('join_group', 'exam');
    await bob.ok('join_group', 'exam');
    await carol.ok('message', 'bob', 'before');
    await cast.stop('SIGKILL');
    await cast.start();
    for (const person of [alice, bob, carol]) while ((await person.ok('status'))['online'] !== true);
    expect((await alice.ok('list_members'))['members']).to.deep.equal(['alice', 'bob']);
    await carol.ok('message', 'bob', 'after');
    expect((await alice.ok('send_group', 'still here'))['recipients']).to.deep.equal(['bob']);
    expect(await bob.refused('message', 'carol', 'x')).to.equal('1 IN_FOCUS_GROUP');
    expect((await held(bob)).map(({ text }) => text)).to.deep.equal(['before', 'after']);
    await listener.hears('[bob left group exam]');
    expect(listener.events.map(({ code }) => code)).not.to.include('GROUP_REMOVED');
  });

  it('show on a terminal who comes, what is held, and all of it on leaving', async () => {
    await alice.ok('create_group', 'exam');
    const terminal = new Terminal(bob.home, [], {
      PARLEY_USER: 'bob',
      PARLEY_PASSWORD: PASSWORDS.bob,
      PARLEY_SERVER: cast.address,
      NO_COLOR: '1',
    });
    try {
      await terminal.shows(/> ?$/);
      terminal.type('join_group exam\r');
      await terminal.shows('in group exam: bob');
      await alice.ok('join_group', 'exam');
      await terminal.shows('[alice joined group exam]');
      terminal.type('send_group half a li');
      await carol.ok('message', 'bob', 'from outside');
      await terminal.shows('1 message held: carol');
      await carol.ok('message', 'bob', 'once more');
      await terminal.shows('2 messages held: carol');
      expect(terminal.display.text).not.to.contain('from outside');
      terminal.type('ne\r');
      await terminal.shows('sent to 1 member: alice');
      terminal.type('leave_group\r');
      await terminal.shows(/left group exam[\s\S]*carol: from outside[\s\S]*carol: once more/);
      terminal.type('exit\r');
      expect(await terminal.ended).to.equal(0);
      const { messages } = (await alice.ok('inbox', '--unread')) as { messages: Message[] };
      expect(messages.map(({ text }) => text)).to.deep.equal(['half a line']);
    } finally {
      terminal.close();
    }
  });
});
