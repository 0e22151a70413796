import { expect } from 'chai';
import fc from 'fast-check';
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ParleyError } from '../../../src/protocol/errors.js';
import type { NewMessage, RecipientOutcome, Storage, UserRecord } from '../../../src/server/storage/port.js';
import { MAX_INBOX_ENTRIES_PER_SENDER } from '../../../src/server/storage/port.js';
import { openSqlite } from '../../../src/server/storage/sqlite.js';
import { acknowledged, addUser, message } from '../../support/storage.js';

const USERS = 8;

type Step =
  | { readonly kind: 'send'; readonly messages: readonly (readonly number[])[] }
  | { readonly kind: 'fail'; readonly to: readonly number[] }
  | { readonly kind: 'acknowledge' | 'read' | 'look' | 'join'; readonly user: number; readonly position: number }
  | { readonly kind: 'settle' | 'crash' };

/** What an inbox should be. */
interface Expected {
  readonly texts: string[];
  readonly read: Set<number>;
  delivered: number;
}

function byId(recipients: readonly RecipientOutcome[]): RecipientOutcome[] {
  return [...recipients].sort((a, b) => a.userId - b.userId);
}

describe('server/storage/sqlite-fanouts', function () {
  this.timeout(60_000);
  let folder: string;
  let opened = 0;
  let storage: Storage;
  let users: UserRecord[];

  const open = async (): Promise<void> => {
    storage = await openSqlite({ dataDir: join(folder, String(opened)), role: 'server' });
  };
  const begin = async (): Promise<void> => {
    opened += 1;
    await open();
    users = [];
    for (let n = 0; n < USERS; n++) users.push(await addUser(storage, `user${n}`));
  };
  /** Goes on with what a killed process would have left. */
  const crash = async (): Promise<void> => {
    const before = storage;
    cpSync(join(folder, String(opened)), join(folder, String(opened + 1)), { recursive: true });
    opened += 1;
    await before.close();
    await open();
  };
  const userAt = (index: number): UserRecord => users[index] ?? expect.fail('no such user');
  const everybody = (): UserRecord[] => users.slice(1);
  const textsOf = async (user: UserRecord): Promise<string[]> =>
    (await storage.entriesAfter(user.id, 0, { limit: 1_000 })).map(({ text }) => text);

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'parley-fanouts-'));
  });
  afterEach(async () => {
    await storage.close();
    rmSync(folder, { recursive: true, force: true });
  });

  it('keeps every inbox as if each message had been put into it at once', async () => {
    const index = fc.integer({ min: 1, max: USERS - 1 });
    const place = { user: index, position: fc.integer({ min: 1, max: 20 }) };
    const all = fc.constant(Array.from({ length: USERS - 1 }, (_, n) => n + 1));
    const recipients = fc.oneof(all, all, fc.uniqueArray(index, { minLength: 1, maxLength: USERS - 1 }));
    const step: fc.Arbitrary<Step> = fc.oneof(
      {
        weight: 5,
        arbitrary: fc.record({
          kind: fc.constant('send' as const),
          messages: fc.array(recipients, { minLength: 1, maxLength: 4 }),
        }),
      },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant('fail' as const), to: recipients }) },
      {
        weight: 4,
        arbitrary: fc.record({
          kind: fc.constantFrom('acknowledge' as const, 'read' as const, 'look' as const, 'join' as const),
          ...place,
        }),
      },
      { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom('settle' as const, 'crash' as const) }) },
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 14 }), async (steps) => {
        await begin();
        const expected: Expected[] = users.map(() => ({ texts: [], read: new Set(), delivered: 0 }));
        let sent = 0;
        for (const each of steps) await take(each, expected, () => `text ${sent++}`);
        for (const [n, { texts, read, delivered }] of expected.entries()) {
          const user = userAt(n);
          expect(await storage.getUser(user.id)).to.include({
            lastPosition: texts.length,
            deliveredPosition: delivered,
          });
          expect(await storage.countUnread(user.id)).to.equal(texts.length - read.size);
        }
        const undelivered = expected.reduce((sum, { texts, delivered }) => sum + texts.length - delivered, 0);
        expect(await storage.countUndelivered()).to.equal(undelivered);
        for (const [n, { texts, read }] of expected.entries()) {
          const entries = await storage.entriesAfter(userAt(n).id, 0, { limit: 1_000 });
          expect(entries.map(({ text }) => text)).to.deep.equal(texts);
          expect(entries.map(({ position }) => position)).to.deep.equal(texts.map((_, at) => at + 1));
          expect(entries.filter(({ unread }) => !unread).map(({ position }) => position)).to.deep.equal(
            [...read].sort((a, b) => a - b),
          );
        }
        expect(await storage.integrityOk()).to.equal(true);
        await storage.close();
      }),
      { numRuns: 60 },
    );
    await begin();
  });

  async function take(step: Step, expected: Expected[], nextText: () => string): Promise<void> {
    if (step.kind === 'send') {
      const batch = step.messages.map((to) => message(userAt(0), to.map(userAt), { text: nextText() }));
      const outcomes = await storage.appendMessages(batch);
      for (const [at, { text, recipients }] of batch.entries()) {
        for (const userId of recipients) expected[users.findIndex(({ id }) => id === userId)]?.texts.push(text);
        const outcome = outcomes[at];
        const positions = outcome?.kind === 'stored' ? outcome.recipients : expect.fail('not stored');
        for (const each of positions) {
          const inbox = expected[users.findIndex(({ id }) => id === each.userId)];
          expect('position' in each && inbox?.texts[each.position - 1]).to.equal(text);
        }
        const [again] = await storage.appendMessages([{ ...batch[at], kind: 'message' } as NewMessage]);
        expect(again?.kind === 'duplicate' && byId(again.recipients)).to.deep.equal(byId(positions));
      }
    } else if (step.kind === 'fail') {
      const good = message(userAt(0), step.to.map(userAt));
      const failed = await Promise.all([
        storage.appendMessages([good, message(userAt(0), step.to.map(userAt), { sentAt: Number.NaN })]).catch(String),
        storage.setSetting('beside', 'it'),
      ]);
      expect(failed[0]).to.contain('ParleyError');
    } else if (step.kind === 'settle') while ((await storage.indexMessages()) > 0);
    else if (step.kind === 'crash') await crash();
    else if ('user' in step)
      await use(step.kind, userAt(step.user), step.position, expected[step.user] ?? expect.fail());
  }

  async function use(
    kind: 'acknowledge' | 'read' | 'look' | 'join',
    user: UserRecord,
    position: number,
    inbox: Expected,
  ): Promise<void> {
    if (kind === 'acknowledge') {
      inbox.delivered = Math.max(inbox.delivered, Math.min(position, inbox.texts.length));
      expect(await acknowledged(storage, user.id, position)).to.equal(inbox.delivered);
    } else if (kind === 'read') {
      const isNew = position <= inbox.texts.length && !inbox.read.has(position);
      if (isNew) inbox.read.add(position);
      expect(await storage.markRead(user.id, { positions: [position] })).to.equal(isNew ? 1 : 0);
    } else if (kind === 'look') {
      const page = await storage.inboxPage(user.id, { unreadOnly: true }, { limit: 3 });
      const unread = inbox.texts.filter((_, at) => !inbox.read.has(at + 1));
      expect(page?.map(({ text }) => text)).to.deep.equal(unread.slice(-3));
    } else {
      expect(await storage.heldSummary(user.id)).to.include({ count: 0 });
    }
  }

  it('takes up what a killed server left, also what is only in some of the inboxes', async () => {
    await begin();
    await storage.appendMessages([message(userAt(0), everybody(), { text: 'one' })]);
    await storage.appendMessages([message(userAt(0), everybody(), { text: 'two' })]);
    expect(await textsOf(userAt(3))).to.deep.equal(['one', 'two']);
    await storage.appendMessages([message(userAt(0), [userAt(4)], { text: 'three' })]);
    await crash();
    expect(await textsOf(userAt(3))).to.deep.equal(['one', 'two']);
    expect(await textsOf(userAt(4))).to.deep.equal(['one', 'two', 'three']);
    expect(await textsOf(userAt(5))).to.deep.equal(['one', 'two']);
    expect(await storage.integrityOk()).to.equal(true);
  });

  it('drops what waits for a user who was removed by another process, and takes no more for them', async () => {
    await begin();
    await storage.appendMessages([message(userAt(0), everybody())]);
    const tool = await openSqlite({ dataDir: join(folder, String(opened)), role: 'tool' });
    for (const { id } of everybody()) if (id !== userAt(5).id) await tool.removeUser(id);
    await tool.close();
    const [outcome] = await storage.appendMessages([message(userAt(0), everybody())]);
    const refused = outcome?.kind === 'stored' ? outcome.recipients.filter((each) => 'refused' in each) : [];
    expect(refused).to.have.length(USERS - 2);
    while ((await storage.indexMessages()) > 0);
    expect(await textsOf(userAt(5))).to.have.length(2);
    expect(await storage.countUndelivered()).to.equal(2);
    expect(await storage.integrityOk()).to.equal(true);
  });

  it('counts what waits against the limits of an inbox (R20)', async () => {
    await begin();
    const [first] = everybody();
    const send = async (): Promise<unknown> => {
      const [outcome] = await storage.appendMessages([message(userAt(0), everybody())]);
      const recipients = outcome?.kind === 'stored' || outcome?.kind === 'refused' ? outcome.recipients : [];
      return recipients.find(({ userId }) => userId === first?.id);
    };
    for (let n = 1; n <= MAX_INBOX_ENTRIES_PER_SENDER; n++) expect(await send()).to.include({ position: n });
    expect(await send()).to.include({ refused: 'INBOX_FULL' });
    await acknowledged(storage, first?.id ?? 0, 50);
    expect(await send()).to.include({ position: MAX_INBOX_ENTRIES_PER_SENDER + 1 });
  });

  it('removes nothing of a message that still waits for somebody', async () => {
    await begin();
    await storage.appendMessages([message(userAt(0), everybody(), { text: 'old' })]);
    await acknowledged(storage, userAt(3).id, 1);
    await storage.markRead(userAt(3).id, { positions: [1] });
    const at = Date.UTC(2040, 0, 1);
    const sweep = async (): Promise<number> => {
      let removed = 0;
      for (let from; ;) {
        const step = await storage.removeOld({ at, fallback: 1, from });
        removed += step.removed;
        if (step.next === undefined) return removed;
        from = step.next;
      }
    };
    expect(await sweep()).to.equal(0);
    while ((await storage.indexMessages()) > 0);
    expect(await sweep()).to.equal(1);
    expect(await textsOf(userAt(4))).to.deep.equal(['old']);
  });

  it('fails as a whole', async () => {
    await begin();
    const error = await storage
      .appendMessages([message(userAt(0), everybody()), message(userAt(0), everybody(), { sentAt: Number.NaN })])
      .catch((thrown: unknown) => thrown);
    expect(error).to.be.instanceOf(ParleyError);
    expect(await textsOf(userAt(1))).to.deep.equal([]);
    expect(await storage.countUndelivered()).to.equal(0);
  });
});
