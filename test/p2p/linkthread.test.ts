/** Links in a thread of their own, over real sockets to a provider in this one. */
import { writeFile } from 'node:fs/promises';
import { once } from 'node:events';
import { open, readFile } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect } from 'chai';
import type { BlockWork } from '../../src/chunks/blockjob.js';
import { dialPinned } from '../../src/p2p/dialer.js';
import { askDigests, askQueue, watchHeld } from '../../src/p2p/fetch.js';
import type { DialledLink, PeerLink, TakenIn } from '../../src/p2p/link.js';
import { LinkThread } from '../../src/p2p/linkthread.js';
import { Provider } from '../../src/p2p/provider.js';
import { peerCommands } from '../../src/protocol/commands/peer.js';
import { deferred } from '../../src/protocol/deferred.js';
import { ParleyError } from '../../src/protocol/errors.js';
import { refusal } from '../support/refusal.js';
import { cleanUp, introduce, listen, makeEnd, temporaryFolder } from './ends.js';
import type { End } from './ends.js';
import { digestsOf, holder, makeFile, range, shareOf } from './swarm.js';

const MIB = 1024 * 1024;
const never = new AbortController().signal;

function refusedWith({ failure }: TakenIn): string | undefined {
  return failure?.kind === 'refused' ? failure.error.code : failure?.kind;
}

describe('p2p/linkthread', () => {
  const file = makeFile(3 * MIB + 5, 1);
  const { root } = file.manifest;
  let thread: LinkThread;
  let me: End;
  let bob: End;

  beforeEach(async () => {
    thread = new LinkThread();
    [me, bob] = await Promise.all([makeEnd('alice'), makeEnd('bob')]);
  });
  afterEach(async () => {
    await thread.stop();
    await cleanUp();
  });

  /** A link of the thread to bob, and bob's end of it. */
  async function linked(serve: (link: PeerLink) => void): Promise<{ link: DialledLink; accepted: PeerLink }> {
    const theirs = deferred<PeerLink>();
    const listener = await listen(bob, (link) => {
      serve(link);
      theirs.resolve(link);
    });
    const introduction = introduce(bob);
    listener.expect({ ...introduce(me), id: introduction.id });
    const options = { identity: me.identity, pins: me.pins, host: '127.0.0.1', port: listener.port, introduction };
    const link = await dialPinned(options, (each) => thread.dial(each));
    return { link, accepted: await theirs.promise };
  }

  function serveFile({ peer, connection }: PeerLink): void {
    const share = shareOf(file, holder('bob', [0]));
    new Provider({ shares: { find: (asked) => (asked === root ? share : undefined) } }).serve(peer, connection);
  }

  async function target(flags = 'w+'): Promise<{ path: string; handle: FileHandle; work: BlockWork }> {
    const path = join(await temporaryFolder(), 'f');
    await writeFile(path, '');
    const handle = await open(path, flags);
    const expected = digestsOf(file.plan, file.blockDigests, 0);
    return {
      path,
      handle,
      work: { fd: handle.fd, position: 0, lengths: [MIB], expected: expected.subarray(0, 32), of: 'block' },
    };
  }

  it('answer calls, give events and bytes, and say what the other end refuses with', async () => {
    const { link } = await linked(serveFile);
    expect(link.peer).to.equal('bob');
    expect(me.pins.check('peer', 'bob', bob.identity.publicKey)).to.equal('same');
    expect(await askDigests(link.connection, { root, chunk: 0 }, 4, never)).to.deep.equal(
      digestsOf(file.plan, file.blockDigests, 0),
    );
    expect(await askQueue(link.connection, never)).to.deep.equal({ ahead: undefined, isLimited: false });
    const stop = new AbortController();
    const held = await new Promise<unknown>((resolve) => {
      void watchHeld(link.connection, root, 4, stop.signal, ({ blocks }) => resolve(blocks)).catch(() => undefined);
    });
    stop.abort();
    expect(held).to.deep.equal([[0, 4]]);
    const other = link.connection.call(peerCommands.blockDigests, { root: root.replace(/./g, 'a'), chunk: 0 });
    expect((await refusal(other)).code).to.equal('CHUNK_GONE');
    expect(await link.connection.alive(5_000)).to.equal(true);
    expect(link.bytesReceived()).to.be.greaterThan(0);
  });

  it('check and write blocks there, and say which are wrong', async () => {
    const { link } = await linked(serveFile);
    const { path, handle, work } = await target();
    try {
      const expected = Buffer.from(digestsOf(file.plan, file.blockDigests, 0));
      expected.writeUInt8(expected.readUInt8(32) ^ 1, 32);
      const taken = await Promise.all(
        range(3).map((block) =>
          link.takeBlocks!(
            { root, chunk: 0, block },
            { ...work, position: block * MIB, expected: expected.subarray(block * 32, (block + 1) * 32) },
            never,
          ),
        ),
      );
      expect(taken.map((each) => each.result.good)).to.deep.equal([[true], [false], [true]]);
      const written = await readFile(path);
      expect(written.subarray(0, MIB).equals(file.bytes.subarray(0, MIB))).to.equal(true);
      expect(written.subarray(MIB, 2 * MIB).equals(Buffer.alloc(MIB))).to.equal(true);
      expect(written.subarray(2 * MIB).equals(file.bytes.subarray(2 * MIB, 3 * MIB))).to.equal(true);
    } finally {
      await handle.close();
    }
  });

  it('tell a disk that refuses from an end that sends too little or too much', async () => {
    const { link } = await linked(serveFile);
    const { handle, work } = await target('r');
    try {
      const refused = await link.takeBlocks!({ root, chunk: 0, block: 0 }, work, never);
      const { failure } = refused;
      expect(failure?.kind === 'unwritable' && (failure.error as NodeJS.ErrnoException).code).to.equal('EBADF');
      for (const length of [MIB - 1, MIB + 1]) {
        const wrong = await link.takeBlocks!({ root, chunk: 0, block: 0 }, { ...work, lengths: [length] }, never);
        expect(wrong.failure).to.deep.equal({ kind: 'wrong length' });
      }
      const gone = await link.takeBlocks!({ root, chunk: 0, block: 9 }, work, never);
      expect(refusedWith(gone)).to.equal('CHUNK_GONE');
    } finally {
      await handle.close();
    }
  });

  it('give up what is cancelled, and are told when the link ends, by either end', async () => {
    const asked = deferred<void>();
    const { link, accepted } = await linked(({ connection }) =>
      connection.serve(peerCommands, () => {
        asked.resolve();
        return new Promise(() => undefined);
      }),
    );
    const { handle, work } = await target();
    try {
      const stop = new AbortController();
      const taking = link.takeBlocks!({ root, chunk: 0, block: 0 }, work, stop.signal);
      await asked.promise;
      stop.abort();
      expect(refusedWith(await taking)).to.equal('CANCELLED');
      const open = link.takeBlocks!({ root, chunk: 0, block: 0 }, work, never);
      accepted.connection.destroy();
      expect(refusedWith(await open)).to.equal('PEER_UNREACHABLE');
      await link.connection.closed;
      expect(thread.links).to.equal(0);
      expect((await refusal(link.connection.call(peerCommands.queue, {}))).code).to.equal('PEER_UNREACHABLE');
      expect(await link.connection.alive(1_000)).to.equal(false);
      const second = await linked(serveFile);
      second.link.connection.destroy();
      await Promise.all([second.link.connection.closed, second.accepted.connection.closed]);
    } finally {
      await handle.close();
    }
  });

  it('refuse who shows another key, and whoever is not there', async () => {
    const mallory = await makeEnd('mallory');
    const listener = await listen(mallory);
    const introduction = introduce(bob);
    const { identity } = me;
    const dialling = thread.dial({ identity, host: '127.0.0.1', port: listener.port, introduction });
    const error = await refusal(dialling);
    expect(error.code).to.equal('PEER_UNREACHABLE');
    expect(error.details).to.include({ user: 'bob', address: `127.0.0.1:${listener.port}` });
    expect(error.details['reason']).to.include('another key');
    const stopped = AbortSignal.abort();
    const cancelled = thread.dial({ identity, host: '127.0.0.1', port: listener.port, introduction, signal: stopped });
    expect((await refusal(cancelled)).code).to.equal('CANCELLED');
    expect(thread.links).to.equal(0);
  });

  it('are lost with their thread, and the next link has another', async () => {
    const { link, accepted } = await linked(serveFile);
    await thread.stop();
    expect(await link.connection.closed).to.be.instanceOf(ParleyError);
    await accepted.connection.closed;
    expect((await refusal(link.connection.call(peerCommands.queue, {}))).code).to.equal('PEER_UNREACHABLE');
    const { link: second } = await linked(serveFile);
    expect(await askQueue(second.connection, never)).to.not.equal(undefined);
  });

  it('fail when their thread cannot run', async () => {
    const script = join(await temporaryFolder(), 'broken.mjs');
    await writeFile(script, 'throw new Error("no luck");');
    const broken = new LinkThread(pathToFileURL(script));
    const options = { identity: me.identity, host: '127.0.0.1', port: 1, introduction: introduce(bob) };
    const error = await refusal(broken.dial(options));
    expect(error.code).to.equal('PEER_UNREACHABLE');
    expect(error.details['reason']).to.include('no luck');
    expect(broken.links).to.equal(0);
  });

  it('let a process end', async () => {
    const { Worker } = await import('node:worker_threads');
    const script = join(await temporaryFolder(), 'ends.mjs');
    const at = new URL('../../src/p2p/linkthread.js', import.meta.url);
    await writeFile(script, `import { LinkThread } from '${at.href}'; await new LinkThread().stop();`);
    const [code] = (await once(new Worker(pathToFileURL(script)), 'exit')) as [number];
    expect(code).to.equal(0);
  });
});
