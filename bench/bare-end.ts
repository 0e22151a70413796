/**
 * One end of what Node can do at most over TLS links: nothing but TLS, BLAKE3 and a write for each MiB. `bare-end serve FILE` says its port and sends
 * each MiB that it is asked for by its number, 4 bytes; `bare-end fetch` is told where from and where to, and answers when all is written. Several
 * links are in two threads, as an agent's are on two cores.
 */
import { closeSync, constants, openSync, readSync, writeSync } from 'node:fs';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { connect, createServer } from 'node:tls';
import type { ConnectionOptions } from 'node:tls';
import { Worker, isMainThread, parentPort } from 'node:worker_threads';
import { blockDigest } from '../src/chunks/digest.js';
import { makeIdentity } from '../src/protocol/certificate.js';
import { linkTlsOptions } from '../src/p2p/link.js';

const MIB = 1024 * 1024;
const NUMBER_BYTES = 4;
/** Asked for ahead on each link. */
const AHEAD = 4;

/** What the fetching end is told. */
export interface BareOrder {
  /** Of the serving ends: a link to each. */
  readonly ports: readonly number[];
  /** Is written over when it is there. */
  readonly target: string;
  /** Of the file, which has no bytes beyond them. */
  readonly mebibytes: number;
}

/** The same for one thread; `next` is a number that all share, that of the MiB to ask for next. */
interface ThreadOrder extends BareOrder {
  readonly next: SharedArrayBuffer;
}

type OnRead = { readonly buffer: () => Uint8Array; readonly callback: (bytes: number) => boolean };

const tls = linkTlsOptions(await makeIdentity('bench'));

function serve(path: string): void {
  const file = openSync(path, 'r');
  const server = createServer(tls, (socket) => {
    const block = Buffer.allocUnsafeSlow(MIB);
    let asked = Buffer.alloc(0);
    let isSending = false;
    const next = (): void => {
      isSending = asked.length >= NUMBER_BYTES;
      if (!isSending) return;
      readSync(file, block, 0, MIB, asked.readUInt32BE() * MIB);
      asked = asked.subarray(NUMBER_BYTES);
      socket.write(block, next);
    };
    socket.on('error', () => undefined);
    socket.on('data', (bytes) => {
      asked = Buffer.concat([asked, bytes]);
      if (!isSending) next();
    });
  });
  server.listen(0, '127.0.0.1', () => process.send?.((server.address() as AddressInfo).port));
}

/** Over one link, as long as there is a MiB to ask for. */
function fetchOver(port: number, file: number, { next, mebibytes }: ThreadOrder): Promise<void> {
  const shared = new Int32Array(next);
  const block = Buffer.allocUnsafeSlow(MIB);
  const asked: number[] = [];
  let have = 0;
  return new Promise((resolve, reject) => {
    const ask = (): void => {
      const number = Atomics.add(shared, 0, 1);
      if (number >= mebibytes) return;
      asked.push(number);
      const request = Buffer.alloc(NUMBER_BYTES);
      request.writeUInt32BE(number);
      socket.write(request);
    };
    const endWithoutMore = (): void => {
      if (asked.length > 0) return;
      socket.end();
      resolve();
    };
    const onread: OnRead = {
      buffer: () => block.subarray(have),
      callback: (bytes) => {
        have += bytes;
        if (have < MIB) return true;
        const number = asked.shift() ?? 0;
        ask();
        blockDigest(block);
        writeSync(file, block, 0, MIB, number * MIB);
        have = 0;
        endWithoutMore();
        return true;
      },
    };
    const options: ConnectionOptions & { readonly onread: OnRead } = { ...tls, port, host: '127.0.0.1', onread };
    const socket = connect(options, () => {
      for (let i = 0; i < AHEAD; i++) ask();
      endWithoutMore();
    });
    socket.setNoDelay(true);
    socket.on('error', reject);
  });
}

async function fetchHere(order: ThreadOrder): Promise<void> {
  const file = openSync(order.target, constants.O_RDWR | constants.O_CREAT, 0o600);
  await Promise.all(order.ports.map((port) => fetchOver(port, file, order)));
  closeSync(file);
}

let thread: Worker | undefined;

async function fetch({ ports, ...order }: BareOrder): Promise<void> {
  const next = new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT);
  const half = Math.ceil(ports.length / 2);
  const rest = ports.slice(half);
  const done = [fetchHere({ ...order, next, ports: ports.slice(0, half) })];
  if (rest.length > 0) {
    thread ??= new Worker(new URL(import.meta.url));
    thread.postMessage({ ...order, next, ports: rest } satisfies ThreadOrder);
    done.push(once(thread, 'message').then(() => undefined));
  }
  await Promise.all(done);
  process.send?.('done');
}

if (!isMainThread) {
  parentPort?.on('message', (order: ThreadOrder) => void fetchHere(order).then(() => parentPort?.postMessage('done')));
} else {
  const [role, path = ''] = process.argv.slice(2);
  process.on('disconnect', () => process.exit());
  if (role === 'serve') serve(path);
  else {
    process.on('message', (order) => void fetch(order as BareOrder));
    process.send?.('ready');
  }
}
