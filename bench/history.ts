/** Pages of a history of a million messages: the median and the worst of each form, and how long a search holds up everything else. */
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { parseUserName } from '../src/protocol/values.js';
import { parseSearch } from '../src/protocol/words.js';
import { MAX_HISTORY_BYTES } from '../src/server/limits.js';
import type { InboxFilter, NewMessage, Storage, UserRecord } from '../src/server/storage/port.js';
import { openSqlite } from '../src/server/storage/sqlite.js';
import { median } from './measure.js';

const MESSAGES = 1_000_000;
/** Of somebody else, between those of the reader. */
const OTHERS = 250_000;
const SENDERS = 9;
/** What one sender may have undelivered, times senders: acknowledged after each. */
const BATCH = 900;
const PAGES = 30;
const LIMIT_MS = 50;

export async function benchHistory(): Promise<void> {
  console.log(`\nhistory: pages of 50 of a user with ${MESSAGES.toLocaleString('en')} messages, half of them unread`);
  const folder = mkdtempSync(join(tmpdir(), 'parley-history-'));
  const storage = await openSqlite({ dataDir: folder, role: 'server' });
  try {
    const reader = await add(storage, 'reader');
    const senders = await fill(storage, reader);
    for (const [name, filter] of forms(senders)) await measure(storage, reader, name, filter);
  } finally {
    await storage.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

async function add(storage: Storage, name: string): Promise<UserRecord> {
  const user = await storage.createUser(parseUserName(name), '', Date.now());
  if (user === undefined) throw new Error(`${name} exists`);
  return user;
}

/** Many words, few of them often: the usual of a language. */
const VOCABULARY = Array.from({ length: 20_000 }, (_, n) => (n * 7_919 + 104_729).toString(26).replaceAll(/\d/g, 'x'));
function someWords(count: number): string {
  const words = Array.from({ length: count }, () => VOCABULARY[Math.floor(VOCABULARY.length ** Math.random())] ?? '');
  return words.join(' ');
}

/** `common` is in all of the reader's, `even` and `odd` in every other; `elsewhere` in a million of others', `rare` in ten. */
async function fill(storage: Storage, reader: UserRecord): Promise<UserRecord[]> {
  const senders = await Promise.all(Array.from({ length: SENDERS }, (_, n) => add(storage, `sender${n}`)));
  const [other, seldom] = [await add(storage, 'other'), await add(storage, 'seldom')];
  const message = (from: UserRecord, to: UserRecord, text: string): NewMessage => ({
    messageId: randomBytes(16).toString('hex'),
    senderId: from.id,
    senderName: from.name,
    kind: 'message',
    to: to.name,
    text,
    sentAt: Date.now(),
    recipients: [to.id],
  });
  const begun = performance.now();
  for (let done = 0; done < MESSAGES; done += BATCH) {
    const batch: NewMessage[] = [];
    for (let n = done; n < Math.min(done + BATCH, MESSAGES); n++) {
      const rare = n % (MESSAGES / 10) === 7;
      const from = rare ? seldom : (senders[n % SENDERS] ?? seldom);
      const which = (n % SENDERS) % 2 === 0 ? 'even' : 'odd';
      batch.push(message(from, reader, `common ${which}${rare ? ' rare' : ''} ${someWords(12)}`));
      if (n % (MESSAGES / OTHERS) === 0) batch.push(message(from, other, `common elsewhere ${someWords(12)}`));
    }
    await storage.appendMessages(batch);
    for (const { id } of [reader, other]) await storage.acknowledge(new Map([[id, Number.MAX_SAFE_INTEGER]]));
  }
  const stored = performance.now();
  await storage.markRead(reader.id, { upTo: MESSAGES / 2 });
  const marked = performance.now();
  const batches: number[] = [];
  for (let indexed = 1; indexed > 0;) {
    const before = performance.now();
    indexed = await storage.indexMessages();
    batches.push(performance.now() - before);
  }
  const each = (ms: number, count: number): string => `${((ms * 1_000) / count).toFixed(0)} µs each`;
  line('storing them', each(stored - begun, MESSAGES + OTHERS));
  line(
    'taking them into the index, afterwards',
    `${each(performance.now() - marked, MESSAGES + OTHERS)}, ${numbers(batches)} a commit of 200`,
  );
  return [...senders, seldom];
}

function forms(senders: readonly UserRecord[]): [string, InboxFilter][] {
  const [even, odd, seldom] = [senders[0]?.id, senders[1]?.id, senders.at(-1)?.id];
  const words = (typed: string): InboxFilter => ({ words: parseSearch(typed) });
  return [
    ['all', {}],
    ['--unread', { unreadOnly: true }],
    ['--with one of nine', { senderId: odd }],
    ['--with somebody who wrote ten', { senderId: seldom }],
    ['--unread --with somebody who wrote ten', { unreadOnly: true, senderId: seldom }],
    ['--search a word of all', words('common')],
    ['--search two words', words(`common ${VOCABULARY[40] ?? ''}`)],
    ['--search a word of ten', words('rare')],
    ['--search a word that only others have', words('elsewhere')],
    ['--search com*', words('com*')],
    ['--search c*', words('c*')],
    ['--search two words of half each, never together', words('even odd')],
    ['--search a word, --with one of nine', { ...words('odd'), senderId: odd }],
    ['--search a word, --with one who never wrote it', { ...words('odd'), senderId: even }],
    ['--search a word of all, --unread', { ...words('common'), unreadOnly: true }],
  ];
}

/** From the newest on, and from anywhere before. */
async function measure(storage: Storage, reader: UserRecord, name: string, filter: InboxFilter): Promise<void> {
  const size = { limit: 50, maxBytes: MAX_HISTORY_BYTES };
  const took: number[] = [];
  let entries = 0;
  const loop = monitorEventLoopDelay({ resolution: 1 });
  loop.enable();
  for (let page = 0; page < PAGES; page++) {
    const position = Math.floor((MESSAGES * (PAGES - page)) / PAGES);
    const [start] = await storage.entriesAfter(reader.id, position, { limit: 1 });
    await new Promise(setImmediate);
    const before = performance.now();
    const found = await storage.inboxPage(reader.id, { ...filter, before: start?.id }, size);
    took.push(performance.now() - before);
    entries += found?.length ?? 0;
    await new Promise(setImmediate);
  }
  loop.disable();
  const held = `others wait ${(loop.max / 1e6).toFixed(0)} ms at most`;
  const verdict = Math.max(...took) < LIMIT_MS ? '' : `   above ${LIMIT_MS} ms`;
  line(name, `${numbers(took)}; ${(entries / PAGES).toFixed(0).padStart(2)} found; ${held}${verdict}`);
}

function numbers(ms: readonly number[]): string {
  return `${median(ms).toFixed(1).padStart(5)} ms, worst ${Math.max(...ms)
    .toFixed(1)
    .padStart(5)} ms`;
}

function line(name: string, value: string): void {
  console.log(`  ${name.padEnd(52)} ${value}`);
}
