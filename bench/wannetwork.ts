/**
 * A slow and lossy network between a server, holders and a downloader on this machine: between network namespaces with netem; where the
 * kernel has none of that, with a wire of our own between them; where there are no namespaces, over relays on loopback.
 */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { endsWithUs } from '../test/crash/children.js';
import { CappedWire } from './capped.js';
import { freePort } from './proc.js';

const WIRE_SCRIPT = fileURLToPath(new URL('../../bench/wire.py', import.meta.url));
const PYTHON = 'python3';

export interface WanOptions {
  readonly holders: number;
  /** Of what each holder sends. */
  readonly bytesPerSecond: number;
  readonly roundTripMs: number;
  /** Of packets, each way, 0 to 1. */
  readonly loss: number;
  readonly seed: number;
  /** Of the kernel's; its own choice when absent. */
  readonly congestionControl?: string | undefined;
}

/** Where a process is run. */
export interface Host {
  /** Words before its own. */
  readonly under: readonly string[];
  readonly address: string;
  /** `host:port` for an agent. */
  readonly listen: string;
}

export interface Wan {
  /** What stands between the hosts, in words. */
  readonly says: string;
  readonly server: Host;
  readonly downloader: Host;
  readonly holders: readonly Host[];
  close(): Promise<void>;
}

export const WAN_KINDS = ['netem', 'tun', 'relay'] as const;
export type WanKind = (typeof WAN_KINDS)[number];

/** The best kind that works here. */
export function kindHere(): WanKind {
  if (!namespacesWork()) return 'relay';
  if (netemWorks()) return 'netem';
  const hasTun = existsSync('/dev/net/tun') && spawnSync(PYTHON, ['--version']).status === 0;
  return hasTun ? 'tun' : 'relay';
}

export function openWan(kind: WanKind, options: WanOptions): Promise<Wan> {
  return kind === 'relay' ? openRelays(options) : openNamespaces(kind, options);
}

/** Runs a command that has to succeed. */
function run(program: string, ...words: string[]): string {
  const { status, stdout, stderr, error } = spawnSync(program, words, { encoding: 'utf8' });
  if (status === 0) return stdout;
  throw new Error(`${program} ${words.join(' ')}: ${error?.message ?? stderr.trim()}`);
}

const works = (program: string, ...words: string[]): boolean => spawnSync(program, words).status === 0;

function namespacesWork(): boolean {
  const name = `parley-try-${process.pid}`;
  if (!works('ip', 'netns', 'add', name)) return false;
  return works('ip', 'netns', 'del', name);
}

function netemWorks(): boolean {
  const name = `parley-try-${process.pid}`;
  if (!works('ip', 'netns', 'add', name)) return false;
  try {
    return works('ip', 'netns', 'exec', name, 'tc', 'qdisc', 'add', 'dev', 'lo', 'root', 'netem', 'delay', '1ms');
  } finally {
    works('ip', 'netns', 'del', name);
  }
}

interface Place {
  readonly namespace: string;
  readonly device: string;
  readonly address: string;
  readonly bytesPerSecond: number;
}

async function openNamespaces(kind: 'netem' | 'tun', options: WanOptions): Promise<Wan> {
  const { holders, bytesPerSecond, congestionControl } = options;
  const names = ['server', 'downloader', ...Array.from({ length: holders }, (_, i) => `holder${i}`)];
  const places = names.map((name, i): Place => ({
    namespace: `parley-${process.pid}-${name}`,
    device: `pw${process.pid}x${i}`,
    address: `10.99.0.${i + 1}`,
    bytesPerSecond: name.startsWith('holder') ? bytesPerSecond : 0,
  }));
  const undo: (() => Promise<unknown>)[] = [];
  const clear = (): void => {
    for (const { namespace } of places) works('ip', 'netns', 'del', namespace);
  };
  const close = async (): Promise<void> => {
    for (const each of undo.splice(0).reverse()) await each();
    clear();
  };
  process.once('exit', clear);
  try {
    for (const { namespace } of places) run('ip', 'netns', 'add', namespace);
    const link = kind === 'netem' ? linkByNetem : linkByTun;
    undo.push(await link(places, options));
    for (const { namespace, device, address } of places) {
      const inside = (...words: string[]): string => run('ip', 'netns', 'exec', namespace, ...words);
      inside('ip', 'addr', 'add', `${address}/24`, 'dev', device);
      inside('ip', 'link', 'set', 'lo', 'up');
      inside('ip', 'link', 'set', device, 'mtu', '1500', 'up');
      if (congestionControl !== undefined)
        inside('sysctl', '-qw', `net.ipv4.tcp_congestion_control=${congestionControl}`);
    }
    const [server, downloader, ...rest] = places.map(({ namespace, address }): Host => {
      return { under: ['ip', 'netns', 'exec', namespace], address, listen: `${address}:0` };
    });
    if (server === undefined || downloader === undefined) throw new Error('nobody is there');
    const used = run(...(server.under as [string]), 'sysctl', '-n', 'net.ipv4.tcp_congestion_control').trim();
    const what = kind === 'netem' ? 'netem' : 'our own wire (TUN; the kernel has no netem)';
    return {
      says: `network namespaces, ${what}, the kernel’s TCP with ${used}`,
      server,
      downloader,
      holders: rest,
      close,
    };
  } catch (thrown) {
    await close();
    throw thrown;
  }
}

/** A bridge in a namespace of its own, and netem where each host sends. */
function linkByNetem(places: readonly Place[], { roundTripMs, loss }: WanOptions): Promise<() => Promise<void>> {
  const hub = `parley-${process.pid}-hub`;
  run('ip', 'netns', 'add', hub);
  process.once('exit', () => works('ip', 'netns', 'del', hub));
  const inHub = (...words: string[]): string => run('ip', 'netns', 'exec', hub, ...words);
  inHub('ip', 'link', 'add', 'bridge', 'type', 'bridge');
  inHub('ip', 'link', 'set', 'bridge', 'up');
  for (const { namespace, device, bytesPerSecond } of places) {
    const there = ['peer', 'name', `h${device}`, 'netns', hub];
    run('ip', 'link', 'add', device, 'netns', namespace, 'type', 'veth', ...there);
    inHub('ip', 'link', 'set', `h${device}`, 'master', 'bridge', 'up');
    const rate = bytesPerSecond === 0 ? [] : ['rate', `${Math.round((bytesPerSecond * 8) / 1000)}kbit`];
    const netem = ['netem', 'delay', `${roundTripMs / 2}ms`, 'loss', `${loss * 100}%`, ...rate];
    run('ip', 'netns', 'exec', namespace, 'tc', 'qdisc', 'add', 'dev', device, 'root', ...netem);
  }
  return Promise.resolve(() => Promise.resolve(void works('ip', 'netns', 'del', hub)));
}

/** A TUN device in each namespace, and a process that carries packets between them. */
async function linkByTun(
  places: readonly Place[],
  { roundTripMs, loss, seed }: WanOptions,
): Promise<() => Promise<void>> {
  const hosts = places.map(({ device, address, bytesPerSecond }) => `${device}=${address}=${bytesPerSecond}`);
  const words = [WIRE_SCRIPT, String(roundTripMs / 2), String(loss), String(seed), ...hosts];
  const child = endsWithUs(spawn(PYTHON, words, { stdio: ['pipe', 'pipe', 'inherit'] }));
  const ended = once(child, 'exit');
  const ready = once(createInterface({ input: child.stdout }), 'line');
  const early = ended.then(() => Promise.reject(new Error('the wire ended')));
  early.catch(() => undefined);
  await Promise.race([ready, early]);
  for (const { namespace, device } of places) run('ip', 'link', 'set', device, 'netns', namespace);
  return async () => {
    child.stdin.end();
    await ended;
  };
}

/** Relays before the holders; all else is near. */
async function openRelays(options: WanOptions): Promise<Wan> {
  const { bytesPerSecond, roundTripMs, loss, seed } = options;
  const [seenAt, listensAt] = ['127.0.0.1', '127.0.0.2'] as const;
  const wires: CappedWire[] = [];
  const holders: Host[] = [];
  for (let i = 0; i < options.holders; i++) {
    const port = await freePort();
    const far = { roundTripMs, loss, seed: seed + i };
    wires.push(await CappedWire.open({ host: seenAt, to: listensAt, port, bytesPerSecond, ...far }));
    holders.push({ under: [], address: seenAt, listen: `${listensAt}:${port}` });
  }
  const near: Host = { under: [], address: seenAt, listen: `${seenAt}:0` };
  return {
    says: 'relays on loopback that model what loss does to a stream (no namespaces here)',
    server: near,
    downloader: near,
    holders,
    close: async () => {
      for (const wire of wires) await wire.close();
    },
  };
}
