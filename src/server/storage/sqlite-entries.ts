/** Rows of an inbox as entries, in pages. */
import type { UserName } from '../../protocol/values.js';
import type { InboxEntry, MessageKind, PageSize, UserId } from './port.js';

/** Entries fetched at a time, so that a page that ends by its bytes reads little more than it returns. */
export const FETCH = 64;

export interface EntryRow {
  readonly position: number;
  /** The message's row, which grows with the time it was stored. */
  readonly message: number;
  readonly id: string;
  readonly kind: MessageKind;
  readonly fromId: UserId;
  readonly sender: UserName;
  readonly recipient: string;
  readonly text: ArrayBuffer;
  readonly sentAt: number;
  readonly unread: number;
}

/** Of `deliveries d` and `messages m`. */
export const COLUMNS = `d.position, d.message, lower(hex(m.message_id)) AS id, m.kind, m.sender_id AS fromId,
  m.sender_name AS sender, m.to_name AS recipient, m.text, m.sent_at AS sentAt, d.unread`;

/** Up to `count` rows beyond the position of the last page's last row. */
export type Fetch = (position: number, count: number) => EntryRow[];

/** A page as it fills. */
export class EntryPage {
  readonly entries: InboxEntry[] = [];
  readonly #limit: number;
  readonly #maxBytes: number;
  #bytes = 0;
  #isFull = false;

  constructor({ limit, maxBytes = Infinity }: PageSize) {
    this.#limit = limit;
    this.#maxBytes = maxBytes;
  }

  get isFull(): boolean {
    return this.#isFull;
  }

  /** How many more it takes at most. */
  get room(): number {
    return this.#limit - this.entries.length;
  }

  /** Adds the row unless the page is full, or becomes so by its bytes. */
  add(row: EntryRow): void {
    if (this.#isFull) return;
    this.#bytes += row.text.byteLength;
    if (this.#bytes > this.#maxBytes && this.entries.length > 0) {
      this.#isFull = true;
      return;
    }
    this.entries.push(toEntry(row));
    this.#isFull = this.room === 0;
  }
}

export function collect(fetch: Fetch, start: number, size: PageSize): InboxEntry[] {
  const page = new EntryPage(size);
  let position = start;
  while (!page.isFull) {
    const wanted = Math.min(FETCH, page.room);
    const rows = fetch(position, wanted);
    for (const row of rows) page.add(row);
    if (rows.length < wanted) break;
    position = rows.at(-1)?.position ?? position;
  }
  return page.entries;
}

export function textOf(row: EntryRow): string {
  return Buffer.from(row.text).toString('utf8');
}

function toEntry(row: EntryRow): InboxEntry {
  const { position, id, kind, fromId, sender, recipient, sentAt, unread } = row;
  return { position, id, kind, fromId, from: sender, to: recipient, text: textOf(row), sentAt, unread: unread === 1 };
}
