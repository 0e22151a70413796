/** Messages that the server pushed, kept here before they are shown and acknowledged: each is shown once, whoever crashes (R27). */
import { join } from 'node:path';
import { z } from 'zod';
import { pushedMessage } from '../../protocol/events.js';
import type { PushedMessage } from '../../protocol/events.js';
import { messageId } from '../../protocol/values.js';
import { LineLog } from './linelog.js';

export const RECEIVED_LOG_FILE = 'received.ndjson';

/** Messages of an account that are remembered: several times what the server may push again. The server has the others. */
const REMEMBERED = 1_000;
/** Ids of an account that were shown without being pushed: as many as the server keeps undelivered, several times over. */
const REMEMBERED_SHOWN = 10_000;
/** Ids in one line. */
const SHOWN_A_LINE = 500;
/** Bytes of the file from which on it is cut down to what is remembered, when it is opened. */
const COMPACT_FROM = 8 * 1024 * 1024;

/** Whose log it is: one home may serve several accounts, one after another. */
const line = z.union([
  z.object({ account: z.string(), message: pushedMessage }),
  /** What a focus group had held and was shown on leaving it: the server may push it yet. */
  z.object({ account: z.string(), shown: z.array(messageId) }),
]);

export class ReceivedLog {
  readonly #log: LineLog;
  /** By account and position, oldest first. */
  readonly #accounts: Accounts;
  /** By account, oldest first. */
  readonly #shown: ShownIds;

  private constructor(log: LineLog, accounts: Accounts, shown: ShownIds) {
    this.#log = log;
    this.#accounts = accounts;
    this.#shown = shown;
  }

  /** @throws ParleyError DISK_FULL with a reason when the file cannot be opened, read or written anew */
  static async open(home: string): Promise<ReceivedLog> {
    const accounts: Accounts = new Map();
    const shown: ShownIds = new Map();
    const log = await LineLog.open({
      path: join(home, RECEIVED_LOG_FILE),
      take: (entry) => {
        const { data } = line.safeParse(entry);
        if (data === undefined) return;
        if ('message' in data) remember(accounts, data.account, data.message);
        else rememberShown(shown, data.account, data.shown);
      },
      compactFrom: COMPACT_FROM,
      *keep() {
        for (const [account, messages] of accounts) {
          for (const message of messages.values()) yield { account, message };
        }
        for (const [account, ids] of shown) {
          for (const some of inLines([...ids])) yield { account, shown: some };
        }
      },
    });
    return new ReceivedLog(log, accounts, shown);
  }

  /**
   * Whether this very message came before, or was shown on leaving a focus group. Another one at its position came from a server that has lost some since: that one is gone, and
   * this one is new.
   */
  has(account: string, { position, id }: PushedMessage): boolean {
    return this.#accounts.get(account)?.get(position)?.id === id || this.#shown.get(account)?.has(id) === true;
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

  /** Notes for good that messages are shown which were not pushed. @throws ParleyError DISK_FULL */
  async noteShown(account: string, ids: readonly string[]): Promise<void> {
    await Promise.all(inLines(ids).map((some) => this.#log.append({ account, shown: some })));
    rememberShown(this.#shown, account, ids);
  }

  /** Waits for what is being written. May be called again. */
  close(): Promise<void> {
    return this.#log.close();
  }
}

type Accounts = Map<string, Map<number, PushedMessage>>;
type ShownIds = Map<string, Set<string>>;

function inLines(ids: readonly string[]): string[][] {
  return Array.from({ length: Math.ceil(ids.length / SHOWN_A_LINE) }, (_, at) =>
    ids.slice(at * SHOWN_A_LINE, (at + 1) * SHOWN_A_LINE),
  );
}

function rememberShown(shown: ShownIds, account: string, ids: readonly string[]): void {
  const known = shown.get(account) ?? new Set<string>();
  shown.set(account, known);
  for (const id of ids) {
    known.add(id);
    const oldest = known.keys().next();
    if (known.size > REMEMBERED_SHOWN && oldest.done !== true) known.delete(oldest.value);
  }
}

function remember(accounts: Accounts, account: string, message: PushedMessage): void {
  const messages = accounts.get(account) ?? new Map<number, PushedMessage>();
  accounts.set(account, messages);
  // At the end, also when one of its position is there.
  messages.delete(message.position);
  messages.set(message.position, message);
  const oldest = messages.keys().next();
  if (messages.size > REMEMBERED && oldest.done !== true) messages.delete(oldest.value);
}
