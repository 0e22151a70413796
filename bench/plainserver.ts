/**
 * The server's core behind plain TCP, for `bench/fanout.ts` only: the product has no listener without TLS. Storage, commits and everything
 * above the sockets are the product's. Its data directory and the key that all clients are taken to have shown are its arguments.
 */
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { fingerprintOf } from '../src/protocol/certificate.js';
import { systemClock } from '../src/protocol/clock.js';
import { Passwords } from '../src/server/auth/passwords.js';
import { startCore } from '../src/server/core.js';
import { silentLog } from '../src/server/log.js';
import { openSqlite } from '../src/server/storage/sqlite.js';
import { PLAIN_ARGON2 } from '../test/support/server.js';

const [dataDir = '', publicKey = ''] = process.argv.slice(2);
const address = '127.0.0.1';
const core = await startCore({
  storage: await openSqlite({ dataDir, role: 'server' }),
  passwords: await Passwords.create(PLAIN_ARGON2),
  blockMs: 60_000,
  timeoutMs: 600_000,
  clock: systemClock,
  log: silentLog,
});
const origin = { address, localAddress: address, key: { publicKey, fingerprint: fingerprintOf(publicKey) } };
const server = createServer({ noDelay: true }, (socket) => {
  socket.on('error', () => undefined);
  core.accept(socket, origin, { deciding: false, settle: () => undefined });
});
server.listen({ host: address, port: 0, backlog: 1_024 }, () => {
  console.log((server.address() as AddressInfo).port);
});
