/** One end of a measured transfer, in a process of its own: told over IPC what to do, and answering with what it cost. */
import { once } from 'node:events';
import { createReadStream } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { connect, createServer } from 'node:tls';
import type { AddressInfo } from 'node:net';
import { buildManifest } from '../src/chunks/manifest.js';
import { BitSet } from '../src/chunks/bits.js';
import { openPart } from '../src/chunks/part.js';
import { openSource } from '../src/chunks/source.js';
import { makeIdentity } from '../src/protocol/certificate.js';
import type { Identity } from '../src/protocol/certificate.js';
import type { Introduction } from '../src/protocol/commands/server/introduce.js';
import { dialPeer } from '../src/p2p/dialer.js';
import { download } from '../src/p2p/download.js';
import { linkTlsOptions } from '../src/p2p/link.js';
import { startPeerListener } from '../src/p2p/listener.js';
import { Pins } from '../src/p2p/pins.js';
import { Provider } from '../src/p2p/provider.js';
import { sourceShare } from '../src/p2p/share.js';
import type { Digest } from '../src/protocol/values.js';

const MIB = 1024 * 1024;

export interface WireManifest {
  readonly sizeBytes: number;
  readonly chunkDigests: string;
  readonly root: string;
}

/** What the parent asks of an end. */
export type Order =
  | { readonly do: 'hold'; readonly path: string; readonly chunks: number; readonly peerKey: string }
  | { readonly do: 'fetch'; readonly manifest: WireManifest; readonly target: string; readonly from: readonly Offer[] }
  | { readonly do: 'pipe-out'; readonly path: string }
  | { readonly do: 'pipe-in'; readonly port: number; readonly mebibytes: number }
  | { readonly do: 'cost' };

/** Where a holder waits, and by which introduction. */
export interface Offer {
  readonly port: number;
  readonly introduction: Introduction;
}

export interface Cost {
  readonly cpuSeconds: number;
  readonly peakMebibytes: number;
}
export interface Fetched extends Cost {
  /** Until the last block was verified and written. */
  readonly seconds: number;
  /** Until the file was verified as a whole, synced and named. */
  readonly finishedSeconds: number;
  readonly finishedCpuSeconds: number;
}

let cpuBefore = process.cpuUsage();

function cost(): Cost {
  const { user, system } = process.cpuUsage(cpuBefore);
  return { cpuSeconds: (user + system) / 1e6, peakMebibytes: process.resourceUsage().maxRSS / 1024 };
}

async function hold(me: Identity, home: string, order: Extract<Order, { do: 'hold' }>): Promise<object> {
  const { manifest, plan, identity, blockDigests } = await buildManifest(order.path, order.chunks);
  const share = sourceShare('file', await openSource({ path: order.path, plan, identity }), blockDigests);
  const provider = new Provider({ shares: { find: (root) => (root === manifest.root ? share : undefined) } });
  const listener = await startPeerListener({
    identity: me,
    pins: await Pins.open(home),
    host: '127.0.0.1',
    port: 0,
    onLink: ({ peer, connection }) => provider.serve(peer, connection),
  });
  const introduction: Introduction = {
    id: 'ab'.repeat(16),
    peer: 'fetcher',
    publicKey: order.peerKey,
    purpose: 'transfer',
    ttlMs: 30_000,
  };
  listener.expect(introduction);
  cpuBefore = process.cpuUsage();
  const offer: Offer = {
    port: listener.port,
    introduction: { ...introduction, peer: 'holder', publicKey: me.publicKey },
  };
  const wire = { ...manifest, chunkDigests: manifest.chunkDigests.toString('base64') };
  return { offer, manifest: wire };
}

async function fetch(me: Identity, home: string, order: Extract<Order, { do: 'fetch' }>): Promise<Fetched> {
  const manifest = {
    sizeBytes: order.manifest.sizeBytes,
    chunkDigests: Buffer.from(order.manifest.chunkDigests, 'base64'),
    root: order.manifest.root as Digest,
  };
  const chunks = manifest.chunkDigests.length / 32;
  const all = Buffer.alloc(Math.ceil(chunks / 8), 0xff).toString('base64');
  const pins = await Pins.open(home);
  cpuBefore = process.cpuUsage();
  const start = performance.now();
  const part = await openPart({ target: order.target, manifest });
  await download({
    file: 'file',
    manifest,
    part,
    chunks: BitSet.full(chunks),
    locate: () => Promise.resolve(order.from.map((_, i) => ({ user: `holder${i}`, bitmap: all }))),
    connect: (user, signal) => {
      const offer = order.from[Number(user.slice('holder'.length))];
      if (offer === undefined) throw new Error(`who is ${user}?`);
      const introduction = { ...offer.introduction, peer: user };
      return dialPeer({ identity: me, pins, host: '127.0.0.1', port: offer.port, introduction, signal });
    },
  });
  const seconds = (performance.now() - start) / 1000;
  const { cpuSeconds, peakMebibytes } = cost();
  await part.finish();
  await part.close();
  const finishedSeconds = (performance.now() - start) / 1000;
  return { seconds, finishedSeconds, cpuSeconds, peakMebibytes, finishedCpuSeconds: cost().cpuSeconds };
}

/** The bare pipe: a TLS server that streams the same file, in pieces of a block, to whoever connects. */
async function pipeOut(me: Identity, path: string): Promise<object> {
  const server = createServer(linkTlsOptions(me), (socket) => {
    pipeline(createReadStream(path, { highWaterMark: MIB }), socket).catch((error: unknown) => console.error(error));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  cpuBefore = process.cpuUsage();
  return { port: (server.address() as AddressInfo).port };
}

async function pipeIn(me: Identity, port: number, mebibytes: number): Promise<Fetched> {
  cpuBefore = process.cpuUsage();
  const start = performance.now();
  const socket = connect({ ...linkTlsOptions(me), host: '127.0.0.1', port });
  let bytes = 0;
  socket.on('data', (piece: Buffer) => (bytes += piece.length));
  await once(socket, 'end');
  const seconds = (performance.now() - start) / 1000;
  socket.destroy();
  if (bytes !== mebibytes * MIB) throw new Error(`${bytes} bytes came`);
  return { seconds, finishedSeconds: seconds, finishedCpuSeconds: cost().cpuSeconds, ...cost() };
}

async function main(): Promise<void> {
  const home = await mkdtemp(join(tmpdir(), 'parley-bench-home-'));
  const me = await makeIdentity('bench');
  process.send?.({ publicKey: me.publicKey });
  process.on('disconnect', () => {
    void rm(home, { recursive: true, force: true }).then(() => process.exit(0));
  });
  process.on('message', (message) => {
    const order = message as Order;
    const run = (): Promise<object> => {
      switch (order.do) {
        case 'hold':
          return hold(me, home, order);
        case 'fetch':
          return fetch(me, home, order);
        case 'pipe-out':
          return pipeOut(me, order.path);
        case 'pipe-in':
          return pipeIn(me, order.port, order.mebibytes);
        case 'cost':
          return Promise.resolve(cost());
      }
    };
    void run().then(
      (answer) => process.send?.(answer),
      (error: unknown) => {
        console.error(error);
        process.exit(1);
      },
    );
  });
}

await main();
