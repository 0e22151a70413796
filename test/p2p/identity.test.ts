import { execFile } from 'node:child_process';
import { chmod, mkdtemp, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect } from 'chai';
import { makeIdentity } from '../../src/protocol/certificate.js';
import { ParleyError } from '../../src/protocol/errors.js';
import { IDENTITY_FILE, loadIdentity } from '../../src/p2p/identity.js';

describe('p2p/identity', () => {
  let folder: string;
  let home: string;
  let path: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'parley-identity-'));
    home = join(folder, 'deep', 'home');
    path = join(home, IDENTITY_FILE);
  });
  afterEach(() => rm(folder, { recursive: true }));

  it('makes a key once, readable for its owner only, and finds it again', async () => {
    const made = await loadIdentity(home);
    expect(await loadIdentity(home)).to.deep.equal(made);
    expect((await stat(path)).mode & 0o777).to.equal(0o600);
    expect((await stat(home)).mode & 0o777).to.equal(0o700);
    expect(await readdir(home)).to.deep.equal([IDENTITY_FILE]);
  });

  it('takes away what others may read', async () => {
    await loadIdentity(home);
    await chmod(path, 0o644);
    await chmod(home, 0o755);
    await loadIdentity(home);
    expect((await stat(path)).mode & 0o777).to.equal(0o600);
    expect((await stat(home)).mode & 0o777).to.equal(0o700);
  });

  it('ends with one key when callers and processes race', async () => {
    const module = new URL('../../src/p2p/identity.js', import.meta.url).href;
    const script = `
      const { loadIdentity } = await import(${JSON.stringify(module)});
      const made = await Promise.all([1, 2, 3].map(() => loadIdentity(process.argv[1])));
      console.log(made.map((each) => each.publicKey).join('\\n'));`;
    const runs = await Promise.all(
      [1, 2].map(() => promisify(execFile)(process.execPath, ['--input-type=module', '-e', script, home])),
    );
    const keys = new Set(runs.flatMap((run) => run.stdout.trim().split('\n')));
    expect([...keys]).to.deep.equal([(await loadIdentity(home)).publicKey]);
    expect(await readdir(home)).to.deep.equal([IDENTITY_FILE]);
  });

  it('never makes a damaged file anew, and names it', async () => {
    const made = await loadIdentity(home);
    const other = await makeIdentity('x');
    const good = await readFile(path, 'utf8');
    const wrong = ['', 'hello', good.slice(0, 100), made.privateKeyPem, made.privateKeyPem + other.certificatePem];
    for (const text of [...wrong, good.replace('MI', 'XX')]) {
      await writeFile(path, text);
      const error: unknown = await loadIdentity(home).catch((thrown: unknown) => thrown);
      expect(error).to.be.instanceOf(ParleyError).with.property('code', 'STATE_DAMAGED');
      expect((error as ParleyError).message).to.contain(path);
      expect(await readFile(path, 'utf8')).to.equal(text);
    }
  });
});
