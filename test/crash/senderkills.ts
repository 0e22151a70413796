/** kill -9 of the sender's agent: what its user was told is there, and trying again never doubles. */
import { join } from 'node:path';
import { makeIdentity } from '../../src/protocol/certificate.js';
import { serverCommands } from '../../src/protocol/commands/server.js';
import type { Connection } from '../../src/protocol/connection.js';
import { toParleyError } from '../../src/protocol/errors.js';
import { runAgentProcess } from './agents.js';
import type { RunningAgent } from './agents.js';
import { sleep, until } from './chance.js';
import type { Chance } from './chance.js';
import { Device } from './device.js';
import { House } from './house.js';
import { Ledger, inOrder } from './ledger.js';
import type { Sending } from './ledger.js';
import { addFates, addFindings, emptyTally } from './report.js';
import type { Tally } from './report.js';

const ROOM = 'exam';
const OPEN = 'news';
const READERS = ['rex', 'rob', 'ray'] as const;
const USERS = ['alice', ...READERS] as const;
const PASSWORDS = Object.fromEntries(USERS.map((name) => [name, `${name} has one`]));
/** How long the agent lives at least and at most once it is logged in, in milliseconds. */
const LIFE_MS = [0, 120] as const;
/** Commands of the face that may be on their way. */
const AT_ONCE = 32;
const WRITE_EVERY_MS = 2;
/** How long a call may take. */
const PATIENCE_MS = 60_000;

export interface AgentKillOptions {
  readonly kills: number;
  readonly chance: Chance;
  readonly onKill?: (tally: Tally) => void;
}

/** What was written, so that it can be written again. */
interface Written {
  readonly sending: Sending;
  readonly call: (face: Connection) => Promise<readonly string[]>;
}

export async function killSenders({ kills, chance, onKill }: AgentKillOptions): Promise<Tally> {
  const tally = emptyTally();
  if (kills === 0) return tally;
  const house = await House.build({ users: PASSWORDS });
  const ledger = new Ledger();
  const readers: Device[] = [];
  try {
    await house.start();
    for (const user of READERS) {
      const identity = await makeIdentity(user);
      const password = PASSWORDS[user] ?? '';
      const room = user === 'rob' ? { room: ROOM } : {};
      readers.push(new Device({ user, password, identity, server: () => house.at, ...room }));
    }
    await furnish(readers);
    let unanswered: Written[] = [];
    while (tally.kills < kills) {
      const agent = await startAlice(house);
      const session = new Session(agent, ledger, unanswered);
      await session.settle(chance);
      session.write(chance);
      if (chance.isOne(0.2)) await readers[1]?.glance();
      await sleep(chance.between(...LIFE_MS));
      await agent.kill();
      unanswered = session.end();
      tally.kills += 1;
      if (!house.isIntactWhileUp()) tally.damaged += 1;
      onKill?.(tally);
    }
    const agent = await startAlice(house);
    const last = new Session(agent, ledger, unanswered);
    await last.settle(chance);
    await until('every message was answered', () => last.isDone, PATIENCE_MS);
    await agent.end();
    await compare(tally, house, ledger, readers);
  } finally {
    await Promise.all(readers.map((reader) => reader.stop()));
    await house.clear();
  }
  return tally;
}

function startAlice(house: House): Promise<RunningAgent> {
  const password = PASSWORDS['alice'] ?? '';
  return runAgentProcess({ home: join(house.folder, 'alice'), user: 'alice', password, server: house.address });
}

async function compare(tally: Tally, house: House, ledger: Ledger, readers: readonly Device[]): Promise<void> {
  const { all } = await house.inboxes(READERS);
  addFindings(tally, ledger.check(all));
  // All were answered in the end: what was written again went to nobody twice.
  const open = ledger.all.filter(({ fate }) => fate.kind === 'unanswered' || fate.kind === 'promised');
  addFindings(
    tally,
    open.map(({ text }) => ({ fault: 'lost', user: 'alice', text })),
  );
  addFates(tally, ledger);
  for (const texts of all.values()) tally.delivered += texts.length;
  for (const device of readers) {
    tally.held += device.held.length;
    // Alice is now in the room and now outside: what she wrote from outside is shown behind what she wrote in it.
    const held = new Set(device.held);
    const pushed = device.shown.filter((text) => !held.has(text));
    addFindings(tally, [...inOrder(device.user, pushed), ...inOrder(device.user, device.held)]);
  }
}

async function furnish(readers: readonly Device[]): Promise<void> {
  for (const reader of readers) {
    reader.start();
    await until(`${reader.user} is there`, () => reader.isOnline);
  }
  const [first] = readers;
  await first?.ask(async (connection) => {
    await connection.call(serverCommands.create_group, { group: ROOM });
    await connection.call(serverCommands.create_group, { group: OPEN, open: true });
  });
  for (const reader of readers) {
    await reader.ask((connection) => connection.call(serverCommands.join_group, { group: OPEN }));
    if (reader.user === 'rob') await reader.ask((to) => to.call(serverCommands.join_group, { group: ROOM }));
  }
}

/** The life of one agent. */
class Session {
  readonly #agent: RunningAgent;
  readonly #ledger: Ledger;
  #open: Written[];
  #timer: NodeJS.Timeout | undefined;
  #isOver = false;
  #isInRoom = false;

  constructor(agent: RunningAgent, ledger: Ledger, unanswered: readonly Written[]) {
    this.#agent = agent;
    this.#ledger = ledger;
    this.#open = [...unanswered];
  }

  get isDone(): boolean {
    return this.#open.length === 0;
  }

  /** The user tries again what was not answered, in order; then goes where they want to be. */
  async settle(chance: Chance): Promise<void> {
    const { face } = this.#agent;
    await face.call(serverCommands.join_group, { group: OPEN }).catch(() => undefined);
    for (const written of [...this.#open]) this.#try(written);
    if (chance.isOne(0.7)) return;
    await until('what was open is answered', () => this.isDone, PATIENCE_MS);
    await face.call(serverCommands.join_group, { group: ROOM });
    this.#isInRoom = true;
  }

  write(chance: Chance): void {
    const step = (): void => {
      for (let i = 0; i < 4 && this.#open.length < AT_ONCE; i++) {
        const written = this.#isInRoom ? this.#inRoom() : this.#outside(chance);
        this.#open.push(written);
        this.#try(written);
      }
    };
    step();
    this.#timer = setInterval(step, WRITE_EVERY_MS);
  }

  /** What was not answered. */
  end(): Written[] {
    this.#isOver = true;
    clearInterval(this.#timer);
    return this.#open;
  }

  #try(written: Written): void {
    const { sending, call } = written;
    const { face } = this.#agent;
    call(face).then(
      (recipients) => this.#answered(written, () => (sending.fate = { kind: 'acknowledged', recipients })),
      (thrown: unknown) => {
        const { code } = toParleyError(thrown);
        if (!face.isOpen || code === 'AGENT_GONE') return;
        this.#answered(written, () => (sending.fate = { kind: 'refused' }));
      },
    );
  }

  #answered(written: Written, note: () => void): void {
    if (this.#isOver) return;
    note();
    this.#open = this.#open.filter((each) => each !== written);
  }

  #inRoom(): Written {
    const sending = this.#ledger.send('alice', ['rob']);
    const { text } = sending;
    const call = async (face: Connection): Promise<string[]> =>
      (await face.call(serverCommands.send_group, { group: ROOM, text }, { deadlineMs: PATIENCE_MS })).recipients;
    return { sending, call };
  }

  #outside(chance: Chance): Written {
    const options = { deadlineMs: PATIENCE_MS };
    const kind = chance.pick(['rex', 'rob', 'group', 'broadcast']);
    if (kind === 'group') {
      const sending = this.#ledger.send('alice', [...READERS]);
      const params = { group: OPEN, text: sending.text };
      return {
        sending,
        call: async (face) => (await face.call(serverCommands.send_group, params, options)).recipients,
      };
    }
    if (kind === 'broadcast') {
      const sending = this.#ledger.send('alice', [...READERS]);
      const params = { text: sending.text };
      return { sending, call: async (face) => (await face.call(serverCommands.broadcast, params, options)).recipients };
    }
    const sending = this.#ledger.send('alice', [kind]);
    const params = { user: kind, text: sending.text };
    return {
      sending,
      call: async (face) => {
        await face.call(serverCommands.message, params, options);
        return [kind];
      },
    };
  }
}
