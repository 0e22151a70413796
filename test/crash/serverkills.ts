/** kill -9 of the server, with messages, group messages and held ones on their way. */
import { join } from 'node:path';
import { agentCommands } from '../../src/protocol/commands/agent.js';
import { makeIdentity } from '../../src/protocol/certificate.js';
import { serverCommands } from '../../src/protocol/commands/server.js';
import { toParleyError } from '../../src/protocol/errors.js';
import { runAgentProcess } from './agents.js';
import type { RunningAgent } from './agents.js';
import { sleep, until } from './chance.js';
import type { Chance } from './chance.js';
import { Device } from './device.js';
import { House } from './house.js';
import type { HouseOptions } from './house.js';
import { Ledger, inOrder } from './ledger.js';
import { addFates, addFindings, emptyTally } from './report.js';
import type { Tally } from './report.js';

/** Kills of one database, which is then compared with what was sent and thrown away. */
const KILLS_AN_EPOCH = 50;
/** How long the server lives at least and at most while it is shot at, in milliseconds. */
const LIFE_MS = [5, 220] as const;
/** Now and then it lives until the real agents are back, so that they have something on their way, too. */
const LONG_LIFE = 0.2;
const AGENTS_BACK_MS = 2_000;
/** How often each sender writes, and how many messages of its may wait. */
const WRITE_EVERY_MS = 5;
const MAX_WAITING = 48;
/** Calls of a face that may be on their way: an agent's outbox takes 1,000. */
const AGENT_CALLS = 40;
/** Messages to the real reader that are not there yet: with 200 of one sender their inbox is full. */
const MAX_UNREAD = 100;

const SENDERS = ['ann', 'ben', 'cat'] as const;
/** In the focus group: `fay` writes in it, `rob` looks at what is held now and then. */
const ROOM = 'exam';
const OPEN = 'news';
const READERS = ['rex', 'rob', 'ray'] as const;
const PASSWORDS = Object.fromEntries(
  [...SENDERS, ...READERS, 'fay', 'real', 'reader'].map((name) => [name, `${name} has one`]),
);

export interface ServerKillOptions {
  readonly kills: number;
  readonly chance: Chance;
  /** Without the real agents, for a quick check. */
  readonly agents?: boolean;
  readonly main?: HouseOptions['main'];
  readonly onKill?: (tally: Tally) => void;
}

export async function killServers(options: ServerKillOptions): Promise<Tally> {
  const tally = emptyTally();
  while (tally.kills < options.kills)
    await epoch(tally, Math.min(options.kills, tally.kills + KILLS_AN_EPOCH), options);
  return tally;
}

async function epoch(tally: Tally, lastKill: number, options: ServerKillOptions): Promise<void> {
  const { chance, onKill, main, agents = true } = options;
  const house = await House.build({ users: PASSWORDS, ...(main === undefined ? {} : { main }) });
  const ledger = new Ledger();
  const stage = await Stage.open(house, ledger, agents);
  try {
    while (tally.kills < lastKill) {
      if (house.at === undefined) await house.start();
      if (chance.isOne(0.4)) stage.away.start();
      const isLong = agents && chance.isOne(LONG_LIFE);
      if (isLong) await until('agents are back', () => stage.agentsAreBack(), AGENTS_BACK_MS).catch(() => undefined);
      else await until('somebody is online', () => stage.isAnyoneOnline());
      stage.write(chance);
      const glance = chance.isOne(0.3) ? sleep(chance.between(0, 100)).then(() => stage.rob.glance()) : undefined;
      await sleep(chance.between(...LIFE_MS));
      await house.stop();
      stage.rest();
      await Promise.all([glance, stage.away.stop()]);
      tally.kills += 1;
      if (!(await house.isIntactWhileDown())) tally.damaged += 1;
      onKill?.(tally);
    }
    await house.start();
    await stage.drain();
    await stage.close();
    await house.stop();
    await compare(tally, house, ledger, stage);
  } finally {
    await stage.close();
    await house.clear();
  }
}

async function compare(tally: Tally, house: House, ledger: Ledger, stage: Stage): Promise<void> {
  const names = [...READERS, 'reader'];
  const { all, unread } = await house.inboxes(stage.hasAgents ? names : READERS);
  addFindings(tally, ledger.check(all));
  addFates(tally, ledger);
  for (const texts of all.values()) tally.delivered += texts.length;
  for (const device of stage.readers) {
    tally.held += device.held.length;
    // What was held when an answer was lost is in the inbox, unread; everything else was shown, in order, once.
    const shown = new Set(device.shown);
    const missing = (all.get(device.user) ?? []).filter(
      (text) => !shown.has(text) && unread.get(device.user)?.has(text) !== true,
    );
    addFindings(tally, [
      ...inOrder(`${device.user}’s screen`, device.shown),
      ...missing.map((text) => ({ fault: 'lost', user: `${device.user}’s screen`, text }) as const),
    ]);
  }
  if (stage.hasAgents) addFindings(tally, inOrder('reader’s face', stage.heard));
}

/** Everybody who writes and reads. */
class Stage {
  readonly #house: House;
  readonly #ledger: Ledger;
  readonly #writers: readonly Device[];
  readonly #fay: Device;
  readonly readers: readonly Device[];
  readonly rob: Device;
  /** Mostly not there. */
  readonly away: Device;
  #real: RunningAgent | undefined;
  #reader: RunningAgent | undefined;
  /** What the real reader's agent told its face. */
  readonly heard: string[] = [];
  #calls = 0;
  #toReader = 0;
  #timer: NodeJS.Timeout | undefined;
  #isClosed = false;

  private constructor(house: House, ledger: Ledger, devices: readonly Device[]) {
    this.#house = house;
    this.#ledger = ledger;
    const device = (name: string): Device => {
      const found = devices.find(({ user }) => user === name);
      if (found === undefined) throw new Error(`there is no ${name}`);
      return found;
    };
    this.#writers = SENDERS.map(device);
    this.#fay = device('fay');
    this.readers = READERS.map(device);
    this.rob = device('rob');
    this.away = device('ray');
  }

  static async open(house: House, ledger: Ledger, agents: boolean): Promise<Stage> {
    await house.start();
    const make = async (user: string): Promise<Device> =>
      new Device({
        user,
        password: PASSWORDS[user] ?? '',
        identity: await makeIdentity(user),
        server: () => house.at,
        ...(user === 'fay' || user === 'rob' ? { room: ROOM } : {}),
      });
    const devices = await Promise.all([...SENDERS, ...READERS, 'fay'].map(make));
    const stage = new Stage(house, ledger, devices);
    await stage.#furnish();
    for (const device of devices) if (device !== stage.away) device.start();
    await until('everybody is there', () => devices.every((each) => each === stage.away || each.isOnline));
    if (agents) await stage.#hire();
    return stage;
  }

  get hasAgents(): boolean {
    return this.#reader !== undefined;
  }

  isAnyoneOnline(): boolean {
    return this.#writers.some(({ isOnline }) => isOnline);
  }

  async agentsAreBack(): Promise<boolean> {
    const states = [this.#real, this.#reader].map(async (agent) => {
      const status = await agent?.face.call(agentCommands.status, {});
      return status?.online === true;
    });
    return (await Promise.all(states)).every(Boolean);
  }

  /** Everybody writes, until `rest`. */
  write(chance: Chance): void {
    const step = (): void => {
      for (const writer of this.#writers) {
        if (writer.waiting < MAX_WAITING) this.#writeOne(writer, chance);
      }
      if (this.#fay.waiting < MAX_WAITING) {
        const sending = this.#ledger.send('fay', ['rob']);
        this.#fay.post(sending, 'send_group', { group: ROOM, text: sending.text });
      }
      if (this.#real !== undefined && this.#calls < AGENT_CALLS) this.#writeByAgent(this.#real, chance);
    };
    step();
    this.#timer = setInterval(step, WRITE_EVERY_MS);
  }

  rest(): void {
    clearInterval(this.#timer);
  }

  /** Everything that was begun is answered, and has come to whoever is there. */
  async drain(): Promise<void> {
    this.away.start();
    await until('every message was answered', () =>
      [...this.#writers, this.#fay].every(({ waiting }) => waiting === 0),
    );
    await until('the agent’s calls were answered', () => this.#calls === 0, 60_000);
    // When it does not come it is found lost.
    if (this.hasAgents)
      await until('everything promised is there', () => this.#isAllThere(), 60_000).catch(() => false);
    await this.rob.glance();
    const before = (): number => this.readers.reduce((sum, { shown }) => sum + shown.length, this.heard.length);
    for (let last = -1; before() !== last;) {
      last = before();
      await sleep(300);
    }
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.rest();
    await Promise.all([
      ...[...this.#writers, ...this.readers, this.#fay].map((device) => device.stop()),
      this.#real?.kill(),
      this.#reader?.kill(),
    ]);
  }

  async #isAllThere(): Promise<boolean> {
    const { all } = await this.#house.inboxes(['rex', ...(this.hasAgents ? ['reader'] : [])]);
    return this.#ledger.check(all).every(({ fault }) => fault !== 'lost');
  }

  #writeOne(writer: Device, chance: Chance): void {
    const kind = chance.pick(['rex', 'rob', 'ray', 'group']);
    if (kind === 'group') {
      const sending = this.#ledger.send(writer.user, [...READERS]);
      writer.post(sending, 'send_group', { group: OPEN, text: sending.text });
    } else {
      const sending = this.#ledger.send(writer.user, [kind]);
      writer.post(sending, 'message', { user: kind, text: sending.text });
    }
  }

  #writeByAgent({ face }: RunningAgent, chance: Chance): void {
    const user = this.#toReader - this.heard.length < MAX_UNREAD ? chance.pick(['rex', 'reader']) : 'rex';
    if (user === 'reader') this.#toReader += 1;
    const sending = this.#ledger.send('real', [user]);
    this.#calls += 1;
    face
      .call(serverCommands.message, { user, text: sending.text }, { deadlineMs: 120_000 })
      .then(
        () => void (sending.fate = { kind: 'acknowledged', recipients: [user] }),
        (thrown: unknown) => {
          const { code } = toParleyError(thrown);
          // It stays in the outbox, says the agent.
          const isPromised = code === 'SERVER_UNREACHABLE' || code === 'TIMEOUT';
          sending.fate = { kind: isPromised ? 'promised' : 'refused' };
        },
      )
      .finally(() => (this.#calls -= 1));
  }

  /** The groups, with their members. */
  async #furnish(): Promise<void> {
    for (const device of [...this.#writers, ...this.readers]) {
      device.start();
      await until(`${device.user} is there`, () => device.isOnline);
      await device.ask(async (connection) => {
        if (device === this.#writers[0]) {
          await connection.call(serverCommands.create_group, { group: ROOM });
          await connection.call(serverCommands.create_group, { group: OPEN, open: true });
        }
        await connection.call(serverCommands.join_group, { group: OPEN });
      });
      await device.stop();
    }
  }

  /** A real agent that writes, and one that reads. */
  async #hire(): Promise<void> {
    const server = this.#house.address;
    const home = (user: string): string => join(this.#house.folder, user);
    const options = (user: string) => ({ home: home(user), user, password: PASSWORDS[user] ?? '', server });
    this.#real = await runAgentProcess(options('real'));
    this.#reader = await runAgentProcess({
      ...options('reader'),
      onEvent: (event) => {
        if (event.type === 'message') this.heard.push(event.text);
      },
    });
  }
}
