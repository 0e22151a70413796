import { mkdtemp, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { ParleyError } from '../../src/protocol/errors.js';
import { PINS_FILE, Pins, safetyNumber } from '../../src/p2p/pins.js';

const KEY = Buffer.from('the first key').toString('base64');
const OTHER = Buffer.from('the other key').toString('base64');
const codeOf = (thrown: unknown): string => (thrown instanceof ParleyError ? thrown.code : String(thrown));

describe('p2p/pins', () => {
  let home: string;
  beforeEach(async () => {
    home = await mkdtemp(join(tmpdir(), 'parley-pins-'));
  });
  afterEach(() => rm(home, { recursive: true }));

  it('trusts on first use, and knows the key after a restart, whatever the case of the name', async () => {
    const pins = await Pins.open(home);
    expect(pins.check('peer', 'Bob', KEY)).to.equal('new');
    await pins.pin('peer', 'Bob', KEY);
    for (const each of [pins, await Pins.open(home)]) {
      expect(each.check('peer', 'bob', KEY)).to.equal('same');
      expect(each.check('peer', 'BOB', OTHER)).to.equal('changed');
      expect(each.check('server', 'bob', KEY)).to.equal('new');
      expect(each.get('peer', 'bob')).to.include({ name: 'Bob', publicKey: KEY, verified: false });
    }
    expect((await stat(join(home, PINS_FILE))).mode & 0o777).to.equal(0o600);
    expect(await readdir(home)).to.deep.equal([PINS_FILE]);
  });

  it('never replaces a pinned key, until it was forgotten', async () => {
    const pins = await Pins.open(home);
    await pins.pin('server', '127.0.0.1:8100', KEY, { verified: true });
    const refused: unknown = await pins.pin('server', '127.0.0.1:8100', OTHER).catch((thrown: unknown) => thrown);
    expect(codeOf(refused)).to.equal('KEY_CHANGED');
    expect(pins.check('server', '127.0.0.1:8100', KEY)).to.equal('same');
    expect(await pins.forget('server', '127.0.0.1:8100')).to.equal(true);
    expect(await pins.forget('server', '127.0.0.1:8100')).to.equal(false);
    await pins.pin('server', '127.0.0.1:8100', OTHER);
    expect((await Pins.open(home)).get('server', '127.0.0.1:8100')).to.include({ publicKey: OTHER, verified: false });
  });

  it('keeps whether a pin was verified', async () => {
    const pins = await Pins.open(home);
    expect(await pins.setVerified('peer', 'bob', true)).to.equal(false);
    await pins.pin('peer', 'bob', KEY);
    expect(await pins.setVerified('peer', 'bob', true)).to.equal(true);
    await pins.pin('peer', 'bob', KEY); // again, and still verified
    expect((await Pins.open(home)).get('peer', 'bob')).to.include({ verified: true });
  });

  it('loses no pin of many set at once, and takes any name', async () => {
    const pins = await Pins.open(home);
    const names = ['__proto__', 'constructor', ...Array.from({ length: 30 }, (_, i) => `user${i}`)];
    await Promise.all(names.map((name) => pins.pin('peer', name, KEY)));
    const again = await Pins.open(home);
    for (const name of names) expect(again.check('peer', name, KEY)).to.equal('same');
    expect(again.check('peer', 'toString', KEY)).to.equal('new');
  });

  it('refuses a damaged file by name, and leaves it as it is', async () => {
    const path = join(home, PINS_FILE);
    for (const text of ['', '{', '[]', '{"version":1,"pins":[{"kind":"peer"}]}', '{"version":2,"pins":[]}']) {
      await writeFile(path, text);
      const error: unknown = await Pins.open(home).catch((thrown: unknown) => thrown);
      expect(codeOf(error)).to.equal('STATE_DAMAGED');
      expect((error as Error).message).to.contain(path);
      expect(await readFile(path, 'utf8')).to.equal(text);
    }
  });
});

describe('p2p/pins safetyNumber', () => {
  const alice = { user: 'Alice', publicKey: KEY };
  const bob = { user: 'bob', publicKey: OTHER };

  it('is the test vector of docs/PROTOCOL.md', () => {
    expect(safetyNumber(alice, bob)).to.equal('312333172343240937333656404668779584420845389860680262329955');
  });

  it('is the same at both ends, and for any case of the names', () => {
    expect(safetyNumber(bob, { ...alice, user: 'aLICE' })).to.equal(safetyNumber(alice, bob));
  });

  it('changes with either key and either name', () => {
    const numbers = [
      safetyNumber(alice, bob),
      safetyNumber({ ...alice, publicKey: OTHER }, bob),
      safetyNumber(alice, { ...bob, publicKey: KEY }),
      safetyNumber({ ...alice, user: 'carol' }, bob),
    ];
    expect(new Set(numbers).size).to.equal(4);
    for (const number of numbers) expect(number).to.match(/^[0-9]{60}$/);
  });
});
