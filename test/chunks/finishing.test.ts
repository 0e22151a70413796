import { expect } from 'chai';
import { existsSync } from 'node:fs';
import { appendFile, copyFile, open, readFile, rename, stat, truncate, utimes } from 'node:fs/promises';
import { Claims } from '../../src/chunks/claims.js';
import { loadXxHash64 } from '../../src/chunks/digest.js';
import { FRESH_MS } from '../../src/chunks/freshblocks.js';
import { takeLock } from '../../src/chunks/lock.js';
import { Part } from '../../src/chunks/openedpart.js';
import { openPart } from '../../src/chunks/part.js';
import { PartBlocks } from '../../src/chunks/partblocks.js';
import { partPaths, resumeOrBegin } from '../../src/chunks/partfiles.js';
import { readSidecar } from '../../src/chunks/sidecar.js';
import { SidecarLog } from '../../src/chunks/sidecarlog.js';
import { fileStore } from '../../src/chunks/store.js';
import { bytesOf, fetchInto, MIB, refusalOf, sampleOf, useFolder } from './support.js';

const sample = sampleOf(bytesOf(5 * MIB + 11), 2);
const { manifest } = sample;

/** A file that counts what is read of it, and refuses to be synced when told to. */
interface Watched {
  readonly part: Part;
  /** Bytes read since it was opened. */
  read: () => number;
  /** The next sync of this kind fails. */
  refuse: (what: 'datasync' | 'sync') => void;
}

describe('chunks/part, when it is finished', () => {
  const at = useFolder();
  let ms = 0;
  const now = (): number => ms;

  async function openWatched(): Promise<Watched> {
    const paths = partPaths(at('f'));
    const xxHash64 = await loadXxHash64();
    const lock = await takeLock(paths.lock, at('f'));
    const files = await resumeOrBegin(paths, sample, xxHash64, {});
    const refusing = new Set<string>();
    let bytesRead = 0;
    const real = files.file;
    const unless = async (what: string, act: () => Promise<void>): Promise<void> => {
      if (refusing.delete(what)) throw Object.assign(new Error('i/o error'), { code: 'EIO', errno: -5 });
      await act();
    };
    const file = {
      ...real,
      read: (...[target, start, length, position]: Parameters<typeof real.read>) => {
        bytesRead += length;
        return real.read(target, start, length, position);
      },
      datasync: () => unless('datasync', () => real.datasync()),
      sync: () => unless('sync', () => real.sync()),
    };
    const claims = new Claims(paths.part, file, files.log);
    const blocks = new PartBlocks(sample, paths, files, claims, now);
    const part = new Part(blocks, { paths, lock, file, claims }, xxHash64, undefined);
    return { part, read: () => bytesRead, refuse: (what) => void refusing.add(what) };
  }

  /** A part that holds these blocks, closed in good order. */
  async function left(blocks: readonly number[]): Promise<void> {
    const part = await openPart({ target: at('f'), manifest });
    await fetchInto(part, sample, blocks);
    await part.close();
  }

  /** Flips a bit, and puts the time of the last change back. */
  async function flip(place: number): Promise<void> {
    const { atime, mtime } = await stat(at('f.part'));
    const file = await open(at('f.part'), 'r+');
    await file.write(Buffer.from([sample.bytes.readUInt8(place) ^ 2]), 0, 1, place);
    await file.close();
    await utimes(at('f.part'), atime, mtime);
  }

  /** Notes that the file was closed in good order as it is now, as if a disk had changed it and nobody had seen. */
  async function sealAnew(): Promise<void> {
    const { part: path, state, stateTemporary } = partPaths(at('f'));
    const xxHash64 = await loadXxHash64();
    const progress = await readSidecar(state, sample, xxHash64);
    if (typeof progress === 'string') throw new Error(progress);
    const store = fileStore(path, await open(path, 'r'), sample.bytes.length);
    const log = await SidecarLog.create({ state, stateTemporary }, sample, progress, xxHash64);
    log.addSeal((await store.stamp?.()) ?? '');
    await log.sync();
    await log.close();
    await store.close();
  }

  async function expectFinished(part: Part): Promise<void> {
    await part.finish();
    await part.close();
    expect((await readFile(at('f'))).equals(sample.bytes)).to.equal(true);
  }

  it('does not read again what it wrote itself, however that was written', async () => {
    const { part, read } = await openWatched();
    for (const chunk of [0, 1]) part.learn(chunk, sample.digests(chunk));
    part.writeNow(0, sample.bytes.subarray(0, 2 * MIB), 2);
    await fetchInto(part, sample);
    await expectFinished(part);
    expect(read()).to.equal(0);
  });

  it('reads again what an earlier opening left, and that only', async () => {
    await left([1, 4]);
    const { part, read } = await openWatched();
    expect(read()).to.equal(0);
    await fetchInto(part, sample);
    await expectFinished(part);
    expect(read()).to.equal(2 * MIB);
  });

  it('reads again what was only counted', async () => {
    const { part, read } = await openWatched();
    await fetchInto(part, sample, [1, 2, 3, 4, 5]);
    const other = await open(part.path, 'r+');
    await other.write(sample.block(0), 0, MIB, 0);
    await other.close();
    part.markWritten(0);
    await expectFinished(part);
    expect(read()).to.equal(MIB);
  });

  it('finds a bit that was flipped between two openings, also where the sidecar says that nothing changed', async () => {
    for (const sealed of [false, true]) {
      await left([0, 1, 4]);
      await flip(MIB + 5);
      if (sealed) await sealAnew();
      const { part } = await openWatched();
      expect(part.has(1), 'believed because of the seal').to.equal(sealed);
      await fetchInto(part, sample);
      if (sealed) {
        expect((await refusalOf(part.finish())).code).to.equal('HASH_MISMATCH');
        expect(part.missing()).to.deep.equal([1]);
        await fetchInto(part, sample);
      }
      await expectFinished(part);
      await rename(at('f'), at(`done ${sealed}`));
    }
  });

  it('reads everything again after a pause, for a part may be open for days', async () => {
    const { part, read } = await openWatched();
    await fetchInto(part, sample, [0, 1, 2]);
    ms += FRESH_MS + 1;
    await flip(2 * MIB + 1);
    await fetchInto(part, sample);
    expect((await refusalOf(part.finish())).code).to.equal('HASH_MISMATCH');
    expect(part.missing()).to.deep.equal([2]);
    const before = read();
    expect(before).to.equal(sample.block(0).length + sample.block(1).length + sample.block(2).length);
    await fetchInto(part, sample);
    await expectFinished(part);
    expect(read()).to.equal(before);
  });

  it('reads everything again when the file was cut short meanwhile', async () => {
    const { part } = await openWatched();
    await fetchInto(part, sample);
    await truncate(part.path, 4 * MIB);
    expect((await refusalOf(part.finish())).code).to.equal('HASH_MISMATCH');
    expect(part.missing()).to.deep.equal([4, 5]);
    await fetchInto(part, sample);
    await expectFinished(part);
  });

  it('cuts off what another program added behind its end', async () => {
    const { part, read } = await openWatched();
    await fetchInto(part, sample);
    await appendFile(part.path, 'more');
    await expectFinished(part);
    expect(read()).to.equal(sample.bytes.length);
  });

  it('reads everything again when another file is in its place, and does not give that its name', async () => {
    const { part, read } = await openWatched();
    await fetchInto(part, sample);
    await copyFile(part.path, at('copy'));
    await rename(at('copy'), part.path);
    const error = await refusalOf(part.finish());
    expect(error.code).to.equal('DISK_FULL');
    expect(error.message).to.contain('replaced');
    expect(read()).to.equal(sample.bytes.length);
    await part.close();
  });

  it('is not finished when the disk does not take it', async () => {
    const { part, read, refuse } = await openWatched();
    await fetchInto(part, sample);
    refuse('sync');
    expect((await refusalOf(part.finish())).code).to.equal('DISK_FULL');
    expect(existsSync(at('f'))).to.equal(false);
    await expectFinished(part);
    expect(read()).to.equal(0);
  });

  it('reads everything again after a failed sync, for the next one says nothing of it', async () => {
    const { part, read, refuse } = await openWatched();
    await fetchInto(part, sample, [0, 1]);
    refuse('datasync');
    expect((await refusalOf(part.flush())).code).to.equal('DISK_FULL');
    await fetchInto(part, sample);
    await expectFinished(part);
    expect(read()).to.equal(sample.bytes.length);
  });
});
