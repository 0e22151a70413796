/** Runs a server under strace, sends messages to it, and looks in which order it made its system calls. */
import { spawnSync } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeIdentity } from '../../src/protocol/certificate.js';
import { serverCommands } from '../../src/protocol/commands/server.js';
import { loggedIn } from '../support/server.js';
import { until } from './chance.js';
import { House } from './house.js';
import type { HouseOptions } from './house.js';
import { orderOf } from './syscalls.js';
import type { Order } from './syscalls.js';

const CALLS = 'fdatasync,fsync,read,readv,recvfrom,recvmsg,write,writev,sendto,sendmsg';

export function hasStrace(): boolean {
  return spawnSync('strace', ['-V']).status === 0;
}

export interface TraceOptions {
  readonly messages: number;
  /** One after the other, each when the one before was acknowledged; or all at once. */
  readonly how: 'one by one' | 'pipelined';
  readonly main?: HouseOptions['main'];
}

export async function traceOrder({ messages, how, main }: TraceOptions): Promise<Order> {
  const folder = await mkdtemp(join(tmpdir(), 'parley-trace-'));
  const file = join(folder, 'trace');
  // Detached, so that the process which is started is the server itself.
  const under = ['strace', '-D', '-f', '-yy', '-s', '0', '--seccomp-bpf', '-e', `trace=${CALLS}`, '-o', file];
  const house = await House.build({
    users: { alice: 'a', bob: 'b' },
    under,
    ...(main === undefined ? {} : { main }),
  });
  try {
    await house.start();
    const at = house.at ?? { host: '', port: 0 };
    const alice = await loggedIn(at, 'alice', 'a', { identity: await makeIdentity('alice') });
    const { localPort = 0 } = alice.socket;
    const mark = (await readFile(file, 'utf8')).length;
    let number = 0;
    const send = (): Promise<unknown> => {
      number += 1;
      return alice.call(serverCommands.message, { number, user: 'bob', text: `text ${number}` });
    };
    if (how === 'pipelined') await Promise.all(Array.from({ length: messages }, send));
    else for (let i = 0; i < messages; i++) await send();
    alice.destroy();
    await house.stop('SIGTERM');
    // strace writes its file while it goes.
    await until('the trace is whole', async () => /\+\+\+ (exited|killed)/.test(await readFile(file, 'utf8')));
    return orderOf((await readFile(file, 'utf8')).slice(mark), localPort);
  } finally {
    await house.clear();
    await rm(folder, { recursive: true, force: true });
  }
}
