/** How long 2,000 agents take to be back after the server was killed, or every connection cut (R24). The agents are another process. */
import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseUserName } from '../src/protocol/values.js';
import { Passwords } from '../src/server/auth/passwords.js';
import { openSqlite } from '../src/server/storage/sqlite.js';
import { spawnServer } from '../test/support/server.js';
import type { ServerProcess } from '../test/support/server.js';
import type { Back, Check, Order, Reply } from './resumeload.js';

const LOAD = fileURLToPath(new URL('./resumeload.js', import.meta.url));
const CLIENTS = Number(process.env['BENCH_CLIENTS'] ?? 2_000);
const GOAL_SECONDS = 20;
/** The system's usual limit of descriptors is for fewer clients. */
const DESCRIPTORS = 'ulimit -n 16384 2>/dev/null || ulimit -n $(ulimit -Hn)';
const SETTINGS = ['60', '3600', '--log-level', 'warn'];
/** Seconds of an outage in which every pause between attempts has grown to its longest. */
const LONG_OUTAGE_SECONDS = 15;
/** The shortest pause before an agent's first attempt. */
const HERD_PAUSE_SECONDS = 0.5;
const TICKS_PER_SECOND = 100;

export async function benchResume(): Promise<void> {
  console.log(`\nresume: ${CLIENTS.toLocaleString('en')} agents over TLS, each with a key of its own, come back`);
  const folder = mkdtempSync(join(tmpdir(), 'parley-bench-'));
  const load = fork(LOAD, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  try {
    const names = Array.from({ length: CLIENTS }, (_, i) => `user${i}`);
    const password = await seedAccounts(join(folder, 'data'), names);
    await run(folder, load, names, password);
  } finally {
    load.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  }
}

async function run(folder: string, load: ChildProcess, names: readonly string[], password: string): Promise<void> {
  let server = await start(folder, '0');
  try {
    const { host, port } = server;
    const login = { do: 'login', host, port, names, password } as const;
    const cpu = cpuSeconds(server);
    const { seconds } = await ask(load, login);
    line('logging in with a password, 32 at a time', `${(CLIENTS / seconds).toFixed(0)} /s   ${cost(server, cpu)}`);
    await ask(load, { do: 'settle' });

    server = await outage('kill -9, started again at once', folder, server, load, 0);
    server = await outage(
      `kill -9, started again after ${LONG_OUTAGE_SECONDS} s`,
      folder,
      server,
      load,
      LONG_OUTAGE_SECONDS,
    );
    await cut('every connection cut', server, load, false);
    await cut('every connection cut, all try again after exactly 0.5 s', server, load, true);
    // In good order: then a profile is written.
    await server.stop();
  } finally {
    await server.close();
  }
}

async function outage(
  what: string,
  folder: string,
  server: ServerProcess,
  load: ChildProcess,
  seconds: number,
): Promise<ServerProcess> {
  const back = ask(load, { do: 'outage' });
  const { port } = server;
  const killed = performance.now();
  await server.stop('SIGKILL');
  await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
  const next = await start(folder, String(port));
  const downSeconds = (performance.now() - killed) / 1000;
  print(what, await back, downSeconds, cost(next, 0));
  printCheck(await ask(load, { do: 'check' }));
  return next;
}

/** As the agents do it, or all at the same moment: then what the server can take shows. */
async function cut(what: string, server: ServerProcess, load: ChildProcess, herd: boolean): Promise<void> {
  const before = cpuSeconds(server);
  const back = await ask(load, { do: 'cut', herd });
  print(what, back, 0, cost(server, before));
  if (herd) line('', `${(CLIENTS / (back.all - HERD_PAUSE_SECONDS)).toFixed(0)} handshakes and resumes /s`);
  printCheck(await ask(load, { do: 'check' }));
}

function start(folder: string, port: string): Promise<ServerProcess> {
  const profile = process.env['BENCH_PROFILE'];
  // The words of the command are the shell's by then.
  const shell =
    profile === undefined ? DESCRIPTORS : `${DESCRIPTORS}; set -- --cpu-prof --cpu-prof-dir='${profile}' "$@"`;
  return spawnServer({ folder, users: {}, args: [port, ...SETTINGS], shell });
}

/** Accounts that share a password, and its one hash: hashing is what registering them would measure. */
async function seedAccounts(dataDir: string, names: readonly string[]): Promise<string> {
  const password = 'one for all';
  const hash = await (await Passwords.create()).hash(password);
  const storage = await openSqlite({ dataDir, role: 'tool' });
  await Promise.all(names.map((name) => storage.createUser(parseUserName(name), hash, Date.now())));
  await storage.close();
  return password;
}

async function ask<O extends Order>(load: ChildProcess, order: O): Promise<Reply<O>> {
  const over = new AbortController();
  try {
    const { signal } = over;
    const answered = once(load, 'message', { signal }) as Promise<[Reply<O>]>;
    const died = once(load, 'exit', { signal }).then(() => {
      throw new Error('the agents’ process ended');
    });
    load.send(order);
    const [reply] = await Promise.race([answered, died]);
    return reply;
  } finally {
    over.abort();
  }
}

/** Seconds of CPU that the server has used, where the system tells. */
function cpuSeconds(server: ServerProcess): number {
  try {
    const fields =
      readFileSync(`/proc/${server.child.pid ?? 0}/stat`, 'utf8')
        .split(') ')[1]
        ?.split(' ') ?? [];
    return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
  } catch {
    return NaN;
  }
}

function cost(server: ServerProcess, before: number): string {
  return `(server: ${(((cpuSeconds(server) - before) * 1000) / CLIENTS).toFixed(2)} CPU ms each)`;
}

function print(what: string, { half, most, all, attempts }: Back, downSeconds: number, note: string): void {
  const since = (seconds: number): string => `${Math.max(0, seconds - downSeconds).toFixed(1)} s`;
  const ratio = (Math.max(0, all - downSeconds) / GOAL_SECONDS).toFixed(2);
  line(what, `half ${since(half)}, 99% ${since(most)}, all ${since(all)}   (${ratio} of ${GOAL_SECONDS} s)`);
  const away = downSeconds === 0 ? '' : `the server was away for ${downSeconds.toFixed(1)} s; `;
  line('', `${away}${(attempts / CLIENTS).toFixed(1)} attempts each ${note}`);
}

function printCheck({ focusMembers, openMembers, rejoined, held, lost, presence, wrong }: Check): void {
  const groups = `${focusMembers} in the focus group (${rejoined} entered anew), ${openMembers} in the open one`;
  line('', `${groups}, ${held} files held; ${lost} sessions lost, ${presence} presence events`);
  for (const problem of wrong) line('  WRONG', problem);
}

function line(name: string, value: string): void {
  console.log(`  ${name.padEnd(52)} ${value}`);
}
