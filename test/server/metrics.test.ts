/** What Prometheus is shown. */
import { expect } from 'chai';
import { adminCommands } from '../../src/protocol/commands/admin.js';
import { makeIdentity } from '../../src/protocol/certificate.js';
import { serverCommands } from '../../src/protocol/commands/server.js';
import { startMetrics } from '../../src/server/metrics.js';
import type { Metrics } from '../../src/server/metrics.js';
import { silentLog } from '../../src/server/log.js';
import { refusal } from '../support/refusal.js';
import { dialServer, loggedIn, startTestServer } from '../support/server.js';
import type { TestServer } from '../support/server.js';

const { login, message, broadcast, acknowledge, registerFile, introduce } = serverCommands;
const USERS = { alice: 'wonder', bob: 'builder', carol: 'singer' };

describe('metrics', () => {
  let test: TestServer;
  let metrics: Metrics;
  beforeEach(async () => {
    test = await startTestServer({ users: USERS });
    const { server } = test;
    metrics = await startMetrics({ host: '127.0.0.1', port: 0, server, version: '1.2.3', log: silentLog });
  });
  afterEach(async () => {
    await metrics.close();
    await test.close();
  });

  /** Values by name and labels, as they are written. */
  async function scrape(): Promise<Map<string, number>> {
    const response = await fetch(`http://${metrics.address}/metrics`);
    expect(response.status).to.equal(200);
    expect(response.headers.get('content-type')).to.match(/^text\/plain; version=0\.0\.4/);
    const lines = (await response.text()).split('\n').filter((line) => line !== '' && !line.startsWith('#'));
    return new Map(
      lines.map((line) => {
        const space = line.lastIndexOf(' ');
        return [line.slice(0, space), Number(line.slice(space + 1))];
      }),
    );
  }

  it('count what happens, by code and never by who or what', async () => {
    const identity = await makeIdentity('alice');
    const alice = await loggedIn(test, 'alice', USERS.alice, { identity });
    const bob = await loggedIn(test, 'bob', USERS.bob);
    const stranger = await dialServer(test);
    for (let i = 0; i < 3; i++) await refusal(stranger.call(login, { user: 'carol', password: 'guess-canary' }));
    await refusal(stranger.call(login, { user: 'carol', password: USERS.carol }));
    await alice.call(message, { user: 'bob', text: 'text-canary' });
    await alice.call(broadcast, { text: 'text-canary' });
    await alice.call(broadcast, { to: ['bob', 'carol'], text: 'text-canary' });
    await refusal(alice.call(message, { user: 'nobody-canary', text: 'x' }));
    await refusal(alice.call(message, { user: 'bob', text: '' }));
    await refusal(alice.call(introduce, { user: 'carol', purpose: 'private' }));
    await alice.call(
      registerFile,
      { file: 'file-canary', sizeBytes: 5, chunks: 5, root: 'ab'.repeat(32) },
      { body: [Buffer.alloc(160)] },
    );
    await bob.call(acknowledge, { position: 2 });
    const seen = await scrape();
    expect(Object.fromEntries([...seen].filter(([name]) => name.startsWith('parley_')))).to.include({
      'parley_build_info{version="1.2.3"}': 1,
      parley_connections: 3,
      parley_sessions: 2,
      parley_users: 3,
      parley_files: 1,
      parley_holdings: 1,
      parley_held_chunks: 5,
      parley_push_queue_messages: 1,
      parley_push_queue_bytes: 0,
      parley_connections_refused_total: 0,
      'parley_logins_total{how="login",outcome="ok"}': 2,
      'parley_logins_total{how="login",outcome="failed"}': 3,
      'parley_logins_total{how="login",outcome="locked"}': 1,
      'parley_messages_stored_total{kind="message"}': 1,
      'parley_messages_stored_total{kind="broadcast"}': 2,
      parley_message_copies_stored_total: 4,
      parley_messages_delivered_total: 2,
      'parley_messages_refused_total{code="UNKNOWN_USER"}': 1,
      'parley_messages_refused_total{code="EMPTY_MESSAGE"}': 1,
      'parley_introductions_total{outcome="USER_OFFLINE"}': 1,
      'parley_commands_total{command="message",outcome="ok"}': 1,
      'parley_commit_messages_bucket{le="1"}': 3,
      parley_commit_messages_count: 3,
      parley_commit_seconds_count: 3,
    });
    expect(seen.get('process_resident_memory_bytes')).to.be.above(1e6);
    expect(seen.get('nodejs_eventloop_lag_seconds')).to.be.a('number');
    expect([...seen.keys()].join('\n')).not.to.match(/canary|alice|bob|carol|127\.0\.0\.1/);
    for (const each of [alice, bob, stranger]) each.destroy();
  });

  it('are what they were when nothing has happened between two looks', async () => {
    const alice = await loggedIn(test, 'alice', USERS.alice);
    await alice.call(message, { user: 'bob', text: 'x' });
    const ours = async (): Promise<(readonly [string, number])[]> =>
      [...(await scrape())].filter(([name]) => name.startsWith('parley_'));
    expect(await ours()).to.deep.equal(await ours());
    alice.destroy();
  });

  it('are at one path of one address, for reading only', async () => {
    const url = `http://${metrics.address}`;
    expect((await fetch(`${url}/`)).status).to.equal(404);
    expect((await fetch(`${url}/metrics`, { method: 'POST', body: 'x' })).status).to.equal(404);
    expect((await fetch(`${url}/metrics?name=x`, { method: 'HEAD' })).status).to.equal(200);
    const port = Number(metrics.address.split(':')[1]);
    const taken = startMetrics({ host: '127.0.0.1', port, server: test.server, version: '', log: silentLog });
    expect((await refusal(taken)).message).to.match(/^--metrics: cannot listen on 127\.0\.0\.1:\d+: another program/);
    await metrics.close();
    await metrics.close();
    expect(await fetch(url).catch(() => 'gone')).to.equal('gone');
  });

  it('know the commands whose refusals are those of messages', () => {
    expect(Object.keys(serverCommands)).to.include.members(['message', 'broadcast', 'send_group', 'introduce']);
    expect(Object.keys(adminCommands)).to.deep.equal(['status', 'kick', 'unlock']);
  });
});
