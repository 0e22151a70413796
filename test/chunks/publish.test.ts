import { expect } from 'chai';
import { lstat, mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { publish } from '../../src/chunks/publish.js';
import { refusalOf, useFolder } from './support.js';

describe('chunks/publish', () => {
  const at = useFolder();
  beforeEach(() => writeFile(at('part'), 'new'));

  it('gives a file its name, and takes the old one away', async () => {
    await publish(at('part'), at('target'), false);
    expect(await readFile(at('target'), 'utf8')).to.equal('new');
    expect(await readdir(dirname(at('target')))).to.deep.equal(['target']);
    expect((await lstat(at('target'))).nlink).to.equal(1);
  });

  it('replaces nothing: no file, no folder, no link, wherever that leads', async () => {
    await writeFile(at('file'), 'old');
    await mkdir(at('folder'));
    await symlink(at('nowhere'), at('link'));
    for (const target of ['file', 'folder', 'link']) {
      const error = await refusalOf(publish(at('part'), at(target), false));
      expect(error.code).to.equal('TARGET_EXISTS');
      expect(error.details).to.deep.equal({ path: at(target) });
    }
    expect(await readFile(at('file'), 'utf8')).to.equal('old');
    expect(await readFile(at('part'), 'utf8')).to.equal('new');
    expect(await readdir(dirname(at('file')))).to.have.members(['part', 'file', 'folder', 'link']);
  });

  it('replaces a file or a link when told to, but no folder', async () => {
    await writeFile(at('file'), 'old');
    await publish(at('part'), at('file'), true);
    expect(await readFile(at('file'), 'utf8')).to.equal('new');

    await writeFile(at('part'), 'newer');
    await symlink(at('file'), at('link'));
    await publish(at('part'), at('link'), true);
    expect((await lstat(at('link'))).isFile()).to.equal(true);
    expect(await readFile(at('file'), 'utf8')).to.equal('new');

    await writeFile(at('part'), 'newest');
    await mkdir(at('folder'));
    expect((await refusalOf(publish(at('part'), at('folder'), true))).code).to.equal('TARGET_EXISTS');
  });
});
