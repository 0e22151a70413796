import { expect } from 'chai';
import { peerCommands } from '../../src/protocol/commands/peer.js';
import { deferred } from '../../src/protocol/deferred.js';
import { ParleyError } from '../../src/protocol/errors.js';
import type { IncomingCall } from '../../src/protocol/command.js';
import type { LinkConnection } from '../../src/p2p/link.js';
import type { Came } from '../../src/p2p/arrivingpieces.js';
import { askBlocks } from '../../src/p2p/fetch.js';
import { refusal } from '../support/refusal.js';
import { answering, connectTo, holder, makeFile } from './swarm.js';

describe('p2p/fetch', () => {
  const file = makeFile(1000, 1);
  const params = { root: file.manifest.root, chunk: 0, block: 0 };
  const never = new AbortController().signal;

  /** A link to somebody who answers `fetchBlock` like this. */
  function linkTo(answer: (call: IncomingCall) => Promise<object>): LinkConnection {
    return connectTo(
      file,
      holder('bob', [0]),
      answering(peerCommands, (_spec, _params, call) => answer(call)),
    ).connection;
  }

  function ask<T>(link: LinkConnection, take: (bytes: Buffer) => T | Promise<T>, signal = never): Promise<Came<T>> {
    const pieces = { bytes: [1000], into: (bytes: number) => Buffer.alloc(bytes), take, goesOn: () => true };
    return askBlocks(link, params, pieces, signal);
  }

  it('takes blocks as soon as they are there, and answers when the call is over', async () => {
    const over = deferred<object>();
    const taken = deferred<Buffer>();
    const link = linkTo(async (call) => {
      await call.write(file.bytes.subarray(0, 400));
      await call.write(file.bytes.subarray(400));
      return over.promise;
    });
    const asked = ask(link, (bytes) => {
      taken.resolve(bytes);
      return 'mine';
    });
    expect((await taken.promise).equals(file.bytes)).to.equal(true);
    over.resolve({});
    expect(await asked).to.deep.equal({ taken: ['mine'], failure: undefined });
  });

  it('does not let go of what was taken, however the call ends', async () => {
    for (const end of ['cancelled', 'refused', 'lost'] as const) {
      const abort = new AbortController();
      const taking = deferred<void>();
      const written = deferred<void>();
      const link = linkTo(async (call) => {
        await call.write(file.bytes);
        await taking.promise;
        if (end === 'refused') throw new ParleyError('CHUNK_GONE', { chunk: 0 });
        return new Promise(() => undefined);
      });
      let isOver = false;
      const asked = ask(
        link,
        async () => {
          taking.resolve();
          await written.promise;
          return 'mine';
        },
        abort.signal,
      ).finally(() => (isOver = true));
      await taking.promise;
      if (end === 'cancelled') abort.abort();
      if (end === 'lost') link.destroy();
      for (let i = 0; i < 5; i++) await new Promise(setImmediate);
      expect(isOver, end).to.equal(false);
      written.resolve();
      expect(await asked, end).to.deep.equal({ taken: ['mine'], failure: undefined });
    }
  });

  it('says what taking failed with', async () => {
    const link = linkTo(async (call) => {
      await call.write(file.bytes);
      return {};
    });
    const failing = ask(link, () => Promise.reject(new ParleyError('DISK_FULL', { path: 'f', reason: 'full' })));
    expect((await refusal(failing)).code).to.equal('DISK_FULL');
  });

  it('tells too few bytes and too many, and takes none of the few', async () => {
    for (const length of [0, 999, 1001]) {
      const link = linkTo(async (call) => {
        if (length > 0) await call.write(Buffer.alloc(length));
        return {};
      });
      const asked = ask(link, () => {
        throw new Error(`took ${length}`);
      });
      expect(await asked, `${length}`).to.deep.equal({ taken: [], failure: { kind: 'wrong length' } });
    }
  });
});
