/** The storage port as tests: every adapter passes all of it. */
import { expect } from 'chai';
import { randomBytes } from 'node:crypto';
import { ParleyError } from '../../src/protocol/errors.js';
import { parseFileName, parseUserName } from '../../src/protocol/values.js';
import type { Digest, KeyFingerprint } from '../../src/protocol/values.js';
import {
  MAX_CHUNKS_PER_USER,
  MAX_DEVICES_PER_USER,
  MAX_FILES_PER_USER,
  MAX_INBOX_BYTES,
  MAX_INBOX_ENTRIES,
  MAX_INBOX_ENTRIES_PER_SENDER,
  MAX_RESUME_TOKENS_PER_USER,
} from '../../src/server/storage/port.js';
import type {
  AppendOutcome,
  NewFile,
  NewMessage,
  ResumeToken,
  Storage,
  UserRecord,
} from '../../src/server/storage/port.js';
import { T0, acknowledged, addUser, message, storageOfThree } from '../support/storage.js';
import type { OpenStorage } from '../support/storage.js';

function file(owner: UserRecord, name: string, over: Partial<NewFile> = {}): NewFile {
  const chunks = over.chunks ?? 2;
  return {
    name: parseFileName(name),
    ownerId: owner.id,
    sizeBytes: 10,
    chunks,
    root: 'ab'.repeat(32) as Digest,
    chunkDigests: randomBytes(Math.min(chunks, 8) * 32),
    registeredAt: T0,
    ...over,
  };
}

const fingerprint = (n: number): KeyFingerprint => Buffer.alloc(32, n).toString('base64') as KeyFingerprint;
const tokenHash = (n: number): string => Buffer.alloc(32, n).toString('hex');

async function codeOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
  } catch (error) {
    return error instanceof ParleyError ? error.code : 'not a ParleyError';
  }
  return 'none';
}

/** Runs the suite. */
export function storageContract(open: OpenStorage): void {
  const stage = storageOfThree(open);

  const append = async (entry: NewMessage): Promise<AppendOutcome> => {
    const [outcome] = await stage.storage.appendMessages([entry]);
    return outcome ?? expect.fail('no outcome');
  };
  const texts = async (user: UserRecord): Promise<string[]> =>
    (await stage.storage.entriesAfter(user.id, 0, { limit: 10_000 })).map(({ text }) => text);

  describe('users', () => {
    it('finds a user whatever the case of letters and keeps the spelling', async () => {
      expect(await stage.storage.findUser('aLICE')).to.deep.equal(stage.alice);
      expect(await stage.storage.getUser(stage.alice.id)).to.deep.equal(stage.alice);
      expect(stage.alice).to.deep.equal({
        id: stage.alice.id,
        name: 'Alice',
        passwordHash: 'hash of Alice',
        lastSeenAt: undefined,
        lastPosition: 0,
        deliveredPosition: 0,
      });
      expect(await stage.storage.findUser('nobody')).to.equal(undefined);
    });

    it('refuses a name that is taken in another case', async () => {
      expect(await stage.storage.createUser(parseUserName('ALICE'), 'other', T0)).to.equal(undefined);
      expect((await stage.storage.findUser('alice'))?.passwordHash).to.equal('hash of Alice');
    });

    it('treats names of object properties as any other', async () => {
      expect(await stage.storage.findUser('__proto__')).to.equal(undefined);
      const proto = await addUser(stage.storage, '__proto__');
      expect((await stage.storage.findUser('__PROTO__'))?.id).to.equal(proto.id);
      expect(await stage.storage.findUser('constructor')).to.equal(undefined);
    });

    it('finds many by name at once, each once', async () => {
      const found = await stage.storage.findUsers(['alice', 'ALICE', 'carol', 'nobody']);
      expect(found.map(({ name }) => name)).to.have.members(['Alice', 'carol']);
    });

    it('lists by name in pages', async () => {
      expect((await stage.storage.listUsers({ limit: 2 })).map(({ name }) => name)).to.deep.equal(['Alice', 'bob']);
      expect((await stage.storage.listUsers({ after: 'BOB', limit: 2 })).map(({ name }) => name)).to.deep.equal([
        'carol',
      ]);
    });

    it('changes a password hash and revokes resume tokens with it', async () => {
      await stage.storage.storeResumeToken(tokenHash(1), token(stage.alice));
      expect(await stage.storage.setPasswordHash(stage.alice.id, 'new')).to.equal(true);
      expect((await stage.storage.findUser('alice'))?.passwordHash).to.equal('new');
      expect(await stage.storage.findResumeToken(tokenHash(1), T0)).to.equal(undefined);
      expect(await stage.storage.setPasswordHash(999, 'new')).to.equal(false);
    });

    it('knows who was seen since a time, the latest first', async () => {
      await stage.storage.touchLastSeen([stage.alice.id, stage.bob.id, 999], T0 + 10);
      await stage.storage.touchLastSeen([stage.bob.id], T0 + 20);
      const seen = await stage.storage.usersSeenSince(T0 + 10);
      expect(seen).to.deep.equal([
        { id: stage.bob.id, name: 'bob', lastSeenAt: T0 + 20 },
        { id: stage.alice.id, name: 'Alice', lastSeenAt: T0 + 10 },
      ]);
      expect(await stage.storage.usersSeenSince(T0 + 21)).to.deep.equal([]);
      expect((await stage.storage.findUser('bob'))?.lastSeenAt).to.equal(T0 + 20);
    });

    it('removes a user with all of theirs, and leaves what they sent', async () => {
      await append(message(stage.alice, [stage.bob], { text: 'from alice' }));
      await append(message(stage.bob, [stage.alice], { text: 'to alice' }));
      await append(message(stage.carol, [stage.alice, stage.bob], { text: 'to both' }));
      await stage.storage.addBlock(stage.alice.id, stage.bob.id, T0);
      await stage.storage.addBlock(stage.carol.id, stage.alice.id, T0);
      await stage.storage.rememberDevice(stage.alice.id, { keyFingerprint: fingerprint(1), publicKey: 'AAAA' }, T0);
      await stage.storage.storeResumeToken(tokenHash(1), token(stage.alice));
      const registered = await stage.storage.registerFile(file(stage.alice, 'a.txt'));

      expect(await stage.storage.removeUser(stage.alice.id)).to.equal(true);
      expect(await stage.storage.removeUser(stage.alice.id)).to.equal(false);

      expect(await stage.storage.findUser('alice')).to.equal(undefined);
      expect(await stage.storage.findFile('a.txt')).to.equal(undefined);
      expect(await stage.storage.chunkDigests(registered?.id ?? 0)).to.equal(undefined);
      expect(await stage.storage.findResumeToken(tokenHash(1), T0)).to.equal(undefined);
      expect(await stage.storage.listBlocked(stage.carol.id)).to.deep.equal([]);
      const [first, second] = await stage.storage.entriesAfter(stage.bob.id, 0, { limit: 10 });
      expect(first).to.include({ from: 'Alice', text: 'from alice', position: 1 });
      expect(second).to.include({ from: 'carol', text: 'to both', position: 2 });
      expect(await stage.storage.integrityOk()).to.equal(true);

      const again = await addUser(stage.storage, 'alice');
      expect(again.id).to.not.equal(stage.alice.id);
      expect(await texts(again)).to.deep.equal([]);
      expect(await stage.storage.isKnownDevice(again.id, fingerprint(1))).to.equal(false);
    });

    it('removes a user with a long inbox', async () => {
      for (let i = 0; i < 5; i++) {
        await stage.storage.appendMessages(
          Array.from({ length: 200 }, () => message(stage.alice, [stage.bob, stage.carol])),
        );
        await stage.storage.acknowledge(new Map([[stage.bob.id, Infinity]]));
        await stage.storage.acknowledge(new Map([[stage.carol.id, Infinity]]));
      }
      await append(message(stage.alice, [stage.bob]));
      expect(await stage.storage.removeUser(stage.bob.id)).to.equal(true);
      expect(await texts(stage.bob)).to.deep.equal([]);
      expect(await texts(stage.carol)).to.have.length(1_000);
      expect(await stage.storage.integrityOk()).to.equal(true);
    });
  });

  describe('devices', () => {
    it('knows the keys of a user and which was the latest', async () => {
      const first = { keyFingerprint: fingerprint(1), publicKey: 'AAAA' };
      const second = { keyFingerprint: fingerprint(2), publicKey: 'BBBB' };
      expect(await stage.storage.latestDevice(stage.alice.id)).to.equal(undefined);
      await stage.storage.rememberDevice(stage.alice.id, first, T0 + 5);
      // The clock was set back: the order of logins counts.
      await stage.storage.rememberDevice(stage.alice.id, second, T0);
      expect(await stage.storage.latestDevice(stage.alice.id)).to.deep.equal(second);
      await stage.storage.rememberDevice(stage.alice.id, first, T0);
      expect(await stage.storage.latestDevice(stage.alice.id)).to.deep.equal(first);
      expect(await stage.storage.isKnownDevice(stage.alice.id, fingerprint(2))).to.equal(true);
      expect(await stage.storage.isKnownDevice(stage.alice.id, fingerprint(3))).to.equal(false);
      expect(await stage.storage.isKnownDevice(stage.bob.id, fingerprint(1))).to.equal(false);
    });

    it('forgets the device seen longest ago beyond the limit', async () => {
      for (let i = 0; i < MAX_DEVICES_PER_USER; i++) await remember(i);
      await remember(0);
      await remember(200);
      expect(await stage.storage.isKnownDevice(stage.alice.id, fingerprint(1))).to.equal(false);
      for (const kept of [0, 2, 200]) {
        expect(await stage.storage.isKnownDevice(stage.alice.id, fingerprint(kept))).to.equal(true);
      }
    });
    const remember = (n: number): Promise<void> =>
      stage.storage.rememberDevice(stage.alice.id, { keyFingerprint: fingerprint(n), publicKey: 'AAAA' }, T0);
  });

  const token = (user: UserRecord, expiresAt = T0 + 100): ResumeToken => ({
    userId: user.id,
    keyFingerprint: fingerprint(1),
    expiresAt,
  });

  describe('resume tokens', () => {
    it('finds a token until it ends', async () => {
      await stage.storage.storeResumeToken(tokenHash(1), token(stage.alice));
      expect(await stage.storage.findResumeToken(tokenHash(1), T0)).to.deep.equal(token(stage.alice));
      expect(await stage.storage.findResumeToken(tokenHash(1), T0 + 99)).to.deep.equal(token(stage.alice));
      expect(await stage.storage.findResumeToken(tokenHash(1), T0 + 100)).to.equal(undefined);
      expect(await stage.storage.findResumeToken(tokenHash(2), T0)).to.equal(undefined);
    });

    it('keeps what a session begins with, and shortens the token that it used', async () => {
      const begun = { ...token(stage.alice), publicKey: 'AAAA', at: T0 };
      expect(await stage.storage.keepSession({ ...begun, tokenHash: tokenHash(1) })).to.equal(true);
      expect(await stage.storage.findResumeToken(tokenHash(1), T0)).to.deep.equal(token(stage.alice));
      expect(await stage.storage.latestDevice(stage.alice.id)).to.deep.equal({
        keyFingerprint: fingerprint(1),
        publicKey: 'AAAA',
      });
      const used = { tokenHash: tokenHash(1), until: T0 + 60 };
      const next = { ...begun, expiresAt: T0 + 200, tokenHash: tokenHash(2), used };
      expect(await stage.storage.keepSession(next)).to.equal(true);
      expect((await stage.storage.findResumeToken(tokenHash(1), T0))?.expiresAt).to.equal(T0 + 60);
      expect((await stage.storage.findResumeToken(tokenHash(2), T0))?.expiresAt).to.equal(T0 + 200);
      // Used again it does not last longer.
      const again = { ...next, tokenHash: tokenHash(3), used: { ...used, until: T0 + 90 } };
      expect(await stage.storage.keepSession(again)).to.equal(true);
      expect((await stage.storage.findResumeToken(tokenHash(1), T0))?.expiresAt).to.equal(T0 + 60);
    });

    it('keeps nothing for a token that was revoked meanwhile, nor for a user who was removed', async () => {
      const used = { tokenHash: tokenHash(1), until: T0 + 60 };
      const begun = { ...token(stage.alice), publicKey: 'AAAA', at: T0, tokenHash: tokenHash(2) };
      expect(await stage.storage.keepSession({ ...begun, used })).to.equal(false);
      expect(await stage.storage.findResumeToken(tokenHash(2), T0)).to.equal(undefined);
      expect(await stage.storage.latestDevice(stage.alice.id)).to.equal(undefined);
      await stage.storage.removeUser(stage.alice.id);
      await stage.storage.keepSession(begun);
      expect(await stage.storage.findResumeToken(tokenHash(2), T0)).to.equal(undefined);
    });

    it('revokes those of a user only, and forgets those that have ended', async () => {
      await stage.storage.storeResumeToken(tokenHash(1), token(stage.alice));
      await stage.storage.storeResumeToken(tokenHash(2), token(stage.bob));
      await stage.storage.storeResumeToken(tokenHash(3), token(stage.bob, T0 + 50));
      await stage.storage.revokeResumeTokens(stage.alice.id);
      expect(await stage.storage.findResumeToken(tokenHash(1), T0)).to.equal(undefined);
      expect(await stage.storage.removeExpiredResumeTokens(T0 + 50)).to.equal(1);
      expect(await stage.storage.findResumeToken(tokenHash(3), T0)).to.equal(undefined);
      expect(await stage.storage.findResumeToken(tokenHash(2), T0)).to.deep.equal(token(stage.bob));
    });

    it('keeps a bounded number for a user, those that end last', async () => {
      for (let i = 0; i <= MAX_RESUME_TOKENS_PER_USER; i++) {
        await stage.storage.storeResumeToken(tokenHash(i), token(stage.alice, T0 + 1 + i));
      }
      expect(await stage.storage.findResumeToken(tokenHash(0), T0)).to.equal(undefined);
      expect(await stage.storage.findResumeToken(tokenHash(1), T0)).to.not.equal(undefined);
    });
  });

  describe('blocks', () => {
    it('says whether anything changed', async () => {
      expect(await stage.storage.addBlock(stage.alice.id, stage.bob.id, T0)).to.equal(true);
      expect(await stage.storage.addBlock(stage.alice.id, stage.bob.id, T0)).to.equal(false);
      expect(await stage.storage.addBlock(stage.alice.id, 999, T0)).to.equal(false);
      expect(await stage.storage.listBlocked(stage.alice.id)).to.deep.equal([{ id: stage.bob.id, name: 'bob' }]);
      expect(await stage.storage.removeBlock(stage.alice.id, stage.bob.id)).to.equal(true);
      expect(await stage.storage.removeBlock(stage.alice.id, stage.bob.id)).to.equal(false);
      expect(await stage.storage.listBlocked(stage.alice.id)).to.deep.equal([]);
    });

    it('finds who of many blocks a sender', async () => {
      await stage.storage.addBlock(stage.alice.id, stage.bob.id, T0);
      await stage.storage.addBlock(stage.carol.id, stage.bob.id, T0);
      await stage.storage.addBlock(stage.bob.id, stage.alice.id, T0);
      expect(await stage.storage.blockersOf(stage.bob.id)).to.deep.equal(new Set([stage.alice.id, stage.carol.id]));
      expect(await stage.storage.blockersOf(stage.carol.id)).to.deep.equal(new Set());
    });
  });

  describe('appending', () => {
    it('gives each recipient contiguous positions of their own', async () => {
      const outcomes = await stage.storage.appendMessages([
        message(stage.alice, [stage.bob], { text: '1' }),
        message(stage.alice, [stage.bob, stage.carol], { text: '2' }),
        message(stage.bob, [stage.carol], { text: '3' }),
      ]);
      expect(outcomes).to.deep.equal([
        { kind: 'stored', recipients: [{ userId: stage.bob.id, position: 1 }] },
        {
          kind: 'stored',
          recipients: [
            { userId: stage.bob.id, position: 2 },
            { userId: stage.carol.id, position: 1 },
          ],
        },
        { kind: 'stored', recipients: [{ userId: stage.carol.id, position: 2 }] },
      ]);
      expect(await append(message(stage.carol, [stage.bob], { text: '4' }))).to.deep.include({
        recipients: [{ userId: stage.bob.id, position: 3 }],
      });
      expect(await texts(stage.bob)).to.deep.equal(['1', '2', '4']);
      expect(await stage.storage.findUser('bob')).to.include({ lastPosition: 3, deliveredPosition: 0 });
    });

    it('keeps every field, and any text', async () => {
      const text = 'NUL \u0000, \u{1f468}\u200d\u{1f469}\u200d\u{1f466}, \n\t "quotes\' \\ %s';
      const sent = message(stage.alice, [stage.bob], { text, kind: 'group', to: 'skii', sentAt: T0 + 7 });
      await append(sent);
      expect(await stage.storage.entriesAfter(stage.bob.id, 0, { limit: 1 })).to.deep.equal([
        {
          position: 1,
          id: sent.messageId,
          kind: 'group',
          fromId: stage.alice.id,
          from: 'Alice',
          to: 'skii',
          text,
          sentAt: T0 + 7,
          unread: true,
        },
      ]);
    });

    it('stores a message once, however often it comes', async () => {
      const sent = message(stage.alice, [stage.bob, stage.carol]);
      const first = await append(sent);
      const [same, again] = await stage.storage.appendMessages([
        sent,
        { ...sent, text: 'other', recipients: [stage.bob.id] },
      ]);
      for (const outcome of [same, again]) {
        expect(outcome?.kind).to.equal('duplicate');
        expect(recipientsOf(outcome)).to.have.deep.members(recipientsOf(first));
      }
      expect(await texts(stage.bob)).to.deep.equal(['hello']);
    });

    it('finds a duplicate in the same batch', async () => {
      const sent = message(stage.alice, [stage.bob]);
      const outcomes = await stage.storage.appendMessages([sent, sent]);
      expect(outcomes.map(({ kind }) => kind)).to.deep.equal(['stored', 'duplicate']);
      expect(await texts(stage.bob)).to.deep.equal(['hello']);
    });

    it('lets two senders use the same id', async () => {
      const sent = message(stage.alice, [stage.carol]);
      await append(sent);
      expect((await append(message(stage.bob, [stage.carol], { messageId: sent.messageId }))).kind).to.equal('stored');
    });

    it('stores once for a recipient that is named twice', async () => {
      const outcome = await append(message(stage.alice, [stage.bob, stage.bob]));
      expect(recipientsOf(outcome)).to.deep.equal([{ userId: stage.bob.id, position: 1 }]);
    });

    it('says who does not exist', async () => {
      const outcome = await append(message(stage.alice, [stage.bob], { recipients: [999, stage.bob.id] }));
      expect(outcome.kind).to.equal('stored');
      expect(recipientsOf(outcome)).to.have.deep.members([
        { userId: 999, refused: 'UNKNOWN_USER' },
        { userId: stage.bob.id, position: 1 },
      ]);
      expect((await append(message(stage.alice, [], { recipients: [999] }))).kind).to.equal('refused');
    });
  });

  const recipientsOf = (outcome: AppendOutcome | undefined) =>
    outcome !== undefined && 'recipients' in outcome ? outcome.recipients : expect.fail('no recipients');

  describe('the order of a sender (R27)', () => {
    const device = fingerprint(1);
    const numbered = (number: number, over: Partial<NewMessage> = {}): NewMessage =>
      message(stage.alice, [stage.bob], { order: { device, number }, text: `${number}`, ...over });

    it('takes contiguous numbers only', async () => {
      expect(await stage.storage.nextNumber(stage.alice.id, device)).to.equal(1);
      const outcomes = await stage.storage.appendMessages([numbered(1), numbered(3), numbered(2), numbered(3)]);
      expect(outcomes.map(({ kind }) => kind)).to.deep.equal(['stored', 'gap', 'stored', 'stored']);
      expect(outcomes[1]).to.deep.equal({ kind: 'gap', expected: 2 });
      expect(await texts(stage.bob)).to.deep.equal(['1', '2', '3']);
      expect(await stage.storage.nextNumber(stage.alice.id, device)).to.equal(4);
      expect(await append(numbered(6))).to.deep.equal({ kind: 'gap', expected: 4 });
    });

    it('counts for each device and sender', async () => {
      await append(numbered(1));
      expect((await append(numbered(1, { order: { device: fingerprint(2), number: 1 } }))).kind).to.equal('stored');
      expect((await append({ ...message(stage.carol, [stage.bob]), order: { device, number: 1 } })).kind).to.equal(
        'stored',
      );
    });

    it('uses a number up by a refusal, also one from before', async () => {
      const sent = numbered(2);
      const outcomes = await stage.storage.appendMessages([
        numbered(1, { recipients: [] }),
        { ...sent, recipients: [999] },
      ]);
      expect(outcomes.map(({ kind }) => kind)).to.deep.equal(['stored', 'refused']);
      expect(await append(sent)).to.deep.equal({ kind: 'used' });
      expect((await append({ ...sent, order: { device, number: 3 } })).kind).to.equal('stored');
      expect(await texts(stage.bob)).to.deep.equal(['2']);
    });

    it('answers a resent message as at first, whatever its number', async () => {
      const sent = numbered(1);
      await append(sent);
      await append(numbered(2));
      expect((await append(sent)).kind).to.equal('duplicate');
      expect((await append({ ...sent, order: { device, number: 9 } })).kind).to.equal('duplicate');
      expect(await stage.storage.nextNumber(stage.alice.id, device)).to.equal(3);
      // Renumbered by a sender that was told to count from 3.
      expect((await append({ ...sent, order: { device, number: 3 } })).kind).to.equal('duplicate');
      expect(await stage.storage.nextNumber(stage.alice.id, device)).to.equal(4);
    });
  });

  describe('a full inbox (R20)', () => {
    const fill = async (sender: UserRecord, count: number, text = 'x'): Promise<AppendOutcome[]> =>
      stage.storage.appendMessages(Array.from({ length: count }, () => message(sender, [stage.bob], { text })));
    const kinds = (outcomes: AppendOutcome[]): string[] => outcomes.map(({ kind }) => kind);

    it('takes so many of a sender, and goes on with others', async () => {
      const sent = await fill(stage.alice, MAX_INBOX_ENTRIES_PER_SENDER + 1);
      expect(kinds(sent.slice(0, -1))).to.not.include('refused');
      expect(sent.at(-1)).to.deep.equal({
        kind: 'refused',
        recipients: [{ userId: stage.bob.id, refused: 'INBOX_FULL' }],
      });
      expect(kinds(await fill(stage.alice, 1))).to.deep.equal(['refused']);
      expect(kinds(await fill(stage.carol, 1))).to.deep.equal(['stored']);
      await stage.storage.acknowledge(new Map([[stage.bob.id, 1]]));
      expect(kinds(await fill(stage.alice, 2))).to.deep.equal(['stored', 'refused']);
    });

    it('takes so many in all', async () => {
      const senders = await Promise.all([1, 2, 3, 4, 5].map((n) => addUser(stage.storage, `sender${n}`)));
      for (const sender of senders) await fill(sender, MAX_INBOX_ENTRIES_PER_SENDER);
      expect((await stage.storage.findUser('bob'))?.lastPosition).to.equal(MAX_INBOX_ENTRIES);
      expect(kinds(await fill(stage.alice, 1))).to.deep.equal(['refused']);
      await stage.storage.acknowledge(new Map([[stage.bob.id, 3]]));
      expect(kinds(await fill(stage.alice, 4))).to.deep.equal(['stored', 'stored', 'stored', 'refused']);
    });

    it('takes so many bytes in all, counted as UTF-8', async () => {
      const text = 'é'.repeat(MAX_INBOX_BYTES / 2 / 64);
      const sent = await fill(stage.alice, 65, text);
      expect(kinds(sent).filter((kind) => kind === 'stored')).to.have.length(64);
      expect(kinds(await fill(stage.carol, 1))).to.deep.equal(['refused']);
      await stage.storage.acknowledge(new Map([[stage.bob.id, 1]]));
      expect(kinds(await fill(stage.carol, 1, text))).to.deep.equal(['stored']);
      expect(kinds(await fill(stage.carol, 1))).to.deep.equal(['refused']);
    });

    it('is refused for who has no room, stored for the others, and said so again to a duplicate', async () => {
      await fill(stage.alice, MAX_INBOX_ENTRIES_PER_SENDER);
      const sent = message(stage.alice, [stage.bob, stage.carol]);
      const expected = [
        { userId: stage.bob.id, refused: 'INBOX_FULL' },
        { userId: stage.carol.id, position: 1 },
      ];
      const first = await append(sent);
      expect(first.kind).to.equal('stored');
      expect(recipientsOf(first)).to.have.deep.members(expected);
      await stage.storage.acknowledge(new Map([[stage.bob.id, 100]]));
      const again = await append(sent);
      expect(again.kind).to.equal('duplicate');
      expect(recipientsOf(again)).to.have.deep.members(expected);
    });

    it('keeps nothing of a message that is refused wholly', async () => {
      await fill(stage.alice, MAX_INBOX_ENTRIES_PER_SENDER);
      const sent = message(stage.alice, [stage.bob]);
      expect((await append(sent)).kind).to.equal('refused');
      await stage.storage.acknowledge(new Map([[stage.bob.id, 1]]));
      expect((await append(sent)).kind).to.equal('stored');
    });
  });

  describe('delivery', () => {
    it('acknowledges forward only, and not past the end', async () => {
      await stage.storage.appendMessages([1, 2, 3].map((n) => message(stage.alice, [stage.bob], { text: `${n}` })));
      expect(await acknowledged(stage.storage, stage.bob.id, 2)).to.equal(2);
      expect(await acknowledged(stage.storage, stage.bob.id, 1)).to.equal(2);
      expect((await stage.storage.findUser('bob'))?.deliveredPosition).to.equal(2);
      expect(await acknowledged(stage.storage, stage.bob.id, 1_000)).to.equal(3);
      expect(await acknowledged(stage.storage, stage.carol.id, 5)).to.equal(0);
      expect(await acknowledged(stage.storage, 999, 5)).to.equal(undefined);
    });

    it('gives the entries after a position, oldest first, in pages', async () => {
      await stage.storage.appendMessages(
        Array.from({ length: 150 }, (_, n) =>
          message(n % 2 ? stage.alice : stage.carol, [stage.bob], { text: `${n + 1}` }),
        ),
      );
      const page = await stage.storage.entriesAfter(stage.bob.id, 3, { limit: 100 });
      expect(page.map(({ position }) => position)).to.deep.equal(Array.from({ length: 100 }, (_, n) => n + 4));
      expect(page[0]?.text).to.equal('4');
      expect(await stage.storage.entriesAfter(stage.bob.id, 150, { limit: 5 })).to.deep.equal([]);
    });

    it('ends a page by its bytes, with one entry at least', async () => {
      await stage.storage.appendMessages(
        [10, 10, 10].map((n) => message(stage.alice, [stage.bob], { text: 'x'.repeat(n) })),
      );
      const count = async (maxBytes: number): Promise<number> =>
        (await stage.storage.entriesAfter(stage.bob.id, 0, { limit: 10, maxBytes })).length;
      expect([await count(1), await count(19), await count(20), await count(30)]).to.deep.equal([1, 1, 2, 3]);
      const newest = await stage.storage.inboxPage(stage.bob.id, {}, { limit: 10, maxBytes: 25 });
      expect(newest?.map(({ position }) => position)).to.deep.equal([2, 3]);
    });
  });

  describe('inbox and history', () => {
    const sent: NewMessage[] = [];
    beforeEach(async () => {
      sent.length = 0;
      for (let n = 1; n <= 130; n++)
        sent.push(message(n % 3 ? stage.alice : stage.carol, [stage.bob], { text: `${n}` }));
      await stage.storage.appendMessages(sent);
      await stage.storage.acknowledge(new Map([[stage.bob.id, 100]]));
    });
    const page = async (...args: Parameters<Storage['inboxPage']>): Promise<number[] | undefined> =>
      (await stage.storage.inboxPage(...args))?.map(({ position }) => position);

    it('shows the newest, oldest of them first', async () => {
      expect(await page(stage.bob.id, {}, { limit: 3 })).to.deep.equal([128, 129, 130]);
      expect(await page(stage.bob.id, {}, { limit: 1_000 })).to.have.length(130);
      expect(await page(stage.alice.id, {}, { limit: 3 })).to.deep.equal([]);
    });

    it('goes back from a message', async () => {
      const before = sent[99]?.messageId;
      expect(await page(stage.bob.id, { before }, { limit: 2 })).to.deep.equal([98, 99]);
      expect(await page(stage.bob.id, { before: sent[0]?.messageId }, { limit: 2 })).to.deep.equal([]);
      expect(await page(stage.bob.id, { before: '00'.repeat(16) }, { limit: 2 })).to.equal(undefined);
      expect(await page(stage.carol.id, { before }, { limit: 2 })).to.equal(undefined);
    });

    it('shows what one sender sent', async () => {
      expect(await page(stage.bob.id, { senderId: stage.carol.id }, { limit: 2 })).to.deep.equal([126, 129]);
      expect(
        await page(stage.bob.id, { senderId: stage.carol.id, before: sent[4]?.messageId }, { limit: 9 }),
      ).to.deep.equal([3]);
      expect(await page(stage.bob.id, { senderId: 999 }, { limit: 2 })).to.deep.equal([]);
    });

    it('shows unread ones only', async () => {
      expect(await stage.storage.markRead(stage.bob.id, { positions: [130, 129, 129, 7, 5_000] })).to.equal(3);
      expect(await page(stage.bob.id, { unreadOnly: true }, { limit: 2 })).to.deep.equal([127, 128]);
      expect(await page(stage.bob.id, { unreadOnly: true, senderId: stage.carol.id }, { limit: 1 })).to.deep.equal([
        126,
      ]);
      const all = await stage.storage.inboxPage(stage.bob.id, {}, { limit: 3 });
      expect(all?.map(({ unread }) => unread)).to.deep.equal([true, false, false]);
    });

    it('marks as read, once, and counts what is not', async () => {
      expect(await stage.storage.countUnread(stage.bob.id)).to.equal(130);
      expect(await stage.storage.markRead(stage.bob.id, { positions: [1, 2] })).to.equal(2);
      expect(await stage.storage.markRead(stage.bob.id, { positions: [1, 2, 3] })).to.equal(1);
      expect(await stage.storage.countUnread(stage.bob.id)).to.equal(127);
      expect(await stage.storage.markRead(stage.bob.id, { upTo: 6, senderId: stage.carol.id })).to.equal(1);
      expect(await stage.storage.markRead(stage.bob.id, { upTo: 10 })).to.equal(6);
      expect(await stage.storage.countUnread(stage.bob.id)).to.equal(120);
      expect(await page(stage.bob.id, { unreadOnly: true, before: sent[11]?.messageId }, { limit: 9 })).to.deep.equal([
        11,
      ]);
      expect(await stage.storage.markRead(stage.bob.id, { upTo: Number.MAX_SAFE_INTEGER })).to.equal(120);
      expect(await stage.storage.countUnread(stage.bob.id)).to.equal(0);
      expect(await stage.storage.countUnread(999)).to.equal(0);
    });

    it('marks message ids as read, and passes over those it does not know', async () => {
      const [first, second] = sent;
      const ids = [first?.messageId ?? '', second?.messageId ?? '', 'f'.repeat(32), second?.messageId ?? ''];
      expect(await stage.storage.markRead(stage.bob.id, { ids })).to.equal(2);
      expect(await stage.storage.markRead(stage.bob.id, { ids })).to.equal(0);
      expect(await stage.storage.markRead(stage.carol.id, { ids })).to.equal(0);
      expect(await stage.storage.countUnread(stage.bob.id)).to.equal(128);
    });

    it('leaves the marks of other recipients alone', async () => {
      await append(message(stage.alice, [stage.bob, stage.carol]));
      await stage.storage.markRead(stage.bob.id, { upTo: 1_000 });
      expect(await stage.storage.countUnread(stage.carol.id)).to.equal(1);
    });
  });

  describe('files', () => {
    it('registers a name once and keeps what it means', async () => {
      const first = file(stage.alice, 'été.txt', { sizeBytes: Number.MAX_SAFE_INTEGER });
      const registered = await stage.storage.registerFile(first);
      const { chunkDigests, ...fields } = first;
      expect(registered).to.deep.equal({ ...fields, id: registered?.id, ownerName: 'Alice' });
      expect(await stage.storage.registerFile(file(stage.bob, 'été.txt'))).to.equal(undefined);
      expect(await stage.storage.findFile('été.txt')).to.deep.equal(registered);
      const kept = await stage.storage.chunkDigests(registered?.id ?? 0);
      expect(kept).to.be.instanceOf(Buffer);
      expect(kept?.equals(chunkDigests)).to.equal(true);
    });

    it('tells names apart exactly', async () => {
      expect(await stage.storage.registerFile(file(stage.alice, 'a.txt'))).to.not.equal(undefined);
      expect(await stage.storage.registerFile(file(stage.alice, 'A.txt'))).to.not.equal(undefined);
      expect(await stage.storage.findFile('A.TXT')).to.equal(undefined);
    });

    it('lets one of 100 racing registrations win (R15)', async () => {
      const racers = Array.from({ length: 100 }, (_, n) =>
        file(n % 2 ? stage.alice : stage.bob, 'race.bin', { sizeBytes: n }),
      );
      const results = await Promise.all(racers.map((racer) => stage.storage.registerFile(racer)));
      const winners = results.filter((result) => result !== undefined);
      expect(winners).to.have.length(1);
      expect(await stage.storage.findFile('race.bin')).to.deep.equal(winners[0]);
    });

    it('never uses an id again', async () => {
      const first = await stage.storage.registerFile(file(stage.alice, 'a.txt'));
      expect(await stage.storage.unregisterFile(first?.id ?? 0)).to.equal(true);
      expect(await stage.storage.unregisterFile(first?.id ?? 0)).to.equal(false);
      expect(await stage.storage.findFile('a.txt')).to.equal(undefined);
      const second = await stage.storage.registerFile(file(stage.alice, 'a.txt'));
      expect(second?.id).to.be.greaterThan(first?.id ?? 0);
    });

    it('limits the files and chunks of a user, not those of others', async () => {
      const half = MAX_CHUNKS_PER_USER / 2;
      await stage.storage.registerFile(file(stage.bob, 'half', { chunks: half }));
      expect(await codeOf(stage.storage.registerFile(file(stage.bob, 'more', { chunks: half + 1 })))).to.equal(
        'TOO_MANY_FILES',
      );
      expect(await stage.storage.registerFile(file(stage.bob, 'rest', { chunks: half }))).to.not.equal(undefined);
      for (let n = 0; n < MAX_FILES_PER_USER; n++) await stage.storage.registerFile(file(stage.alice, `f${n}`));
      expect(await codeOf(stage.storage.registerFile(file(stage.alice, 'one more')))).to.equal('TOO_MANY_FILES');
      expect(await stage.storage.registerFile(file(stage.alice, 'f0'))).to.equal(undefined);
      expect(await stage.storage.registerFile(file(stage.carol, 'one more'))).to.not.equal(undefined);
    });

    it('lists by name in pages', async () => {
      for (const name of ['b', 'a', 'ä', 'Z', 'c']) await stage.storage.registerFile(file(stage.alice, name));
      const names = async (after: string | undefined, limit: number): Promise<string[]> =>
        (await stage.storage.listFiles({ after, limit })).map(({ name }) => name);
      expect(await names(undefined, 3)).to.deep.equal(['Z', 'a', 'b']);
      expect(await names('b', 3)).to.deep.equal(['c', 'ä']);
    });

    it('needs an owner', async () => {
      expect(await codeOf(stage.storage.registerFile(file({ ...stage.alice, id: 999 }, 'a')))).to.equal('UNKNOWN_USER');
    });
  });

  it('keeps settings', async () => {
    expect(await stage.storage.getSetting('key')).to.equal(undefined);
    await stage.storage.setSetting('key', 'one');
    await stage.storage.setSetting('key', 'two');
    expect(await stage.storage.getSetting('key')).to.equal('two');
  });

  it('counts users, files and what is not acknowledged', async () => {
    expect(await stage.storage.countAll()).to.deep.equal({ users: 3, files: 0 });
    expect(await stage.storage.countUndelivered()).to.equal(0);
    await stage.storage.registerFile(file(stage.alice, 'a'));
    await stage.storage.appendMessages([
      message(stage.alice, [stage.bob, stage.carol]),
      message(stage.alice, [stage.bob]),
      message(stage.bob, [stage.alice]),
    ]);
    expect(await stage.storage.countAll()).to.deep.equal({ users: 3, files: 1 });
    expect(await stage.storage.countUndelivered()).to.equal(4);
    await stage.storage.acknowledge(new Map([[stage.bob.id, 1]]));
    expect(await stage.storage.countUndelivered()).to.equal(3);
    await stage.storage.removeUser(stage.carol.id);
    expect(await stage.storage.countUndelivered()).to.equal(2);
    expect((await stage.storage.countAll()).users).to.equal(2);
  });

  it('is whole, and refuses everything once closed', async () => {
    expect(await stage.storage.integrityOk()).to.equal(true);
    await stage.storage.close();
    await stage.storage.close();
    expect(await codeOf(stage.storage.findUser('alice'))).to.equal('INTERNAL');
    expect(await codeOf(stage.storage.appendMessages([message(stage.alice, [stage.bob])]))).to.equal('INTERNAL');
  });
}
