/** A small client that keeps to the protocol: an outbox with numbers, positions seen, and a connection that comes back. */
import { randomBytes } from 'node:crypto';
import type { Identity } from '../../src/protocol/certificate.js';
import type { CommandSpec } from '../../src/protocol/command.js';
import { serverCommands } from '../../src/protocol/commands/server.js';
import type { Connection } from '../../src/protocol/connection.js';
import { toParleyError } from '../../src/protocol/errors.js';
import type { PushedMessage, ServerEvent } from '../../src/protocol/events.js';
import { dialServer } from '../support/server.js';
import { sleep } from './chance.js';
import type { Sending } from './ledger.js';

/** Messages on their way at once. */
const WINDOW = 16;
const REDIAL_MS = 10;

export interface Post {
  readonly sending: Sending;
  readonly id: string;
  readonly command: 'message' | 'broadcast' | 'send_group';
  readonly params: Readonly<Record<string, unknown>>;
}

export interface DeviceOptions {
  readonly user: string;
  readonly password: string;
  readonly identity: Identity;
  /** Where the server is now; undefined while it is known to be down. */
  readonly server: () => { host: string; port: number } | undefined;
  /** The focus group that this user is in whenever they can. */
  readonly room?: string;
}

export class Device {
  readonly #options: DeviceOptions;
  /** In order; the first are the oldest. */
  #outbox: Post[] = [];
  #connection: Connection | undefined;
  #token: string | undefined;
  #next = 1;
  #isSending = false;
  readonly #positions = new Set<number>();
  readonly #shownIds = new Set<string>();
  /** Texts in the order they were pushed or shown as held, each once. */
  readonly shown: string[] = [];
  /** Those of them that were shown as held. */
  readonly held: string[] = [];
  #isWanted = false;
  #life: Promise<void> = Promise.resolve();

  constructor(options: DeviceOptions) {
    this.#options = options;
  }

  get user(): string {
    return this.#options.user;
  }

  get isOnline(): boolean {
    return this.#connection?.isOpen === true;
  }

  /** Messages that were not answered. */
  get waiting(): number {
    return this.#outbox.length;
  }

  /** Connects whenever it can, from now on. */
  start(): void {
    if (this.#isWanted) return;
    this.#isWanted = true;
    this.#life = this.#life.then(() => this.#live());
  }

  /** The connection breaks, as when a machine goes away. */
  async stop(): Promise<void> {
    this.#isWanted = false;
    this.#connection?.destroy();
    await this.#life;
  }

  /** Something else, on the connection of now. */
  async ask<T>(work: (connection: Connection) => Promise<T>): Promise<T> {
    if (this.#connection === undefined) throw new Error(`${this.user} is not online`);
    return work(this.#connection);
  }

  post(sending: Sending, command: Post['command'], params: Post['params']): void {
    this.#outbox.push({ sending, id: randomBytes(16).toString('hex'), command, params });
    this.#kick();
  }

  /** Leaves the room, looks at what was held, and goes in again. */
  async glance(): Promise<void> {
    const { room } = this.#options;
    const connection = this.#connection;
    if (room === undefined || connection === undefined) return;
    try {
      const { held } = await connection.call(serverCommands.leave_group, { group: room });
      for (const { id, text } of held) {
        this.#show(id, text);
        this.held.push(text);
      }
      await connection.call(serverCommands.markRead, { ids: held.map(({ id }) => id) });
      await connection.call(serverCommands.join_group, { group: room });
    } catch {
      // The connection broke, or the group was left meanwhile: the next session enters it.
    }
  }

  async #live(): Promise<void> {
    while (this.#isWanted) {
      await this.#session().catch(() => undefined);
      await sleep(REDIAL_MS);
    }
  }

  async #session(): Promise<void> {
    const at = this.#options.server();
    if (at === undefined) return;
    const { user, password, identity, room } = this.#options;
    let acknowledging = false;
    let reached = 0;
    const acknowledge = async (): Promise<void> => {
      if (acknowledging) return;
      acknowledging = true;
      for (let said = 0; said < reached;) {
        said = reached;
        await connection.call(serverCommands.acknowledge, { position: said });
      }
      acknowledging = false;
    };
    const connection = await dialServer(at, {
      identity,
      onEvent: (value) => {
        const event = value as ServerEvent | PushedMessage;
        if (!('position' in event) || event.position === undefined) return;
        const { position, id, text } = event;
        // As an agent that keeps it first; an answer that came before it is dealt with by then.
        setImmediate(() => {
          reached = position;
          if (!this.#positions.has(position)) {
            this.#positions.add(position);
            this.#show(id, text);
          }
          acknowledge().catch(() => undefined);
        });
      },
    });
    try {
      const start = await this.#enter(connection, user, password);
      this.#token = start.token;
      this.#next = start.nextNumber ?? 1;
      this.#connection = connection;
      if (room !== undefined && start.focus === undefined) {
        await connection.call(serverCommands.join_group, { group: room }).catch(() => undefined);
      }
      this.#kick();
      await connection.closed;
    } finally {
      this.#connection = undefined;
      connection.destroy();
    }
  }

  async #enter(connection: Connection, user: string, password: string) {
    if (this.#token !== undefined) {
      try {
        return await connection.call(serverCommands.resume, { token: this.#token });
      } catch (thrown) {
        if (toParleyError(thrown).code !== 'LOGIN_REQUIRED') throw thrown;
        this.#token = undefined;
      }
    }
    return connection.call(serverCommands.login, { user, password });
  }

  #show(id: string, text: string): void {
    if (this.#shownIds.has(id)) return;
    this.#shownIds.add(id);
    this.shown.push(text);
  }

  #kick(): void {
    if (this.#isSending || this.#connection === undefined) return;
    this.#isSending = true;
    this.#sendAll(this.#connection)
      .catch(() => undefined)
      .finally(() => (this.#isSending = false));
  }

  /** In order, some at once; from the first that was not answered on when the server counts otherwise. */
  async #sendAll(connection: Connection): Promise<void> {
    while (connection.isOpen && this.#outbox.length > 0) {
      const batch = this.#outbox.slice(0, WINDOW);
      const before = this.#next;
      let expected: number | undefined;
      const send = async (post: Post, number: number): Promise<void> => {
        const { command, params, id, sending } = post;
        const spec: CommandSpec = serverCommands[command];
        try {
          const result = (await connection.call(spec, { ...params, id, number })) as { recipients?: string[] };
          sending.fate = { kind: 'acknowledged', recipients: result.recipients ?? sending.to };
        } catch (thrown) {
          const error = toParleyError(thrown);
          if (!connection.isOpen) return;
          if (error.code === 'OUT_OF_ORDER') {
            expected = Math.max(expected ?? 0, Number(error.details['expected']));
            return;
          }
          sending.fate = { kind: 'refused' };
        }
        this.#outbox = this.#outbox.filter((each) => each !== post);
      };
      await Promise.all(batch.map((post, i) => send(post, before + i)));
      this.#next = expected ?? before + batch.length;
    }
  }
}
