/** What storing a message costs as the server grows: with 10 and 100,000 accounts, with nothing stored and 10 million messages. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { newMessageId } from '../src/protocol/messageid.js';
import type { UserName } from '../src/protocol/values.js';
import type { NewMessage, Storage } from '../src/server/storage/port.js';
import { SqliteConnection } from '../src/server/storage/sqlite-connection.js';
import { openSqlite } from '../src/server/storage/sqlite.js';
import { DATABASE_FILE } from '../src/server/storage/data-dir.js';
import { median } from './measure.js';

const MANY_ACCOUNTS = 100_000;
const MANY_MESSAGES = 10_000_000;
/** Who talks, whatever accounts there are. */
const TALKERS = 10;
/** Messages in one commit, as at saturation. */
const BATCH = 256;
const BATCHES_A_ROUND = 40;
const ROUNDS = 15;
const FILL_STEP = 500_000;

interface Contender {
  readonly name: string;
  readonly accounts: number;
  readonly messages: number;
}

const CONTENDERS: readonly Contender[] = [
  { name: '10 accounts, nothing stored', accounts: TALKERS, messages: 0 },
  { name: '100,000 accounts, nothing stored', accounts: MANY_ACCOUNTS, messages: 0 },
  { name: '10 accounts, 10 million messages', accounts: TALKERS, messages: MANY_MESSAGES },
];

export async function benchGrowth(): Promise<void> {
  console.log(
    `\ngrowth: storing a message of 100 bytes among ${TALKERS} users, in commits of ${BATCH}; filling takes minutes`,
  );
  const folder = mkdtempSync(join(tmpdir(), 'parley-growth-'));
  const open: { name: string; storage: Storage; micros: number[] }[] = [];
  try {
    for (const contender of CONTENDERS) {
      const dataDir = join(folder, `${open.length}`);
      const begun = performance.now();
      await fill(dataDir, contender);
      const seconds = ((performance.now() - begun) / 1_000).toFixed(0);
      console.log(`  (${contender.name}: made in ${seconds} s)`);
      open.push({ name: contender.name, storage: await openSqlite({ dataDir, role: 'server' }), micros: [] });
    }
    // One round that does not count, then one after the other: a machine that drifts slows all alike.
    for (let round = 0; round <= ROUNDS; round++) {
      for (const { storage, micros } of open) {
        const spent = await appendRound(storage);
        if (round > 0) micros.push(spent);
      }
    }
    const base = median(open[0]?.micros ?? []);
    for (const { name, micros } of open) {
      const spread = `${Math.min(...micros).toFixed(1)} to ${Math.max(...micros).toFixed(1)}`;
      const ratio = `x${(median(micros) / base).toFixed(2)}   (at most x1.30)`;
      console.log(`  ${name.padEnd(44)} ${median(micros).toFixed(1)} µs a message   (${spread})   ${ratio}`);
    }
  } finally {
    for (const { storage } of open) await storage.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Microseconds a message, its commit included. */
async function appendRound(storage: Storage): Promise<number> {
  let spent = 0;
  for (let batch = 0; batch < BATCHES_A_ROUND; batch++) {
    const messages = Array.from({ length: BATCH }, (_, n) => message(1 + (n % TALKERS), 1 + ((n * 7 + 3) % TALKERS)));
    const before = performance.now();
    const outcomes = await storage.appendMessages(messages);
    spent += performance.now() - before;
    if (outcomes.some(({ kind }) => kind !== 'stored')) throw new Error('a message was not stored');
    for (let user = 1; user <= TALKERS; user++) await storage.acknowledge(new Map([[user, Number.MAX_SAFE_INTEGER]]));
  }
  return (spent * 1_000) / (BATCH * BATCHES_A_ROUND);
}

function message(from: number, to: number): NewMessage {
  return {
    messageId: newMessageId(Date.now()),
    senderId: from,
    senderName: `u${from}` as UserName,
    kind: 'message',
    to: `u${to}`,
    text: 'x'.repeat(100),
    sentAt: Date.now(),
    recipients: [to],
  };
}

/** Straight into the tables: one by one ten million would take most of an hour. Everything is delivered, half of it read. */
async function fill(dataDir: string, { accounts, messages }: Contender): Promise<void> {
  await (await openSqlite({ dataDir, role: 'server' })).close();
  const db = new SqliteConnection(join(dataDir, DATABASE_FILE));
  const { database } = db;
  // Nothing here has to outlive a crash.
  database.pragma('synchronous = OFF');
  db.transaction(() => {
    const users = `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${accounts})`;
    database.exec(
      `${users} INSERT INTO users (id, name_key, name, password_hash, created_at) SELECT i, 'u' || i, 'u' || i, '', 0 FROM n`,
    );
    database.exec(`${users} INSERT INTO inboxes (user_id) SELECT i FROM n`);
  });
  for (let from = 0; from < messages; from += FILL_STEP) {
    const rows = `WITH RECURSIVE n(i) AS (SELECT ${from} UNION ALL SELECT i + 1 FROM n WHERE i < ${from + FILL_STEP - 1})`;
    // Message i goes from user i to another; each inbox gets every ${TALKERS}th. Ids begin with a time, as those of agents do.
    const each = `i % ${TALKERS} + 1`;
    db.transaction(() => {
      database.exec(
        `${rows} INSERT INTO messages (id, message_id, sender_id, sender_name, kind, to_name, text, sent_at)
         SELECT i + 1, CAST(unhex(printf('%012x', 1700000000000 + i)) || randomblob(10) AS BLOB), (i / ${TALKERS}) % ${TALKERS} + 1, 'u', 'message',
           'u', CAST(printf('%.100c', 'x') AS BLOB), 1700000000000 + i FROM n`,
      );
      database.exec(
        `${rows} INSERT INTO deliveries (recipient_id, position, message, sender_id, total_bytes, unread)
         SELECT ${each}, i / ${TALKERS} + 1, i + 1, (i / ${TALKERS}) % ${TALKERS} + 1, (i / ${TALKERS} + 1) * 100, i >= ${messages / 2} FROM n`,
      );
    });
  }
  const last = messages / TALKERS;
  database.exec(
    `UPDATE inboxes SET last_position = ${last}, last_bytes = ${last * 100}, delivered_position = ${last},
       delivered_bytes = ${last * 100}, unread = ${last / 2} WHERE user_id <= ${TALKERS}`,
  );
  database.pragma('wal_checkpoint(TRUNCATE)');
  db.close();
}
