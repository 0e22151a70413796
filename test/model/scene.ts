/** The real side of the model: a server over links in memory, and the clients of one sequence. */
import { serverCommands } from '../../src/protocol/commands/server.js';
import { toParleyError } from '../../src/protocol/errors.js';
import type { ServerEvent } from '../../src/protocol/events.js';
import { addUsers, PLAIN_ARGON2 } from '../support/server.js';
import { Passwords } from '../../src/server/auth/passwords.js';
import { Hall, anyKey, turns } from '../server/hall.js';
import type { Guest } from '../server/hall.js';
import type { SessionKey } from '../../src/server/session.js';
import type { Outcome, Person } from './world.js';

/** Turns of the loop after which what should have come is taken for lost. */
const PATIENCE_TURNS = 500;
/** The clock goes on in steps, between which clients answer the server's pings. */
const STEP_MS = 500;
/** Sequences that share one server: lists stay short, and opening one costs little. */
const SEQUENCES_A_HALL = 50;

/** What a session begins with besides what the model knows. */
const NOT_MODELLED: ReadonlySet<string> = new Set(['token', 'leaseSeconds', 'timeoutSeconds']);

/** Opens a server now and then, and gives each sequence users and groups that no other has. */
export class Stage {
  #hall: Hall | undefined;
  #scenes = 0;

  async scene(users: number): Promise<Scene> {
    if (this.#scenes % SEQUENCES_A_HALL === 0) await this.close();
    this.#hall ??= await Hall.open([]);
    const scene = this.#scenes++;
    const names = Array.from({ length: users }, (_, i) => `${'UvWx'[i] ?? 'y'}${scene}`);
    const passwords = await Passwords.create(PLAIN_ARGON2);
    await addUsers(this.#hall.storage, passwords, Object.fromEntries(names.map((name) => [name, name.toLowerCase()])));
    return new Scene(this.#hall, names, scene, (hall) => (this.#hall = hall));
  }

  async close(): Promise<void> {
    await this.#hall?.close();
    this.#hall = undefined;
  }
}

interface Client {
  readonly key: SessionKey;
  guest: Guest | undefined;
  token: string;
}

/** One sequence's users. */
export class Scene {
  readonly names: readonly string[];
  #hall: Hall;
  readonly #number: number;
  readonly #onHall: (hall: Hall) => void;
  readonly #clients = new Map<string, Client>();

  constructor(hall: Hall, names: readonly string[], number: number, onHall: (hall: Hall) => void) {
    this.#hall = hall;
    this.names = names;
    this.#number = number;
    this.#onHall = onHall;
    for (const name of names) this.#clients.set(name, { key: anyKey(), guest: undefined, token: '' });
  }

  /** A group's name that is this sequence's own. */
  group(name: string): string {
    return `${name}.${this.#number}`;
  }

  /** The groups of this sequence among all. */
  isOurs(group: string): boolean {
    return group.endsWith(`.${this.#number}`);
  }

  async enter(name: string, how: 'login' | 'resume'): Promise<Outcome> {
    const client = this.#client(name);
    const guest = this.#hall.enter({ key: client.key });
    const outcome = await outcomeOf(how === 'login' ? guest.login(name) : guest.resume(client.token));
    if ('refused' in outcome) {
      guest.connection.destroy();
      return outcome;
    }
    client.guest = guest;
    client.token = String(outcome.result['token']);
    const known = Object.entries(outcome.result).filter(([field]) => !NOT_MODELLED.has(field));
    return { result: Object.fromEntries(known) };
  }

  guest(name: string): Guest {
    const { guest } = this.#client(name);
    if (guest === undefined) throw new Error(`${name} is not connected`);
    return guest;
  }

  async logout(name: string): Promise<void> {
    const guest = this.guest(name);
    await guest.call(serverCommands.endSession, {});
    await guest.connection.closed;
  }

  /** The connection breaks, and the server has noticed. */
  async cut(name: string): Promise<void> {
    this.guest(name).connection.destroy();
    const { presence } = this.#hall.core.services;
    const user = await this.#hall.storage.findUser(name);
    for (let i = 0; i < PATIENCE_TURNS && presence.get(user?.id ?? 0) !== undefined; i++) await turns(1);
    await turns(5);
  }

  async restart(): Promise<void> {
    const { clock, storage } = this.#hall;
    await this.#hall.stop();
    this.#hall = await Hall.open([], { clock, storage });
    this.#onHall(this.#hall);
  }

  async wait(ms: number): Promise<void> {
    for (let left = ms; left > 0; left -= STEP_MS) {
      await this.#hall.clock.advance(Math.min(STEP_MS, left));
      await turns(10);
    }
  }

  /** Waits for what should have come to these users; what came instead, or nothing. */
  async settled(people: readonly Person[]): Promise<string | undefined> {
    for (const person of people) {
      if (person.state !== 'in') continue;
      const { events } = this.guest(person.name);
      const isThere = (): boolean =>
        pushesOf(events).length >= person.pushed.length && saidBy(events).length >= person.notices.length;
      for (let i = 0; i < PATIENCE_TURNS && !isThere(); i++) await turns(1);
      const wanted = person.pushed.map((position) => {
        const { kind, from, to, text } = person.inbox[position - 1] ?? { kind: '', from: '', to: '', text: '' };
        return JSON.stringify([position, kind, from, to, text]);
      });
      const difference =
        differ(`pushed to ${person.name}`, wanted, pushesOf(events)) ??
        // Who is removed at the same time is told in any order.
        differ(`said to ${person.name}`, [...person.notices].sort(), saidBy(events).sort());
      if (difference !== undefined) return difference;
    }
    return undefined;
  }

  /** The newest announcement of what is held. */
  heldNotice(name: string): string | undefined {
    return this.guest(name).events.reduce<string | undefined>(
      (last, event) => (event.type === 'notice' && event.code === 'MESSAGES_HELD' ? event.text : last),
      undefined,
    );
  }

  /** Everybody logs out, so that the next sequence is alone. */
  async end(people: readonly Person[]): Promise<void> {
    for (const { name, state } of people) if (state === 'in') await this.logout(name);
    // Those who are cut off are forgotten by all but their groups, which are this sequence's own.
    await turns(5);
  }

  #client(name: string): Client {
    const client = this.#clients.get(name);
    if (client === undefined) throw new Error(`${name} is no user`);
    return client;
  }
}

export async function outcomeOf(work: Promise<object>): Promise<Outcome> {
  try {
    return { result: { ...(await work) } };
  } catch (thrown) {
    const { code, details } = toParleyError(thrown);
    const { group } = details;
    return typeof group === 'string' ? { refused: code, group } : { refused: code };
  }
}

function pushesOf(events: readonly ServerEvent[]): string[] {
  return events.flatMap((event) =>
    'position' in event ? [JSON.stringify([event.position, event.type, event.from, event.to, event.text])] : [],
  );
}

function saidBy(events: readonly ServerEvent[]): string[] {
  return events.flatMap((event) => {
    if (event.type === 'focus') return [`focus ${event.group ?? 'none'}`];
    return event.type === 'notice' && event.code !== 'MESSAGES_HELD' ? [event.text] : [];
  });
}

function differ(what: string, wanted: readonly string[], found: readonly string[]): string | undefined {
  if (wanted.length === found.length && wanted.every((each, i) => each === found[i])) return undefined;
  return `${what}:\n  wanted ${wanted.join('\n         ')}\n  found  ${found.join('\n         ')}`;
}
