/** Private messages that came, kept by this user alone: the server never sees them. Only ever appended to. */
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { readFully, writeFully } from '../../chunks/files.js';
import { unwritable } from '../../chunks/fserrors.js';
import { ParleyError, toParleyError } from '../../protocol/errors.js';
import { messageId, timestamp } from '../../protocol/values.js';

export const PRIVATE_LOG_FILE = 'private.ndjson';

/** Messages kept at hand, the newest: older ones stay in the file, and are shown no more. At most 160 MiB, as a rule 5. */
const MAX_AT_HAND = 10_000;
/** Read pieces of the file. */
const READ_BYTES = 1024 * 1024;

const message = z.object({
  type: z.literal('message'),
  /** Whose log it is: one home may serve several accounts, one after another. */
  account: z.string(),
  id: messageId,
  from: z.string(),
  to: z.string(),
  text: z.string(),
  sentAt: timestamp,
});
const read = z.object({ type: z.literal('read'), ids: z.array(messageId) });
const line = z.discriminatedUnion('type', [message, read]);
type Line = z.output<typeof line>;

export type PrivateMessage = Omit<z.output<typeof message>, 'type'>;
export type KeptMessage = PrivateMessage & { readonly unread: boolean };

export class PrivateLog {
  readonly #path: string;
  readonly #file: FileHandle;
  /** By id, oldest first. */
  readonly #messages = new Map<string, KeptMessage>();
  /** Bytes of whole lines: what a torn write left behind them is overwritten. */
  #length: number;
  #queue: Buffer[] = [];
  /** Messages whose write is under way. */
  readonly #appending = new Map<string, Promise<void>>();
  /** The newest write; and the one that waits for it, when there is one. */
  #last: Promise<void> = Promise.resolve();
  #next: Promise<void> | undefined;
  #closed = false;

  private constructor(path: string, file: FileHandle) {
    this.#path = path;
    this.#file = file;
    this.#length = 0;
  }

  /** @throws ParleyError DISK_FULL with a reason when the file cannot be opened or read */
  static async open(home: string): Promise<PrivateLog> {
    const path = join(home, PRIVATE_LOG_FILE);
    let file: FileHandle | undefined;
    try {
      file = await open(path, constants.O_RDWR | constants.O_CREAT, 0o600);
      const log = new PrivateLog(path, file);
      await log.#load();
      return log;
    } catch (error) {
      await file?.close();
      throw toParleyError(unwritable(path, error));
    }
  }

  /** Messages of an account, oldest first. */
  messages(account: string): KeptMessage[] {
    return [...this.#messages.values()].filter((each) => each.account === account);
  }

  /**
   * Keeps a message for good: it is on disk when the promise is fulfilled. False when a message of this id is kept already.
   * @throws ParleyError DISK_FULL
   */
  async append(kept: PrivateMessage): Promise<boolean> {
    const underWay = this.#appending.get(kept.id);
    if (underWay !== undefined) await underWay;
    if (this.#messages.has(kept.id)) return false;
    this.#remember({ ...kept, unread: true });
    const written = this.#write({ type: 'message', ...kept });
    this.#appending.set(kept.id, written);
    try {
      await written;
      return true;
    } catch (error) {
      this.#messages.delete(kept.id);
      throw error;
    } finally {
      this.#appending.delete(kept.id);
    }
  }

  /** Notes that messages were shown; unknown ids are passed over. */
  async markRead(ids: readonly string[]): Promise<void> {
    const known = ids.filter((id) => this.#messages.get(id)?.unread === true);
    if (known.length === 0) return;
    this.#setRead(known);
    await this.#write({ type: 'read', ids: known });
  }

  /** Waits for what is being written. May be called again. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#last.catch(() => undefined);
    await this.#file.close();
  }

  #remember(kept: KeptMessage): void {
    this.#messages.set(kept.id, kept);
    const oldest = this.#messages.keys().next();
    if (this.#messages.size > MAX_AT_HAND && oldest.done !== true) this.#messages.delete(oldest.value);
  }

  #setRead(ids: readonly string[]): void {
    for (const id of ids) {
      const kept = this.#messages.get(id);
      if (kept !== undefined) this.#messages.set(id, { ...kept, unread: false });
    }
  }

  /** What is asked for during a write goes out together in the next one. */
  #write(entry: Line): Promise<void> {
    if (this.#closed) return Promise.reject(new ParleyError('CANCELLED'));
    this.#queue.push(Buffer.from(`${JSON.stringify(entry)}\n`));
    if (this.#next === undefined) {
      this.#next = this.#last
        .catch(() => undefined)
        .then(() => {
          this.#next = undefined;
          return this.#flush();
        });
      this.#last = this.#next;
    }
    return this.#next;
  }

  async #flush(): Promise<void> {
    const bytes = Buffer.concat(this.#queue.splice(0));
    try {
      await writeFully(this.#file, bytes, this.#length);
      await this.#file.datasync();
      this.#length += bytes.length;
    } catch (error) {
      throw unwritable(this.#path, error);
    }
  }

  async #load(): Promise<void> {
    let rest = Buffer.alloc(0);
    for (let at = 0; ; at += READ_BYTES) {
      const piece = Buffer.allocUnsafe(READ_BYTES);
      const bytes = await readFully(this.#file, piece, 0, READ_BYTES, at);
      rest = Buffer.concat([rest, piece.subarray(0, bytes)]);
      for (let end = rest.indexOf(0x0a); end >= 0; end = rest.indexOf(0x0a)) {
        this.#takeLine(rest.toString('utf8', 0, end));
        this.#length += end + 1;
        rest = rest.subarray(end + 1);
      }
      if (bytes < READ_BYTES) return;
    }
  }

  /** A line that cannot be read is passed over: the others are worth keeping. */
  #takeLine(text: string): void {
    let entry: Line | undefined;
    try {
      entry = line.safeParse(JSON.parse(text)).data;
    } catch {
      return;
    }
    if (entry === undefined) return;
    if (entry.type === 'read') this.#setRead(entry.ids);
    else {
      const { account, id, from, to, text, sentAt } = entry;
      this.#remember({ account, id, from, to, text, sentAt, unread: true });
    }
  }
}
