/** kill -9 of the recipient's agent: its log has everything once, in order, and its faces were shown nothing twice. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { makeIdentity } from '../../src/protocol/certificate.js';
import { agentCommands } from '../../src/protocol/commands/agent.js';
import { serverCommands } from '../../src/protocol/commands/server.js';
import { RECEIVED_LOG_FILE } from '../../src/client/agent/receivedlog.js';
import { runAgentProcess } from './agents.js';
import type { RunningAgent } from './agents.js';
import { sleep, until } from './chance.js';
import type { Chance } from './chance.js';
import { Device } from './device.js';
import { House } from './house.js';
import { Ledger, inOrder } from './ledger.js';
import type { Finding } from './ledger.js';
import { addFates, addFindings, emptyTally } from './report.js';
import type { Tally } from './report.js';
import type { AgentKillOptions } from './senderkills.js';

const ROOM = 'exam';
const OPEN = 'news';
const SENDERS = ['ann', 'ben'] as const;
const USERS = ['bob', 'fay', ...SENDERS] as const;
const PASSWORDS = Object.fromEntries(USERS.map((name) => [name, `${name} has one`]));
const LIFE_MS = [0, 150] as const;
/** Each sender's messages that bob has not acknowledged are 200 at most: slow enough that his starts do not fill his inbox. */
const WRITE_EVERY_MS = 12;
const PATIENCE_MS = 30_000;

/** What bob's faces were shown. */
interface Shown {
  readonly texts: string[];
  held: number;
}

export async function killRecipients({ kills, chance, onKill }: AgentKillOptions): Promise<Tally> {
  const tally = emptyTally();
  if (kills === 0) return tally;
  const house = await House.build({ users: PASSWORDS });
  const ledger = new Ledger();
  const devices: Device[] = [];
  let timer: NodeJS.Timeout | undefined;
  try {
    await house.start();
    for (const user of ['fay', ...SENDERS]) {
      const identity = await makeIdentity(user);
      const password = PASSWORDS[user] ?? '';
      const room = user === 'fay' ? { room: ROOM } : {};
      devices.push(new Device({ user, password, identity, server: () => house.at, ...room }));
    }
    await furnish(devices);
    const shown: Shown = { texts: [], held: 0 };
    timer = setInterval(() => writeAll(devices, ledger, chance), WRITE_EVERY_MS);
    while (tally.kills < kills) {
      const bob = await startBob(house, shown);
      const life = live(bob, chance, shown).catch(() => undefined);
      await sleep(chance.between(...LIFE_MS));
      await bob.kill();
      await life;
      tally.kills += 1;
      if (!house.isIntactWhileUp()) tally.damaged += 1;
      onKill?.(tally);
    }
    clearInterval(timer);
    await until('every message was answered', () => devices.every(({ waiting }) => waiting === 0), PATIENCE_MS);
    const bob = await startBob(house, shown);
    const read = await readAll(bob);
    await bob.end();
    await compare(tally, house, ledger, { shown, read });
  } finally {
    clearInterval(timer);
    await Promise.all(devices.map((device) => device.stop()));
    await house.clear();
  }
  return tally;
}

function startBob(house: House, shown: Shown): Promise<RunningAgent> {
  return runAgentProcess({
    home: join(house.folder, 'bob'),
    user: 'bob',
    password: PASSWORDS['bob'] ?? '',
    server: house.address,
    onEvent: (event) => {
      if ('text' in event && event.type !== 'notice') shown.texts.push(event.text);
    },
  });
}

/** What bob does until he is killed: in and out of the groups. */
async function live({ face }: RunningAgent, chance: Chance, shown: Shown): Promise<void> {
  await face.call(serverCommands.join_group, { group: OPEN }).catch(() => undefined);
  while (face.isOpen && chance.isOne(0.6)) {
    await face.call(serverCommands.join_group, { group: ROOM });
    await sleep(chance.between(5, 60));
    if (chance.isOne(0.3)) return;
    const { held } = await face.call(serverCommands.leave_group, { group: ROOM });
    shown.texts.push(...held.map(({ text }) => text));
    shown.held += held.length;
    await sleep(chance.between(0, 20));
  }
}

/** The whole inbox as the agent shows it, once nothing more comes. */
async function readAll({ face }: RunningAgent): Promise<string[]> {
  let last: string[] = [];
  for (;;) {
    const { messages } = await face.call(agentCommands.inbox, { limit: 1_000_000 }, { deadlineMs: PATIENCE_MS });
    const texts = messages.map(({ text }) => text);
    await sleep(500);
    if (texts.length === last.length) return texts;
    last = texts;
  }
}

async function compare(
  tally: Tally,
  house: House,
  ledger: Ledger,
  { shown, read }: { shown: Shown; read: readonly string[] },
): Promise<void> {
  const { all } = await house.inboxes(['bob']);
  const inbox = all.get('bob') ?? [];
  addFindings(tally, ledger.check(all));
  addFates(tally, ledger);
  tally.delivered += inbox.length;
  tally.held += shown.held;
  const log = await receivedTexts(join(house.folder, 'bob'));
  addFindings(tally, [...inOrder('bob’s log', log), ...inOrder('bob’s faces', shown.texts)]);
  addFindings(tally, missing('bob’s inbox command', inbox, new Set(read)));
  // What was held never came by itself: bob finds it in the inbox, or saw it on leaving.
  addFindings(tally, missing('bob’s faces', log, new Set([...shown.texts, ...read])));
}

function missing(user: string, wanted: readonly string[], there: ReadonlySet<string>): Finding[] {
  return wanted.filter((text) => !there.has(text)).map((text) => ({ fault: 'lost', user, text }));
}

/** The agent's own log, in the order of positions; one that stands there twice was not kept once. */
async function receivedTexts(home: string): Promise<string[]> {
  const lines = (await readFile(join(home, RECEIVED_LOG_FILE), 'utf8')).split('\n').filter((line) => line !== '');
  // What was shown on leaving a room stands there by its id alone.
  return lines.flatMap((line) => (JSON.parse(line) as { message?: { text: string } }).message?.text ?? []);
}

async function furnish(devices: readonly Device[]): Promise<void> {
  const [fay] = devices;
  for (const device of devices) {
    device.start();
    await until(`${device.user} is there`, () => device.isOnline);
    await device.ask(async (connection) => {
      if (device === fay) {
        await connection.call(serverCommands.create_group, { group: ROOM });
        await connection.call(serverCommands.create_group, { group: OPEN, open: true });
        await connection.call(serverCommands.join_group, { group: ROOM });
      } else await connection.call(serverCommands.join_group, { group: OPEN });
    });
  }
}

function writeAll(devices: readonly Device[], ledger: Ledger, chance: Chance): void {
  for (const device of devices) {
    if (device.waiting > 32) continue;
    const sending = ledger.send(device.user, ['bob']);
    const { text } = sending;
    if (device.user === 'fay') device.post(sending, 'send_group', { group: ROOM, text });
    else if (chance.isOne(0.3)) device.post(sending, 'send_group', { group: OPEN, text });
    else if (chance.isOne(0.1)) device.post(sending, 'broadcast', { text });
    else device.post(sending, 'message', { user: 'bob', text });
  }
}
