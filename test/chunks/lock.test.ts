import { expect } from 'chai';
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, rename, rm, utimes, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { takeLock } from '../../src/chunks/lock.js';
import { refusalOf, useFolder } from './support.js';

/** The pid of a process that has ended. */
const endedPid = (): number => spawnSync(process.execPath, ['-e', '']).pid;
const holder = (pid: number, started = ''): string => JSON.stringify({ pid, started, id: 'another' });

describe('chunks/lock', () => {
  const at = useFolder();

  it('is one owner at a time, and free again after', async () => {
    const lock = await takeLock(at('lock'), '/target');
    const error = await refusalOf(takeLock(at('lock'), '/target'));
    expect(error.code).to.equal('TARGET_BUSY');
    expect(error.details).to.deep.equal({ path: '/target', pid: process.pid });
    await lock.release();
    await (await takeLock(at('lock'), '/target')).release();
    expect(existsSync(at('lock'))).to.equal(false);
  });

  it('is taken from a process that is gone', async () => {
    await writeFile(at('lock'), holder(endedPid()));
    const lock = await takeLock(at('lock'), '/target');
    expect(JSON.parse(await readFile(at('lock'), 'utf8'))).to.include({ pid: process.pid });
    await lock.release();
    expect(await readdir(dirname(at('lock')))).to.deep.equal([]);
  });

  it('is taken from an earlier process with the pid of a living one', async function () {
    if (process.platform !== 'linux') this.skip();
    await writeFile(at('lock'), holder(process.pid, 'another boot/1'));
    await (await takeLock(at('lock'), '/target')).release();
  });

  it('is taken from this process when it was moved away with its folder and released there', async () => {
    await mkdir(at('a'));
    const lock = await takeLock(at('a/lock'), '/target');
    await rename(at('a'), at('b'));
    expect((await refusalOf(takeLock(at('b/lock'), '/target'))).code).to.equal('TARGET_BUSY');
    await lock.release();
    await (await takeLock(at('b/lock'), '/target')).release();
    expect(await readdir(at('b'))).to.deep.equal([]);
  });

  it('has one winner of many who find it stale', async () => {
    await writeFile(at('lock'), holder(endedPid()));
    const results = await Promise.allSettled(Array.from({ length: 20 }, () => takeLock(at('lock'), '/target')));
    expect(results.filter(({ status }) => status === 'fulfilled')).to.have.lengthOf(1);
    expect(await readdir(dirname(at('lock')))).to.deep.equal(['lock']);
  });

  it('is taken from one who is gone by one at a time, and whoever was killed at it stops nobody for long', async () => {
    await writeFile(at('lock'), holder(endedPid()));
    await writeFile(at('lock.taking'), '');
    let isTaken = false;
    const taking = takeLock(at('lock'), '/target').finally(() => (isTaken = true));
    // Long enough to look at it many times.
    for (let turn = 0; turn < 200; turn++) await new Promise(setImmediate);
    expect(isTaken).to.equal(false);
    await rm(at('lock.taking'));
    await (await taking).release();
    await writeFile(at('lock'), holder(endedPid()));
    await writeFile(at('lock.taking'), '');
    const long = new Date(Date.now() - 60_000);
    await utimes(at('lock.taking'), long, long);
    await (await takeLock(at('lock'), '/target')).release();
    expect(await readdir(dirname(at('lock')))).to.deep.equal([]);
  });

  it('gives the maker of a nameless lock time to write its name, but not for ever', async () => {
    const other = await takeLock(at('other'), '/other');
    const living = await readFile(at('other'), 'utf8');
    for (const text of ['', '{', '{"pid":"x"}']) {
      await writeFile(at('lock'), text);
      let isOver = false;
      const refused = refusalOf(takeLock(at('lock'), '/target')).finally(() => (isOver = true));
      for (let turn = 0; turn < 200; turn++) await new Promise(setImmediate);
      expect(isOver).to.equal(false);
      await writeFile(at('lock'), living);
      expect((await refused).details).to.include({ pid: process.pid });
      await writeFile(at('lock'), text);
      const taking = takeLock(at('lock'), '/target');
      // As if it had stood there for long: its maker was killed before it wrote its name.
      await utimes(at('lock'), 1, 1);
      await (await taking).release();
    }
    await other.release();
  });

  it("leaves another one's lock alone when it is released late", async () => {
    const lock = await takeLock(at('lock'), '/target');
    await writeFile(at('lock'), holder(1));
    await lock.release();
    expect(await readFile(at('lock'), 'utf8')).to.equal(holder(1));
  });
});
