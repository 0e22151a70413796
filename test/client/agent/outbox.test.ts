/** The outbox at a real server and at one that does what a test tells it to. */
import { expect } from 'chai';
import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { startAgent } from '../../../src/client/agent/agent.js';
import type { Agent, AgentOptions } from '../../../src/client/agent/agent.js';
import { MAX_OUTBOX_ENTRIES, OUTBOX_FILE, OutboxEntries } from '../../../src/client/agent/outboxentries.js';
import { RETRY_PAUSES_MS } from '../../../src/client/agent/retry.js';
import { agentCommands } from '../../../src/protocol/commands/agent.js';
import { serverCommands } from '../../../src/protocol/commands/server.js';
import type { Connection } from '../../../src/protocol/connection.js';
import { ParleyError } from '../../../src/protocol/errors.js';
import { refusal } from '../../support/refusal.js';
import { FakeClock } from '../../support/fakeclock.js';
import { ScriptedServer, sessionStart } from './scriptedserver.js';
import type { Script } from './scriptedserver.js';
import { Cleanup, Heard, connectFace, hurriedClock, until } from './support.js';

const { message, broadcast, join_group: joinGroup, block, whoelse } = serverCommands;

interface Sent {
  readonly id: string;
  readonly number: number;
  readonly text: string;
}

describe('client/agent outbox', () => {
  const cleanup = new Cleanup();
  afterEach(() => cleanup.run());

  const answered = ({ id }: Sent): object => ({ id, delivered: true });

  async function serverWith(script: Script): Promise<ScriptedServer> {
    const start = sessionStart('alice', { nextNumber: 1 });
    const server = await ScriptedServer.start({ login: start, resume: start, message: answered, ...script });
    cleanup.add(() => server.stop());
    return server;
  }

  async function agentAt(
    home: string,
    server: ScriptedServer,
    options: Partial<AgentOptions> = {},
  ): Promise<{ agent: Agent; face: Connection }> {
    const listen = { host: '127.0.0.1', port: 0 };
    const agent = await startAgent({ home, listen, random: () => 0, clock: hurriedClock(20), ...options });
    cleanup.add(() => agent.close());
    await agent.login({ server: server.address, user: 'alice', password: 'secret' });
    return { agent, face: await connectFace(home) };
  }

  const sent = (server: ScriptedServer, command = 'message'): Sent[] =>
    server.calls.filter((call) => call.command === command).map(({ params }) => params as Sent);

  it('numbers messages of all kinds without a gap, in the order they were given', async () => {
    const server = await serverWith({ broadcast: ({ id }: Sent) => ({ id, recipients: [], blockedBy: 0 }) });
    const { face } = await agentAt(await cleanup.folder(), server);
    const texts = Array.from({ length: 150 }, (_, n) => `text ${n}`);
    await Promise.all(
      texts.map((text, n) =>
        n % 3 === 0 ? face.call(broadcast, { text }) : face.call(message, { user: 'bob', text }),
      ),
    );
    const calls = server.calls.filter(({ command }) => command === 'message' || command === 'broadcast');
    expect(calls.map(({ params }) => (params as Sent).text)).to.deep.equal(texts);
    expect(calls.map(({ params }) => (params as Sent).number)).to.deep.equal(texts.map((_, n) => n + 1));
    expect(new Set(calls.map(({ params }) => (params as Sent).id)).size).to.equal(texts.length);
  });

  it('sends nothing before it is kept', async () => {
    const home = await cleanup.folder();
    const early: string[] = [];
    const server = await serverWith({
      message: (params: Sent) => {
        if (!readFileSync(join(home, OUTBOX_FILE), 'utf8').includes(params.id)) early.push(params.text);
        return answered(params);
      },
    });
    const { face } = await agentAt(home, server);
    // One after the other while others are on their way: those must not go out with them before they are written down.
    const calls: Promise<unknown>[] = [];
    for (let n = 0; n < 200; n++) {
      calls.push(face.call(message, { user: 'bob', text: `text ${n}` }));
      await new Promise(setImmediate);
    }
    await Promise.all(calls);
    expect(early).to.deep.equal([]);
  });

  it('counts anew from what the server expects, with the same ids and in the same order', async () => {
    let next = 5;
    const server = await serverWith({
      message: (params: Sent) => {
        if (params.number !== next) throw new ParleyError('OUT_OF_ORDER', { expected: next });
        next += 1;
        return answered(params);
      },
    });
    const { face } = await agentAt(await cleanup.folder(), server);
    const texts = ['one', 'two', 'three', 'four'];
    const results = await Promise.all(texts.map((text) => face.call(message, { user: 'bob', text })));
    const stored = sent(server).filter(({ number }) => number >= 5);
    const last = stored.slice(-4);
    expect(last.map(({ text, number }) => [text, number])).to.deep.equal(texts.map((text, n) => [text, n + 5]));
    expect(last.map(({ id }) => id)).to.deep.equal(results.map(({ id }) => id));
  });

  it('says plainly after five more tries that it stays, and sends it when the server is back', async () => {
    const server = await serverWith({});
    const { face } = await agentAt(await cleanup.folder(), server);
    await server.stop();
    const error = await refusal(face.call(message, { user: 'bob', text: 'hi' }));
    expect([error.code, error.exitCode]).to.deep.equal(['SERVER_UNREACHABLE', 3]);
    expect(error.message).to.include('stays in the outbox');
    await server.listen();
    await server.called('message');
    expect(sent(server).map(({ text }) => text)).to.deep.equal(['hi']);
  });

  it('tells who listens when what was to go out later is refused, and sends again what was only refused for now', async () => {
    let busy = 2;
    const server = await serverWith({
      message: (params: Sent) => {
        if (busy-- > 0) throw new ParleyError('SERVER_BUSY');
        if (params.text === 'too much') throw new ParleyError('INBOX_FULL', { user: 'bob' });
        return answered(params);
      },
    });
    const { face } = await agentAt(await cleanup.folder(), server);
    const heard = new Heard(face);
    await heard.attached;
    await server.stop();
    for (const text of ['too much', 'fine']) {
      expect((await refusal(face.call(message, { user: 'bob', text }))).code).to.equal('SERVER_UNREACHABLE');
    }
    await server.listen();
    const notice = await heard.notice('MESSAGE_REFUSED');
    expect('text' in notice && notice.text).to.include('the inbox of bob is full');
    await until(() => sent(server).at(-1)?.text === 'fine');
    // Asked for once more it is refused, and not sent again.
    expect((await refusal(face.call(message, { user: 'bob', text: 'too much' }))).code).to.equal('INBOX_FULL');
  });

  it('asks five more times, with growing pauses, when the server says nothing', async () => {
    const server = await serverWith({ message: () => new Promise<object>(() => undefined) });
    const clock = new FakeClock();
    const { face } = await agentAt(await cleanup.folder(), server, { clock });
    const failed = refusal(face.call(message, { user: 'bob', text: 'hi' }));
    let done = false;
    void failed.then(() => (done = true));
    await until(async () => {
      await clock.advance(500);
      return done;
    }, 20_000);
    expect((await failed).exitCode).to.equal(3);
    const tries = sent(server);
    expect(tries).to.have.lengthOf(RETRY_PAUSES_MS.length + 1);
    expect(new Set(tries.map(({ id }) => id)).size).to.equal(1);
  });

  it('takes the same command up again when nobody was told of it, and makes a second message afterwards', async () => {
    const server = await serverWith({});
    const { face } = await agentAt(await cleanup.folder(), server);
    await server.stop();
    await refusal(face.call(message, { user: 'bob', text: 'hi' }));
    await server.listen();
    await server.called('message');
    await until(() => server.calls.length > 0);
    const { id } = await face.call(message, { user: 'bob', text: 'hi' });
    expect(new Set(sent(server).map((each) => each.id))).to.deep.equal(new Set([id]));
    const second = await face.call(message, { user: 'bob', text: 'hi' });
    expect(second.id).not.to.equal(id);
  });

  it('does not send what was interrupted before anybody could have got it', async () => {
    const server = await serverWith({});
    const { face } = await agentAt(await cleanup.folder(), server);
    await server.stop();
    await until(async () => !(await face.call(agentCommands.status, {})).online);
    const abort = new AbortController();
    const call = refusal(face.call(message, { user: 'bob', text: 'never mind' }, { signal: abort.signal }));
    await face.call(agentCommands.status, {});
    abort.abort(new ParleyError('CANCELLED'));
    await call;
    await server.listen();
    const { id } = await face.call(message, { user: 'bob', text: 'this' });
    expect(sent(server).map((each) => [each.text, each.id])).to.deep.equal([['this', id]]);
  });

  it('sends what an agent that was killed had not been answered, in order and with the same ids', async () => {
    const home = await cleanup.folder();
    const silent = await serverWith({ message: () => new Promise<object>(() => undefined) });
    const { agent, face } = await agentAt(home, silent);
    const texts = ['one', 'two', 'three'];
    const calls = texts.map((text) => refusal(face.call(message, { user: 'bob', text })));
    await silent.called('message', 3);
    const ids = sent(silent).map(({ id }) => id);
    await agent.close();
    await Promise.all(calls);
    silent.script.message = answered;
    silent.calls.length = 0;
    await agentAt(home, silent);
    await silent.called('message', 3);
    expect(sent(silent).map(({ text }) => text)).to.deep.equal(texts);
    expect(sent(silent).map(({ id }) => id)).to.deep.equal(ids);
  });

  it('keeps accounts apart', async () => {
    const home = await cleanup.folder();
    const entries = await OutboxEntries.open(home);
    await entries.add('carol@elsewhere:1', 1, 'message', { user: 'bob', text: 'not alice’s' }, Date.now());
    await entries.close();
    const server = await serverWith({});
    const { face } = await agentAt(home, server);
    await face.call(message, { user: 'bob', text: 'alice’s' });
    expect(sent(server).map(({ text }) => text)).to.deep.equal(['alice’s']);
    expect(await readFile(join(home, OUTBOX_FILE), 'utf8')).to.include('not alice’s');
  });

  it('is bounded', async () => {
    const entries = await OutboxEntries.open(await cleanup.folder());
    cleanup.add(() => entries.close());
    const add = (n: number): Promise<unknown> => entries.add('alice@here', n, 'message', { user: 'bob', text: 'x' }, 0);
    await Promise.all(Array.from({ length: MAX_OUTBOX_ENTRIES }, (_, n) => add(n + 1)));
    const error = await refusal(add(MAX_OUTBOX_ENTRIES + 1));
    expect([error.code, error.message.includes('outbox is full')]).to.deep.equal(['SERVER_UNREACHABLE', true]);
  });

  describe('and other requests without an answer', () => {
    it('are asked again on the next connection', async () => {
      let calls = 0;
      const server = await serverWith({
        whoelse: (_: unknown, connection) => {
          calls += 1;
          if (calls < 3) connection.destroy();
          return { users: ['bob'] };
        },
      });
      const { face } = await agentAt(await cleanup.folder(), server);
      expect(await face.call(whoelse, {})).to.deep.equal({ users: ['bob'] });
      expect(calls).to.equal(3);
    });

    it('take "it is so already" for an answer the second time, but not the first', async () => {
      let calls = 0;
      const server = await serverWith({
        block: (_: unknown, connection) => {
          calls += 1;
          if (calls > 1) throw new ParleyError('ALREADY_BLOCKED', { user: 'Bob' });
          connection.destroy();
          return {};
        },
        join_group: new ParleyError('ALREADY_IN_GROUP', { group: 'skii' }),
      });
      const { face } = await agentAt(await cleanup.folder(), server);
      expect(await face.call(block, { user: 'bob' })).to.deep.equal({ user: 'Bob' });
      expect((await refusal(face.call(block, { user: 'bob' }))).code).to.equal('ALREADY_BLOCKED');
      expect((await refusal(face.call(joinGroup, { group: 'skii' }))).code).to.equal('ALREADY_IN_GROUP');
    });

    it('fail with exit code 3 in the end', async () => {
      const server = await serverWith({});
      const { face } = await agentAt(await cleanup.folder(), server);
      await server.stop();
      expect((await refusal(face.call(whoelse, {}))).exitCode).to.equal(3);
    });
  });
});
