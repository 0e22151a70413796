/** Clients that never read what they ask for (R18). */
import { expect } from 'chai';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeIdentity } from '../../src/protocol/certificate.js';
import { serverCommands } from '../../src/protocol/commands/server.js';
import { encodeFrame } from '../../src/protocol/frame.js';
import { dialServer, seedSessions, spawnServer } from '../support/server.js';
import type { ServerProcess } from '../support/server.js';

const CLIENTS = 200;
const MIB = 1024 * 1024;
const { resume, registerFile, message, broadcast, whoelse } = serverCommands;

describe('200 clients that never read', function () {
  this.timeout(60_000);
  let folder: string;
  let server: ServerProcess;

  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'parley-flood-'));
  });
  after(async () => {
    await server.close();
    rmSync(folder, { recursive: true });
  });

  const rss = (): number =>
    Number(execFileSync('ps', ['-o', 'rss=', '-p', String(server.child.pid)], { encoding: 'utf8' })) * 1024;

  it('cost the server less than 80 MiB, and others nothing they notice', async () => {
    const identity = await makeIdentity('crowd');
    const names = Array.from({ length: CLIENTS + 1 }, (_, i) => `user${i}`);
    const tokens = await seedSessions(join(folder, 'data'), names, identity);
    server = await spawnServer({ folder, users: {}, args: ['0', '--log-level', 'warn'] });
    const enter = async (i: number): Promise<Awaited<ReturnType<typeof dialServer>>> => {
      const connection = await dialServer(server, { identity });
      await connection.call(resume, { token: tokens[i] ?? '' });
      return connection;
    };
    const honest = await enter(CLIENTS);
    // Something large to ask for: digests of 2 MiB, a long list, a long history.
    const file = { file: 'huge.bin', sizeBytes: 65_536, chunks: 65_536, root: 'a'.repeat(64) };
    await honest.call(registerFile, file, { body: [Buffer.alloc(2 * MIB)] });
    for (let i = 0; i < 300; i++) {
      const small = { file: `${'n'.repeat(200)}${i}`, sizeBytes: 1, chunks: 1, root: 'a'.repeat(64) };
      await honest.call(registerFile, small, { body: [Buffer.alloc(32)] });
    }
    const crowd = [];
    for (let at = 0; at < CLIENTS; at += 20) {
      crowd.push(...(await Promise.all(Array.from({ length: 20 }, (_, i) => enter(at + i)))));
    }
    for (let i = 0; i < CLIENTS; i++) {
      for (let k = 0; k < 3; k++) await honest.call(message, { user: `user${i}`, text: 'x'.repeat(16_000) });
    }
    const before = rss();

    for (const { socket } of crowd) {
      socket.pause();
      const asked = ['manifest', 'files', 'history', 'whoelse', 'manifest', 'searchFile'];
      const calls = asked.map((command, i) =>
        encodeFrame('call', 1_001 + 2 * i, JSON.stringify({ command, params: { file: 'huge.bin', limit: 500 } })),
      );
      socket.write(Buffer.concat(calls));
    }
    const waits: number[] = [];
    let most = 0;
    // Twice as many messages as are pushed to who does not acknowledge.
    for (let i = 0; i < 200; i++) {
      await honest.call(broadcast, { text: `${i}`.padEnd(1_000) });
      const start = performance.now();
      expect((await honest.call(whoelse, {})).users).to.have.length(CLIENTS);
      waits.push(performance.now() - start);
      most = Math.max(most, rss() - before);
    }
    expect(most / MIB).to.be.below(80);
    expect(waits.sort((a, b) => a - b)[waits.length >> 1]).to.be.below(100);
    for (const each of crowd) each.destroy();
    honest.destroy();
  });
});
