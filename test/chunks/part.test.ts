import { expect } from 'chai';
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import {
  copyFile,
  link,
  mkdir,
  open,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  symlink,
  truncate,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { fileIdentity } from '../../src/chunks/files.js';
import { buildManifest } from '../../src/chunks/manifest.js';
import { clearRemains } from '../../src/chunks/endings.js';
import { openPart } from '../../src/chunks/part.js';
import type { Part } from '../../src/chunks/part.js';
import { runKillPoints } from './killpoints.js';
import { bytesOf, fetchInto, largeSample, MIB, refusalOf, sampleOf, useFolder } from './support.js';

const sample = sampleOf(bytesOf(5 * MIB + 11), 2);
const { manifest } = sample;
/** A process of its own, to be killed or kept short; it has the same sample. */
const childPath = fileURLToPath(new URL('part.child.js', import.meta.url));
/** More, and with another seed, by PARLEY_KILL_POINTS=1000 PARLEY_SEED=7. */
const KILL_POINTS = Number(process.env['PARLEY_KILL_POINTS'] ?? 200);
const SEED = Number(process.env['PARLEY_SEED'] ?? 1);

describe('chunks/part', () => {
  const at = useFolder();
  const files = async (): Promise<string[]> => (await readdir(dirname(at('x')))).sort();

  it('becomes the file, and leaves nothing else', async () => {
    const part = await openPart({ target: at('f'), manifest });
    expect(part.complete).to.equal(false);
    expect(part.missing()).to.deep.equal([0, 1, 2, 3, 4, 5]);
    expect(part.missing(1)).to.deep.equal([3, 4, 5]);
    await fetchInto(part, sample);
    expect(part.complete).to.equal(true);
    expect(part.missing()).to.deep.equal([]);
    expect(part.heldBytes).to.equal(sample.bytes.length);
    const finished = await part.finish();
    expect(await part.finish()).to.equal(finished);
    await part.close();
    await part.close();

    expect(await files()).to.deep.equal(['f']);
    expect((await readFile(at('f'))).equals(sample.bytes)).to.equal(true);
    expect(finished.path).to.equal(at('f'));
    expect(finished.identity).to.deep.equal(await fileIdentity(at('f')));
    const built = await buildManifest(at('f'), 2);
    expect(finished.blockDigests).to.deep.equal(built.blockDigests);
    expect(built.manifest.root).to.equal(manifest.root);
    await writeFile(at('plain'), '', { mode: 0o644 });
    expect((await stat(at('f'))).mode).to.equal((await stat(at('plain'))).mode);
  });

  it('becomes an empty file, too', async () => {
    const empty = sampleOf(Buffer.alloc(0), 1);
    const part = await openPart({ target: at('f'), manifest: empty.manifest });
    expect(part.complete).to.equal(true);
    expect(part.heldChunks()).to.deep.equal(Buffer.from([1]));
    expect((await part.finish()).blockDigests).to.have.lengthOf(0);
    await part.close();
    expect((await stat(at('f'))).size).to.equal(0);
    expect(await files()).to.deep.equal(['f']);
  });

  it('takes many blocks at once, in any order, and some twice', async () => {
    const many = sampleOf(bytesOf(300_000), 101);
    const part = await openPart({ target: at('f'), manifest: many.manifest });
    for (let chunk = 0; chunk < 101; chunk++) part.learn(chunk, many.digests(chunk));
    const blocks = [...part.missing(), ...part.missing()].reverse();
    const whole = await Promise.all(blocks.map((block) => part.write(block, many.block(block))));
    expect(whole.filter(Boolean)).to.have.lengthOf(101);
    expect(part.heldBytes).to.equal(300_000);
    await part.finish();
    await part.close();
    expect((await readFile(at('f'))).equals(many.bytes)).to.equal(true);
  });

  it('says at once when a chunk is whole, and serves its blocks', async () => {
    const part = await openPart({ target: at('f'), manifest });
    part.learn(1, sample.digests(1));
    expect(await part.write(5, sample.block(5))).to.equal(false);
    expect(await part.write(3, sample.block(3))).to.equal(false);
    expect(part.hasChunk(1)).to.equal(false);
    expect(await part.write(4, sample.block(4))).to.equal(true);
    expect(await part.write(4, sample.block(4))).to.equal(false);
    expect([part.hasChunk(0), part.hasChunk(1)]).to.deep.equal([false, true]);
    expect(part.heldChunks()).to.deep.equal(Buffer.from([0b10]));
    expect(part.blockDigests(1)).to.deep.equal(sample.digests(1));
    expect(part.blockDigests(0)).to.equal(undefined);

    const target = Buffer.alloc(MIB + 8);
    expect(await part.read(3, target, 8)).to.equal(sample.block(3).length);
    expect(target.subarray(8, 8 + sample.block(3).length).equals(sample.block(3))).to.equal(true);
    expect((await refusalOf(part.read(0, target))).code).to.equal('CHUNK_GONE');
    expect(await part.read(3, Buffer.alloc(9)).catch((e: unknown) => e)).to.be.instanceOf(RangeError);
    await part.close();
    expect((await refusalOf(part.read(3, target))).code).to.equal('CHUNK_GONE');
    expect((await refusalOf(part.write(0, sample.block(0)))).code).to.equal('CANCELLED');
  });

  it('counts what another thread wrote to the file', async () => {
    const part = await openPart({ target: at('f'), manifest });
    part.learn(0, sample.digests(0));
    const other = await open(part.path, 'r+');
    await other.write(sample.block(0), 0, MIB, 0);
    await other.close();
    expect(part.markWritten(0)).to.equal(false);
    expect(part.has(0)).to.equal(true);
    await part.close();
  });

  it('checks blocks, and writes nothing by it', async () => {
    const many = sampleOf(bytesOf(300_000), 101);
    const part = await openPart({ target: at('f'), manifest: many.manifest });
    const bytes = Buffer.from(many.bytes);
    bytes.writeUInt8(bytes.readUInt8(299_999) ^ 1, 299_999);
    const all = { first: 0, count: 101 };
    expect(part.check(all, bytes)).to.deep.equal([100]);
    expect(part.heldBytes).to.equal(0);
    expect((await stat(part.path)).size).to.equal(0);
    expect(part.blockDigests(99)).to.deep.equal(many.digests(99));
    expect(() => part.writeNow(0, many.bytes, 101)).to.throw('not learnt');
    const { length } = many.block(100);
    expect(part.writeNow(0, many.bytes.subarray(0, 300_000 - length), 100)).to.equal(true);
    expect(part.missing()).to.deep.equal([100]);
    await part.close();
    expect(() => part.check(all, bytes))
      .to.throw()
      .with.property('code', 'CANCELLED');
    const again = await openPart({ target: at('f'), manifest: many.manifest });
    expect(again.missing()).to.deep.equal([100]);
    expect(again.blockDigests(7)).to.deep.equal(many.digests(7));
    expect(again.blockDigests(100)).to.equal(undefined);
    expect(again.check({ first: 100, count: 1 }, many.block(100))).to.deep.equal([]);
    await again.write(100, many.block(100));
    await again.finish();
    await again.close();
    expect((await readFile(at('f'))).equals(many.bytes)).to.equal(true);
  });

  it('takes no digests that are not of the manifest, no block without, and no manifest that contradicts itself', async () => {
    const part = await openPart({ target: at('f'), manifest });
    expect(() => part.learn(0, sample.digests(1))).to.throw('not the registered ones');
    expect(() => part.learn(0, Buffer.alloc(0))).to.throw('not the registered ones');
    expect(() => part.learn(2, sample.digests(1))).to.throw(RangeError);
    const refused = async (block: number, bytes: Buffer): Promise<unknown> =>
      part.write(block, bytes).catch((error: unknown) => error);
    expect(await refused(0, sample.block(0))).to.be.instanceOf(RangeError);
    part.learn(0, sample.digests(0));
    expect(await refused(0, sample.block(0).subarray(1))).to.be.instanceOf(RangeError);
    expect(await refused(6, sample.block(0))).to.be.instanceOf(RangeError);
    expect(await part.finish().catch((error: unknown) => error)).to.be.instanceOf(RangeError);
    await part.close();

    const lying = { ...manifest, sizeBytes: manifest.sizeBytes + 1 };
    expect((await refusalOf(openPart({ target: at('g'), manifest: lying }))).code).to.equal('HASH_MISMATCH');
    expect(existsSync(at('g.part'))).to.equal(false);
  });

  describe('resuming', () => {
    /** `readAgain`: bytes that were read again. */
    const openLooking = async (): Promise<{ part: Part; readAgain: number | undefined }> => {
      let readAgain: number | undefined;
      const onProgress = (done: number): void => void (readAgain = done);
      const part = await openPart({ target: at('f'), manifest, onProgress });
      return { part, readAgain };
    };

    it('knows after a close what it had, and the digests', async () => {
      const first = await openPart({ target: at('f'), manifest });
      await fetchInto(first, sample, [0, 4]);
      await first.close();
      const { part, readAgain } = await openLooking();
      expect(part.missing()).to.deep.equal([1, 2, 3, 5]);
      expect(part.heldBytes).to.equal(2 * MIB);
      expect(part.blockDigests(1)).to.deep.equal(sample.digests(1));
      expect(readAgain, 'it was closed in good order and is as it was').to.equal(undefined);
      await fetchInto(part, sample);
      await part.finish();
      await part.close();
      expect((await readFile(at('f'))).equals(sample.bytes)).to.equal(true);
    });

    it('reads again what was written to since it was closed, and what is another file', async () => {
      const first = await openPart({ target: at('f'), manifest });
      await fetchInto(first, sample, [0, 1, 4]);
      await first.close();
      const flip = async (): Promise<void> => {
        const { atime, mtime } = await stat(at('f.part'));
        const file = await open(at('f.part'), 'r+');
        await file.write(Buffer.from([1, 2, 3]), 0, 3, 77);
        await file.close();
        await utimes(at('f.part'), atime, mtime);
      };
      const changes: [() => Promise<void>, number[]][] = [
        [() => utimes(at('f.part'), 1, 1), [0, 1, 4]],
        [() => copyFile(at('f.part'), at('g')).then(() => rename(at('g'), at('f.part'))), [0, 1, 4]],
        [flip, [1, 4]],
        [() => truncate(at('f.part'), MIB + 1), []],
      ];
      for (const [change, left] of changes) {
        await change();
        const { part, readAgain } = await openLooking();
        expect(readAgain).to.be.above(0);
        expect([0, 1, 2, 3, 4, 5].filter((block) => part.has(block))).to.deep.equal(left);
        await part.close();
      }
    });

    it('reads again what a process had open that was killed, whether it wrote or not', async () => {
      const first = await openPart({ target: at('f'), manifest });
      await fetchInto(first, sample, [0]);
      await first.close();
      const { part: killed } = await openLooking();
      // As it is on disk when the process is gone: without the lock.
      await copyFile(at('f.part.state'), at('kept'));
      await killed.close();
      await rename(at('kept'), at('f.part.state'));
      const { part, readAgain } = await openLooking();
      expect(readAgain).to.equal(MIB);
      await part.close();
    });

    it('after SIGKILL fetches nothing twice that was written, claimed or not', async () => {
      const child = spawnSync(process.execPath, [childPath, at('f'), 'kill'], { encoding: 'utf8' });
      expect(child.signal).to.equal('SIGKILL');
      expect(await files()).to.deep.equal(['f.part', 'f.part.lock', 'f.part.state']);
      const part = await openPart({ target: at('f'), manifest });
      expect(part.missing()).to.deep.equal([4, 5]);
      await part.close();
    });

    it('finds small chunks after a kill whose digests were not noted yet', async () => {
      const many = sampleOf(bytesOf(300_000), 101);
      const part = await openPart({ target: at('a.bin'), manifest: many.manifest });
      await fetchInto(part, many, [3, 4, 50, 51, 52, 100]);
      // What a kill leaves, and no more.
      await copyFile(at('a.bin.part'), at('b.bin.part'));
      await copyFile(at('a.bin.part.state'), at('b.bin.part.state'));
      const found = await openPart({ target: at('b.bin'), manifest: many.manifest });
      for (const block of [3, 4, 50, 51, 52, 100]) expect(found.has(block), `block ${block}`).to.equal(true);
      expect(found.missing()).to.have.length(many.plan.blocks - 6);
      await fetchInto(found, many);
      expect((await found.finish()).path).to.equal(at('b.bin'));
      expect((await readFile(at('b.bin'))).equals(many.bytes)).to.equal(true);
      await found.close();
      await part.close();
    });

    it('looks through a large file only until it has found what was not claimed', async () => {
      const large = largeSample();
      const child = spawnSync(process.execPath, [childPath, at('f'), 'kill-large'], { encoding: 'utf8' });
      expect(child.signal).to.equal('SIGKILL');
      const killed = await openPart({ target: at('f'), manifest: large.manifest });
      expect(killed.missing()).to.have.lengthOf(large.plan.blocks - 4);
      expect([3, 20, 50, 60].every((block) => killed.has(block))).to.equal(true);
      await killed.close();
    });

    it('begins anew when the part is of another file', async () => {
      const other = sampleOf(bytesOf(3 * MIB, 9), 2);
      const first = await openPart({ target: at('f'), manifest: other.manifest });
      await fetchInto(first, other, [0]);
      await first.close();
      const part = await openPart({ target: at('f'), manifest });
      expect(part.missing()).to.have.lengthOf(6);
      expect((await stat(part.path)).size).to.equal(0);
      await part.close();
    });

    it(`accepts no wrong byte after any of ${KILL_POINTS} kills, cuts and flips`, async function () {
      this.timeout(20_000 + KILL_POINTS * 100);
      await mkdir(at('kills'));
      const result = await runKillPoints(at('kills'), KILL_POINTS, SEED);
      expect(result.resumedBlocks).to.be.above(KILL_POINTS / 2);
      expect(result.refetchedBlocks).to.be.above(KILL_POINTS / 10);
      expect(result.caughtAtFinish).to.be.above(KILL_POINTS / 20);
    });
  });

  describe('other files in the way', () => {
    it('never overwrites a target unless told to', async () => {
      await writeFile(at('f'), 'old');
      const part = await openPart({ target: at('f'), manifest });
      await fetchInto(part, sample);
      expect((await refusalOf(part.finish())).code).to.equal('TARGET_EXISTS');
      expect(await readFile(at('f'), 'utf8')).to.equal('old');
      await part.finish({ overwrite: true });
      await part.close();
      expect((await readFile(at('f'))).equals(sample.bytes)).to.equal(true);
    });

    it("does not take somebody's .part, unless told to, or it is empty", async () => {
      await writeFile(at('f.part'), 'a novel');
      const error = await refusalOf(openPart({ target: at('f'), manifest }));
      expect(error.code).to.equal('TARGET_EXISTS');
      expect(error.details).to.deep.equal({ path: at('f.part') });
      expect(await files()).to.deep.equal(['f.part']);
      expect(await readFile(at('f.part'), 'utf8')).to.equal('a novel');
      await (await openPart({ target: at('f'), manifest, overwrite: true })).close();
      await writeFile(at('g.part'), '');
      await (await openPart({ target: at('g'), manifest })).close();
    });

    it('follows no link and shares no file, even with a sidecar of its own', async () => {
      const before = await openPart({ target: at('f'), manifest });
      await fetchInto(before, sample, [0]);
      await before.close();
      await writeFile(at('diary'), 'dear diary');
      for (const plant of [symlink, link]) {
        await rm(at('f.part'));
        await plant(at('diary'), at('f.part'));
        const part = await openPart({ target: at('f'), manifest });
        await fetchInto(part, sample, [0]);
        await part.close();
        expect(await readFile(at('diary'), 'utf8')).to.equal('dear diary');
      }
      for (const name of ['g.part', 'h.part.state', 'i.part.lock', 'j.part.state.tmp']) {
        await symlink(at('diary'), at(name));
        await openPart({ target: at(name.slice(0, 1)), manifest }).then(
          (part) => part.close(),
          () => undefined,
        );
        expect(await readFile(at('diary'), 'utf8')).to.equal('dear diary');
      }
    });

    it('clears up what a kill just after the finish left, and nothing else', async () => {
      const part = await openPart({ target: at('f'), manifest });
      await fetchInto(part, sample);
      await part.flush();
      await copyFile(at('f.part.state'), at('kept'));
      await part.finish();
      await part.close();
      // Killed after the link, after the unlink, after the sidecar was removed.
      const dead = '{"pid":4194304,"started":"","id":"x"}';
      for (const left of [['f.part', 'f.part.state'], ['f.part.state'], []]) {
        if (left.includes('f.part')) await link(at('f'), at('f.part'));
        if (left.includes('f.part.state')) await copyFile(at('kept'), at('f.part.state'));
        await writeFile(at('f.part.lock'), dead);
        await clearRemains(at('f'));
        expect(await files()).to.deep.equal(['f', 'kept']);
      }
      const other = await openPart({ target: at('f'), manifest });
      await fetchInto(other, sample, [0]);
      await clearRemains(at('f'));
      await other.close();
      await clearRemains(at('f'));
      expect(await files()).to.deep.equal(['f', 'f.part', 'f.part.state', 'kept']);
    });

    it('leaves no files of a part that holds nothing', async () => {
      await (await openPart({ target: at('f'), manifest })).close();
      expect(await files()).to.deep.equal([]);
      const part = await openPart({ target: at('f'), manifest });
      await writeFile(at('novel'), 'a novel');
      await rename(at('novel'), at('f.part'));
      await part.close();
      expect(await readFile(at('f.part'), 'utf8')).to.equal('a novel');
    });

    it('is open once at a time', async () => {
      const part = await openPart({ target: at('f'), manifest });
      const error = await refusalOf(openPart({ target: at('f'), manifest }));
      expect(error.code).to.equal('TARGET_BUSY');
      expect(error.message).to.contain(at('f'));
      await part.close();
      await (await openPart({ target: at('f'), manifest })).close();
    });

    it('does not give its name to another file that took its place', async () => {
      const part = await openPart({ target: at('f'), manifest });
      await fetchInto(part, sample);
      await writeFile(at('evil'), bytesOf(sample.bytes.length, 666));
      await rename(at('evil'), at('f.part'));
      const error = await refusalOf(part.finish());
      expect(error.code).to.equal('DISK_FULL');
      expect(error.message).to.contain('replaced');
      expect(existsSync(at('f'))).to.equal(false);
      await part.close();
    });
  });

  describe('where nothing can be written', () => {
    it('says so soon when its folder is moved away, and goes on where that is now', async () => {
      await mkdir(at('d'));
      const part = await openPart({ target: at('d/f'), manifest });
      await fetchInto(part, sample, [0, 1]);
      await rename(at('d'), at('e'));
      await part.flush();
      expect(part.has(1)).to.equal(true);
      expect((await refusalOf(fetchInto(part, sample, [2]))).code).to.equal('DISK_FULL');
      expect(() => part.writeNow(2, sample.block(2))).to.throw('moved');
      await rename(at('e'), at('d'));
      expect(await part.isInPlace()).to.equal(true);
      await fetchInto(part, sample, [2]);
      await rename(at('d'), at('e'));
      await part.close();
      expect((await readdir(at('e'))).sort()).to.deep.equal(['f.part', 'f.part.lock', 'f.part.state']);
      const again = await openPart({ target: at('e/f'), manifest });
      expect(again.missing()).to.deep.equal([3, 4, 5]);
      await fetchInto(again, sample);
      await again.finish();
      await again.close();
      expect((await readFile(at('e/f'))).equals(sample.bytes)).to.equal(true);
    });

    it('says why', async () => {
      const reasons: Record<string, string> = { [at('no/f')]: 'no such', '/proc/f': 'no such' };
      await writeFile(at('file'), '');
      reasons[at('file/f')] = 'no folder';
      for (const [target, reason] of Object.entries(reasons)) {
        const error = await refusalOf(openPart({ target, manifest }));
        expect(error.code).to.equal('DISK_FULL');
        expect(error.message).to.contain(reason);
      }
    });

    it('keeps what it has when the disk is full, and goes on when there is room', function () {
      if (spawnSync('prlimit', ['--version']).status !== 0) this.skip();
      // 3 MiB is the most that the child may write to a file at first.
      const limited = `ulimit -S -f 3072; exec "$@"`;
      const child = spawnSync('bash', ['-c', limited, 'bash', process.execPath, childPath, at('f'), 'fill'], {
        encoding: 'utf8',
      });
      expect(child.stderr).to.equal('');
      expect(JSON.parse(child.stdout)).to.deep.equal({
        written: [0, 1, 2],
        refused: ['DISK_FULL', 'DISK_FULL', 'DISK_FULL'],
        reason: 'the file is larger than allowed here',
        readable: true,
        complete: 6,
      });
    });
  });
});
