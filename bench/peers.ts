/** The tools that people use, from Debian's packages: each a way to move one file over loopback, when it is installed. */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { open, readFile, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { basename, dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { makeIdentity } from '../src/protocol/certificate.js';
import { command } from './measure.js';
import { costOfCommand, cpuSecondsOf, freePort, versionOf } from './proc.js';
import type { Cost } from './rows.js';

const TORRENT_SCRIPT = fileURLToPath(new URL('../../bench/torrent.py', import.meta.url));
/** Debian's, which has Debian's libtorrent. */
const PYTHON = '/usr/bin/python3';
const NGINX = ['/usr/sbin/nginx', '/usr/bin/nginx'].find((path) => existsSync(path)) ?? 'nginx';

/** Versions of what is installed here; undefined for what is not. */
export function peerVersions(): Readonly<
  Record<'nginx' | 'curl' | 'aria2' | 'libtorrent' | 'iperf3' | 'mktorrent', string | undefined>
> {
  const version = (text: string | undefined): string | undefined => /\d+(\.\d+)+/.exec(text ?? '')?.[0];
  return {
    nginx: version(versionOf(NGINX, ['-v'])),
    curl: version(versionOf('curl')),
    aria2: version(versionOf('aria2c')),
    libtorrent: version(versionOf(PYTHON, ['-c', 'import libtorrent; print("v", libtorrent.__version__)'])),
    iperf3: version(versionOf('iperf3')),
    mktorrent: version(versionOf('mktorrent', ['-h'])),
  };
}

/** An end of a child's life that is waited for. */
async function ended(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = once(child, 'exit');
  child.kill(signal);
  await exit;
}

async function reachable(port: number): Promise<void> {
  for (let tries = 0; tries < 250; tries++) {
    const socket = connect(port, '127.0.0.1');
    const open = await Promise.race([
      once(socket, 'connect').then(() => true),
      once(socket, 'error').then(() => false),
    ]).catch(() => false);
    socket.destroy();
    if (open) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`nobody listens on ${port}`);
}

/** nginx with its own settings, which serves `folder` over HTTPS: TLS 1.3 and the cipher that our links use. */
export class Nginx {
  readonly #child: ChildProcess;
  readonly #port: number;
  readonly #pids: readonly number[];

  private constructor(child: ChildProcess, port: number, pids: readonly number[]) {
    this.#child = child;
    this.#port = port;
    this.#pids = pids;
  }

  static async start(folder: string, scratch: string): Promise<Nginx> {
    const port = await freePort();
    const { privateKeyPem, certificatePem } = await makeIdentity('localhost');
    const paths = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
      (kind) => `${kind}_temp_path ${scratch}/${kind};`,
    );
    await writeFile(join(scratch, 'key.pem'), privateKeyPem, { mode: 0o600 });
    await writeFile(join(scratch, 'cert.pem'), certificatePem);
    await writeFile(
      join(scratch, 'nginx.conf'),
      `daemon off; worker_processes 2; pid ${scratch}/nginx.pid; error_log ${scratch}/error.log;
${process.getuid?.() === 0 ? 'user root;' : ''}
events { worker_connections 64; }
http { access_log off; sendfile on; ${paths.join(' ')}
server { listen 127.0.0.1:${port} ssl; root ${folder};
ssl_certificate ${scratch}/cert.pem; ssl_certificate_key ${scratch}/key.pem;
ssl_protocols TLSv1.3; ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256; } }
`,
    );
    const child = spawn(NGINX, ['-p', scratch, '-e', join(scratch, 'error.log'), '-c', join(scratch, 'nginx.conf')], {
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    try {
      await reachable(port);
      const workers = await readFile(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8');
      return new Nginx(child, port, workers.trim().split(' ').map(Number));
    } catch (error) {
      await ended(child, 'SIGTERM');
      throw error;
    }
  }

  /** `keep`: what was written before stays, and is written over. */
  async curl(file: string, target: string, keep: boolean): Promise<Cost> {
    const out = await open(target, keep ? 'r+' : 'w');
    try {
      return await this.#with(() => costOfCommand('curl', ['-sSfk', this.#url(file)], out.fd));
    } finally {
      await out.close();
    }
  }

  aria2(file: string, target: string, sha256: string): Promise<Cost> {
    const options = [
      '-q',
      '-x4',
      '-s4',
      '--check-certificate=false',
      '--file-allocation=none',
      '--no-conf',
      `--checksum=sha-256=${sha256}`,
    ];
    return this.#with(() =>
      costOfCommand('aria2c', [...options, '-d', dirname(target), '-o', basename(target), this.#url(file)]),
    );
  }

  close(): Promise<void> {
    return ended(this.#child, 'SIGTERM');
  }

  #url(file: string): string {
    return `https://127.0.0.1:${this.#port}/${file}`;
  }

  async #with(act: () => Promise<Cost>): Promise<Cost> {
    const before = cpuSecondsOf(this.#pids);
    const cost = await act();
    return { ...cost, cpuSeconds: cost.cpuSeconds + cpuSecondsOf(this.#pids) - before };
  }
}

/** Seeders of one file, and a new downloader for each run. */
export class Torrents {
  readonly #torrent: string;
  readonly #seeders: readonly ChildProcess[];
  readonly #ports: readonly string[];

  private constructor(torrent: string, seeders: readonly ChildProcess[], ports: readonly string[]) {
    this.#torrent = torrent;
    this.#seeders = seeders;
    this.#ports = ports;
  }

  static async start(path: string, scratch: string, seeders: number): Promise<Torrents> {
    const torrent = join(scratch, 'file.torrent');
    await command(PYTHON, [TORRENT_SCRIPT, 'make', path, torrent]);
    const children = Array.from({ length: seeders }, () =>
      spawn(PYTHON, [TORRENT_SCRIPT, 'seed', path, torrent], { stdio: ['pipe', 'pipe', 'inherit'] }),
    );
    const ports = await Promise.all(
      children.map(async ({ stdout }) => String((await once(createInterface(stdout), 'line'))[0])),
    );
    return new Torrents(torrent, children, ports);
  }

  async fetch(folder: string): Promise<Cost> {
    const pids = this.#seeders.map(({ pid = 0 }) => pid);
    const before = cpuSecondsOf(pids);
    const cost = JSON.parse(
      await command(PYTHON, [TORRENT_SCRIPT, 'fetch', folder, this.#torrent, ...this.#ports]),
    ) as Cost;
    return { ...cost, cpuSeconds: cost.cpuSeconds + cpuSecondsOf(pids) - before };
  }

  async close(): Promise<void> {
    await Promise.all(this.#seeders.map((child) => ended(child, 'SIGTERM')));
  }
}

/** Times as many bytes as asked for: a tenth of a second would be luck. */
const IPERF3_TIMES = 8;

/** What so many bytes take through one plain TCP connection, where nobody keeps them. */
export async function iperf3(bytes: number): Promise<Cost> {
  const port = await freePort();
  const server = spawn('iperf3', ['-s', '-1', '-B', '127.0.0.1', '-p', String(port), '--forceflush'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  try {
    await once(createInterface(server.stdout), 'line');
    const { end } = JSON.parse(
      await command('iperf3', ['-c', '127.0.0.1', '-p', String(port), '-n', String(bytes * IPERF3_TIMES), '-J']),
    ) as {
      end: {
        sum_received: { seconds: number; bytes: number };
        cpu_utilization_percent: { host_total: number; remote_total: number };
      };
    };
    const { seconds, bytes: got } = end.sum_received;
    const { host_total: here, remote_total: there } = end.cpu_utilization_percent;
    const share = bytes / got;
    return { seconds: seconds * share, cpuSeconds: ((here + there) / 100) * seconds * share };
  } finally {
    await ended(server, 'SIGTERM');
  }
}
