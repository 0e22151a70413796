/**
 * One end of what Node can do at most over one TLS link: nothing but TLS, BLAKE3 and a write for each MiB. `bare-end serve FILE` says its port and sends
 * the file to whoever connects; `bare-end fetch` is told where from and where to, and answers when all is written.
 */
import { closeSync, openSync, readSync, writeSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { connect, createServer } from 'node:tls';
import type { ConnectionOptions } from 'node:tls';
import { blockDigest } from '../src/chunks/digest.js';
import { makeIdentity } from '../src/protocol/certificate.js';
import { linkTlsOptions } from '../src/p2p/link.js';

const MIB = 1024 * 1024;

/** What the fetching end is told. */
export interface BareOrder {
  readonly port: number;
  /** A file that is there; it is written over. */
  readonly target: string;
  readonly mebibytes: number;
}

type OnRead = { readonly buffer: () => Uint8Array; readonly callback: (bytes: number) => boolean };

const tls = linkTlsOptions(await makeIdentity('bench'));

function serve(path: string): void {
  const file = openSync(path, 'r');
  const server = createServer(tls, (socket) => {
    const block = Buffer.allocUnsafeSlow(MIB);
    let at = 0;
    socket.on('error', () => undefined);
    const next = (): void => {
      const bytes = readSync(file, block, 0, MIB, at);
      at += bytes;
      if (bytes === 0) socket.end();
      else socket.write(block.subarray(0, bytes), next);
    };
    next();
  });
  server.listen(0, '127.0.0.1', () => process.send?.((server.address() as AddressInfo).port));
}

function fetch({ port, target, mebibytes }: BareOrder): void {
  const file = openSync(target, 'r+');
  const block = Buffer.allocUnsafeSlow(MIB);
  let have = 0;
  let blocks = 0;
  const onread: OnRead = {
    buffer: () => block.subarray(have),
    callback: (bytes) => {
      have += bytes;
      if (have < MIB) return true;
      blockDigest(block);
      writeSync(file, block, 0, MIB, blocks * MIB);
      have = 0;
      blocks += 1;
      if (blocks === mebibytes) {
        closeSync(file);
        process.send?.('done');
      }
      return true;
    },
  };
  const options: ConnectionOptions & { readonly onread: OnRead } = { ...tls, port, host: '127.0.0.1', onread };
  connect(options).on('error', () => undefined);
}

const [role, path = ''] = process.argv.slice(2);
process.on('disconnect', () => process.exit());
if (role === 'serve') serve(path);
else {
  process.on('message', (order) => fetch(order as BareOrder));
  process.send?.('ready');
}
