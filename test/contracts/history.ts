/** The part of the storage port that searches messages and removes old ones, as tests: every adapter passes it. */
import { expect } from 'chai';
import fc from 'fast-check';
import { hasWords, parseSearch, wordsOf } from '../../src/protocol/words.js';
import { MIN_KNOWN_DAYS } from '../../src/server/storage/port.js';
import type { InboxFilter, NewMessage, Retention, Storage, UserRecord } from '../../src/server/storage/port.js';
import { T0, acknowledged, addUser, message, storageOfThree } from '../support/storage.js';
import type { OpenStorage } from '../support/storage.js';

const DAY_MS = 24 * 60 * 60 * 1_000;

export async function indexAll(storage: Storage): Promise<void> {
  while ((await storage.indexMessages()) > 0);
}

/** A whole sweep; how many entries it removed. */
export async function sweep(storage: Storage, at: number, fallback: Retention = 365): Promise<number> {
  let removed = 0;
  let from: Parameters<Storage['removeOld']>[0]['from'];
  do {
    const step = await storage.removeOld({ at, fallback, from });
    removed += step.removed;
    from = step.next;
  } while (from !== undefined);
  return removed;
}

/** Runs the suite. */
export function historyContract(open: OpenStorage): void {
  const stage = storageOfThree(open);

  const append = (...messages: NewMessage[]): Promise<unknown> => stage.storage.appendMessages(messages);
  const found = async (user: UserRecord, typed: string, filter: InboxFilter = {}, limit = 50): Promise<string[]> => {
    const page = await stage.storage.inboxPage(user.id, { ...filter, words: parseSearch(typed) }, { limit });
    return page?.map(({ text }) => text) ?? ['undefined'];
  };

  describe('search', () => {
    const texts = [
      'Lunch at noon?',
      'the SLIDES are late',
      'lunch again: café Zoë',
      'slide 7, no lunch',
      'İstanbul Straße',
    ];
    // Whether all, nothing or a part is in the index makes no difference.
    for (const when of ['before', 'after', 'between'] as const) {
      describe(`indexed ${when} the messages come`, () => {
        beforeEach(async () => {
          if (when === 'before') await indexAll(stage.storage);
          for (const [n, text] of texts.entries()) {
            await append(
              message(n % 2 ? stage.carol : stage.alice, [stage.bob], { text }),
              message(stage.alice, [stage.carol], { text: 'lunch' }),
            );
            if (when === 'between' && n === 2) await indexAll(stage.storage);
          }
          if (when === 'after') await indexAll(stage.storage);
        });

        it('finds what has all the words, without regard to case and accents, the oldest first', async () => {
          expect(await found(stage.bob, 'lunch')).to.deep.equal([texts[0], texts[2], texts[3]]);
          expect(await found(stage.bob, 'LUNCH slide')).to.deep.equal([texts[3]]);
          expect(await found(stage.bob, 'zoe, CAFE!')).to.deep.equal([texts[2]]);
          expect(await found(stage.bob, 'istanbul strasse')).to.deep.equal([texts[4]]);
          expect(await found(stage.bob, 'lun')).to.deep.equal([]);
          expect(await found(stage.alice, 'lunch')).to.deep.equal([]);
          expect(await found(stage.carol, 'lunch')).to.have.length(5);
        });

        it('finds beginnings, however long', async () => {
          for (const typed of ['s*', 'sl*', 'sli*', 'slid*', 'slide*']) {
            expect(await found(stage.bob, typed), typed).to.include.members([texts[1], texts[3]]);
          }
          expect(await found(stage.bob, 'slides*')).to.deep.equal([texts[1]]);
          expect(await found(stage.bob, 'slider*')).to.deep.equal([]);
          expect(await found(stage.bob, 'caf* z*')).to.deep.equal([texts[2]]);
        });

        it('goes with every other filter', async () => {
          expect(await found(stage.bob, 'lunch', { senderId: stage.carol.id })).to.deep.equal([texts[3]]);
          expect(await found(stage.bob, 'lunch', {}, 2)).to.deep.equal([texts[2], texts[3]]);
          const [, second, third] = (await stage.storage.inboxPage(stage.bob.id, {}, { limit: 3 })) ?? [];
          expect(await found(stage.bob, 'lunch', { before: second?.id })).to.deep.equal([texts[0], texts[2]]);
          await stage.storage.markRead(stage.bob.id, { ids: [second?.id ?? '', third?.id ?? ''] });
          expect(await found(stage.bob, 'lunch', { unreadOnly: true })).to.deep.equal([texts[0], texts[2]]);
          expect(await found(stage.bob, 'lunch', { unreadOnly: true, senderId: stage.alice.id })).to.deep.equal([
            texts[0],
            texts[2],
          ]);
          expect(await found(stage.bob, 'lunch', { before: 'f'.repeat(32) })).to.deep.equal(['undefined']);
        });
      });
    }

    it('finds unread ones of a sender with few and with many', async () => {
      for (let n = 0; n < 23; n++) {
        await append(
          ...Array.from({ length: 199 }, (_, k) => message(stage.alice, [stage.bob], { text: `${n} ${k}` })),
        );
        await stage.storage.acknowledge(new Map([[stage.bob.id, Infinity]]));
      }
      await append(
        message(stage.carol, [stage.bob], { text: 'first' }),
        message(stage.carol, [stage.bob], { text: 'second' }),
      );
      await stage.storage.markRead(stage.bob.id, { positions: [1, 23 * 199, 23 * 199 + 1] });
      const unread = async (senderId: number): Promise<string[] | undefined> =>
        (await stage.storage.inboxPage(stage.bob.id, { senderId, unreadOnly: true }, { limit: 2 }))?.map(
          ({ text }) => text,
        );
      expect(await unread(stage.alice.id)).to.deep.equal(['22 196', '22 197']);
      expect(await unread(stage.carol.id)).to.deep.equal(['second']);
    });

    it('says how much went into the index, and when that was all', async () => {
      expect(await stage.storage.indexMessages()).to.equal(0);
      await append(message(stage.alice, [stage.bob, stage.carol]), message(stage.alice, [stage.bob]));
      expect(await stage.storage.indexMessages()).to.equal(3);
      expect(await stage.storage.indexMessages()).to.equal(0);
    });

    it('goes on within a message to many, and with long texts', async () => {
      const many = await Promise.all(Array.from({ length: 450 }, (_, n) => addUser(stage.storage, `u${n}`)));
      await append(message(stage.alice, many, { text: 'welcome all' }));
      const words = Array.from({ length: 3_000 }, (_, n) => `w${n}`).join(' ');
      await append(
        message(stage.alice, [stage.bob], { text: words }),
        message(stage.alice, [stage.bob], { text: words }),
      );
      expect(await stage.storage.indexMessages()).to.be.lessThan(450);
      const searched = many.filter((_, n) => n % 50 === 0);
      for (const user of searched) expect(await found(user, 'welcome')).to.have.length(1);
      await indexAll(stage.storage);
      for (const user of searched) expect(await found(user, 'welcome')).to.have.length(1);
      expect(await found(stage.bob, 'w2999')).to.have.length(2);
    });

    it('pages through more than it looks at for one page, to the end', async () => {
      for (let n = 0; n < 3_000; n += 500) {
        await append(
          ...Array.from({ length: 500 }, (_, k) =>
            message(stage.alice, [stage.bob], { text: `yes ${(n + k) % 1_000 === 1 ? 'rare' : 'no'} ${n + k}` }),
          ),
        );
        await stage.storage.acknowledge(new Map([[stage.bob.id, Infinity]]));
      }
      for (const typed of ['rare', 'r*']) {
        const all: string[] = [];
        let before: string | undefined;
        while (true) {
          const page = await stage.storage.inboxPage(
            stage.bob.id,
            { words: parseSearch(typed), before },
            { limit: 50 },
          );
          if (page === undefined || page.length === 0) break;
          all.unshift(...page.map(({ text }) => text));
          before = page[0]?.id;
          if (typed === 'rare' && all.length === 1) await indexAll(stage.storage);
        }
        expect(all, typed).to.deep.equal(['yes rare 1', 'yes rare 1001', 'yes rare 2001']);
      }
    });

    it('takes whatever is typed, and finds what the rule of words says', async () => {
      const piece = fc.constantFrom(
        'a',
        'É',
        'ß',
        '"',
        "'",
        '*',
        ' ',
        '-',
        'NOT',
        'AND',
        'OR',
        'NEAR(',
        ')',
        ':',
        '^',
        '漢',
        '§1',
        '🎉',
        '\0',
        '{',
        ';--',
        '\ud800',
      );
      const string = fc.oneof(
        fc.string({ unit: 'binary', maxLength: 40 }),
        fc.array(piece, { maxLength: 12 }).map((p) => p.join('')),
      );
      const sent: string[] = [];
      await fc.assert(
        fc.asyncProperty(string, string, fc.boolean(), async (text, typed, isIndexed) => {
          // As it is once it was stored.
          const kept = Buffer.from(text).toString();
          await append(message(stage.alice, [stage.bob], { text: kept }));
          await stage.storage.acknowledge(new Map([[stage.bob.id, Infinity]]));
          sent.push(kept);
          if (isIndexed) await indexAll(stage.storage);
          const words = parseSearch(typed);
          if (words.length === 0) return;
          const expected = sent.filter((each) => hasWords(wordsOf(each), words));
          expect(await found(stage.bob, typed, {}, 1_000)).to.deep.equal(expected);
        }),
        { numRuns: 300 },
      );
    });
  });

  describe('retention', () => {
    const old = T0 - 400 * DAY_MS;

    it('is what the user has, or the default', async () => {
      expect(await stage.storage.getRetention(stage.bob.id)).to.equal(undefined);
      for (const retention of [7, 'forever', undefined] as const) {
        expect(await stage.storage.setRetention(stage.bob.id, retention)).to.equal(true);
        expect(await stage.storage.getRetention(stage.bob.id)).to.equal(retention);
      }
      expect(await stage.storage.setRetention(999, 7)).to.equal(false);
    });

    it('removes what is old, was acknowledged and is read, and nothing else', async () => {
      await append(
        message(stage.alice, [stage.bob], { text: 'old, read', sentAt: old }),
        message(stage.alice, [stage.bob], { text: 'old, unread', sentAt: old }),
        message(stage.alice, [stage.bob, stage.carol], { text: 'old, both', sentAt: old }),
        message(stage.alice, [stage.bob], { text: 'old, not delivered', sentAt: old }),
        message(stage.alice, [stage.bob], { text: 'new', sentAt: T0 }),
      );
      await stage.storage.acknowledge(new Map([[stage.bob.id, 3]]));
      await stage.storage.markRead(stage.bob.id, { positions: [1, 3, 4, 5] });
      await indexAll(stage.storage);
      expect(await sweep(stage.storage, old + 365 * DAY_MS)).to.equal(0);
      expect(await sweep(stage.storage, T0, 'forever')).to.equal(0);
      expect(await sweep(stage.storage, T0)).to.equal(2);
      expect(await sweep(stage.storage, T0)).to.equal(0);
      const left = await stage.storage.entriesAfter(stage.bob.id, 0, { limit: 10 });
      expect(left.map(({ text }) => text)).to.deep.equal(['old, unread', 'old, not delivered', 'new']);
      expect(await stage.storage.entriesAfter(stage.carol.id, 0, { limit: 10 })).to.have.length(1);
      expect(await stage.storage.countUnread(stage.bob.id)).to.equal(1);
      // The count of what is undelivered stands as before.
      expect(await acknowledged(stage.storage, stage.bob.id, 5)).to.equal(5);
      await append(message(stage.alice, [stage.bob], { text: 'next' }));
      expect((await stage.storage.findUser('bob'))?.lastPosition).to.equal(6);
      expect(await stage.storage.integrityOk()).to.equal(true);
    });

    it('goes by the setting of each user, and also without the default', async () => {
      await stage.storage.setRetention(stage.bob.id, 10);
      await stage.storage.setRetention(stage.carol.id, 'forever');
      await append(
        message(stage.alice, [stage.bob, stage.carol], { sentAt: T0 - 11 * DAY_MS }),
        message(stage.carol, [stage.alice], { sentAt: old }),
      );
      for (const { id } of [stage.alice, stage.bob, stage.carol]) {
        await stage.storage.acknowledge(new Map([[id, 1]]));
        await stage.storage.markRead(id, { upTo: 1 });
      }
      expect(await sweep(stage.storage, T0, 'forever')).to.equal(1);
      expect(await sweep(stage.storage, T0, 30)).to.equal(1);
      expect(await stage.storage.entriesAfter(stage.carol.id, 0, { limit: 10 })).to.have.length(1);
    });

    it('removes the words with the message, whether they were in the index or not', async () => {
      await append(message(stage.alice, [stage.bob], { text: 'gone indexed', sentAt: old }));
      await indexAll(stage.storage);
      await append(message(stage.alice, [stage.bob], { text: 'gone too', sentAt: old }));
      await stage.storage.acknowledge(new Map([[stage.bob.id, 2]]));
      await stage.storage.markRead(stage.bob.id, { upTo: 2 });
      expect(await sweep(stage.storage, T0)).to.equal(2);
      // The rows of both are used again.
      await append(
        message(stage.alice, [stage.bob], { text: 'come' }),
        message(stage.alice, [stage.bob], { text: 'come again' }),
      );
      expect(await found(stage.bob, 'gone')).to.deep.equal([]);
      expect(await found(stage.bob, 'come')).to.deep.equal(['come', 'come again']);
      expect(await stage.storage.indexMessages()).to.equal(2);
      expect(await found(stage.bob, 'come')).to.deep.equal(['come', 'come again']);
      expect(await stage.storage.integrityOk()).to.equal(true);
    });

    it('knows the id of a removed message for some weeks', async () => {
      await stage.storage.setRetention(stage.bob.id, 1);
      const sent = message(stage.alice, [stage.bob], { text: 'once', sentAt: T0 });
      await append(sent);
      await stage.storage.acknowledge(new Map([[stage.bob.id, 1]]));
      await stage.storage.markRead(stage.bob.id, { upTo: 1 });
      expect(await sweep(stage.storage, T0 + 2 * DAY_MS)).to.equal(1);
      expect(await stage.storage.appendMessages([sent])).to.deep.equal([{ kind: 'duplicate', recipients: [] }]);
      await sweep(stage.storage, T0 + (MIN_KNOWN_DAYS + 1) * DAY_MS);
      expect((await stage.storage.appendMessages([sent]))[0]?.kind).to.equal('stored');
    });

    it('goes through many entries and users in bounded steps', async () => {
      for (let n = 0; n < 3; n++) {
        await append(
          ...Array.from({ length: 190 }, () => message(stage.alice, [stage.bob, stage.carol], { sentAt: old })),
        );
        for (const { id } of [stage.bob, stage.carol]) {
          await stage.storage.acknowledge(new Map([[id, Infinity]]));
          await stage.storage.markRead(id, { upTo: Number.MAX_SAFE_INTEGER });
        }
        await indexAll(stage.storage);
      }
      const first = await stage.storage.removeOld({ at: T0, fallback: 365 });
      expect(first.removed).to.be.within(1, 569);
      expect(first.next).to.not.equal(undefined);
      expect(first.removed + (await sweep(stage.storage, T0))).to.equal(1_140);
      expect(await stage.storage.integrityOk()).to.equal(true);
    });
  });
}
