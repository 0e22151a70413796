/** A process with a storage of its own, told by its parent what to do: for tests that kill it, limit it or race it. */
import { toParleyError } from '../../../src/protocol/errors.js';
import type { Storage } from '../../../src/server/storage/port.js';
import { openSqlite } from '../../../src/server/storage/sqlite.js';
import { message } from '../../support/storage.js';

export type Order =
  | { readonly do: 'open'; readonly dataDir: string; readonly role: 'server' | 'tool' }
  /** Messages from alice to these, one a commit, each acknowledged to the parent as `{ id }`; stops at the first error. */
  | { readonly do: 'append'; readonly count: number; readonly textBytes: number; readonly to?: readonly string[] }
  /** Takes everything into the index of words; each commit is told to the parent as `{ id }`. */
  | { readonly do: 'index' }
  | { readonly do: 'read' }
  | { readonly do: 'close' };
export interface Report {
  readonly done?: Order['do'];
  readonly id?: string;
  readonly error?: string;
  /** Entries in bob's inbox. */
  readonly entries?: number;
}

let storage: Storage | undefined;
const report = (what: Report): void => void process.send?.(what);

async function obey(order: Order): Promise<Report> {
  if (order.do === 'open') {
    storage = await openSqlite(order);
    return {};
  }
  if (storage === undefined) return { error: 'not open' };
  if (order.do === 'close') {
    await storage.close();
    return {};
  }
  if (order.do === 'index') {
    for (let batch = 0; (await storage.indexMessages()) > 0; batch++) report({ id: `${batch}` });
    return {};
  }
  const [alice, bob] = [await storage.findUser('alice'), await storage.findUser('bob')];
  if (alice === undefined || bob === undefined) return { error: 'no users' };
  if (order.do === 'append') {
    const recipients = await storage.findUsers(order.to ?? ['bob']);
    for (let i = 0; i < order.count; i++) {
      const entry = message(alice, recipients, { text: 'x'.repeat(order.textBytes) });
      const [outcome] = await storage.appendMessages([entry]);
      if (outcome?.kind !== 'stored') return { error: outcome?.kind ?? 'nothing' };
      report({ id: entry.messageId });
    }
  }
  return { entries: (await storage.entriesAfter(bob.id, 0, { limit: 1_000 })).length };
}

process.on('message', (order: Order) => {
  obey(order)
    .catch((error: unknown): Report => ({ error: toParleyError(error).code }))
    .then((result) => report({ ...result, done: order.do }))
    .catch(() => process.exit(1));
});
process.on('disconnect', () => process.exit());
