/** ngircd from Debian's package, as a peer to compare with: on a free port, with nothing that slows its clients down. */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer, connect } from 'node:net';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { makeIdentity } from '../src/protocol/certificate.js';

const PROGRAM = '/usr/sbin/ngircd';
const START_MS = 5_000;

export interface Ngircd {
  readonly pid: number;
  readonly port: number;
  readonly tlsPort: number;
  readonly version: string;
  close(): Promise<void>;
}

/** undefined when it is not installed. */
export async function startNgircd(folder: string): Promise<Ngircd | undefined> {
  let version: string;
  try {
    version = execFileSync(PROGRAM, ['--version'], { encoding: 'utf8' }).split('\n')[0] ?? '';
  } catch {
    return undefined;
  }
  const [port, tlsPort] = [await freePort(), await freePort()];
  const { privateKeyPem, certificatePem } = await makeIdentity('bench');
  writeFileSync(join(folder, 'key.pem'), privateKeyPem);
  writeFileSync(join(folder, 'cert.pem'), certificatePem);
  const config = join(folder, 'ngircd.conf');
  writeFileSync(config, configuration(folder, port, tlsPort));
  const child = spawn(PROGRAM, ['-n', '-f', config], { stdio: 'ignore' });
  const ended = once(child, 'exit');
  for (const at of [port, tlsPort]) await answers(at);
  return {
    pid: child.pid ?? 0,
    port,
    tlsPort,
    version,
    close: async () => {
      child.kill();
      await ended;
    },
  };
}

function configuration(folder: string, port: number, tlsPort: number): string {
  return `[Global]
Name = bench.invalid
Info = bench
Listen = 127.0.0.1
Ports = ${port}
MotdPhrase = bench
ServerUID = root
ServerGID = root
[Limits]
MaxConnections = 0
MaxConnectionsIP = 0
MaxJoins = 0
MaxPenaltyTime = 0
PingTimeout = 600
[Options]
DNS = no
Ident = no
PAM = no
SyslogFacility = local1
[SSL]
CertFile = ${join(folder, 'cert.pem')}
KeyFile = ${join(folder, 'key.pem')}
Ports = ${tlsPort}
[Channel]
Name = #bench
MaxUsers = 0
`;
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

async function answers(port: number): Promise<void> {
  for (const end = performance.now() + START_MS; ; await new Promise((resolve) => setTimeout(resolve, 50))) {
    const socket = connect(port, '127.0.0.1');
    const isThere = await new Promise<boolean>((resolve) => {
      socket.once('connect', () => resolve(true));
      socket.once('error', () => resolve(false));
    });
    socket.destroy();
    if (isThere) return;
    if (performance.now() > end) throw new Error('ngircd does not answer');
  }
}
