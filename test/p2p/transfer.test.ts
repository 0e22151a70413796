/** Downloads over real links: TLS, blocks that land in their slots, files on disk. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { BitSet } from '../../src/chunks/bits.js';
import { openPart } from '../../src/chunks/part.js';
import { blockPlace } from '../../src/chunks/plan.js';
import { download } from '../../src/p2p/download.js';
import { dialIntroduced, dialPinned } from '../../src/p2p/dialer.js';
import type { Dial } from '../../src/p2p/dialer.js';
import type { DialledLink, PeerLink } from '../../src/p2p/link.js';
import { LinkPlaces } from '../../src/p2p/linkplaces.js';
import { LinkThread } from '../../src/p2p/linkthread.js';
import { deferred } from '../../src/protocol/deferred.js';
import { Provider } from '../../src/p2p/provider.js';
import type { Share } from '../../src/p2p/share.js';
import { cleanUp, introduce, listen, makeEnd, temporaryFolder } from './ends.js';
import type { End } from './ends.js';
import { bitmapOf, digestsOf, makeFile, range } from './swarm.js';
import type { TestFile } from './swarm.js';

const MIB = 1024 * 1024;

interface Holding {
  readonly end: End;
  readonly links: PeerLink[];
  /** A link to this holder for `me`, which `open` opens. */
  readonly connect: (me: End, open: Dial<DialledLink>) => Promise<DialledLink>;
}

/** A user who holds all of the file and listens; `onRead` sees each block before it is sent. */
async function startHolder(
  user: string,
  file: TestFile,
  onRead: (block: number, bytes: Buffer, served: number) => void | Promise<void> = () => undefined,
): Promise<Holding> {
  const end = await makeEnd(user);
  let served = 0;
  const share: Share = {
    file: file.name,
    plan: file.plan,
    heldChunks: () => bitmapOf(range(file.plan.chunks), file.plan.chunks),
    heldBlocks: () => BitSet.full(file.plan.blocks),
    lacks: () => undefined,
    coming: () => [],
    blockDigests: (chunk) => digestsOf(file.plan, file.blockDigests, chunk),
    read: async (first, target, targetOffset, count) => {
      let read = 0;
      for (let block = first; block < first + count; block += 1) {
        const { offset, length } = blockPlace(file.plan, block);
        const bytes = Buffer.from(file.bytes.subarray(offset, offset + length));
        await onRead(block, bytes, (served += 1));
        target.set(bytes, targetOffset + read);
        read += length;
      }
      return read;
    },
  };
  const provider = new Provider({ shares: { find: () => share } });
  const links: PeerLink[] = [];
  const listener = await listen(end, (link) => {
    links.push(link);
    provider.serve(link.peer, link.connection);
  });
  const connect = async (me: End, open: Dial<DialledLink>): Promise<DialledLink> => {
    const introduction = introduce(end);
    listener.expect({ ...introduce(me), id: introduction.id });
    const { identity, pins } = me;
    return dialPinned({ identity, pins, host: '127.0.0.1', port: listener.port, introduction }, open);
  };
  return { end, links, connect };
}

/** Where links may be: in this thread, in another, in both. */
const PLACES: Readonly<Record<string, () => { dial: Dial<DialledLink>; close: () => Promise<void> }>> = {
  'links of this thread': () => ({ dial: dialIntroduced, close: () => Promise.resolve() }),
  'links of another thread': () => {
    const thread = new LinkThread();
    return { dial: (options) => thread.dial(options), close: () => thread.stop() };
  },
  'links of both': () => {
    const places = new LinkPlaces(1);
    return { dial: (options) => places.dial(options), close: () => places.close() };
  },
};

for (const [where, openPlaces] of Object.entries(PLACES))
  describe(`p2p transfers over ${where}`, () => {
    let places: ReturnType<typeof openPlaces>;
    beforeEach(() => {
      places = openPlaces();
    });
    afterEach(async () => {
      await cleanUp();
      await places.close();
    });

    async function fetchFrom(file: TestFile, holders: readonly Holding[]) {
      const me = await makeEnd('me');
      const target = join(await temporaryFolder(), 'a.bin');
      const part = await openPart({ target, manifest: file.manifest });
      const reports: string[] = [];
      const bitmap = bitmapOf(range(file.plan.chunks), file.plan.chunks).toString('base64');
      try {
        const { sources } = await download({
          file: file.name,
          manifest: file.manifest,
          part,
          chunks: BitSet.full(file.plan.chunks),
          locate: () => Promise.resolve(holders.map(({ end }) => ({ user: end.user, bitmap }))),
          connect: (user) => holders.find(({ end }) => end.user === user)!.connect(me, places.dial),
          onReport: (user, _chunk, code) => reports.push(`${user} ${code}`),
        });
        await part.finish();
        return { bytes: await readFile(target), sources, reports };
      } finally {
        await part.close();
      }
    }

    it('come from two holders at once', async () => {
      const file = makeFile(24 * MIB + 777, 3);
      // Whoever is linked first would have given all of it before the other is, when that takes a tenth of a second longer.
      const bothAsked = deferred<void>();
      const asked = new Set<string>();
      const holders = await Promise.all(
        ['alice', 'bob'].map((user) =>
          startHolder(user, file, () => {
            if (asked.add(user).size === 2) bothAsked.resolve();
            return bothAsked.promise;
          }),
        ),
      );
      const { bytes, sources, reports } = await fetchFrom(file, holders);
      expect(bytes.equals(file.bytes)).to.equal(true);
      expect(sources.map(({ user }) => user).sort()).to.deep.equal(['alice', 'bob']);
      expect(reports).to.deep.equal([]);
    });

    it('survive links that are cut in the middle of blocks, and nobody is blamed for it', async () => {
      const file = makeFile(24 * MIB, 3);
      const holders = await Promise.all(
        ['alice', 'bob', 'carol'].map(async (user, i) => {
          const holding: Holding = await startHolder(user, file, (_block, _bytes, served) => {
            // Some of the block's bytes are on their way by then, some are not.
            if (i < 2 && served % 5 === 4) setImmediate(() => holding.links.at(-1)?.connection.destroy());
          });
          return holding;
        }),
      );
      const { bytes, reports } = await fetchFrom(file, holders);
      expect(bytes.equals(file.bytes)).to.equal(true);
      expect(reports).to.deep.equal([]);
    });

    it('drop a liar after one block, and keep every byte right', async () => {
      const file = makeFile(12 * MIB, 2);
      const liar = await startHolder('alice', file, (block, bytes) => {
        if (block % 3 === 2) bytes.writeUInt8(bytes.readUInt8(MIB - 1) ^ 1, MIB - 1);
      });
      const { bytes, reports } = await fetchFrom(file, [liar, await startHolder('bob', file)]);
      expect(bytes.equals(file.bytes)).to.equal(true);
      expect(reports.length).to.be.at.most(1);
      expect(reports.every((each) => each === 'alice HASH_MISMATCH')).to.equal(true);
    });
  });
