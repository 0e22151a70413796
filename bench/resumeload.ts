/** The agents of `bench/resume.ts`, a process of its own: each is an agent's session as it is, with its own rule for coming back. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Session } from '../src/client/agent/session.js';
import { Pins } from '../src/p2p/pins.js';
import { makeIdentity } from '../src/protocol/certificate.js';
import type { Identity } from '../src/protocol/certificate.js';
import { systemClock } from '../src/protocol/clock.js';
import { serverCommands } from '../src/protocol/commands/server.js';

export type Order =
  | {
      readonly do: 'login';
      readonly host: string;
      readonly port: number;
      readonly names: readonly string[];
      readonly password: string;
    }
  | { readonly do: 'settle' }
  | { readonly do: 'outage' }
  | { readonly do: 'cut'; readonly herd: boolean }
  | { readonly do: 'check' };

/** Seconds until so many were back; attempts of all together. */
export interface Back {
  readonly half: number;
  readonly most: number;
  readonly all: number;
  readonly attempts: number;
}

export interface Check {
  readonly focusMembers: number;
  readonly openMembers: number;
  /** Of the focus group, who had been away for too long. */
  readonly rejoined: number;
  readonly held: number;
  readonly lost: number;
  /** Presence events of all agents since the last check. */
  readonly presence: number;
  readonly wrong: readonly string[];
}

export type Reply<O extends Order> = O extends { do: 'login' }
  ? { readonly seconds: number }
  : O extends { do: 'outage' | 'cut' }
    ? Back
    : O extends { do: 'check' }
      ? Check
      : object;

/** Logins under way at a time. */
const AT_ONCE = 32;
/** Of so many agents each: members of a focus group, of an open one, holders of a file. */
const FEW = 50;
const ROOT = 'ab'.repeat(32);
/** How long everything may take before something is wrong. */
const PATIENCE_MS = 120_000;
const { create_group: createGroup, join_group: joinGroup, list_members: listMembers } = serverCommands;
const { registerFile, hold, searchFile } = serverCommands;

interface Agent {
  readonly name: string;
  readonly session: Session;
}

const home = mkdtempSync(join(tmpdir(), 'parley-bench-agents-'));
const pins = await Pins.open(home);
const agents: Agent[] = [];
let herd = false;
let attempts = 0;
let lost = 0;
let presence = 0;
let wrong: string[] = [];
/** When each came back, in this phase. */
let back: number[] = [];
let onBack: () => void = () => undefined;
/** What the agent itself would announce again. */
const files = new Map<string, string>();
const inRoom = new Set<string>();
let rejoined = 0;

const log = {
  debug: () => void (attempts += 1),
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
};

function makeAgent(name: string, identity: Identity): Agent {
  const session = new Session({
    identity,
    pins,
    clock: systemClock,
    log,
    random: () => (herd ? 0 : Math.random()),
    prepare: () => undefined,
    onMessage: () => undefined,
    onEvent: (event) => {
      if (event.type === 'presence') presence += 1;
    },
    onBegan: () => undefined,
    onResumed: ({ focus }) => {
      attempts += 1;
      back.push(performance.now());
      const file = files.get(name);
      if (file !== undefined) session.call(hold, { file, root: ROOT, chunks: 'all' }).catch(() => undefined);
      // As the agent does when it finds itself out of the group: it was away for longer than the server waits.
      if (inRoom.has(name) && focus === undefined) {
        rejoined += 1;
        session.call(joinGroup, { group: 'room' }).catch((thrown: unknown) => wrong.push(`${name}: ${String(thrown)}`));
      }
      onBack();
    },
    onLost: () => undefined,
    onEnded: (reason) => {
      lost += 1;
      wrong.push(`the session of ${name} ended: ${reason.code}`);
      onBack();
    },
  });
  return { name, session };
}

async function inParallel<T>(items: readonly T[], work: (item: T) => Promise<unknown>): Promise<void> {
  const rest = items.values();
  const worker = async (): Promise<void> => {
    for (const item of rest) await work(item);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}

async function logIn({ host, port, names, password }: Extract<Order, { do: 'login' }>): Promise<{ seconds: number }> {
  for (const name of names) agents.push(makeAgent(name, await makeIdentity('bench')));
  const begun = performance.now();
  await inParallel(agents, ({ name, session }) => session.login({ address: { host, port }, user: name, password }));
  return { seconds: (performance.now() - begun) / 1000 };
}

/** Some are in groups, some hold files. */
async function settle(): Promise<object> {
  const [first, other] = [agents[0], agents[FEW]];
  await first?.session.call(createGroup, { group: 'room' });
  await other?.session.call(createGroup, { group: 'hall', open: true });
  await inParallel(agents.slice(0, FEW), async ({ name, session }) => {
    await session.call(joinGroup, { group: 'room' });
    inRoom.add(name);
  });
  await inParallel(agents.slice(FEW, 2 * FEW), ({ session }) => session.call(joinGroup, { group: 'hall' }));
  await inParallel(agents.slice(2 * FEW, 3 * FEW), async ({ name, session }) => {
    const file = `${name}.bin`;
    const body = [Buffer.alloc(32)];
    await session.call(registerFile, { file, sizeBytes: 1, chunks: 1, root: ROOT }, { body });
    files.set(name, file);
  });
  presence = 0;
  return {};
}

async function untilAllAreBack(begin: () => void): Promise<Back> {
  back = [];
  attempts = 0;
  const begun = performance.now();
  begin();
  await new Promise<void>((resolve, reject) => {
    const late = setTimeout(() => reject(new Error(`${back.length} of ${agents.length} are back`)), PATIENCE_MS);
    onBack = () => {
      if (back.length + lost < agents.length) return;
      clearTimeout(late);
      resolve();
    };
  });
  const at = (share: number): number => ((back[Math.ceil(back.length * share) - 1] ?? NaN) - begun) / 1000;
  return { half: at(0.5), most: at(0.99), all: at(1), attempts };
}

function cutAll(): void {
  for (const { session } of agents) if (session.state.kind === 'online') session.state.connection.destroy();
}

async function check(): Promise<Check> {
  const online = agents.filter(({ session }) => session.state.kind === 'online').length;
  if (online !== agents.length) wrong.push(`${online} of ${agents.length} are online`);
  const members = async (agent: Agent | undefined, group: string): Promise<number> =>
    (await agent?.session.call(listMembers, { group }))?.members.length ?? 0;
  const focusMembers = await members(agents[0], 'room');
  const openMembers = await members(agents[FEW], 'hall');
  let held = 0;
  await inParallel(agents.slice(2 * FEW, 3 * FEW), async ({ name, session }) => {
    const { holders } = await session.call(searchFile, { file: files.get(name) ?? '' });
    if (holders.includes(name)) held += 1;
  });
  const seen = { focusMembers, openMembers, rejoined, held, lost, presence, wrong };
  presence = 0;
  rejoined = 0;
  wrong = [];
  return seen;
}

function obey(order: Order): Promise<object> {
  switch (order.do) {
    case 'login':
      return logIn(order);
    case 'settle':
      return settle();
    case 'outage':
      return untilAllAreBack(() => undefined);
    case 'cut':
      herd = order.herd;
      return untilAllAreBack(cutAll);
    case 'check':
      return check();
  }
}

process.once('exit', () => rmSync(home, { recursive: true, force: true }));
process.once('disconnect', () => process.exit());
process.on('message', (order: Order) => {
  obey(order).then(
    (reply) => process.send?.(reply),
    (thrown: unknown) => {
      console.error(thrown);
      process.exit(1);
    },
  );
});
