/**
 * How long 2,000 agents take to be back after the server was killed, or every connection cut (R24). The agents are another process.
 * BENCH_CLIENTS sets another number; with BENCH_PROFILE=FOLDER the last server writes a profile of its processor time there.
 */
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
    // Then it ends, and removes what it wrote.
    if (load.connected) load.disconnect();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The server of now: whatever fails, it is ended. */
interface Stage {
  readonly folder: string;
  readonly load: ChildProcess;
  server: ServerProcess;
}

async function run(folder: string, load: ChildProcess, names: readonly string[], password: string): Promise<void> {
  const stage: Stage = { folder, load, server: await start(folder, '0') };
  try {
    const { host, port } = stage.server;
    const login = { do: 'login', host, port, names, password } as const;
    const cpu = cpuSeconds(stage.server);
    const { seconds } = await ask(load, login);
    const rate = `${(CLIENTS / seconds).toFixed(0)} /s`;
    line('logging in with a password, 32 at a time', `${rate}   ${cost(stage.server, cpu)}`);
    await ask(load, { do: 'settle' });

    await outage('kill -9, started again at once', stage, 0);
    await outage(`kill -9, started again after ${LONG_OUTAGE_SECONDS} s`, stage, LONG_OUTAGE_SECONDS);
    await cut('every connection cut', stage, false);
    await cut('every connection cut, all try again after exactly 0.5 s', stage, true);
    // In good order: then a profile is written.
    await stage.server.stop();
  } finally {
    await stage.server.close();
  }
}

async function outage(what: string, stage: Stage, seconds: number): Promise<void> {
  const { folder, load, server } = stage;
  const back = ask(load, { do: 'outage' });
  const killed = performance.now();
  await server.stop('SIGKILL');
  await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
  const next = await start(folder, String(server.port));
  stage.server = next;
  const downSeconds = (performance.now() - killed) / 1000;
  print(what, await back, downSeconds, cost(next, 0));
  printCheck(await ask(load, { do: 'check' }));
}

/** As the agents do it, or all at the same moment: then what the server can take shows. */
async function cut(what: string, { server, load }: Stage, herd: boolean): Promise<void> {
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
