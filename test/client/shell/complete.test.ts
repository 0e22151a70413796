import { expect } from 'chai';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { complete } from '../../../src/client/shell/complete.js';
import type { NameSource } from '../../../src/client/shell/complete.js';

const names: NameSource = {
  users: () => Promise.resolve(['bob', 'Bertha', 'carol']),
  groups: () => Promise.resolve(['skii', 'Skaters', 'news']),
  files: () => Promise.resolve(['movie.mkv', 'my notes.txt']),
  chunkCount: (file) => (file === 'movie.mkv' ? Promise.resolve(12) : Promise.reject(new Error('unknown'))),
};

describe('client/shell/complete', () => {
  let folder: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'parley-complete-'));
    writeFileSync(join(folder, 'a file.txt'), '');
    writeFileSync(join(folder, 'another'), '');
    writeFileSync(join(folder, '.hidden'), '');
    mkdirSync(join(folder, 'album'));
    writeFileSync(join(folder, 'album', 'song'), '');
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  const offers = async (line: string): Promise<string[]> => (await complete(line, names, folder))[0];

  it('offers commands, in any case', async () => {
    expect(await offers('whoel')).to.deep.equal(['whoelse ', 'whoelsesince ']);
    expect(await offers('SEARCHF')).to.deep.equal(['searchFile ']);
    expect(await offers('ex')).to.deep.equal(['exit ']);
    expect(await offers('help dere')).to.deep.equal(['dereg ']);
    expect(await offers('nonsense x')).to.deep.equal([]);
  });

  it('offers users', async () => {
    expect(await offers('message b')).to.deep.equal(['bob ', 'Bertha ']);
    expect(await offers('message ')).to.have.length(3);
    expect(await offers('message bob b')).to.deep.equal([]);
    expect(await offers('inbox --with ca')).to.deep.equal(['carol ']);
    expect(await offers('broadcast --to bob,ca')).to.deep.equal(['bob,carol']);
  });

  it('offers who is not named yet, also in the other spelling of a broadcast', async () => {
    expect(await offers('broadcast --to bob,')).to.deep.equal(['bob,Bertha', 'bob,carol']);
    expect(await offers('broadcast user b')).to.deep.equal(['bob', 'Bertha']);
    expect(await offers('broadcast user bob,c')).to.deep.equal(['bob,carol']);
    expect(await offers('broadcast user bob,carol h')).to.deep.equal([]);
  });

  it('offers groups', async () => {
    expect(await offers('join_group sk')).to.deep.equal(['skii ', 'Skaters ']);
    expect(await offers('LEAVE_GROUP n')).to.deep.equal(['news ']);
    expect(await offers('list_members ')).to.have.length(3);
    expect(await offers('send_group --group n')).to.deep.equal(['news ']);
    expect(await offers('send_group n')).to.deep.equal([]);
    expect(await offers('create_group n')).to.deep.equal([]);
  });

  it('offers files and chunk numbers', async () => {
    expect(await offers('download m')).to.deep.equal(['movie.mkv ', 'my\\ notes.txt ']);
    expect(await offers('download my\\ n')).to.deep.equal(['my\\ notes.txt ']);
    expect(await complete('download "my n', names, folder)).to.deep.equal([['"my notes.txt" '], '"my n']);
    expect(await offers('searchChunk movie.mkv 1')).to.deep.equal(['1 ', '10 ', '11 ']);
    expect(await offers('searchChunk movie.mkv 1 1')).to.deep.equal(['10 ', '11 ']);
    expect(await offers('searchChunk nothing ')).to.deep.equal([]);
  });

  it('offers paths', async () => {
    expect(await offers('register a')).to.deep.equal(['a\\ file.txt ', 'album/', 'another ']);
    expect(await offers('register album/')).to.deep.equal(['album/song ']);
    expect(await offers('register .h')).to.deep.equal(['.hidden ']);
    expect(await offers(`download x -o ${folder}/al`)).to.deep.equal([`${folder}/album/`]);
    expect(await offers('register /nowhere/')).to.deep.equal([]);
  });

  it('offers options', async () => {
    expect(await offers('download --o')).to.deep.equal(['--output ', '--overwrite ']);
    expect(await offers('download -j 4 mov')).to.deep.equal(['movie.mkv ']);
  });
});
