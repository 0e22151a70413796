import { expect } from 'chai';
import {
  chmodSync,
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { buildFolderManifest } from '../../src/chunks/folder.js';
import type { BuiltFolder } from '../../src/chunks/folder.js';
import { FolderSource } from '../../src/chunks/folder.js';
import { FRESH_MS } from '../../src/chunks/freshblocks.js';
import { IndexPart } from '../../src/chunks/indexpart.js';
import { openPart } from '../../src/chunks/part.js';
import type { Part } from '../../src/chunks/part.js';
import { blockPlace, blocksOfChunk } from '../../src/chunks/plan.js';
import { DIGEST_BYTES } from '../../src/chunks/digest.js';
import { listTree, makeTree } from './folders.js';
import { bytesOf, MIB, refusalOf, useFolder } from './support.js';

const TREE = {
  'a.bin': bytesOf(2 * MIB + 7, 1),
  'b/empty': '',
  'b/none': null,
  'b/ü.txt': bytesOf(1000, 2),
  'c/d/e': bytesOf(MIB, 3),
};

describe('chunks/folderstore', () => {
  const at = useFolder();
  let built: BuiltFolder;
  let source: FolderSource;
  beforeEach(async () => {
    makeTree(at('f'), TREE);
    built = await buildFolderManifest(at('f'), 4);
    const { layout, identity, plan } = built;
    source = await FolderSource.open({ path: at('f'), layout, identity, plan });
  });
  afterEach(() => source.close());

  const open = (more: object = {}): Promise<Part> =>
    openPart({ target: at('t'), manifest: built.manifest, layout: built.layout, ...more });

  const digestsOf = (chunk: number): Buffer => {
    const { first, count } = blocksOfChunk(built.plan, chunk);
    return built.blockDigests.subarray(first * DIGEST_BYTES, (first + count) * DIGEST_BYTES);
  };
  async function fetchInto(part: Pick<Part, 'learn' | 'write' | 'writeNow'>, blocks: readonly number[]): Promise<void> {
    for (const block of blocks) {
      const { chunk, length } = blockPlace(built.plan, block);
      part.learn(chunk, digestsOf(chunk));
      const bytes = Buffer.alloc(length);
      await source.read(block, bytes);
      if (block % 2 === 0) await part.write(block, bytes);
      else part.writeNow(block, bytes);
    }
  }

  it('makes the same folder, in its place only when all of it is verified', async () => {
    const part = await open();
    await fetchInto(part, part.missing().reverse());
    expect(existsSync(at('t'))).to.equal(false);
    const served = Buffer.alloc(MIB);
    const length = await part.read(1, served);
    const original = Buffer.alloc(MIB);
    await source.read(1, original);
    expect(served.subarray(0, length).equals(original.subarray(0, length))).to.equal(true);
    const finished = await part.finish();
    await part.close();
    expect(listTree(at('t'))).to.deep.equal(listTree(at('f')));
    expect(readdirSync(at(''))).to.have.members(['f', 't']);
    const { layout, plan } = built;
    const again = await FolderSource.open({ path: at('t'), layout, plan, identity: finished.identity });
    await again.read(0, served);
    await again.close();
  });

  it('goes on with what an earlier run left, and fetches again what was spoilt meanwhile', async () => {
    const first = await open();
    await fetchInto(first, [0, 1, 3]);
    await first.close();
    expect(existsSync(at('t'))).to.equal(false);
    const second = await open();
    expect(second.missing()).to.deep.equal(
      Array.from({ length: built.plan.blocks }, (_, i) => i).filter((i) => ![0, 1, 3].includes(i)),
    );
    await second.close();
    rmSync(join(at('t.part'), 'a.bin'));
    rmSync(join(at('t.part'), 'b', 'none'), { recursive: true });
    const third = await open();
    expect(third.missing()).to.include.members([0, 1]);
    await fetchInto(third, third.missing());
    await third.finish();
    await third.close();
    expect(listTree(at('t'))).to.deep.equal(listTree(at('f')));
  });

  it('believes what it is as it was left in good order, and reads again what was touched', async () => {
    const first = await open();
    await fetchInto(first, [0, 1, 3]);
    await first.close();
    let readAgain = 0;
    const openLooking = async (): Promise<number[]> => {
      readAgain = 0;
      const part = await open({ onProgress: (done: number) => (readAgain = done) });
      const missing = part.missing();
      await part.close();
      return missing;
    };
    const missing = await openLooking();
    expect(missing).to.not.include.members([0]);
    expect(readAgain, 'nothing was touched').to.equal(0);
    const at3 = join(at('t.part'), 'b', 'ü.txt');
    const changes = [
      () => utimesSync(at3, 1, 1),
      () => chmodSync(at3, 0o755),
      () => {
        rmSync(at3);
        writeFileSync(at3, '');
      },
      () => {
        cpSync(at('t.part'), at('copy'), { recursive: true });
        rmSync(at('t.part'), { recursive: true });
        renameSync(at('copy'), at('t.part'));
      },
    ];
    for (const change of changes) {
      change();
      expect(await openLooking()).to.deep.equal(missing);
      expect(readAgain).to.be.greaterThan(0);
      await openLooking();
      expect(readAgain, 'it was left in good order again').to.equal(0);
    }
  });

  it('finds a byte that was spoilt on disk before it has its name', async () => {
    const spoilt = join(at('t.part'), 'b', 'ü.txt');
    let ms = 0;
    const ways = [
      // In place, after a pause; cut short; by another file in its place.
      () => {
        writeFileSync(spoilt, bytesOf(1000, 9));
        ms += FRESH_MS + 1;
      },
      () => writeFileSync(spoilt, bytesOf(999, 2)),
      () => {
        writeFileSync(at('other'), bytesOf(1000, 9));
        renameSync(at('other'), spoilt);
      },
    ];
    for (const spoil of ways) {
      const part = await open({ now: () => ms });
      await fetchInto(part, part.missing());
      spoil();
      expect((await refusalOf(part.finish())).code).to.equal('HASH_MISMATCH');
      expect(part.missing()).to.have.length(1);
      await fetchInto(part, part.missing());
      await part.finish();
      await part.close();
      expect(listTree(at('t'))).to.deep.equal(listTree(at('f')));
      rmSync(at('t'), { recursive: true });
    }
  });

  it('writes through no link, and into no folder of somebody else', async () => {
    mkdirSync(at('victim'));
    writeFileSync(at('victim/file'), 'precious');
    const first = await open();
    await fetchInto(first, [0]);
    await first.close();
    rmSync(join(at('t.part'), 'c'), { recursive: true });
    symlinkSync(at('victim'), join(at('t.part'), 'c'));
    expect((await refusalOf(open())).code).to.equal('TARGET_EXISTS');
    rmSync(join(at('t.part'), 'c'));
    rmSync(join(at('t.part'), 'a.bin'));
    symlinkSync(at('victim/file'), join(at('t.part'), 'a.bin'));
    expect((await refusalOf(open())).code).to.equal('TARGET_EXISTS');
    expect(listTree(at('victim'))).to.deep.equal({ file: Buffer.from('precious').toString('base64') });

    rmSync(at('t.part.state'));
    rmSync(at('t.part'), { recursive: true });
    mkdirSync(at('t.part'));
    writeFileSync(at('t.part/mine'), '');
    for (const overwrite of [false, true])
      expect((await refusalOf(open({ overwrite }))).code).to.equal('TARGET_EXISTS');
    symlinkSync(at('victim'), at('s'));
    rmSync(at('t.part'), { recursive: true });
    symlinkSync(at('victim'), at('t.part'));
    expect((await refusalOf(open())).code).to.equal('TARGET_EXISTS');
    expect(readFileSync(at('victim/file'), 'utf8')).to.equal('precious');
  });

  it('never replaces a folder, but sets it aside when told to', async () => {
    const part = await open();
    await fetchInto(part, part.missing());
    makeTree(at('t'), { mine: 'precious' });
    expect((await refusalOf(part.finish())).code).to.equal('TARGET_EXISTS');
    const { setAside } = await part.finish({ overwrite: true });
    await part.close();
    expect(listTree(at('t'))).to.deep.equal(listTree(at('f')));
    expect(readFileSync(join(setAside ?? '', 'mine'), 'utf8')).to.equal('precious');
  });

  it('leaves nothing of a part that holds nothing', async () => {
    await (await open()).close();
    expect(readdirSync(at(''))).to.deep.equal(['f']);
  });

  it('does not take a layout that is not of this manifest', async () => {
    makeTree(at('g'), { 'a.bin': 'x' });
    const other = await buildFolderManifest(at('g'), 1);
    expect((await refusalOf(open({ layout: other.layout }))).code).to.equal('BAD_FOLDER_INDEX');
    expect((await refusalOf(open({ layout: undefined }))).code).to.equal('BAD_FOLDER_INDEX');
    expect(existsSync(at('t.part'))).to.equal(false);
  });

  it('fetches the index alone first, and gives on what came with it', async () => {
    const index = new IndexPart('f', built.manifest);
    expect(index.chunks.numbers()).to.deep.equal([0]);
    expect(index.missing(0)).to.deep.equal([0]);
    expect(() => index.learn(0, digestsOf(1)))
      .to.throw()
      .with.property('code', 'HASH_MISMATCH');
    expect(index.hasChunk(1)).to.equal(true);
    await fetchInto(index, index.missing(0));
    expect(index.hasChunk(0)).to.equal(true);
    expect(index.layout()).to.deep.equal(built.layout);
    const part = await open();
    await index.giveTo(part);
    expect(part.has(0)).to.equal(true);
    await fetchInto(part, part.missing());
    await part.finish();
    await part.close();
    expect(listTree(at('t'))).to.deep.equal(listTree(at('f')));
  });

  it('keeps the executable bit, and no other', async () => {
    const part = await open();
    expect(statSync(join(at('t.part'), 'a.bin')).mode & 0o777 & ~0o022).to.equal(0o644);
    expect(lstatSync(join(at('t.part'), 'b')).isDirectory()).to.equal(true);
    await part.close();
  });
});
