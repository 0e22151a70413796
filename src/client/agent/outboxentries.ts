/** What the outbox holds, on disk and at hand: messages that were not answered yet, and those whose answer nobody heard. */
import { join } from 'node:path';
import { z } from 'zod';
import { ParleyError } from '../../protocol/errors.js';
import { newMessageId } from '../../protocol/messageid.js';
import { messageId, sendNumber } from '../../protocol/values.js';
import { LineLog } from './linelog.js';

export const OUTBOX_FILE = 'outbox.ndjson';

/** Messages that may wait for the server; the next one is refused. */
export const MAX_OUTBOX_ENTRIES = 1_000;
/** Bytes of JSON that may wait. */
export const MAX_OUTBOX_BYTES = 4 * 1024 * 1024;
/** How long the same command again means the same message, when nobody was told that it was sent. */
export const TAKE_UP_MS = 10 * 60_000;
/** Bytes of the file from which on it is cut down to what waits, when it is opened. */
const COMPACT_FROM = 1024 * 1024;

export const SEND_COMMANDS = ['message', 'broadcast', 'send_group'] as const;
export type SendCommand = (typeof SEND_COMMANDS)[number];

const added = z.object({
  type: z.literal('add'),
  account: z.string(),
  id: messageId,
  number: sendNumber,
  command: z.enum(SEND_COMMANDS),
  params: z.record(z.string(), z.unknown()),
  /** Epoch milliseconds. */
  at: z.number(),
});
const line = z.discriminatedUnion('type', [
  added,
  z.object({ type: z.literal('count'), id: messageId, number: sendNumber }),
  /** Answered by the server, and nobody was there to hear it. */
  z.object({ type: z.literal('sent'), id: messageId }),
  /** Over: its answer was told. */
  z.object({ type: z.literal('done'), id: messageId }),
]);

export type Outcome = { readonly result: object } | { readonly error: ParleyError };

export interface Entry extends Readonly<Omit<z.output<typeof added>, 'type' | 'number'>> {
  /** The device's number of it; counted anew when the server expects another. */
  number: number;
  /** Whether the server answered; the answer itself ends with the process. */
  sent: boolean;
  outcome: Outcome | undefined;
  /** Whether it is on disk: until then it must not be sent, or a crash could make two of it. */
  kept: boolean;
  /** On its way on the connection of now. */
  inFlight: boolean;
  /** How often nobody answered since somebody last asked. */
  tries: number;
  /** Whether it may have reached the server. */
  wasTransmitted: boolean;
  readonly asking: Set<(outcome: Outcome) => void>;
}

export class OutboxEntries {
  readonly #log: LineLog;
  /** By id, in the order they were made. */
  readonly #entries: Map<string, Entry>;
  #bytes = 0;

  private constructor(log: LineLog, entries: Map<string, Entry>) {
    this.#log = log;
    this.#entries = entries;
    for (const entry of entries.values()) this.#bytes += sizeOf(entry);
  }

  /** @throws ParleyError DISK_FULL with a reason when the file cannot be opened, read or written anew */
  static async open(home: string): Promise<OutboxEntries> {
    const entries = new Map<string, Entry>();
    const log = await LineLog.open({
      path: join(home, OUTBOX_FILE),
      take: (given) => {
        const { data } = line.safeParse(given);
        if (data !== undefined) replay(entries, data);
      },
      compactFrom: COMPACT_FROM,
      *keep() {
        for (const { account, id, number, command, params, at, sent } of entries.values()) {
          yield { type: 'add', account, id, number, command, params, at };
          if (sent) yield { type: 'sent', id };
        }
      },
    });
    return new OutboxEntries(log, entries);
  }

  of(account: string): Entry[] {
    return [...this.#entries.values()].filter((entry) => entry.account === account);
  }

  /**
   * Keeps a new message for good.
   * @throws ParleyError SERVER_UNREACHABLE when too much waits, DISK_FULL
   */
  async add(account: string, number: number, command: SendCommand, params: object, at: number): Promise<Entry> {
    const id = newMessageId(at);
    const kept = { account, id, number, command, params: { ...params }, at };
    const entry = makeEntry(kept);
    const waits = this.of(account).filter(({ sent }) => !sent);
    if (waits.length >= MAX_OUTBOX_ENTRIES || this.#bytes + sizeOf(entry) > MAX_OUTBOX_BYTES) {
      const server = account.slice(account.indexOf('@') + 1);
      const reason = `the outbox is full: ${waits.length} messages wait for it`;
      throw new ParleyError('SERVER_UNREACHABLE', { server, reason });
    }
    // At hand before it is on disk, so that the next one stands behind it.
    this.#entries.set(id, entry);
    this.#bytes += sizeOf(entry);
    try {
      await this.#log.append({ type: 'add', ...kept });
      entry.kept = true;
      return entry;
    } catch (thrown) {
      this.#remove(entry);
      throw thrown;
    }
  }

  /** Gives an entry another number. Written down without waiting: what is counted wrongly after a crash is counted anew. */
  count(entry: Entry, number: number): void {
    entry.number = number;
    this.#note({ type: 'count', id: entry.id, number });
  }

  /** The server answered. Without waiting, as above: the same message again gets the same answer. */
  setSent(entry: Entry, outcome: Outcome): void {
    entry.sent = true;
    entry.outcome = outcome;
    this.#note({ type: 'sent', id: entry.id });
  }

  /** Its answer was told, or nobody will ask for it. */
  done(entry: Entry): void {
    if (!this.#entries.has(entry.id)) return;
    this.#remove(entry);
    this.#note({ type: 'done', id: entry.id });
  }

  /** Waits for what is being written. May be called again. */
  close(): Promise<void> {
    return this.#log.close();
  }

  #remove(entry: Entry): void {
    if (this.#entries.delete(entry.id)) this.#bytes -= sizeOf(entry);
  }

  #note(entry: z.input<typeof line>): void {
    this.#log.append(entry).catch(() => undefined);
  }
}

function makeEntry(kept: Omit<z.output<typeof added>, 'type'>): Entry {
  return {
    ...kept,
    sent: false,
    outcome: undefined,
    kept: false,
    inFlight: false,
    tries: 0,
    // What another process of this agent did with it is not known.
    wasTransmitted: false,
    asking: new Set(),
  };
}

function sizeOf({ params }: Entry): number {
  return Buffer.byteLength(JSON.stringify(params));
}

function replay(entries: Map<string, Entry>, data: z.output<typeof line>): void {
  const entry = entries.get(data.id);
  if (data.type === 'add') {
    const { account, id, number, command, params, at } = data;
    entries.set(id, { ...makeEntry({ account, id, number, command, params, at }), kept: true, wasTransmitted: true });
  } else if (data.type === 'done') entries.delete(data.id);
  else if (entry === undefined) return;
  else if (data.type === 'count') entry.number = data.number;
  else entry.sent = true;
}
