import { expect } from 'chai';
import { readFile } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { openPart } from '../../src/chunks/part.js';
import { partPaths } from '../../src/chunks/partfiles.js';
import { bytesOf, fetchInto, sampleOf, useFolder } from './support.js';

describe('chunks/partfiles', () => {
  const at = useFolder();

  it('stand beside the target, under its name', () => {
    expect(partPaths('/a/b.txt')).to.deep.equal({
      target: '/a/b.txt',
      part: '/a/b.txt.part',
      state: '/a/b.txt.part.state',
      stateTemporary: '/a/b.txt.part.state.tmp',
      lock: '/a/b.txt.part.lock',
    });
  });

  it('have a shorter name where the target has the longest one', async () => {
    const sample = sampleOf(bytesOf(1000), 3);
    for (const name of ['x'.repeat(255), 'é'.repeat(127), '漢'.repeat(85), `x${'🙂'.repeat(63)}`]) {
      const { part, stateTemporary } = partPaths(at(name));
      expect(Buffer.byteLength(basename(stateTemporary))).to.be.at.most(255);
      expect(dirname(part)).to.equal(dirname(at(name)));
      expect(basename(part)).not.to.contain('\ufffd');
      const open = await openPart({ target: at(name), manifest: sample.manifest });
      await fetchInto(open, sample);
      await open.finish();
      await open.close();
      expect((await readFile(at(name))).equals(sample.bytes)).to.equal(true);
    }
    expect(partPaths('x'.repeat(254) + 'a').part).not.to.equal(partPaths('x'.repeat(254) + 'b').part);
  });
});
