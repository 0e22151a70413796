/** The words of messages in SQLite's FTS5: taken into the index later than the messages, and found by whoever got them. */
import { setImmediate } from 'node:timers/promises';
import { hasWords, wordsOf } from '../../protocol/words.js';
import type { SearchWord } from '../../protocol/words.js';
import { KeyedTurns } from '../../protocol/turns.js';
import type { IndexStore, InboxEntry, InboxFilter, PageSize, UserId } from './port.js';
import type { SqliteConnection } from './sqlite-connection.js';
import { COLUMNS, EntryPage, FETCH, textOf } from './sqlite-entries.js';
import type { EntryRow, Fetch } from './sqlite-entries.js';
import type { Inboxes } from './sqlite-fanouts.js';

/** Entries that one commit takes into the index: some milliseconds. */
const INDEX_BATCH = 200;
/** The same in words, for long texts. */
const INDEX_BATCH_WORDS = 4_000;
/** Pages of the index that are merged after a batch: more than a batch makes, so that the parts stay few. */
const MERGE_PAGES = 64;
/** Unread entries up to which a search for them looks at each, instead of at all that have the words. */
const MAX_WALKED_UNREAD = 4_000;
/** Positions that one question for several words covers, so that it takes some milliseconds also when they are never together. Part of the index. */
const WINDOW = 128 * 1024;
/** Entries looked at after which a page that has something ends: a page stays below 50 ms. */
const MAX_LOOKS = 2_000;
/** Words that are asked of the index; the others are looked for in what it finds. */
const MAX_ASKED_WORDS = 8;

/** As a word in the index: who sent it. Not a letter, so no text has it. */
const senderToken = (senderId: UserId): string => `§${senderId}`;

/**
 * As a word in the index: whose entry it is, and in which window. A question for several words compares their lists until it finds
 * something, also beyond the rows it is limited to: this list ends it.
 */
const windowToken = (recipientId: UserId, window: number): string => `¶${recipientId}¶${window}`;

const windowOf = (position: number): number => Math.floor(position / WINDOW);

interface Progress {
  readonly message: number;
  readonly recipientId: UserId;
}

interface ToIndex extends Progress {
  readonly position: number;
  readonly senderId: UserId;
  readonly text: ArrayBuffer;
}

const PROGRESS = 'SELECT message, recipient_id AS recipientId FROM search_progress';

export function indexStore(db: SqliteConnection, inboxes: Inboxes): IndexStore {
  const progress = db.statement<Progress>(PROGRESS);
  const next = db.statement<ToIndex>(
    `SELECT d.message, d.recipient_id AS recipientId, d.position, m.sender_id AS senderId, m.text
     FROM deliveries d INDEXED BY deliveries_by_message CROSS JOIN messages m ON m.id = d.message
     WHERE (d.message, d.recipient_id) > (?, ?) ORDER BY d.message, d.recipient_id LIMIT ?`,
  );
  const insert = db.statement('INSERT INTO search (rowid, words) VALUES ((? << 32) | ?, ?)');
  const advance = db.statement('UPDATE search_progress SET message = ?, recipient_id = ?');
  const merge = db.statement(`INSERT INTO search (search, rank) VALUES ('merge', ?)`);

  const indexBatch = (): number => {
    // Entries that wait would come behind what is in the index already.
    const written = inboxes.writeSome();
    if (inboxes.waiting > 0) return written;
    const from = progress.get() ?? { message: 0, recipientId: 0 };
    const batch = withWords(next.all(from.message, from.recipientId, INDEX_BATCH));
    const last = batch.at(-1)?.row;
    if (last === undefined) return 0;
    // In the order of the index: otherwise each step back would write a part of its own.
    batch.sort(({ row: a }, { row: b }) => a.recipientId - b.recipientId || a.position - b.position);
    for (const { row, words } of batch) insert.run(row.recipientId, row.position, words);
    advance.run(last.message, last.recipientId);
    return batch.length;
  };

  return {
    async indexMessages() {
      // What is read and how far that is are one transaction: killed anywhere, it goes on where it was.
      const indexed = await db.write(indexBatch);
      if (indexed > 0) await db.write(() => void merge.run(MERGE_PAGES));
      return indexed;
    },
  };
}

/** A look into the index. Its own check of itself goes by what the connection last read of it, also when another process has changed it since. */
export function indexReader(db: SqliteConnection): () => void {
  const any = db.statement('SELECT rowid FROM search WHERE search MATCH ? LIMIT 1');
  return () => void any.get(quoted('A'));
}

/** The rows, as many as a batch takes, with what the index is given of them. */
function withWords(rows: readonly ToIndex[]): { row: ToIndex; words: string }[] {
  const batch: { row: ToIndex; words: string }[] = [];
  let known: { message: number; words: Set<string> } | undefined;
  let count = 0;
  for (const row of rows) {
    // A broadcast is many rows, one after the other.
    if (known?.message !== row.message) {
      known = { message: row.message, words: wordsOf(Buffer.from(row.text).toString('utf8')) };
    }
    const tokens = [senderToken(row.senderId), windowToken(row.recipientId, windowOf(row.position))];
    batch.push({ row, words: [...tokens, ...known.words].join(' ') });
    count += known.words.size;
    if (count >= INDEX_BATCH_WORDS) break;
  }
  return batch;
}

export interface Search {
  readonly userId: UserId;
  readonly filter: InboxFilter;
  readonly words: readonly SearchWord[];
  /** Only entries before this position. */
  readonly start: number;
  readonly size: PageSize;
  /** Entries that pass the rest of the filter, newest first. */
  readonly fetch: Fetch;
}

/** Finds the newest entries with these words, newest first. Each step is a turn of the loop, and a user has one search at a time. */
export function searchReader(db: SqliteConnection): (search: Search) => Promise<InboxEntry[]> {
  const turns = new KeyedTurns<UserId>();
  const progress = db.statement<Progress>(PROGRESS);
  const counts = db.statement<{ unread: number; last: number }>(
    'SELECT unread, last_position AS last FROM inboxes WHERE user_id = ?',
  );
  const candidates = db.statement<EntryRow>(
    `SELECT ${COLUMNS} FROM search s CROSS JOIN deliveries d ON d.recipient_id = ?1 AND d.position = (s.rowid & 0xffffffff)
     CROSS JOIN messages m ON m.id = d.message
     WHERE s.search MATCH ?2 AND s.rowid >= ((?1 << 32) | ?3) AND s.rowid < ((?1 << 32) | ?4)
     ORDER BY s.rowid DESC LIMIT ?5`,
  );

  const run = async (search: Search): Promise<InboxEntry[]> => {
    const { userId, filter } = search;
    const finder = new Finder(search);
    const inbox = await db.read(() => counts.get(userId));
    if (inbox === undefined) return [];
    const unreadIsLess = filter.unreadOnly === true && inbox.unread <= MAX_WALKED_UNREAD;
    const asked = unreadIsLess ? undefined : termsOf(search);
    const indexed = await db.read(() => progress.get() ?? { message: 0, recipientId: 0 });
    const isIndexed = ({ message }: EntryRow): boolean =>
      message < indexed.message || (message === indexed.message && userId <= indexed.recipientId);

    let position = Math.min(search.start, inbox.last + 1);
    // What is not in the index yet is looked at, and so is everything when the index is of no help.
    while (!finder.isDone) {
      const rows = await db.read(() => search.fetch(position, FETCH));
      const known = asked === undefined ? -1 : rows.findIndex(isIndexed);
      finder.look(known < 0 ? rows : rows.slice(0, known));
      if (known < 0 && rows.length < FETCH) return finder.found;
      position = known < 0 ? (rows.at(-1)?.position ?? 0) : (rows[known]?.position ?? 0) + 1;
      if (known >= 0) break;
      await setImmediate();
    }
    while (!finder.isDone && asked !== undefined && position > 1) {
      const window = windowOf(position - 1);
      const [from, terms] =
        asked.length === 1
          ? [1, asked]
          : [Math.max(1, window * WINDOW), [...asked, quoted(windowToken(userId, window))]];
      const rows = await db.read(() => candidates.all(userId, terms.join(' AND '), from, position, FETCH));
      finder.look(rows);
      position = rows.length < FETCH ? from : (rows.at(-1)?.position ?? from);
      await setImmediate();
    }
    return finder.found;
  };
  return (search) => turns.run(search.userId, () => run(search));
}

/** Looks at candidates until there is a page of what was searched for. */
class Finder {
  readonly #search: Search;
  readonly #page: EntryPage;
  #looks = 0;

  constructor(search: Search) {
    this.#search = search;
    this.#page = new EntryPage(search.size);
  }

  get found(): InboxEntry[] {
    return this.#page.entries;
  }

  get isDone(): boolean {
    return this.#page.isFull || (this.#looks >= MAX_LOOKS && this.found.length > 0);
  }

  look(rows: readonly EntryRow[]): void {
    const { words, filter } = this.#search;
    for (const row of rows) {
      if (filter.unreadOnly === true && row.unread === 0) continue;
      if (filter.senderId !== undefined && row.fromId !== filter.senderId) continue;
      if (hasWords(wordsOf(textOf(row)), words)) this.#page.add(row);
    }
    this.#looks += rows.length;
  }
}

/** What the index is asked for, terms that all have to be there, a superset of what is searched for; undefined when it is of no help. */
function termsOf({ words, filter }: Search): string[] | undefined {
  const asked = words.flatMap(({ word, isPrefix }) => (isPrefix ? prefixTerm(word) : [quoted(word)]));
  if (asked.length === 0) return undefined;
  const sender = filter.senderId === undefined ? [] : [quoted(senderToken(filter.senderId))];
  return [...asked.slice(0, MAX_ASKED_WORDS), ...sender];
}

/** By the beginnings that the index has: others would be looked for in the words of all users. */
function prefixTerm(prefix: string): string[] {
  const characters = Array.from(prefix);
  if (characters.length < 2) return [];
  return [`${quoted(characters.slice(0, characters.length < 4 ? 2 : 4).join(''))} *`];
}

/** A string of the index's own language. Words hold no quotes; should they ever, they are doubled. */
function quoted(word: string): string {
  return `"${word.replaceAll('"', '""')}"`;
}
