import { expect } from 'chai';
import {
  chmodSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import {
  buildFolderManifest,
  findFolder,
  FolderSource,
  prepareFolder,
  rebuildFolderManifest,
} from '../../src/chunks/folder.js';
import { sameIdentity } from '../../src/chunks/files.js';
import { blockPlace } from '../../src/chunks/plan.js';
import { walkFolder } from '../../src/chunks/folderwalk.js';
import { makeTree } from './folders.js';
import { bytesOf, MIB, refusalOf, sampleOf, useFolder } from './support.js';

const TREE = {
  'a.bin': bytesOf(3 * MIB + 7, 1),
  'empty.txt': '',
  'photos/été 🏔.jpg': bytesOf(1000, 2),
  'photos/none': null,
  'photos/deep/er/x': 'x',
  'run.sh': '#!/bin/sh\n',
};

describe('chunks/folder', () => {
  const at = useFolder();
  beforeEach(() => {
    makeTree(at('f'), TREE);
    chmodSync(join(at('f'), 'run.sh'), 0o755);
  });

  /** The index and the files in its order, as one. */
  async function streamOf(path: string): Promise<Buffer> {
    const { layout } = await prepareFolder(path);
    return Buffer.concat([layout.index, ...layout.files.map((file) => readFileSync(join(path, file.path)))]);
  }

  it('hashes and serves a folder as one run of bytes', async () => {
    const stream = await streamOf(at('f'));
    const built = await buildFolderManifest(at('f'), 3);
    expect(built.layout.index.toString()).to.equal(
      'parley-folder 1\n' +
        `f ${3 * MIB + 7} a.bin\nf 0 empty.txt\nd photos\nd photos/deep\nd photos/deep/er\nf 1 photos/deep/er/x\n` +
        'd photos/none\nf 1000 photos/été 🏔.jpg\nx 10 run.sh\n',
    );
    const sample = sampleOf(stream, 3);
    expect(built.manifest.chunkDigests.equals(sample.manifest.chunkDigests)).to.equal(true);
    expect(built.manifest.root, 'a folder is no file of the same bytes').to.not.equal(sample.manifest.root);
    expect(built.manifest.indexBytes).to.equal(built.layout.index.length);
    const { layout, identity, plan } = built;
    const source = await FolderSource.open({ path: at('f'), layout, identity, plan });
    const target = Buffer.alloc(MIB + 9);
    for (let block = 0; block < plan.blocks; block++) {
      const { offset, length } = blockPlace(plan, block);
      expect(await source.read(block, target, 9)).to.equal(length);
      expect(target.subarray(9, 9 + length).equals(stream.subarray(offset, offset + length))).to.equal(true);
    }
    await source.close();
    await source.close();
    expect((await refusalOf(source.read(0, target))).code).to.equal('CHUNK_GONE');
  });

  it('has the same root wherever it is, and whatever else is there later', async () => {
    makeTree(at('g'), Object.fromEntries(Object.entries(TREE).reverse()));
    chmodSync(join(at('g'), 'run.sh'), 0o700);
    const built = await buildFolderManifest(at('f'), 2);
    expect((await buildFolderManifest(at('g'), 2)).manifest.root).to.equal(built.manifest.root);
    writeFileSync(join(at('f'), 'photos', '.DS_Store'), 'later');
    const found = await findFolder(at('f'), built.layout);
    expect(found && sameIdentity(found.identity, built.identity)).to.equal(true);
    utimesSync(join(at('f'), 'a.bin'), 1, 1);
    const touched = await findFolder(at('f'), built.layout);
    expect(touched && sameIdentity(touched.identity, built.identity)).to.equal(false);
    expect((await rebuildFolderManifest(at('f'), built.layout, 2))?.manifest.root).to.equal(built.manifest.root);
  });

  it('does not follow symbolic links, sockets and the like, and says so', async () => {
    symlinkSync('/etc', join(at('f'), 'photos', 'etc'));
    symlinkSync('a.bin', join(at('f'), 'again'));
    const server = createServer().listen(join(at('f'), 's'));
    try {
      const { skipped, layout } = await buildFolderManifest(at('f'), 1);
      expect(skipped).to.deep.equal([
        { path: 'again', kind: 'symbolic link' },
        { path: 'photos/etc', kind: 'symbolic link' },
        { path: 's', kind: 'socket' },
      ]);
      expect(layout.files).to.have.length(5);
    } finally {
      server.close();
    }
  });

  it('never shares the home of the agent', async () => {
    mkdirSync(join(at('f'), 'home'));
    writeFileSync(join(at('f'), 'home', 'identity.pem'), 'secret');
    const { entries, skipped } = await walkFolder(at('f'), { avoid: join(at('f'), 'home') });
    expect(skipped).to.deep.equal([{ path: 'home', kind: 'state of this program' }]);
    expect(entries.some(({ path }) => path.startsWith('home'))).to.equal(false);
    expect((await refusalOf(walkFolder(at('f'), { avoid: at('f') }))).code).to.equal('FILE_MISSING');
  });

  it('refuses names that not everybody could create', async () => {
    writeFileSync(join(at('f'), 'photos', 'a:b'), '');
    const error = await refusalOf(buildFolderManifest(at('f'), 1));
    expect(error.code).to.equal('BAD_NAME');
    expect(error.message).to.contain('a:b');
    rmSync(join(at('f'), 'photos', 'a:b'));
    writeFileSync(join(at('f'), 'A.BIN'), '');
    expect((await refusalOf(buildFolderManifest(at('f'), 1))).code).to.equal('BAD_NAME');
  });

  it('names the path of a name that is not UTF-8, and takes one that only looks so', async function () {
    writeFileSync(join(at('f'), 'photos', 'a\ufffdb'), '');
    expect((await walkFolder(at('f'))).entries.map(({ path }) => path)).to.include('photos/a\ufffdb');
    const name = Buffer.concat([Buffer.from(join(at('f'), 'photos', 'a')), Buffer.from([0xff])]);
    try {
      writeFileSync(name, '');
    } catch {
      // This file system takes no other names.
      this.skip();
    }
    const error = await refusalOf(walkFolder(at('f')));
    expect(error.code).to.equal('BAD_NAME');
    expect(error.message).to.contain('photos').and.contain('not UTF-8');
  });

  it('knows names that this disk spells in another way', async () => {
    renameSync(join(at('f'), 'photos/été 🏔.jpg'), join(at('f'), 'photos', 'été 🏔.jpg'.normalize('NFD')));
    const { layout, identity, plan, manifest } = await buildFolderManifest(at('f'), 1);
    expect(layout.index.toString()).to.contain('été 🏔.jpg'.normalize('NFC'));
    const source = await FolderSource.open({ path: at('f'), layout, identity, plan });
    await source.read(plan.blocks - 1, Buffer.alloc(MIB));
    await source.close();
    makeTree(at('g'), TREE);
    chmodSync(join(at('g'), 'run.sh'), 0o755);
    expect((await buildFolderManifest(at('g'), 1)).manifest.root).to.equal(manifest.root);
  });

  for (const [what, change] of Object.entries<(path: string) => void>({
    'cut short': (path) => truncateSync(path, 10),
    'edited in place': (path) => writeFileSync(path, bytesOf(3 * MIB + 7, 9)),
    deleted: (path) => rmSync(path),
    replaced: (path) => {
      writeFileSync(`${path}.new`, bytesOf(3 * MIB + 7, 9));
      renameSync(`${path}.new`, path);
    },
  })) {
    it(`never serves a byte of a file that was ${what}`, async () => {
      const stream = await streamOf(at('f'));
      const { layout, identity, plan } = await buildFolderManifest(at('f'), 1);
      const options = { path: at('f'), layout, identity, plan };
      const source = await FolderSource.open(options);
      const target = Buffer.alloc(MIB);
      await source.read(0, target);
      change(join(at('f'), 'a.bin'));
      for (let reads = 0; source.usable; reads++) {
        const { offset, length } = blockPlace(plan, reads % 3);
        const read = await source.read(reads % 3, target).catch(() => undefined);
        if (read !== undefined)
          expect(target.subarray(0, length).equals(stream.subarray(offset, offset + length))).to.equal(true);
      }
      expect((await refusalOf(source.read(1, target))).code).to.equal('CHUNK_GONE');
      await source.close();
      expect((await refusalOf(FolderSource.open(options))).code).to.equal('CHUNK_GONE');
    });
  }
});
