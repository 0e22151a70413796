/** Files, and who holds which of their chunks. */
import { expect } from 'chai';
import fc from 'fast-check';
import { serverCommands } from '../../src/protocol/commands/server.js';
import { MAX_CHUNKS } from '../../src/protocol/limits.js';
import { coverAll, fromBase64, has, none, toBase64, withChunks } from '../../src/server/bitmap.js';
import { fitsPattern } from '../../src/server/glob.js';
import { refusal } from '../support/refusal.js';
import { Hall, anyKey, turns } from './hall.js';
import type { Guest } from './hall.js';

const { registerFile, unregister, files, searchFile, searchChunk, locate, manifest, hold, release, renew, report } =
  serverCommands;
const { endSession, block, resume } = serverCommands;
const ROOT = 'ab'.repeat(32);

/** Registers a file of `chunks` bytes in as many chunks. */
async function register(guest: Guest, file: string, chunks = 3): Promise<void> {
  await guest.call(
    registerFile,
    { file, sizeBytes: chunks, chunks, root: ROOT },
    { body: [Buffer.alloc(32 * chunks, 1)] },
  );
}

describe('bitmaps', () => {
  const sets = fc
    .integer({ min: 1, max: 70 })
    .chain((count) => fc.record({ count: fc.constant(count), held: fc.uniqueArray(fc.nat(count - 1)) }));

  it('are what was put in, and travel as PROTOCOL.md says', () => {
    fc.assert(
      fc.property(sets, ({ count, held }) => {
        const chunks = withChunks(none(count), held, count, 'f');
        const naive = Buffer.alloc(Math.ceil(count / 8));
        for (const index of held) naive[index >> 3] = (naive[index >> 3] ?? 0) | (1 << (index & 7));
        expect(toBase64(chunks, count)).to.equal(naive.toString('base64'));
        const back = fromBase64(toBase64(chunks, count), count, 'f');
        for (let i = 0; i < count; i++) expect(has(back, i)).to.equal(held.includes(i));
        expect(back.kind === 'all').to.equal(held.length === count);
      }),
    );
  });

  it('cover a file together exactly when every chunk is in one', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 40 }), fc.array(fc.array(fc.nat(39)), { maxLength: 5 }), (count, lists) => {
        const held = lists.map((list) => list.filter((index) => index < count));
        const union = new Set(held.flat());
        const chunks = held.map((list) => withChunks(none(count), list, count, 'f'));
        expect(coverAll(chunks, count)).to.equal(union.size === count);
      }),
    );
  });

  it('of the wrong length, or with bits past the end, are refused', () => {
    for (const [base64, count] of [
      ['AA==', 9],
      ['AAAA', 9],
      ['', 1],
      ['Ag==', 1],
      ['gA==', 7],
    ] as const) {
      expect(() => fromBase64(base64, count, 'f'), `${base64} ${count}`)
        .to.throw()
        .with.property('code', 'CHUNK_NOT_FOUND');
    }
  });
});

describe('patterns', () => {
  it('do as the same regular expression does', () => {
    const word = fc.string({ unit: fc.constantFrom('a', 'b', '.', '\u{1f600}'), maxLength: 8 });
    const pattern = fc.string({ unit: fc.constantFrom('a', 'b', '.', '*', '?'), maxLength: 8 });
    fc.assert(
      fc.property(word, pattern, (name, wanted) => {
        const regex = new RegExp(`^${wanted.replace('.', '\\.').replaceAll('.', '[.]').replaceAll('\\[.]', '[.]').replaceAll('*', '.*').replaceAll('?', '.')}$`, 'su'); // prettier-ignore
        expect(fitsPattern(name, wanted)).to.equal(regex.test(name));
      }),
    );
  });

  it('take no longer for a nasty one', () => {
    expect(fitsPattern('a'.repeat(255), `${'*a'.repeat(127)}b`)).to.equal(false);
  });
});

describe('the registry', () => {
  let hall: Hall;
  let alice: Guest;
  let bob: Guest;
  beforeEach(async () => {
    hall = await Hall.open(['alice', 'bob', 'carol', 'dave', 'erin']);
    alice = await hall.guest('alice');
    bob = await hall.guest('bob');
  });
  afterEach(() => hall.close());

  const holders = async (file: string): Promise<readonly string[]> => (await bob.call(searchFile, { file })).holders;

  it('keeps a file and its digests, and its registrant holds all of it', async () => {
    await register(alice, 'e\u0301te\u0301.bin', 5);
    expect(await bob.call(searchFile, { file: '\u00e9t\u00e9.bin' })).to.deep.equal({
      file: '\u00e9t\u00e9.bin',
      available: true,
      sizeBytes: 5,
      chunks: 5,
      owner: 'alice',
      root: ROOT,
      holders: ['alice'],
    });
    const got: Buffer[] = [];
    const result = await bob.call(
      manifest,
      { file: '\u00e9t\u00e9.bin' },
      { onBytes: (bytes) => void got.push(Buffer.from(bytes)) },
    );
    expect(result).to.deep.equal({ file: '\u00e9t\u00e9.bin', owner: 'alice', sizeBytes: 5, chunks: 5, root: ROOT });
    expect(Buffer.concat(got).equals(Buffer.alloc(160, 1))).to.equal(true);
  });

  it('keeps the largest of them', async () => {
    const digests = Buffer.alloc(32 * MAX_CHUNKS);
    for (let i = 0; i < MAX_CHUNKS; i++) digests.writeUInt32BE(i, i * 32);
    const params = { file: 'huge.bin', sizeBytes: 2 ** 50, chunks: MAX_CHUNKS, root: ROOT };
    await alice.call(registerFile, params, { body: [digests] });
    const got: Buffer[] = [];
    await bob.call(manifest, { file: 'huge.bin' }, { onBytes: (bytes) => void got.push(Buffer.from(bytes)) });
    expect(Buffer.concat(got).equals(digests)).to.equal(true);
    await bob.call(hold, { file: 'huge.bin', root: ROOT, chunks: { add: [65_535] } });
    expect((await bob.call(searchChunk, { file: 'huge.bin', chunks: [65_535, 0] })).chunks).to.deep.equal([
      { index: 65_535, available: true, holders: ['alice', 'bob'] },
      { index: 0, available: true, holders: ['alice'] },
    ]);
  });

  it('refuses names, counts and bodies that are not right', async () => {
    const code = async (
      params: Partial<Parameters<typeof alice.call<typeof registerFile>>[1]>,
      bytes = 32,
    ): Promise<string> => {
      const whole = { file: 'x', sizeBytes: 10, chunks: 1, root: ROOT, ...params };
      return (await refusal(alice.call(registerFile, whole, { body: [Buffer.alloc(bytes)] }))).code;
    };
    for (const file of ['../x', 'a/b', 'CON', '.', 'x\u202e', '\u0000', '']) {
      expect(await code({ file }), JSON.stringify(file)).to.equal('BAD_NAME');
    }
    expect(await code({ chunks: 11 })).to.equal('BAD_CHUNK_COUNT');
    expect(await code({ chunks: 2 })).to.equal('BAD_REQUEST');
    expect(await code({ chunks: 2 }, 63)).to.equal('BAD_REQUEST');
    expect(await code({ chunks: 2 }, 65)).to.equal('BAD_REQUEST');
    await register(alice, 'x', 1);
    expect(await code({})).to.equal('FILE_ALREADY_REGISTERED');
  });

  it('does not wait for a body for ever, nor for many at once', async () => {
    const endless = async function* (): AsyncGenerator<Buffer> {
      yield Buffer.alloc(32);
      await new Promise(() => undefined);
    };
    const params = { file: 'slow', sizeBytes: 10, chunks: 2, root: ROOT };
    const slow = refusal(alice.call(registerFile, params, { body: endless() }));
    const slower = refusal(alice.call(registerFile, { ...params, file: 'slower' }, { body: endless() }));
    await turns();
    expect((await refusal(alice.call(registerFile, { ...params, file: 'third' }, { body: endless() }))).code).to.equal(
      'SERVER_BUSY',
    );
    await hall.clock.advance(30_000);
    expect([(await slow).code, (await slower).code]).to.deep.equal(['TIMEOUT', 'TIMEOUT']);
    await register(alice, 'slow', 2);
    const stopped = new AbortController();
    const cancelled = refusal(
      alice.call(registerFile, { ...params, file: 'stop' }, { body: endless(), signal: stopped.signal }),
    );
    await turns();
    stopped.abort();
    expect((await cancelled).code).to.equal('CANCELLED');
    await turns();
    await register(alice, 'stop', 2);
  });

  it('lets one of 100 racing registrations win (R15)', async () => {
    const results = await Promise.allSettled(
      Array.from({ length: 100 }, (_, i) =>
        (i % 2 === 0 ? alice : bob).call(
          registerFile,
          { file: 'one', sizeBytes: 1, chunks: 1, root: ROOT },
          { body: [Buffer.alloc(32)] },
        ),
      ),
    );
    const codes = results.flatMap((each) =>
      each.status === 'rejected' ? [(each.reason as { code: string }).code] : [],
    );
    expect(results.length - codes.length).to.equal(1);
    for (const code of codes) expect(code).to.be.oneOf(['FILE_ALREADY_REGISTERED', 'SERVER_BUSY']);
  });

  it('lists files that fit a pattern, in pages when there are thousands', async () => {
    const owner = await hall.storage.findUser('alice');
    for (let i = 0; i < 990; i++) {
      void hall.storage.registerFile({
        name: `${'f'.repeat(100)}-${i}.bin` as never,
        ownerId: owner?.id ?? 0,
        sizeBytes: 1,
        chunks: 1,
        root: ROOT as never,
        chunkDigests: Buffer.alloc(32),
        registeredAt: 0,
      });
    }
    await register(alice, 'notes.txt', 1);
    expect((await bob.call(files, {})).files).to.have.length(991);
    expect((await bob.call(files, { pattern: '*.TXT' })).files).to.deep.equal([]);
    expect((await bob.call(files, { pattern: 'n?tes*' })).files).to.deep.equal([
      { file: 'notes.txt', sizeBytes: 1, chunks: 1, owner: 'alice', holders: 1 },
    ]);
  });

  it('knows who holds what: all, a bitmap, or some more', async () => {
    await register(alice, 'x', 10);
    await bob.call(hold, { file: 'x', root: ROOT, chunks: { add: [0, 9] } });
    await bob.call(hold, { file: 'x', root: ROOT, chunks: { add: [4] } });
    const carol = await hall.guest('carol');
    await carol.call(hold, { file: 'x', root: ROOT, chunks: { bitmap: Buffer.from([0b10, 0]).toString('base64') } });
    const found = await bob.call(searchChunk, { file: 'x', chunks: [4, 1, 9, 4] });
    expect(found.chunks).to.deep.equal([
      { index: 4, available: true, holders: ['alice', 'bob'] },
      { index: 1, available: true, holders: ['alice', 'carol'] },
      { index: 9, available: true, holders: ['alice', 'bob'] },
    ]);
    const where = await bob.call(locate, { file: 'x' });
    expect(where).to.deep.equal({
      file: 'x',
      root: ROOT,
      holders: [
        { user: 'alice', bitmap: Buffer.from([0xff, 0b11]).toString('base64') },
        { user: 'carol', bitmap: Buffer.from([0b10, 0]).toString('base64') },
      ],
    });
    await alice.call(release, { file: 'x' });
    expect(await bob.call(searchFile, { file: 'x' })).to.deep.include({ available: false, holders: ['bob', 'carol'] });
    await bob.call(hold, { file: 'x', root: ROOT, chunks: { add: [0, 2, 3, 4, 5, 6, 7, 8, 9] } });
    expect(await bob.call(searchFile, { file: 'x' })).to.deep.include({ available: true });
    await carol.call(hold, { file: 'x', root: ROOT, chunks: { bitmap: 'AAA=' } });
    expect(await holders('x')).to.deep.equal(['bob']);
    await bob.call(release, { file: 'no such file' });
  });

  it('names who has, or fetches, blocks of chunks that are not whole to those who fetch, and to nobody else', async () => {
    await register(alice, 'x', 10);
    const carol = await hall.guest('carol');
    const none = Buffer.from([0, 0]).toString('base64');
    await carol.call(hold, { file: 'x', root: ROOT, chunks: { bitmap: none }, partial: true });
    expect((await bob.call(locate, { file: 'x' })).holders).to.deep.equal([
      { user: 'alice', bitmap: Buffer.from([0xff, 0b11]).toString('base64') },
      { user: 'carol', bitmap: none, partial: true },
    ]);
    expect((await bob.call(searchFile, { file: 'x' })).holders).to.deep.equal(['alice']);
    expect((await bob.call(files, {})).files[0]?.holders).to.equal(1);
    await alice.call(release, { file: 'x' });
    expect(await bob.call(searchFile, { file: 'x' })).to.deep.include({ available: false, holders: [] });
    await carol.call(hold, { file: 'x', root: ROOT, chunks: { add: [3] } });
    const [chunk] = (await bob.call(searchChunk, { file: 'x', chunks: [3] })).chunks;
    expect(chunk).to.deep.equal({ index: 3, available: true, holders: ['carol'] });
    // Each statement counts anew.
    expect((await bob.call(locate, { file: 'x' })).holders.map(({ partial }) => partial)).to.deep.equal([undefined]);
    await carol.call(hold, { file: 'x', root: ROOT, chunks: { bitmap: none } });
    expect((await bob.call(locate, { file: 'x' })).holders).to.deep.equal([]);
  });

  it('refuses holdings that cannot be', async () => {
    await register(alice, 'x', 10);
    const code = async (params: Parameters<typeof bob.call<typeof hold>>[1], guest = bob): Promise<string> =>
      (await refusal(guest.call(hold, params))).code;
    expect(await code({ file: 'y', root: ROOT, chunks: 'all' })).to.equal('FILE_NOT_REGISTERED');
    expect(await code({ file: '../x', root: ROOT, chunks: 'all' })).to.equal('FILE_NOT_REGISTERED');
    expect(await code({ file: 'x', root: 'cd'.repeat(32), chunks: 'all' })).to.equal('BYTES_DIFFER');
    expect(await code({ file: 'x', root: ROOT, chunks: { add: [10] } })).to.equal('CHUNK_NOT_FOUND');
    expect(await code({ file: 'x', root: ROOT, chunks: { bitmap: 'AAAA' } })).to.equal('CHUNK_NOT_FOUND');
    expect((await refusal(bob.call(searchChunk, { file: 'x', chunks: [3, 10] }))).details).to.include({
      last: 9,
      index: 10,
    });
    const carol = hall.enter();
    await carol.login('carol');
    expect(await code({ file: 'x', root: ROOT, chunks: 'all' }, carol)).to.equal('KEY_REQUIRED');
    await register(carol, 'of carol', 1);
    expect(await holders('of carol')).to.deep.equal([]);
  });

  it('forgets holdings that are not renewed, and everything of a user at once', async () => {
    await register(alice, 'x');
    await register(alice, 'y');
    await hall.clock.advance(40_000);
    await alice.call(renew, {});
    await hall.clock.advance(40_000);
    expect(await holders('x')).to.deep.equal(['alice']);
    await hall.clock.advance(20_000);
    expect(await holders('x')).to.deep.equal([]);
    expect((await bob.call(files, {})).files.map((each) => each.holders)).to.deep.equal([0, 0]);
    await alice.call(renew, {});
    expect(await holders('x')).to.deep.equal([]);
    await alice.call(hold, { file: 'y', root: ROOT, chunks: 'all' });
    expect([await holders('x'), await holders('y')]).to.deep.equal([[], ['alice']]);
  });

  it('lets holdings wait for a connection that broke, not for a user who logged out', async () => {
    const key = anyKey();
    const carol = hall.enter({ key });
    const { token = '' } = await carol.login('carol');
    await register(carol, 'x');
    carol.connection.destroy();
    await turns();
    expect(await holders('x')).to.deep.equal([]);
    await hall.clock.advance(20_000);
    const back = hall.enter({ key });
    const { token: next = '' } = await back.call(resume, { token });
    expect(await holders('x')).to.deep.equal(['carol']);
    back.connection.destroy();
    await turns();
    await hall.clock.advance(50_000);
    const late = hall.enter({ key });
    await late.call(resume, { token: next });
    expect(await holders('x')).to.deep.equal([]);
    await late.call(hold, { file: 'x', root: ROOT, chunks: 'all' });
    await late.call(endSession, {});
    await hall.guest('carol');
    expect(await holders('x')).to.deep.equal([]);
  });

  it('unregisters for the owner only', async () => {
    await register(alice, 'x');
    await bob.call(hold, { file: 'x', root: ROOT, chunks: 'all' });
    const error = await refusal(bob.call(unregister, { file: 'x' }));
    expect([error.code, error.details['owner']]).to.deep.equal(['NOT_OWNER', 'alice']);
    expect(await alice.call(unregister, { file: 'x' })).to.deep.equal({ file: 'x' });
    expect((await refusal(alice.call(unregister, { file: 'x' }))).code).to.equal('FILE_NOT_REGISTERED');
    await register(bob, 'x', 2);
    expect(await holders('x')).to.deep.equal(['bob']);
  });

  it('ends a holding that three others report, and does not believe it for ten minutes', async () => {
    await register(alice, 'x');
    const others = [bob, await hall.guest('carol'), await hall.guest('dave'), await hall.guest('erin')];
    const about = { user: 'alice', file: 'x', chunk: 0, code: 'HASH_MISMATCH' } as const;
    expect((await refusal(alice.call(report, about))).code).to.equal('SELF');
    expect((await refusal(bob.call(report, { ...about, user: 'zed' }))).code).to.equal('UNKNOWN_USER');
    expect((await refusal(bob.call(report, { ...about, file: 'y' }))).code).to.equal('FILE_NOT_REGISTERED');
    for (let i = 0; i < 5; i++) await bob.call(report, about);
    await others[1]?.call(report, about);
    expect(await holders('x')).to.deep.equal(['alice']);
    await others[2]?.call(report, about);
    expect(await holders('x')).to.deep.equal([]);
    expect((await refusal(alice.call(hold, { file: 'x', root: ROOT, chunks: 'all' }))).code).to.equal('BYTES_DIFFER');
    for (let i = 0; i < 10; i++) {
      await hall.clock.advance(59_000);
      for (const guest of [alice, ...others]) await guest.call(renew, {});
    }
    await hall.clock.advance(10_000);
    await alice.call(hold, { file: 'x', root: ROOT, chunks: 'all' });
    expect(await holders('x')).to.deep.equal(['alice']);
    await others[3]?.call(report, about);
    expect(await holders('x')).to.deep.equal(['alice']);
  });

  it('keeps holders from those who block each other', async () => {
    await register(alice, 'x');
    await bob.call(hold, { file: 'x', root: ROOT, chunks: 'all' });
    const carol = await hall.guest('carol');
    const seen = async (): Promise<string[]> =>
      (await carol.call(locate, { file: 'x' })).holders.map(({ user }) => user);
    expect(await seen()).to.deep.equal(['alice', 'bob']);
    await carol.call(block, { user: 'alice' });
    expect(await seen()).to.deep.equal(['bob']);
    await bob.call(block, { user: 'carol' });
    expect(await seen()).to.deep.equal([]);
  });
});
