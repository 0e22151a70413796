import { expect } from 'chai';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { encodeFolderIndex } from '../../src/chunks/folderindex.js';
import { layoutOf } from '../../src/chunks/folderlayout.js';
import { createFolderStore } from '../../src/chunks/folderstore.js';
import type { FolderStore } from '../../src/chunks/folderstore.js';
import { syncFileSystemOf } from '../../src/chunks/syncall.js';
import { useFolder } from './support.js';

describe('chunks/syncall', () => {
  const at = useFolder();
  const { PATH } = process.env;
  let store: FolderStore | undefined;
  let sizeBytes = 0;
  afterEach(async () => {
    process.env['PATH'] = PATH;
    await store?.close();
  });

  /** In the place of the command: keeps its arguments, and ends so. */
  function replaceSync(exitCode: number): void {
    mkdirSync(at('bin'), { recursive: true });
    writeFileSync(at('bin/sync'), `#!/bin/sh\necho "$@" >>'${at('called')}'\nexit ${exitCode}\n`, { mode: 0o755 });
    process.env['PATH'] = at('bin');
  }

  /** With something in each of its files. */
  async function writtenStore(files: number): Promise<FolderStore> {
    const entries = Array.from({ length: files }, (_, i) => ({ kind: 'file' as const, path: `f${i}`, sizeBytes: 10 }));
    const layout = layoutOf(encodeFolderIndex(entries));
    const made = await createFolderStore(at('t'), layout);
    sizeBytes = layout.sizeBytes;
    made.writeNow(Buffer.alloc(sizeBytes, 1), 0);
    return made;
  }

  const datasync = (): Promise<unknown> =>
    store?.datasync().then(
      () => undefined,
      (error: unknown) => error,
    ) ?? Promise.resolve(undefined);

  before(function () {
    if (process.platform !== 'linux') this.skip();
  });

  it('says whether all is safe', async () => {
    expect(await syncFileSystemOf(at(''))).to.equal(true);
    expect(await syncFileSystemOf(at('missing'))).to.equal(false);
    process.env['PATH'] = at('');
    expect(await syncFileSystemOf(at(''))).to.equal(false);
  });

  it('is asked once for many files of a folder, and again only when something was written', async () => {
    replaceSync(0);
    store = await writtenStore(40);
    await store.datasync();
    await store.datasync();
    expect(readFileSync(at('called'), 'utf8')).to.equal(`-f ${at('t')}\n`);
    store.writeNow(Buffer.alloc(20), sizeBytes - 20);
    rmSync(at('called'));
    await store.datasync();
    expect(() => readFileSync(at('called')), 'few files are synced one by one').to.throw('ENOENT');
  });

  it('has each file synced where the command fails, and says which could not be', async () => {
    replaceSync(1);
    store = await writtenStore(200);
    expect(await datasync()).to.equal(undefined);
    store.writeNow(Buffer.alloc(sizeBytes, 2), 0);
    rmSync(join(at('t'), 'f0'));
    expect(await datasync()).to.have.property('code', 'ENOENT');
    expect(await datasync(), 'none is forgotten').to.have.property('code', 'ENOENT');
    replaceSync(0);
    expect(await datasync()).to.equal(undefined);
  });
});
