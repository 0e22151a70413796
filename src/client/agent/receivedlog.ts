/** Messages that the server pushed, kept here before they are shown and acknowledged: each is shown once, whoever crashes (R27). */
import { join } from 'node:path';
import { z } from 'zod';
import { pushedMessage } from '../../protocol/events.js';
import type { PushedMessage } from '../../protocol/events.js';
import { LineLog } from './linelog.js';

export const RECEIVED_LOG_FILE = 'received.ndjson';

/** Messages of an account that are remembered: several times what the server may push again. The server has the others. */
const REMEMBERED = 1_000;
/** Bytes of the file from which on it is cut down to what is remembered, when it is opened. */
const COMPACT_FROM = 8 * 1024 * 1024;

/** Whose log it is: one home may serve several accounts, one after another. */
const line = z.object({ account: z.string(), message: pushedMessage });

export class ReceivedLog {
  readonly #log: LineLog;
  /** By account and position, oldest first. */
  readonly #accounts: Map<string, Map<number, PushedMessage>>;

  private constructor(log: LineLog, accounts: Map<string, Map<number, PushedMessage>>) {
    this.#log = log;
    this.#accounts = accounts;
  }

  /** @throws ParleyError DISK_FULL with a reason when the file cannot be opened, read or written anew */
  static async open(home: string): Promise<ReceivedLog> {
    const accounts = new Map<string, Map<number, PushedMessage>>();
    const log = await LineLog.open({
      path: join(home, RECEIVED_LOG_FILE),
      take: (entry) => {
        const { data } = line.safeParse(entry);
        if (data !== undefined) remember(accounts, data.account, data.message);
      },
      compactFrom: COMPACT_FROM,
      *keep() {
        for (const [account, messages] of accounts) {
          for (const message of messages.values()) yield { account, message };
        }
      },
    });
    return new ReceivedLog(log, accounts);
  }

  /**
   * Whether this very message came before. Another one at its position came from a server that has lost some since: that one is gone, and
   * this one is new.
   */
  has(account: string, { position, id }: PushedMessage): boolean {
    return this.#accounts.get(account)?.get(position)?.id === id;
  }

  /** The newest of an account, oldest first. */
  messages(account: string): PushedMessage[] {
    return [...(this.#accounts.get(account)?.values() ?? [])];
  }

  /** Keeps messages for good. @throws ParleyError DISK_FULL */
  async append(account: string, messages: readonly PushedMessage[]): Promise<void> {
    await Promise.all(messages.map((message) => this.#log.append({ account, message })));
    for (const message of messages) remember(this.#accounts, account, message);
  }

  /** Waits for what is being written. May be called again. */
  close(): Promise<void> {
    return this.#log.close();
  }
}

function remember(accounts: Map<string, Map<number, PushedMessage>>, account: string, message: PushedMessage): void {
  const messages = accounts.get(account) ?? new Map<number, PushedMessage>();
  accounts.set(account, messages);
  // At the end, also when one of its position is there.
  messages.delete(message.position);
  messages.set(message.position, message);
  const oldest = messages.keys().next();
  if (messages.size > REMEMBERED && oldest.done !== true) messages.delete(oldest.value);
}
