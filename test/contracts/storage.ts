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

export const T0 = Date.UTC(2030, 0, 1);

export async function addUser(storage: Storage, name: string): Promise<UserRecord> {
  const user = await storage.createUser(parseUserName(name), `hash of ${name}`, T0);
  return user ?? expect.fail(`${name} exists`);
}

/** Acknowledges for one user, and says how far that is then. */
export async function acknowledged(storage: Storage, userId: number, position: number): Promise<number | undefined> {
  await storage.acknowledge(new Map([[userId, position]]));
  return (await storage.getUser(userId))?.deliveredPosition;
}

/** A message from one user to others; `over` replaces any field. */
export function message(from: UserRecord, to: readonly UserRecord[], over: Partial<NewMessage> = {}): NewMessage {
  return {
    messageId: randomBytes(16).toString('hex'),
    senderId: from.id,
    senderName: from.name,
    kind: to.length === 1 ? 'message' : 'broadcast',
    to: to.length === 1 ? (to[0]?.name ?? '') : 'all',
    text: 'hello',
    sentAt: T0,
    recipients: to.map(({ id }) => id),
    ...over,
  };
}

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

/** Runs the suite; `open` gives an empty storage, `dispose` removes what `open` made. */
export function storageContract(open: () => Promise<{ storage: Storage; dispose: () => Promise<void> }>): void {
  let storage: Storage;
  let dispose: () => Promise<void>;
  let alice: UserRecord;
  let bob: UserRecord;
  let carol: UserRecord;

  beforeEach(async () => {
    ({ storage, dispose } = await open());
    alice = await addUser(storage, 'Alice');
    bob = await addUser(storage, 'bob');
    carol = await addUser(storage, 'carol');
  });
  afterEach(async () => {
    await storage.close();
    await dispose();
  });

  const append = async (entry: NewMessage): Promise<AppendOutcome> => {
    const [outcome] = await storage.appendMessages([entry]);
    return outcome ?? expect.fail('no outcome');
  };
  const texts = async (user: UserRecord): Promise<string[]> =>
    (await storage.entriesAfter(user.id, 0, { limit: 10_000 })).map(({ text }) => text);

  describe('users', () => {
    it('finds a user whatever the case of letters and keeps the spelling', async () => {
      expect(await storage.findUser('aLICE')).to.deep.equal(alice);
      expect(await storage.getUser(alice.id)).to.deep.equal(alice);
      expect(alice).to.deep.equal({
        id: alice.id,
        name: 'Alice',
        passwordHash: 'hash of Alice',
        lastSeenAt: undefined,
        lastPosition: 0,
        deliveredPosition: 0,
      });
      expect(await storage.findUser('nobody')).to.equal(undefined);
    });

    it('refuses a name that is taken in another case', async () => {
      expect(await storage.createUser(parseUserName('ALICE'), 'other', T0)).to.equal(undefined);
      expect((await storage.findUser('alice'))?.passwordHash).to.equal('hash of Alice');
    });

    it('treats names of object properties as any other', async () => {
      expect(await storage.findUser('__proto__')).to.equal(undefined);
      const proto = await addUser(storage, '__proto__');
      expect((await storage.findUser('__PROTO__'))?.id).to.equal(proto.id);
      expect(await storage.findUser('constructor')).to.equal(undefined);
    });

    it('finds many by name at once, each once', async () => {
      const found = await storage.findUsers(['alice', 'ALICE', 'carol', 'nobody']);
      expect(found.map(({ name }) => name)).to.have.members(['Alice', 'carol']);
    });

    it('lists by name in pages', async () => {
      expect((await storage.listUsers({ limit: 2 })).map(({ name }) => name)).to.deep.equal(['Alice', 'bob']);
      expect((await storage.listUsers({ after: 'BOB', limit: 2 })).map(({ name }) => name)).to.deep.equal(['carol']);
    });

    it('changes a password hash and revokes resume tokens with it', async () => {
      await storage.storeResumeToken(tokenHash(1), token(alice));
      expect(await storage.setPasswordHash(alice.id, 'new')).to.equal(true);
      expect((await storage.findUser('alice'))?.passwordHash).to.equal('new');
      expect(await storage.findResumeToken(tokenHash(1), T0)).to.equal(undefined);
      expect(await storage.setPasswordHash(999, 'new')).to.equal(false);
    });

    it('knows who was seen since a time, the latest first', async () => {
      await storage.touchLastSeen([alice.id, bob.id, 999], T0 + 10);
      await storage.touchLastSeen([bob.id], T0 + 20);
      const seen = await storage.usersSeenSince(T0 + 10);
      expect(seen).to.deep.equal([
        { id: bob.id, name: 'bob', lastSeenAt: T0 + 20 },
        { id: alice.id, name: 'Alice', lastSeenAt: T0 + 10 },
      ]);
      expect(await storage.usersSeenSince(T0 + 21)).to.deep.equal([]);
      expect((await storage.findUser('bob'))?.lastSeenAt).to.equal(T0 + 20);
    });

    it('removes a user with all of theirs, and leaves what they sent', async () => {
      await append(message(alice, [bob], { text: 'from alice' }));
      await append(message(bob, [alice], { text: 'to alice' }));
      await append(message(carol, [alice, bob], { text: 'to both' }));
      await storage.addBlock(alice.id, bob.id, T0);
      await storage.addBlock(carol.id, alice.id, T0);
      await storage.rememberDevice(alice.id, { keyFingerprint: fingerprint(1), publicKey: 'AAAA' }, T0);
      await storage.storeResumeToken(tokenHash(1), token(alice));
      const registered = await storage.registerFile(file(alice, 'a.txt'));

      expect(await storage.removeUser(alice.id)).to.equal(true);
      expect(await storage.removeUser(alice.id)).to.equal(false);

      expect(await storage.findUser('alice')).to.equal(undefined);
      expect(await storage.findFile('a.txt')).to.equal(undefined);
      expect(await storage.chunkDigests(registered?.id ?? 0)).to.equal(undefined);
      expect(await storage.findResumeToken(tokenHash(1), T0)).to.equal(undefined);
      expect(await storage.listBlocked(carol.id)).to.deep.equal([]);
      const [first, second] = await storage.entriesAfter(bob.id, 0, { limit: 10 });
      expect(first).to.include({ from: 'Alice', text: 'from alice', position: 1 });
      expect(second).to.include({ from: 'carol', text: 'to both', position: 2 });
      expect(await storage.integrityOk()).to.equal(true);

      const again = await addUser(storage, 'alice');
      expect(again.id).to.not.equal(alice.id);
      expect(await texts(again)).to.deep.equal([]);
      expect(await storage.isKnownDevice(again.id, fingerprint(1))).to.equal(false);
    });

    it('removes a user with a long inbox', async () => {
      for (let i = 0; i < 5; i++) {
        await storage.appendMessages(Array.from({ length: 200 }, () => message(alice, [bob, carol])));
        await storage.acknowledge(new Map([[bob.id, Infinity]]));
        await storage.acknowledge(new Map([[carol.id, Infinity]]));
      }
      await append(message(alice, [bob]));
      expect(await storage.removeUser(bob.id)).to.equal(true);
      expect(await texts(bob)).to.deep.equal([]);
      expect(await texts(carol)).to.have.length(1_000);
      expect(await storage.integrityOk()).to.equal(true);
    });
  });

  describe('devices', () => {
    it('knows the keys of a user and which was the latest', async () => {
      const first = { keyFingerprint: fingerprint(1), publicKey: 'AAAA' };
      const second = { keyFingerprint: fingerprint(2), publicKey: 'BBBB' };
      expect(await storage.latestDevice(alice.id)).to.equal(undefined);
      await storage.rememberDevice(alice.id, first, T0 + 5);
      // The clock was set back: the order of logins counts.
      await storage.rememberDevice(alice.id, second, T0);
      expect(await storage.latestDevice(alice.id)).to.deep.equal(second);
      await storage.rememberDevice(alice.id, first, T0);
      expect(await storage.latestDevice(alice.id)).to.deep.equal(first);
      expect(await storage.isKnownDevice(alice.id, fingerprint(2))).to.equal(true);
      expect(await storage.isKnownDevice(alice.id, fingerprint(3))).to.equal(false);
      expect(await storage.isKnownDevice(bob.id, fingerprint(1))).to.equal(false);
    });

    it('forgets the device seen longest ago beyond the limit', async () => {
      for (let i = 0; i < MAX_DEVICES_PER_USER; i++) await remember(i);
      await remember(0);
      await remember(200);
      expect(await storage.isKnownDevice(alice.id, fingerprint(1))).to.equal(false);
      for (const kept of [0, 2, 200]) {
        expect(await storage.isKnownDevice(alice.id, fingerprint(kept))).to.equal(true);
      }
    });
    const remember = (n: number): Promise<void> =>
      storage.rememberDevice(alice.id, { keyFingerprint: fingerprint(n), publicKey: 'AAAA' }, T0);
  });

  const token = (user: UserRecord, expiresAt = T0 + 100): ResumeToken => ({
    userId: user.id,
    keyFingerprint: fingerprint(1),
    expiresAt,
  });

  describe('resume tokens', () => {
    it('finds a token until it ends', async () => {
      await storage.storeResumeToken(tokenHash(1), token(alice));
      expect(await storage.findResumeToken(tokenHash(1), T0)).to.deep.equal(token(alice));
      expect(await storage.findResumeToken(tokenHash(1), T0 + 99)).to.deep.equal(token(alice));
      expect(await storage.findResumeToken(tokenHash(1), T0 + 100)).to.equal(undefined);
      expect(await storage.findResumeToken(tokenHash(2), T0)).to.equal(undefined);
    });

    it('keeps what a session begins with, and shortens the token that it used', async () => {
      const begun = { ...token(alice), publicKey: 'AAAA', at: T0 };
      expect(await storage.keepSession({ ...begun, tokenHash: tokenHash(1) })).to.equal(true);
      expect(await storage.findResumeToken(tokenHash(1), T0)).to.deep.equal(token(alice));
      expect(await storage.latestDevice(alice.id)).to.deep.equal({ keyFingerprint: fingerprint(1), publicKey: 'AAAA' });
      const used = { tokenHash: tokenHash(1), until: T0 + 60 };
      const next = { ...begun, expiresAt: T0 + 200, tokenHash: tokenHash(2), used };
      expect(await storage.keepSession(next)).to.equal(true);
      expect((await storage.findResumeToken(tokenHash(1), T0))?.expiresAt).to.equal(T0 + 60);
      expect((await storage.findResumeToken(tokenHash(2), T0))?.expiresAt).to.equal(T0 + 200);
      // Used again it does not last longer.
      const again = { ...next, tokenHash: tokenHash(3), used: { ...used, until: T0 + 90 } };
      expect(await storage.keepSession(again)).to.equal(true);
      expect((await storage.findResumeToken(tokenHash(1), T0))?.expiresAt).to.equal(T0 + 60);
    });

    it('keeps nothing for a token that was revoked meanwhile, nor for a user who was removed', async () => {
      const used = { tokenHash: tokenHash(1), until: T0 + 60 };
      const begun = { ...token(alice), publicKey: 'AAAA', at: T0, tokenHash: tokenHash(2) };
      expect(await storage.keepSession({ ...begun, used })).to.equal(false);
      expect(await storage.findResumeToken(tokenHash(2), T0)).to.equal(undefined);
      expect(await storage.latestDevice(alice.id)).to.equal(undefined);
      await storage.removeUser(alice.id);
      await storage.keepSession(begun);
      expect(await storage.findResumeToken(tokenHash(2), T0)).to.equal(undefined);
    });

    it('revokes those of a user only, and forgets those that have ended', async () => {
      await storage.storeResumeToken(tokenHash(1), token(alice));
      await storage.storeResumeToken(tokenHash(2), token(bob));
      await storage.storeResumeToken(tokenHash(3), token(bob, T0 + 50));
      await storage.revokeResumeTokens(alice.id);
      expect(await storage.findResumeToken(tokenHash(1), T0)).to.equal(undefined);
      expect(await storage.removeExpiredResumeTokens(T0 + 50)).to.equal(1);
      expect(await storage.findResumeToken(tokenHash(3), T0)).to.equal(undefined);
      expect(await storage.findResumeToken(tokenHash(2), T0)).to.deep.equal(token(bob));
    });

    it('keeps a bounded number for a user, those that end last', async () => {
      for (let i = 0; i <= MAX_RESUME_TOKENS_PER_USER; i++) {
        await storage.storeResumeToken(tokenHash(i), token(alice, T0 + 1 + i));
      }
      expect(await storage.findResumeToken(tokenHash(0), T0)).to.equal(undefined);
      expect(await storage.findResumeToken(tokenHash(1), T0)).to.not.equal(undefined);
    });
  });

  describe('blocks', () => {
    it('says whether anything changed', async () => {
      expect(await storage.addBlock(alice.id, bob.id, T0)).to.equal(true);
      expect(await storage.addBlock(alice.id, bob.id, T0)).to.equal(false);
      expect(await storage.addBlock(alice.id, 999, T0)).to.equal(false);
      expect(await storage.listBlocked(alice.id)).to.deep.equal([{ id: bob.id, name: 'bob' }]);
      expect(await storage.removeBlock(alice.id, bob.id)).to.equal(true);
      expect(await storage.removeBlock(alice.id, bob.id)).to.equal(false);
      expect(await storage.listBlocked(alice.id)).to.deep.equal([]);
    });

    it('finds who of many blocks a sender', async () => {
      await storage.addBlock(alice.id, bob.id, T0);
      await storage.addBlock(carol.id, bob.id, T0);
      await storage.addBlock(bob.id, alice.id, T0);
      expect(await storage.blockersOf(bob.id)).to.deep.equal(new Set([alice.id, carol.id]));
      expect(await storage.blockersOf(carol.id)).to.deep.equal(new Set());
    });
  });

  describe('appending', () => {
    it('gives each recipient contiguous positions of their own', async () => {
      const outcomes = await storage.appendMessages([
        message(alice, [bob], { text: '1' }),
        message(alice, [bob, carol], { text: '2' }),
        message(bob, [carol], { text: '3' }),
      ]);
      expect(outcomes).to.deep.equal([
        { kind: 'stored', recipients: [{ userId: bob.id, position: 1 }] },
        {
          kind: 'stored',
          recipients: [
            { userId: bob.id, position: 2 },
            { userId: carol.id, position: 1 },
          ],
        },
        { kind: 'stored', recipients: [{ userId: carol.id, position: 2 }] },
      ]);
      expect(await append(message(carol, [bob], { text: '4' }))).to.deep.include({
        recipients: [{ userId: bob.id, position: 3 }],
      });
      expect(await texts(bob)).to.deep.equal(['1', '2', '4']);
      expect(await storage.findUser('bob')).to.include({ lastPosition: 3, deliveredPosition: 0 });
    });

    it('keeps every field, and any text', async () => {
      const text = 'NUL \u0000, \u{1f468}\u200d\u{1f469}\u200d\u{1f466}, \n\t "quotes\' \\ %s';
      const sent = message(alice, [bob], { text, kind: 'group', to: 'skii', sentAt: T0 + 7 });
      await append(sent);
      expect(await storage.entriesAfter(bob.id, 0, { limit: 1 })).to.deep.equal([
        {
          position: 1,
          id: sent.messageId,
          kind: 'group',
          fromId: alice.id,
          from: 'Alice',
          to: 'skii',
          text,
          sentAt: T0 + 7,
          unread: true,
        },
      ]);
    });

    it('stores a message once, however often it comes', async () => {
      const sent = message(alice, [bob, carol]);
      const first = await append(sent);
      const [same, again] = await storage.appendMessages([sent, { ...sent, text: 'other', recipients: [bob.id] }]);
      for (const outcome of [same, again]) {
        expect(outcome?.kind).to.equal('duplicate');
        expect(recipientsOf(outcome)).to.have.deep.members(recipientsOf(first));
      }
      expect(await texts(bob)).to.deep.equal(['hello']);
    });

    it('finds a duplicate in the same batch', async () => {
      const sent = message(alice, [bob]);
      const outcomes = await storage.appendMessages([sent, sent]);
      expect(outcomes.map(({ kind }) => kind)).to.deep.equal(['stored', 'duplicate']);
      expect(await texts(bob)).to.deep.equal(['hello']);
    });

    it('lets two senders use the same id', async () => {
      const sent = message(alice, [carol]);
      await append(sent);
      expect((await append(message(bob, [carol], { messageId: sent.messageId }))).kind).to.equal('stored');
    });

    it('stores once for a recipient that is named twice', async () => {
      const outcome = await append(message(alice, [bob, bob]));
      expect(recipientsOf(outcome)).to.deep.equal([{ userId: bob.id, position: 1 }]);
    });

    it('says who does not exist', async () => {
      const outcome = await append(message(alice, [bob], { recipients: [999, bob.id] }));
      expect(outcome.kind).to.equal('stored');
      expect(recipientsOf(outcome)).to.have.deep.members([
        { userId: 999, refused: 'UNKNOWN_USER' },
        { userId: bob.id, position: 1 },
      ]);
      expect((await append(message(alice, [], { recipients: [999] }))).kind).to.equal('refused');
    });
  });

  const recipientsOf = (outcome: AppendOutcome | undefined) =>
    outcome !== undefined && 'recipients' in outcome ? outcome.recipients : expect.fail('no recipients');

  describe('the order of a sender (R27)', () => {
    const device = fingerprint(1);
    const numbered = (number: number, over: Partial<NewMessage> = {}): NewMessage =>
      message(alice, [bob], { order: { device, number }, text: `${number}`, ...over });

    it('takes contiguous numbers only', async () => {
      expect(await storage.nextNumber(alice.id, device)).to.equal(1);
      const outcomes = await storage.appendMessages([numbered(1), numbered(3), numbered(2), numbered(3)]);
      expect(outcomes.map(({ kind }) => kind)).to.deep.equal(['stored', 'gap', 'stored', 'stored']);
      expect(outcomes[1]).to.deep.equal({ kind: 'gap', expected: 2 });
      expect(await texts(bob)).to.deep.equal(['1', '2', '3']);
      expect(await storage.nextNumber(alice.id, device)).to.equal(4);
      expect(await append(numbered(6))).to.deep.equal({ kind: 'gap', expected: 4 });
    });

    it('counts for each device and sender', async () => {
      await append(numbered(1));
      expect((await append(numbered(1, { order: { device: fingerprint(2), number: 1 } }))).kind).to.equal('stored');
      expect((await append({ ...message(carol, [bob]), order: { device, number: 1 } })).kind).to.equal('stored');
    });

    it('uses a number up by a refusal, also one from before', async () => {
      const sent = numbered(2);
      const outcomes = await storage.appendMessages([numbered(1, { recipients: [] }), { ...sent, recipients: [999] }]);
      expect(outcomes.map(({ kind }) => kind)).to.deep.equal(['stored', 'refused']);
      expect(await append(sent)).to.deep.equal({ kind: 'used' });
      expect((await append({ ...sent, order: { device, number: 3 } })).kind).to.equal('stored');
      expect(await texts(bob)).to.deep.equal(['2']);
    });

    it('answers a resent message as at first, whatever its number', async () => {
      const sent = numbered(1);
      await append(sent);
      await append(numbered(2));
      expect((await append(sent)).kind).to.equal('duplicate');
      expect((await append({ ...sent, order: { device, number: 9 } })).kind).to.equal('duplicate');
      expect(await storage.nextNumber(alice.id, device)).to.equal(3);
      // Renumbered by a sender that was told to count from 3.
      expect((await append({ ...sent, order: { device, number: 3 } })).kind).to.equal('duplicate');
      expect(await storage.nextNumber(alice.id, device)).to.equal(4);
    });
  });

  describe('a full inbox (R20)', () => {
    const fill = async (sender: UserRecord, count: number, text = 'x'): Promise<AppendOutcome[]> =>
      storage.appendMessages(Array.from({ length: count }, () => message(sender, [bob], { text })));
    const kinds = (outcomes: AppendOutcome[]): string[] => outcomes.map(({ kind }) => kind);

    it('takes so many of a sender, and goes on with others', async () => {
      const sent = await fill(alice, MAX_INBOX_ENTRIES_PER_SENDER + 1);
      expect(kinds(sent.slice(0, -1))).to.not.include('refused');
      expect(sent.at(-1)).to.deep.equal({
        kind: 'refused',
        recipients: [{ userId: bob.id, refused: 'INBOX_FULL' }],
      });
      expect(kinds(await fill(alice, 1))).to.deep.equal(['refused']);
      expect(kinds(await fill(carol, 1))).to.deep.equal(['stored']);
      await storage.acknowledge(new Map([[bob.id, 1]]));
      expect(kinds(await fill(alice, 2))).to.deep.equal(['stored', 'refused']);
    });

    it('takes so many in all', async () => {
      const senders = await Promise.all([1, 2, 3, 4, 5].map((n) => addUser(storage, `sender${n}`)));
      for (const sender of senders) await fill(sender, MAX_INBOX_ENTRIES_PER_SENDER);
      expect((await storage.findUser('bob'))?.lastPosition).to.equal(MAX_INBOX_ENTRIES);
      expect(kinds(await fill(alice, 1))).to.deep.equal(['refused']);
      await storage.acknowledge(new Map([[bob.id, 3]]));
      expect(kinds(await fill(alice, 4))).to.deep.equal(['stored', 'stored', 'stored', 'refused']);
    });

    it('takes so many bytes in all, counted as UTF-8', async () => {
      const text = 'é'.repeat(MAX_INBOX_BYTES / 2 / 64);
      const sent = await fill(alice, 65, text);
      expect(kinds(sent).filter((kind) => kind === 'stored')).to.have.length(64);
      expect(kinds(await fill(carol, 1))).to.deep.equal(['refused']);
      await storage.acknowledge(new Map([[bob.id, 1]]));
      expect(kinds(await fill(carol, 1, text))).to.deep.equal(['stored']);
      expect(kinds(await fill(carol, 1))).to.deep.equal(['refused']);
    });

    it('is refused for who has no room, stored for the others, and said so again to a duplicate', async () => {
      await fill(alice, MAX_INBOX_ENTRIES_PER_SENDER);
      const sent = message(alice, [bob, carol]);
      const expected = [
        { userId: bob.id, refused: 'INBOX_FULL' },
        { userId: carol.id, position: 1 },
      ];
      const first = await append(sent);
      expect(first.kind).to.equal('stored');
      expect(recipientsOf(first)).to.have.deep.members(expected);
      await storage.acknowledge(new Map([[bob.id, 100]]));
      const again = await append(sent);
      expect(again.kind).to.equal('duplicate');
      expect(recipientsOf(again)).to.have.deep.members(expected);
    });

    it('keeps nothing of a message that is refused wholly', async () => {
      await fill(alice, MAX_INBOX_ENTRIES_PER_SENDER);
      const sent = message(alice, [bob]);
      expect((await append(sent)).kind).to.equal('refused');
      await storage.acknowledge(new Map([[bob.id, 1]]));
      expect((await append(sent)).kind).to.equal('stored');
    });
  });

  describe('delivery', () => {
    it('acknowledges forward only, and not past the end', async () => {
      await storage.appendMessages([1, 2, 3].map((n) => message(alice, [bob], { text: `${n}` })));
      expect(await acknowledged(storage, bob.id, 2)).to.equal(2);
      expect(await acknowledged(storage, bob.id, 1)).to.equal(2);
      expect((await storage.findUser('bob'))?.deliveredPosition).to.equal(2);
      expect(await acknowledged(storage, bob.id, 1_000)).to.equal(3);
      expect(await acknowledged(storage, carol.id, 5)).to.equal(0);
      expect(await acknowledged(storage, 999, 5)).to.equal(undefined);
    });

    it('gives the entries after a position, oldest first, in pages', async () => {
      await storage.appendMessages(
        Array.from({ length: 150 }, (_, n) => message(n % 2 ? alice : carol, [bob], { text: `${n + 1}` })),
      );
      const page = await storage.entriesAfter(bob.id, 3, { limit: 100 });
      expect(page.map(({ position }) => position)).to.deep.equal(Array.from({ length: 100 }, (_, n) => n + 4));
      expect(page[0]?.text).to.equal('4');
      expect(await storage.entriesAfter(bob.id, 150, { limit: 5 })).to.deep.equal([]);
    });

    it('ends a page by its bytes, with one entry at least', async () => {
      await storage.appendMessages([10, 10, 10].map((n) => message(alice, [bob], { text: 'x'.repeat(n) })));
      const count = async (maxBytes: number): Promise<number> =>
        (await storage.entriesAfter(bob.id, 0, { limit: 10, maxBytes })).length;
      expect([await count(1), await count(19), await count(20), await count(30)]).to.deep.equal([1, 1, 2, 3]);
      const newest = await storage.inboxPage(bob.id, {}, { limit: 10, maxBytes: 25 });
      expect(newest?.map(({ position }) => position)).to.deep.equal([2, 3]);
    });
  });

  describe('inbox and history', () => {
    const sent: NewMessage[] = [];
    beforeEach(async () => {
      sent.length = 0;
      for (let n = 1; n <= 130; n++) sent.push(message(n % 3 ? alice : carol, [bob], { text: `${n}` }));
      await storage.appendMessages(sent);
      await storage.acknowledge(new Map([[bob.id, 100]]));
    });
    const page = async (...args: Parameters<Storage['inboxPage']>): Promise<number[] | undefined> =>
      (await storage.inboxPage(...args))?.map(({ position }) => position);

    it('shows the newest, oldest of them first', async () => {
      expect(await page(bob.id, {}, { limit: 3 })).to.deep.equal([128, 129, 130]);
      expect(await page(bob.id, {}, { limit: 1_000 })).to.have.length(130);
      expect(await page(alice.id, {}, { limit: 3 })).to.deep.equal([]);
    });

    it('goes back from a message', async () => {
      const before = sent[99]?.messageId;
      expect(await page(bob.id, { before }, { limit: 2 })).to.deep.equal([98, 99]);
      expect(await page(bob.id, { before: sent[0]?.messageId }, { limit: 2 })).to.deep.equal([]);
      expect(await page(bob.id, { before: '00'.repeat(16) }, { limit: 2 })).to.equal(undefined);
      expect(await page(carol.id, { before }, { limit: 2 })).to.equal(undefined);
    });

    it('shows what one sender sent', async () => {
      expect(await page(bob.id, { senderId: carol.id }, { limit: 2 })).to.deep.equal([126, 129]);
      expect(await page(bob.id, { senderId: carol.id, before: sent[4]?.messageId }, { limit: 9 })).to.deep.equal([3]);
      expect(await page(bob.id, { senderId: 999 }, { limit: 2 })).to.deep.equal([]);
    });

    it('shows unread ones only', async () => {
      expect(await storage.markRead(bob.id, { positions: [130, 129, 129, 7, 5_000] })).to.equal(3);
      expect(await page(bob.id, { unreadOnly: true }, { limit: 2 })).to.deep.equal([127, 128]);
      expect(await page(bob.id, { unreadOnly: true, senderId: carol.id }, { limit: 1 })).to.deep.equal([126]);
      const all = await storage.inboxPage(bob.id, {}, { limit: 3 });
      expect(all?.map(({ unread }) => unread)).to.deep.equal([true, false, false]);
    });

    it('marks as read, once, and counts what is not', async () => {
      expect(await storage.countUnread(bob.id)).to.equal(130);
      expect(await storage.markRead(bob.id, { positions: [1, 2] })).to.equal(2);
      expect(await storage.markRead(bob.id, { positions: [1, 2, 3] })).to.equal(1);
      expect(await storage.countUnread(bob.id)).to.equal(127);
      expect(await storage.markRead(bob.id, { upTo: 6, senderId: carol.id })).to.equal(1);
      expect(await storage.markRead(bob.id, { upTo: 10 })).to.equal(6);
      expect(await storage.countUnread(bob.id)).to.equal(120);
      expect(await page(bob.id, { unreadOnly: true, before: sent[11]?.messageId }, { limit: 9 })).to.deep.equal([11]);
      expect(await storage.markRead(bob.id, { upTo: Number.MAX_SAFE_INTEGER })).to.equal(120);
      expect(await storage.countUnread(bob.id)).to.equal(0);
      expect(await storage.countUnread(999)).to.equal(0);
    });

    it('marks message ids as read, and passes over those it does not know', async () => {
      const [first, second] = sent;
      const ids = [first?.messageId ?? '', second?.messageId ?? '', 'f'.repeat(32), second?.messageId ?? ''];
      expect(await storage.markRead(bob.id, { ids })).to.equal(2);
      expect(await storage.markRead(bob.id, { ids })).to.equal(0);
      expect(await storage.markRead(carol.id, { ids })).to.equal(0);
      expect(await storage.countUnread(bob.id)).to.equal(128);
    });

    it('leaves the marks of other recipients alone', async () => {
      await append(message(alice, [bob, carol]));
      await storage.markRead(bob.id, { upTo: 1_000 });
      expect(await storage.countUnread(carol.id)).to.equal(1);
    });
  });

  describe('files', () => {
    it('registers a name once and keeps what it means', async () => {
      const first = file(alice, 'été.txt', { sizeBytes: Number.MAX_SAFE_INTEGER });
      const registered = await storage.registerFile(first);
      const { chunkDigests, ...fields } = first;
      expect(registered).to.deep.equal({ ...fields, id: registered?.id, ownerName: 'Alice' });
      expect(await storage.registerFile(file(bob, 'été.txt'))).to.equal(undefined);
      expect(await storage.findFile('été.txt')).to.deep.equal(registered);
      const kept = await storage.chunkDigests(registered?.id ?? 0);
      expect(kept).to.be.instanceOf(Buffer);
      expect(kept?.equals(chunkDigests)).to.equal(true);
    });

    it('tells names apart exactly', async () => {
      expect(await storage.registerFile(file(alice, 'a.txt'))).to.not.equal(undefined);
      expect(await storage.registerFile(file(alice, 'A.txt'))).to.not.equal(undefined);
      expect(await storage.findFile('A.TXT')).to.equal(undefined);
    });

    it('lets one of 100 racing registrations win (R15)', async () => {
      const racers = Array.from({ length: 100 }, (_, n) => file(n % 2 ? alice : bob, 'race.bin', { sizeBytes: n }));
      const results = await Promise.all(racers.map((racer) => storage.registerFile(racer)));
      const winners = results.filter((result) => result !== undefined);
      expect(winners).to.have.length(1);
      expect(await storage.findFile('race.bin')).to.deep.equal(winners[0]);
    });

    it('never uses an id again', async () => {
      const first = await storage.registerFile(file(alice, 'a.txt'));
      expect(await storage.unregisterFile(first?.id ?? 0)).to.equal(true);
      expect(await storage.unregisterFile(first?.id ?? 0)).to.equal(false);
      expect(await storage.findFile('a.txt')).to.equal(undefined);
      const second = await storage.registerFile(file(alice, 'a.txt'));
      expect(second?.id).to.be.greaterThan(first?.id ?? 0);
    });

    it('limits the files and chunks of a user, not those of others', async () => {
      const half = MAX_CHUNKS_PER_USER / 2;
      await storage.registerFile(file(bob, 'half', { chunks: half }));
      expect(await codeOf(storage.registerFile(file(bob, 'more', { chunks: half + 1 })))).to.equal('TOO_MANY_FILES');
      expect(await storage.registerFile(file(bob, 'rest', { chunks: half }))).to.not.equal(undefined);
      for (let n = 0; n < MAX_FILES_PER_USER; n++) await storage.registerFile(file(alice, `f${n}`));
      expect(await codeOf(storage.registerFile(file(alice, 'one more')))).to.equal('TOO_MANY_FILES');
      expect(await storage.registerFile(file(alice, 'f0'))).to.equal(undefined);
      expect(await storage.registerFile(file(carol, 'one more'))).to.not.equal(undefined);
    });

    it('lists by name in pages', async () => {
      for (const name of ['b', 'a', 'ä', 'Z', 'c']) await storage.registerFile(file(alice, name));
      const names = async (after: string | undefined, limit: number): Promise<string[]> =>
        (await storage.listFiles({ after, limit })).map(({ name }) => name);
      expect(await names(undefined, 3)).to.deep.equal(['Z', 'a', 'b']);
      expect(await names('b', 3)).to.deep.equal(['c', 'ä']);
    });

    it('needs an owner', async () => {
      expect(await codeOf(storage.registerFile(file({ ...alice, id: 999 }, 'a')))).to.equal('UNKNOWN_USER');
    });
  });

  it('keeps settings', async () => {
    expect(await storage.getSetting('key')).to.equal(undefined);
    await storage.setSetting('key', 'one');
    await storage.setSetting('key', 'two');
    expect(await storage.getSetting('key')).to.equal('two');
  });

  it('counts users, files and what is not acknowledged', async () => {
    expect(await storage.countAll()).to.deep.equal({ users: 3, files: 0 });
    expect(await storage.countUndelivered()).to.equal(0);
    await storage.registerFile(file(alice, 'a'));
    await storage.appendMessages([message(alice, [bob, carol]), message(alice, [bob]), message(bob, [alice])]);
    expect(await storage.countAll()).to.deep.equal({ users: 3, files: 1 });
    expect(await storage.countUndelivered()).to.equal(4);
    await storage.acknowledge(new Map([[bob.id, 1]]));
    expect(await storage.countUndelivered()).to.equal(3);
    await storage.removeUser(carol.id);
    expect(await storage.countUndelivered()).to.equal(2);
    expect((await storage.countAll()).users).to.equal(2);
  });

  it('is whole, and refuses everything once closed', async () => {
    expect(await storage.integrityOk()).to.equal(true);
    await storage.close();
    await storage.close();
    expect(await codeOf(storage.findUser('alice'))).to.equal('INTERNAL');
    expect(await codeOf(storage.appendMessages([message(alice, [bob])]))).to.equal('INTERNAL');
  });
}
