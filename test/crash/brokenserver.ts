/**
 * A server that is broken on purpose, as a process: `brokenserver.js KIND PORT --data DIR --credentials FILE`. What finds nothing wrong
 * with it could not find anything wrong with ours. Passwords are not hashed, so that it starts quickly.
 */
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import Database from 'libsql';
import type { AppendOutcome, NewMessage, Storage } from '../../src/server/storage/port.js';
import { loadServerIdentity } from '../../src/server/identity.js';
import { openSqlite } from '../../src/server/storage/sqlite.js';
import { startTestServer } from '../support/server.js';
import { sleep } from './chance.js';

/** How long the hasty one takes until it stores what it has acknowledged, and the doubling one until it answers, in milliseconds. */
const LATE_MS = 20;

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { data: { type: 'string' }, credentials: { type: 'string' }, 'log-level': { type: 'string' } },
});
const [kind, port] = positionals;
const { data: dataDir = '', credentials = '' } = values;

const users = Object.fromEntries(
  readFileSync(credentials, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const end = line.indexOf(' ');
      return [line.slice(0, end), line.slice(end + 1)] as const;
    }),
);

if (kind === 'careless') syncNothing();
const honest = await openSqlite({ dataDir, role: 'server' });
const storage = kind === 'hasty' ? acknowledgeFirst(honest) : kind === 'doubling' ? forgetIds(honest) : honest;
const identity = await loadServerIdentity(dataDir);
const { address, fingerprint } = await startTestServer({ users, storage, identity, port: Number(port) });
console.log(`parley server listening on ${address} ${fingerprint}`);

/** The log is not synced before a commit returns. */
function syncNothing(): void {
  const prototype = Database.prototype as unknown as { pragma: (setting: string) => unknown };
  const pragma = prototype.pragma;
  prototype.pragma = function (this: unknown, setting: string): unknown {
    return pragma.call(this, setting.replace('synchronous = FULL', 'synchronous = OFF'));
  };
}

/** Senders are answered before what they sent is stored. */
function acknowledgeFirst(storage: Storage): Storage {
  const positions = new Map<number, number>();
  const outcomeOf = async ({ recipients }: NewMessage): Promise<AppendOutcome> => {
    const outcomes: { userId: number; position: number }[] = [];
    for (const userId of recipients) {
      const position = (positions.get(userId) ?? (await storage.getUser(userId))?.lastPosition ?? 0) + 1;
      positions.set(userId, position);
      outcomes.push({ userId, position });
    }
    return { kind: 'stored', recipients: outcomes };
  };
  return {
    ...storage,
    appendMessages: async (batch) => {
      setTimeout(() => void storage.appendMessages(batch), LATE_MS);
      const outcomes: AppendOutcome[] = [];
      for (const message of batch) outcomes.push(await outcomeOf(message));
      return outcomes;
    },
  };
}

/** What comes again is taken for new; and answers take a while, so that much comes again. */
function forgetIds(storage: Storage): Storage {
  let made = Date.now();
  return {
    ...storage,
    appendMessages: async (batch) => {
      const renamed = batch.map((message) => ({ ...message, messageId: (made++).toString(16).padStart(32, '0') }));
      const outcomes = await storage.appendMessages(renamed);
      await sleep(LATE_MS);
      return outcomes;
    },
  };
}
