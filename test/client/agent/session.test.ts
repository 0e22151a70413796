import { expect } from 'chai';
import { mkdir, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { startAgent } from '../../../src/client/agent/agent.js';
import type { Agent, AgentOptions } from '../../../src/client/agent/agent.js';
import { controlSocketPath } from '../../../src/client/agent/socketpath.js';
import { formatFingerprint, makeIdentity } from '../../../src/protocol/certificate.js';
import { agentCommands } from '../../../src/protocol/commands/agent.js';
import { serverCommands } from '../../../src/protocol/commands/server.js';
import { ParleyError } from '../../../src/protocol/errors.js';
import { refusal } from '../../support/refusal.js';
import { FakeClock } from '../../support/fakeclock.js';
import { People } from './people.js';
import { ScriptedServer, pushed, sessionStart } from './scriptedserver.js';
import type { Script } from './scriptedserver.js';
import { Cleanup, Heard, connectFace, hurriedClock, until } from './support.js';

/** Of each attempt: not a pause. */
const CONNECT_DEADLINE_MS = 10_000;

describe('client/agent session', () => {
  const cleanup = new Cleanup();
  afterEach(() => cleanup.run());

  async function serverWith(script: Script): Promise<ScriptedServer> {
    const server = await ScriptedServer.start({ login: sessionStart(), resume: sessionStart(), ...script });
    cleanup.add(() => server.stop());
    return server;
  }

  async function agentAt(home: string, options: Partial<AgentOptions> = {}): Promise<Agent> {
    const agent = await startAgent({
      home,
      listen: { host: '127.0.0.1', port: 0 },
      random: () => 0,
      clock: hurriedClock(10),
      ...options,
    });
    cleanup.add(() => agent.close());
    return agent;
  }

  const loginTo = (server: ScriptedServer, user = 'alice'): { server: string; user: string; password: string } => ({
    server: server.address,
    user,
    password: 'secret',
  });

  it('logs in for a face, and says who and where it is', async () => {
    const server = await serverWith({ login: sessionStart('Alice') });
    const home = await cleanup.folder();
    await agentAt(home);
    const face = await connectFace(home);
    expect(await face.call(agentCommands.status, {})).to.deep.include({ user: null, server: null, online: false });
    expect(await face.call(agentCommands.login, loginTo(server))).to.deep.equal({ user: 'Alice' });
    expect(await face.call(agentCommands.status, {})).to.deep.include({
      user: 'Alice',
      server: server.address,
      online: true,
    });
    const again = await refusal(face.call(agentCommands.login, loginTo(server, 'bob')));
    expect(again.code).to.equal('ALREADY_LOGGED_IN');
    expect(again.exitCode).to.equal(4);
  });

  it('answers commands before login with LOGIN_REQUIRED', async () => {
    const home = await cleanup.folder();
    await agentAt(home);
    const face = await connectFace(home);
    for (const call of [
      face.call(serverCommands.whoelse, {}),
      face.call(agentCommands.inbox, {}),
      face.call(serverCommands.message, { user: 'bob', text: 'hi' }),
    ]) {
      expect((await refusal(call)).code).to.equal('LOGIN_REQUIRED');
    }
  });

  it('shares one login between faces that ask at once', async () => {
    const server = await serverWith({});
    const home = await cleanup.folder();
    await agentAt(home);
    const faces = await Promise.all([connectFace(home), connectFace(home)]);
    const results = await Promise.all(faces.map((face) => face.call(agentCommands.login, loginTo(server))));
    expect(results).to.deep.equal([{ user: 'alice' }, { user: 'alice' }]);
    expect(server.calls.filter(({ command }) => command === 'login')).to.have.length(1);
  });

  it('hands on the server’s refusal of a login, and may be asked again', async () => {
    const server = await serverWith({ login: new ParleyError('LOCKED_OUT', { retryAfterSeconds: 7 }) });
    const home = await cleanup.folder();
    await agentAt(home);
    const face = await connectFace(home);
    const error = await refusal(face.call(agentCommands.login, loginTo(server)));
    expect(error.code).to.equal('LOCKED_OUT');
    expect(error.details).to.deep.equal({ retryAfterSeconds: 7 });
    server.script.login = sessionStart();
    await face.call(agentCommands.login, loginTo(server));
  });

  it('says SERVER_UNREACHABLE where nothing listens, and where no server is', async () => {
    const home = await cleanup.folder();
    await agentAt(home);
    const face = await connectFace(home);
    const server = await serverWith({});
    await server.stop();
    const refused = await refusal(face.call(agentCommands.login, loginTo(server)));
    expect(refused.code).to.equal('SERVER_UNREACHABLE');
    expect(refused.details['reason']).to.equal('nothing listens there');
    const plain = createServer((socket) => {
      socket.on('error', () => undefined);
      socket.resume();
      socket.end('HTTP/1.1 400 Bad Request\r\n\r\n');
    });
    await new Promise<void>((resolve) => plain.listen(0, '127.0.0.1', resolve));
    cleanup.add(() => new Promise((resolve) => plain.close(resolve)));
    const { port } = plain.address() as { port: number };
    const foreign = await refusal(
      face.call(agentCommands.login, { server: `127.0.0.1:${port}`, user: 'alice', password: 'secret' }),
    );
    expect(foreign.code).to.equal('SERVER_UNREACHABLE');
    const usage = await refusal(face.call(agentCommands.login, { server: 'nowhere', user: 'a', password: 'b' }));
    expect(usage.exitCode).to.equal(2);
  });

  it('refuses a server whose key changed before it says anything, until the fingerprint is given', async () => {
    const server = await serverWith({});
    const home = await cleanup.folder();
    const agent = await agentAt(home);
    await agent.login(loginTo(server));
    await agent.close();
    await server.stop();
    server.identity = await makeIdentity('other');
    await server.listen();
    server.calls.length = 0;
    await agentAt(home);
    const face = await connectFace(home);
    const changed = await refusal(face.call(agentCommands.login, loginTo(server)));
    expect(changed.code).to.equal('KEY_CHANGED');
    expect(changed.exitCode).to.equal(4);
    expect(server.calls).to.deep.equal([]);
    const wrong = (await makeIdentity('third')).fingerprint;
    const preset = await refusal(face.call(agentCommands.login, { ...loginTo(server), fingerprint: wrong }));
    expect(preset.code).to.equal('KEY_CHANGED');
    expect(server.calls).to.deep.equal([]);
    const { fingerprint } = server.identity;
    expect(formatFingerprint(fingerprint)).to.match(/^SHA256:/);
    await face.call(agentCommands.login, { ...loginTo(server), fingerprint });
  });

  it('ends when a key changes while it reconnects', async () => {
    const server = await serverWith({});
    const home = await cleanup.folder();
    const agent = await agentAt(home);
    await agent.login(loginTo(server));
    const heard = new Heard(await connectFace(home));
    await heard.attached;
    await server.stop();
    server.identity = await makeIdentity('other');
    await server.listen();
    expect((await agent.ended)?.code).to.equal('KEY_CHANGED');
    expect(await heard.ended)
      .to.be.instanceOf(ParleyError)
      .with.property('code', 'KEY_CHANGED');
  });

  it('resumes with its token when the server is back, and tells faces', async () => {
    const server = await serverWith({ resume: sessionStart('alice', { token: 'token-2' }) });
    const home = await cleanup.folder();
    const agent = await agentAt(home);
    await agent.login(loginTo(server));
    const face = await connectFace(home);
    const heard = new Heard(face);
    await face.call(agentCommands.status, {});
    await server.stop();
    await heard.notice('CONNECTION_LOST');
    const away = await refusal(face.call(serverCommands.whoelse, {}));
    expect(away.code).to.equal('SERVER_UNREACHABLE');
    expect(away.exitCode).to.equal(3);
    expect(await face.call(agentCommands.status, {})).to.deep.include({ user: 'alice', online: false });
    await server.listen();
    await heard.notice('CONNECTION_RESTORED');
    server.script.whoelse = { users: ['bob'] };
    expect(await face.call(serverCommands.whoelse, {})).to.deep.equal({ users: ['bob'] });
    await server.restart();
    await until(() => server.calls.filter(({ command }) => command === 'resume').length === 2);
    expect(server.calls.filter(({ command }) => command === 'resume').map(({ params }) => params)).to.deep.equal([
      { token: 'token-1' },
      { token: 'token-2' },
    ]);
  });

  it('waits longer and longer, with jitter, between attempts to reconnect', async () => {
    const server = await serverWith({});
    const clock = new FakeClock();
    const delays: number[] = [];
    const after = clock.after.bind(clock);
    const home = await cleanup.folder();
    const agent = await agentAt(home, { clock, random: () => 0.5 });
    await agent.login(loginTo(server));
    clock.after = (delayMs, task) => {
      if (delayMs !== CONNECT_DEADLINE_MS) delays.push(delayMs);
      return after(delayMs, task);
    };
    await server.stop();
    await until(async () => {
      await clock.advance(250);
      return delays.length >= 6;
    });
    expect(delays.slice(0, 6)).to.deep.equal([750, 1_250, 2_250, 4_250, 5_250, 5_250]);
  });

  it('ends, with the reason, when the server ended the session', async () => {
    const server = await serverWith({});
    const home = await cleanup.folder();
    const agent = await agentAt(home);
    await agent.login(loginTo(server));
    const face = await connectFace(home);
    const heard = new Heard(face);
    await face.call(agentCommands.status, {});
    server.connection.sendEvent({
      type: 'notice',
      code: 'LOGGED_OUT_IDLE',
      from: 'server',
      text: 'idle',
      at: '2030-01-01T00:00:00.000Z',
    });
    await server.connection.close(new ParleyError('LOGIN_REQUIRED'));
    expect((await agent.ended)?.code).to.equal('LOGIN_REQUIRED');
    await heard.ended;
    expect(heard.all.map((event) => event.type === 'notice' && event.code)).to.deep.equal(['LOGGED_OUT_IDLE']);
    expect((await face.closed)?.code).to.equal('LOGIN_REQUIRED');
  });

  it('ends when its token is refused', async () => {
    const server = await serverWith({ resume: new ParleyError('LOGIN_REQUIRED') });
    const home = await cleanup.folder();
    const agent = await agentAt(home);
    await agent.login(loginTo(server));
    await server.restart();
    expect((await agent.ended)?.code).to.equal('LOGIN_REQUIRED');
  });

  it('shows each pushed message once, in order, and acknowledges what it took', async () => {
    const server = await serverWith({
      login: sessionStart('alice', { acknowledged: 2 }),
      resume: (_: unknown, connection) => {
        setImmediate(() => [3, 4, 5, 6].forEach((position) => connection.sendEvent(pushed(position))));
        return sessionStart('alice', { acknowledged: 2 });
      },
    });
    const home = await cleanup.folder();
    const agent = await agentAt(home);
    const face = await connectFace(home);
    const heard = new Heard(face);
    await agent.login(loginTo(server));
    [3, 4, 4].forEach((position) => server.connection.sendEvent(pushed(position)));
    await server.called('acknowledge');
    await server.restart();
    await heard.find((event) => event.type === 'message' && event.position === 6);
    const shown = heard.all.flatMap((event) => (event.type === 'message' ? [event.position] : []));
    expect(shown).to.deep.equal([3, 4, 5, 6]);
    const acknowledged = (): number[] =>
      server.calls
        .filter(({ command }) => command === 'acknowledge')
        .map(({ params }) => (params as { position: number }).position);
    await until(() => acknowledged().at(-1) === 6);
    expect(acknowledged()).to.deep.equal([...acknowledged()].sort((a, b) => a - b));
  });

  it('sends a message once more, with the same id, when the connection breaks under it', async () => {
    let calls = 0;
    const server = await serverWith({
      message: ({ id }: { id: string }, connection) => {
        calls += 1;
        if (calls === 1) connection.destroy();
        return { id, delivered: true };
      },
    });
    const home = await cleanup.folder();
    const agent = await agentAt(home);
    await agent.login(loginTo(server));
    const face = await connectFace(home);
    const { id } = await face.call(serverCommands.message, { user: 'bob', text: 'hi' });
    const sent = server.calls.filter(({ command }) => command === 'message');
    expect(sent.map(({ params }) => (params as { id: string }).id)).to.deep.equal([id, id]);
  });

  it('tries to come back at once for who waits', async () => {
    const server = await serverWith({ message: ({ id }: { id: string }) => ({ id, delivered: true }) });
    const home = await cleanup.folder();
    // Stands still: no pause ends by itself.
    const agent = await agentAt(home, { clock: new FakeClock() });
    await agent.login(loginTo(server));
    const face = await connectFace(home);
    for (const ask of [
      () => face.call(serverCommands.message, { user: 'bob', text: 'hi' }),
      () => face.call(serverCommands.whoelse, {}),
    ]) {
      await server.stop();
      await until(async () => !(await face.call(agentCommands.status, {})).online);
      await server.listen();
      server.script.whoelse = { users: [] };
      await ask();
    }
  });

  it('fails a message that the server does not come back for', async () => {
    const clock = new FakeClock();
    const server = await serverWith({});
    const home = await cleanup.folder();
    const agent = await agentAt(home, { clock });
    await agent.login(loginTo(server));
    const face = await connectFace(home);
    await server.stop();
    const failed = refusal(face.call(serverCommands.message, { user: 'bob', text: 'hi' }));
    let done = false;
    void failed.then(() => (done = true));
    await until(async () => {
      await clock.advance(1_000);
      return done;
    });
    expect((await failed).code).to.equal('SERVER_UNREACHABLE');
    expect((await failed).details['reason']).to.include('outbox');
  });

  it('stays logged in while it shares, and is logged out for doing nothing', async () => {
    const people = await People.gather(cleanup, { timeoutMs: 1_200 });
    const [alice, bob] = [await people.arrive('alice'), await people.arrive('bob')];
    const path = join(alice.folder, 'a.txt');
    await writeFile(path, 'shared');
    await alice.call(agentCommands.register, { path, chunks: 1 });
    const heard = await bob.listen();
    expect((await bob.agent.ended)?.code).to.equal('LOGIN_REQUIRED');
    await heard.ended;
    expect(heard.all.map((event) => event.type === 'notice' && event.code)).to.deep.equal(['LOGGED_OUT_IDLE']);
    expect(await alice.call(serverCommands.whoelse, {})).to.deep.equal({ users: [] });
    expect(await alice.call(agentCommands.status, {})).to.include({ online: true });
  });

  it('listens on all interfaces unless told otherwise, and says where others reach it', async () => {
    const people = await People.gather(cleanup);
    const alice = await people.arrive('alice', { listen: undefined });
    const { listen } = await alice.call(agentCommands.status, {});
    expect(listen).to.match(/^127\.0\.0\.1:\d+$/);
    const taken = Number(listen?.split(':')[1]);
    const agent = await agentAt(await cleanup.folder(), { listen: { host: '127.0.0.1', port: taken } });
    const login = { server: people.server.address, user: 'bob', password: 'b' };
    expect((await refusal(agent.login(login))).code).to.equal('USAGE');
  });

  it('tells whoever listens when others cannot connect, also those who come later', async () => {
    const unreachable = { address: '10.0.0.1:5', reachable: false, reason: 'no answer' };
    const server = await serverWith({ advertise: unreachable });
    const home = await cleanup.folder();
    const agent = await agentAt(home);
    const early = new Heard(await connectFace(home));
    await early.attached;
    await agent.login(loginTo(server));
    const late = new Heard(await connectFace(home));
    for (const heard of [early, late]) {
      const notice = await heard.notice('NOT_REACHABLE');
      expect(notice.type === 'notice' && notice.text).to.match(/cannot connect to 10\.0\.0\.1:5 \(no answer\)/);
    }
  });

  it('renews for commands that only it answers, but not for each', async () => {
    const clock = new FakeClock();
    const server = await serverWith({});
    const home = await cleanup.folder();
    const agent = await agentAt(home, { clock });
    await agent.login(loginTo(server));
    const face = await connectFace(home);
    for (let i = 0; i < 5; i++) await face.call(agentCommands.status, {});
    await server.called('renew');
    await clock.advance(10_000);
    await face.call(agentCommands.status, {});
    await server.called('renew', 2);
    await face.call(serverCommands.whoelse, {}).catch(() => undefined);
    expect(server.calls.filter(({ command }) => command === 'renew')).to.have.length(2);
  });

  it('logs out: the session ends, then the agent, and nothing of it is left', async () => {
    const server = await serverWith({});
    const home = await cleanup.folder();
    const agent = await agentAt(home);
    await agent.login(loginTo(server));
    const face = await connectFace(home);
    const other = new Heard(await connectFace(home));
    expect(await face.call(agentCommands.logout, {})).to.deep.equal({});
    expect(server.calls.at(-1)?.command).to.equal('endSession');
    expect(await agent.ended).to.equal(undefined);
    await other.ended;
    expect(await stat(controlSocketPath(home)).catch(() => 'gone')).to.equal('gone');
    const successor = await agentAt(home);
    await successor.login(loginTo(server));
  });

  it('ends by itself when nobody logs in, or when the login fails, if it was started for a login', async () => {
    const clock = new FakeClock();
    const idle = await agentAt(await cleanup.folder(), { clock, standby: true });
    await clock.advance(10_000);
    expect((await idle.ended)?.code).to.equal('LOGIN_REQUIRED');

    const server = await serverWith({ login: new ParleyError('BAD_CREDENTIALS') });
    const home = await cleanup.folder();
    const agent = await agentAt(home, { standby: true });
    const face = await connectFace(home);
    expect((await refusal(face.call(agentCommands.login, loginTo(server)))).code).to.equal('BAD_CREDENTIALS');
    expect(await agent.ended).to.equal(undefined);
  });

  it('lets one of two racing agents have a home, and replaces what a dead one left', async () => {
    const home = await cleanup.folder();
    await mkdir(home, { recursive: true });
    await writeFile(join(home, 'agent.lock'), JSON.stringify({ pid: 2 ** 22 + 1, started: '', id: 'dead' }));
    await writeFile(controlSocketPath(home), '');
    const outcomes = await Promise.allSettled([agentAt(home), agentAt(home), agentAt(home)]);
    const lost = outcomes.flatMap((each) => (each.status === 'rejected' ? [each.reason as ParleyError] : []));
    expect(lost.map(({ code }) => code)).to.deep.equal(['AGENT_RUNNING', 'AGENT_RUNNING']);
    const face = await connectFace(home);
    expect(await face.call(agentCommands.status, {})).to.deep.include({ online: false });
    const mode = (await stat(controlSocketPath(home))).mode & 0o777;
    expect(mode).to.equal(0o600);
    expect((await stat(home)).mode & 0o777).to.equal(0o700);
  });

  it('drops a face that does not read, and lives on', async () => {
    const server = await serverWith({});
    const home = await cleanup.folder();
    const agent = await agentAt(home);
    await agent.login(loginTo(server));
    const { connect } = await import('node:net');
    const { encodeFrame } = await import('../../../src/protocol/frame.js');
    const { makeHello } = await import('../../../src/protocol/hello.js');
    const deaf = connect(controlSocketPath(home));
    deaf.on('error', () => undefined);
    deaf.write(encodeFrame('hello', 0, JSON.stringify(makeHello('face'))));
    deaf.write(encodeFrame('call', 1, JSON.stringify({ command: 'listen', params: {} })));
    const gone = new Promise((resolve) => deaf.once('close', resolve));
    const face = await connectFace(home);
    const heard = new Heard(face);
    await face.call(agentCommands.status, {});
    const text = 'x'.repeat(16_000);
    for (let position = 1; position <= 3_000; position++) {
      server.connection.sendEvent(pushed(position, text));
      if (position % 10 === 0) await heard.find((event) => event.type === 'message' && event.position === position);
    }
    deaf.resume();
    await gone;
    expect(await face.call(agentCommands.status, {})).to.deep.include({ online: true });
  });
});
