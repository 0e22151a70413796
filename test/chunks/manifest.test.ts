import { expect } from 'chai';
import { execFileSync } from 'node:child_process';
import { appendFileSync, utimesSync } from 'node:fs';
import { chmod, mkdir, stat, symlink, writeFile } from 'node:fs/promises';
import { blockDigest, chunkDigest, digestAt, manifestRoot } from '../../src/chunks/digest.js';
import { fileIdentity } from '../../src/chunks/files.js';
import { buildManifest } from '../../src/chunks/manifest.js';
import { blockPlace, blocksOfChunk } from '../../src/chunks/plan.js';
import { bytesOf, MIB, refusalOf, useFolder } from './support.js';

describe('chunks/manifest', () => {
  const at = useFolder();

  it('hashes every block, every chunk and the whole', async () => {
    for (const [size, chunks] of [
      [0, 1],
      [1, 1],
      [7, 7],
      [3 * MIB + 5, 1],
      [5 * MIB + 1, 2],
      [2 * MIB, 2],
      [MIB + 700, 701],
    ] as const) {
      const bytes = bytesOf(size, size + chunks);
      await writeFile(at('f'), bytes);
      const { manifest, plan, blockDigests, identity } = await buildManifest(at('f'), chunks);
      expect(identity).to.deep.equal(await fileIdentity(at('f')));
      expect(plan).to.deep.include({ sizeBytes: size, chunks });
      expect(blockDigests.length).to.equal(plan.blocks * 32);
      for (let block = 0; block < plan.blocks; block++) {
        const { offset, length } = blockPlace(plan, block);
        expect(digestAt(blockDigests, block)).to.deep.equal(blockDigest(bytes.subarray(offset, offset + length)));
      }
      for (let chunk = 0; chunk < chunks; chunk++) {
        const { first, count } = blocksOfChunk(plan, chunk);
        const ofChunk = chunkDigest(blockDigests.subarray(first * 32, (first + count) * 32));
        expect(digestAt(manifest.chunkDigests, chunk)).to.deep.equal(ofChunk);
      }
      expect(manifest.chunkDigests.length).to.equal(chunks * 32);
      expect(manifest.sizeBytes).to.equal(size);
      expect(manifest.root).to.equal(manifestRoot(manifest));
    }
  });

  it('tells how far it is', async () => {
    await writeFile(at('f'), bytesOf(2 * MIB + 9));
    const seen: number[] = [];
    await buildManifest(at('f'), 1, { onProgress: (done) => void seen.push(done) });
    expect(seen).to.deep.equal([MIB, 2 * MIB, 2 * MIB + 9]);
  });

  it('follows a link to a file, refuses whatever is no file that can be read, and says why', async () => {
    await writeFile(at('f'), 'x');
    await symlink(at('f'), at('link'));
    expect((await buildManifest(at('link'), 1)).manifest.sizeBytes).to.equal(1);

    await mkdir(at('folder'));
    execFileSync('mkfifo', [at('pipe')]);
    const reasons: Record<string, string> = {
      [at('none')]: 'no such file',
      [at('folder')]: 'folder',
      [at('pipe')]: 'pipe',
      '/dev/null': 'device',
      [at('f') + '/x']: 'no folder',
    };
    for (const [path, reason] of Object.entries(reasons)) {
      const error = await refusalOf(buildManifest(path, 1));
      expect(error.code).to.equal('FILE_MISSING');
      expect(error.details).to.deep.include({ path });
      expect(error.message).to.contain(reason);
    }
  });

  it('refuses a file that may not be read', async function () {
    if (process.getuid?.() === 0) this.skip();
    await writeFile(at('f'), 'x');
    await chmod(at('f'), 0);
    expect((await refusalOf(buildManifest(at('f'), 1))).message).to.contain('permission');
  });

  it('refuses a number of chunks that the file cannot have', async () => {
    await writeFile(at('f'), 'abc');
    for (const chunks of [0, 4, 1.5]) {
      expect((await refusalOf(buildManifest(at('f'), chunks))).code).to.equal('BAD_CHUNK_COUNT');
    }
  });

  it('reads again when the file changed meanwhile, so that the manifest is of what is there', async () => {
    await writeFile(at('f'), bytesOf(3 * MIB));
    let changes = 0;
    const { manifest, identity } = await buildManifest(at('f'), 3, {
      onProgress: () => {
        if (changes++ === 0) appendFileSync(at('f'), 'more');
      },
    });
    expect(manifest.sizeBytes).to.equal(3 * MIB + 4);
    expect(identity).to.deep.equal(await fileIdentity(at('f')));
    expect(manifest.root).to.equal((await buildManifest(at('f'), 3)).manifest.root);
  });

  it('gives up on a file that keeps changing', async () => {
    await writeFile(at('f'), bytesOf(3 * MIB));
    let second = 1;
    const error = await refusalOf(buildManifest(at('f'), 3, { onProgress: () => utimesSync(at('f'), 0, second++) }));
    expect(error.code).to.equal('FILE_MISSING');
    expect(error.message).to.contain('changing');
  });

  it('waits until another change would show, so that none is missed', async () => {
    await writeFile(at('f'), 'just now');
    const { mtimeMs } = await stat(at('f'));
    const reads: number[] = [];
    await buildManifest(at('f'), 1, { onProgress: () => void reads.push(Date.now()) });
    // Timers and clocks count whole milliseconds.
    expect(reads[0]).to.be.at.least(Math.floor(mtimeMs) + 14);
  });

  it('stops when told to', async () => {
    await writeFile(at('f'), bytesOf(8 * MIB));
    const stop = new AbortController();
    const error: unknown = await buildManifest(at('f'), 1, {
      signal: stop.signal,
      onProgress: () => stop.abort(),
    }).catch((thrown: unknown) => thrown);
    expect(error).to.have.property('name', 'AbortError');
  });

  it('leaves the loop to others, also with the most and smallest chunks', async () => {
    await writeFile(at('f'), bytesOf(65_536));
    let turns = 0;
    let counting = true;
    const count = (): void => {
      turns += 1;
      if (counting) setImmediate(count);
    };
    setImmediate(count);
    const { manifest } = await buildManifest(at('f'), 65_536);
    counting = false;
    expect(manifest.chunkDigests.length).to.equal(65_536 * 32);
    expect(turns).to.be.above(50);
  });
});
