import { expect } from 'chai';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadSettings } from '../../src/client/settings.js';
import { wantsColor } from '../../src/client/style.js';
import { ParleyError } from '../../src/protocol/errors.js';

describe('client/settings', () => {
  let home: string;
  beforeEach(() => {
    home = mkdtempSync(join(tmpdir(), 'parley-settings-'));
  });
  afterEach(() => rmSync(home, { recursive: true, force: true }));

  const config = (value: unknown): void => writeFileSync(join(home, 'config.json'), JSON.stringify(value));
  const reason = (act: () => unknown): string => {
    try {
      act();
    } catch (thrown) {
      expect(thrown).to.be.instanceOf(ParleyError).with.property('code', 'USAGE');
      return (thrown as Error).message;
    }
    throw new Error('it was not refused');
  };

  it('has defaults', () => {
    const settings = loadSettings({ home }, {}, '/');
    expect(settings).to.include({ server: '127.0.0.1:8100', serverGiven: false, home, color: 'auto', json: false });
    expect(settings.user).to.equal(undefined);
    expect(settings.password).to.equal(undefined);
  });

  it('puts flag over environment over config file over default', () => {
    config({ server: 'config:1', user: 'c', listen: 'config:2' });
    const environment = { PARLEY_HOME: home, PARLEY_SERVER: 'env:1', PARLEY_USER: 'e', PARLEY_LISTEN: '' };
    expect(loadSettings({ server: 'flag:1' }, environment, '/')).to.include({
      server: 'flag:1',
      user: 'e',
      listen: 'config:2',
      serverGiven: true,
    });
    expect(loadSettings({}, environment, '/')).to.include({ server: 'env:1' });
    expect(loadSettings({ home }, {}, '/')).to.include({ server: 'config:1', user: 'c' });
  });

  it('takes limits of what is sent as rates, and says which one is none', () => {
    expect(loadSettings({ home }, {}, '/')).to.include({ uploadLimit: undefined, uploadLimitPerLink: undefined });
    config({ uploadLimit: '1K', uploadLimitPerLink: '500' });
    expect(loadSettings({ home }, {}, '/')).to.include({ uploadLimit: 1024, uploadLimitPerLink: 500 });
    const environment = { PARLEY_UPLOAD_LIMIT: '2.5M' };
    expect(loadSettings({ home }, environment, '/').uploadLimit).to.equal(2.5 * 1024 * 1024);
    expect(loadSettings({ home, uploadLimit: '3G/s' }, environment, '/').uploadLimit).to.equal(3 * 1024 ** 3);
    expect(loadSettings({ home, uploadLimit: 'None' }, environment, '/').uploadLimit).to.equal(Infinity);
    // Only what is said with a command holds for an agent that runs.
    expect(loadSettings({ home }, environment, '/').limitFlags).to.deep.equal({
      upload: undefined,
      uploadPerLink: undefined,
    });
    const flags = { uploadLimit: 'none', uploadLimitPerLink: '3K' };
    expect(loadSettings({ home, ...flags }, environment, '/').limitFlags).to.deep.equal({
      upload: Infinity,
      uploadPerLink: 3 * 1024,
    });
    for (const rate of ['0', '-1', 'fast', '1T', '', '99999999999G']) {
      expect(reason(() => loadSettings({ home, uploadLimit: rate }, {}, '/'))).to.contain('--upload-limit');
    }
  });

  it('rings when flag, environment or config file say so, in that order', () => {
    const bell = (flags: object, environment: Record<string, string>): boolean =>
      loadSettings({ home, ...flags }, environment, '/').bell;
    expect([bell({}, {}), bell({ bell: true }, {}), bell({}, { PARLEY_BELL: '1' })]).to.deep.equal([false, true, true]);
    config({ bell: true, notify: false });
    expect([bell({}, {}), bell({}, { PARLEY_BELL: '0' }), bell({ bell: true }, { PARLEY_BELL: '0' })]).to.deep.equal([
      true,
      false,
      true,
    ]);
    expect(loadSettings({ home }, {}, '/').notify).to.equal(false);
    config({ bell: 'yes' });
    expect(reason(() => bell({}, {}))).to.contain('bell');
  });

  it('finds the password: a file named by flag, the environment, a file named in the config', () => {
    config({ passwordFile: 'secret' });
    const environment = { PARLEY_PASSWORD: 'p w' };
    expect(loadSettings({ home, passwordFile: 'f' }, environment, '/typed').password).to.deep.equal({
      kind: 'file',
      path: '/typed/f',
    });
    expect(loadSettings({ home, passwordFile: '-' }, environment, '/').password).to.deep.equal({ kind: 'stdin' });
    expect(loadSettings({ home }, environment, '/').password).to.deep.equal({ kind: 'value', value: 'p w' });
    expect(loadSettings({ home }, {}, '/').password).to.deep.equal({ kind: 'file', path: join(home, 'secret') });
  });

  it('begins relative homes where they were typed', () => {
    mkdirSync(join(home, 'sub'));
    expect(loadSettings({ home: 'sub' }, {}, home).home).to.equal(join(home, 'sub'));
  });

  it('reads the platform’s config file when the home has none', () => {
    mkdirSync(join(home, 'xdg', 'parley'), { recursive: true });
    writeFileSync(join(home, 'xdg', 'parley', 'config.json'), '{"user":"platform"}');
    const before = process.env['XDG_CONFIG_HOME'];
    process.env['XDG_CONFIG_HOME'] = join(home, 'xdg');
    try {
      if (process.platform === 'linux') expect(loadSettings({ home }, {}, '/').user).to.equal('platform');
      config({ user: 'home' });
      expect(loadSettings({ home }, {}, '/').user).to.equal('home');
    } finally {
      if (before === undefined) delete process.env['XDG_CONFIG_HOME'];
      else process.env['XDG_CONFIG_HOME'] = before;
    }
  });

  it('brings addresses and fingerprints to one form', () => {
    const print = `${'A'.repeat(43)}=`;
    const settings = loadSettings(
      { home, server: 'Chat.Example.ORG:81', serverFingerprint: `SHA256:${print}` },
      {},
      '/',
    );
    expect(settings).to.include({ server: 'chat.example.org:81', fingerprint: print });
    expect(loadSettings({ home, server: '[::1]:81', serverFingerprint: 'A'.repeat(43) }, {}, '/')).to.include({
      server: '[::1]:81',
      fingerprint: print,
    });
  });

  it('names a bad setting and where it came from', () => {
    expect(reason(() => loadSettings({ home, server: 'x' }, {}, '/'))).to.match(/^--server: 'x'/);
    expect(reason(() => loadSettings({ home }, { PARLEY_SERVER: 'a:99999' }, '/'))).to.match(/^PARLEY_SERVER: /);
    expect(reason(() => loadSettings({ home }, { PARLEY_LISTEN: 'a:b' }, '/'))).to.match(/^PARLEY_LISTEN: /);
    expect(reason(() => loadSettings({ home, serverFingerprint: 'x' }, {}, '/'))).to.match(/^--server-fingerprint: /);
    expect(reason(() => loadSettings({ home, color: 'pink' }, {}, '/'))).to.match(/^--color: 'pink'/);
    config({ server: 'nonsense' });
    expect(reason(() => loadSettings({ home }, {}, '/'))).to.contain(`server in ${join(home, 'config.json')}`);
    config({ sever: 'a:1' });
    expect(reason(() => loadSettings({ home }, {}, '/')))
      .to.contain('config.json')
      .and.contain('sever');
    config({ user: 5 });
    expect(reason(() => loadSettings({ home }, {}, '/'))).to.contain('user');
    config([]);
    expect(reason(() => loadSettings({ home }, {}, '/'))).to.contain('config.json');
    writeFileSync(join(home, 'config.json'), '{');
    expect(reason(() => loadSettings({ home }, {}, '/'))).to.contain('is not JSON');
  });

  it('colours a terminal, unless told otherwise', () => {
    expect(wantsColor('auto', true, {})).to.equal(true);
    expect(wantsColor('auto', false, {})).to.equal(false);
    expect(wantsColor('auto', true, { NO_COLOR: '1' })).to.equal(false);
    expect(wantsColor('auto', true, { NO_COLOR: '' })).to.equal(true);
    expect(wantsColor('auto', true, { TERM: 'dumb' })).to.equal(false);
    expect(wantsColor('always', false, { NO_COLOR: '1' })).to.equal(true);
    expect(wantsColor('never', true, {})).to.equal(false);
  });
});
