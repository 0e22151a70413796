/** Private messages that came, kept by this user alone: the server never sees them. Only ever appended to. */
import { join } from 'node:path';
import { z } from 'zod';
import { messageId, timestamp } from '../../protocol/values.js';
import { LineLog } from './linelog.js';

export const PRIVATE_LOG_FILE = 'private.ndjson';

/** Messages kept at hand, the newest: older ones stay in the file, and are shown no more. At most 160 MiB, as a rule 5. */
const MAX_AT_HAND = 10_000;

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

export type PrivateMessage = Omit<z.output<typeof message>, 'type'>;
export type KeptMessage = PrivateMessage & { readonly unread: boolean };

export class PrivateLog {
  readonly #messages: KeptMessages;
  readonly #log: LineLog;
  /** Messages whose write is under way. */
  readonly #appending = new Map<string, Promise<void>>();

  private constructor(log: LineLog, messages: KeptMessages) {
    this.#log = log;
    this.#messages = messages;
  }

  /** @throws ParleyError DISK_FULL with a reason when the file cannot be opened or read */
  static async open(home: string): Promise<PrivateLog> {
    const messages = new KeptMessages();
    const take = (entry: unknown): void => {
      const parsed = line.safeParse(entry).data;
      if (parsed === undefined) return;
      if (parsed.type === 'read') messages.setRead(parsed.ids);
      else {
        const { account, id, from, to, text, sentAt } = parsed;
        messages.add({ account, id, from, to, text, sentAt, unread: true });
      }
    };
    return new PrivateLog(await LineLog.open({ path: join(home, PRIVATE_LOG_FILE), take }), messages);
  }

  /** Messages of an account, oldest first. */
  messages(account: string): KeptMessage[] {
    return this.#messages.of(account);
  }

  /** Messages of an account that were not shown. Costs the same for any number of them: asked for each message that comes. */
  countUnread(account: string): number {
    return this.#messages.countUnread(account);
  }

  /**
   * Keeps a message for good: it is on disk when the promise is fulfilled. False when a message of this id is kept already.
   * @throws ParleyError DISK_FULL
   */
  async append(kept: PrivateMessage): Promise<boolean> {
    const underWay = this.#appending.get(kept.id);
    if (underWay !== undefined) await underWay;
    if (this.#messages.has(kept.id)) return false;
    this.#messages.add({ ...kept, unread: true });
    const written = this.#log.append({ type: 'message', ...kept });
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
    const known = ids.filter((id) => this.#messages.isUnread(id));
    if (known.length === 0) return;
    this.#messages.setRead(known);
    await this.#log.append({ type: 'read', ids: known });
  }

  /** Waits for what is being written. May be called again. */
  close(): Promise<void> {
    return this.#log.close();
  }
}

/** Messages at hand, and how many of each account are unread. */
class KeptMessages {
  /** By id, oldest first. */
  readonly #messages = new Map<string, KeptMessage>();
  readonly #unread = new Map<string, number>();

  of(account: string): KeptMessage[] {
    return [...this.#messages.values()].filter((each) => each.account === account);
  }

  has(id: string): boolean {
    return this.#messages.has(id);
  }

  isUnread(id: string): boolean {
    return this.#messages.get(id)?.unread === true;
  }

  countUnread(account: string): number {
    return this.#unread.get(account) ?? 0;
  }

  add(kept: KeptMessage): void {
    this.#replace(kept.id, kept);
    const oldest = this.#messages.keys().next();
    if (this.#messages.size > MAX_AT_HAND && oldest.done !== true) this.delete(oldest.value);
  }

  delete(id: string): void {
    this.#count(this.#messages.get(id), -1);
    this.#messages.delete(id);
  }

  setRead(ids: readonly string[]): void {
    for (const id of ids) {
      const kept = this.#messages.get(id);
      if (kept !== undefined) this.#replace(id, { ...kept, unread: false });
    }
  }

  #replace(id: string, kept: KeptMessage): void {
    this.#count(this.#messages.get(id), -1);
    this.#messages.set(id, kept);
    this.#count(kept, 1);
  }

  #count(kept: KeptMessage | undefined, by: number): void {
    if (kept?.unread === true) this.#unread.set(kept.account, this.countUnread(kept.account) + by);
  }
}
