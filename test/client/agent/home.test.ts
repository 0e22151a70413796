import { expect } from 'chai';
import fc from 'fast-check';
import { chmod, mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { formatAddress, parseAddress } from '../../../src/client/agent/address.js';
import { startAgent } from '../../../src/client/agent/agent.js';
import { openAgentLog } from '../../../src/client/agent/log.js';
import { controlSocketPath, isSocketFolderSafe } from '../../../src/client/agent/socketpath.js';
import { agentCommands } from '../../../src/protocol/commands/agent.js';
import { ParleyError } from '../../../src/protocol/errors.js';
import { refusal } from '../../support/refusal.js';
import { Cleanup, connectFace } from './support.js';

describe('client/agent home', () => {
  const cleanup = new Cleanup();
  afterEach(() => cleanup.run());

  it('has its socket in itself, or where its path is short enough', async () => {
    const folder = await cleanup.folder();
    expect(controlSocketPath(folder)).to.equal(join(folder, 'agent.sock'));
    const deep = join(folder, 'd'.repeat(120));
    const path = controlSocketPath(deep);
    expect(Buffer.byteLength(path)).to.be.at.most(100);
    expect(controlSocketPath(join(deep, '..', 'd'.repeat(120)))).to.equal(path);
    const agent = await startAgent({ home: deep });
    cleanup.add(() => agent.close());
    const face = await connectFace(deep);
    expect((await face.call(agentCommands.status, {})).user).to.equal(null);
    expect((await stat(path)).mode & 0o777).to.equal(0o600);
  });

  it('is not trusted where others could have put a socket', async () => {
    const folder = await cleanup.folder();
    expect(isSocketFolderSafe(join(folder, 'none', 'agent.sock'))).to.equal(false);
    const open = join(folder, 'open');
    await mkdir(open);
    await chmod(open, 0o777);
    expect(() => isSocketFolderSafe(join(open, 'agent.sock')))
      .to.throw(ParleyError)
      .with.property('code', 'STATE_DAMAGED');
    await chmod(open, 0o700);
    expect(isSocketFolderSafe(join(open, 'agent.sock'))).to.equal(true);
  });

  it('with a damaged index of shares is refused by name, and left as it is', async () => {
    const home = await cleanup.folder();
    const path = join(home, 'shares.json');
    await writeFile(path, '{"version":1,"shares":[{"file":');
    const error = await refusal(startAgent({ home }));
    expect(error.code).to.equal('STATE_DAMAGED');
    expect(error.details['path']).to.equal(path);
    expect(await readFile(path, 'utf8')).to.equal('{"version":1,"shares":[{"file":');
    await writeFile(path, '{"version":1,"shares":[]}');
    await (await startAgent({ home })).close();
  });

  it('in which nothing can be written is refused by name', async () => {
    const home = await cleanup.folder();
    const path = join(home, 'agent.log');
    await mkdir(path);
    const error = await refusal(openAgentLog(home));
    expect(error.code).to.equal('DISK_FULL');
    expect(error.details['path']).to.equal(path);
    await writeFile(join(home, 'file'), '');
    expect((await refusal(openAgentLog(join(home, 'file', 'home')))).code).to.equal('DISK_FULL');
  });

  it('has a log that begins anew when it has grown large', async () => {
    const home = await cleanup.folder();
    const path = join(home, 'agent.log');
    const write = async (word: string): Promise<void> => {
      const log = await openAgentLog(home);
      log.info({}, word);
      log.close();
    };
    await write('first');
    await write('second');
    expect(await readFile(path, 'utf8')).to.match(/first[^]*second/);
    expect((await stat(path)).mode & 0o777).to.equal(0o600);
    await writeFile(path, 'x'.repeat(6 * 1024 * 1024));
    await write('third');
    expect((await stat(path)).size).to.be.below(1024);
  });
});

describe('client/agent/address', () => {
  it('is HOST:PORT, with brackets around IPv6', () => {
    const port = fc.integer({ min: 0, max: 65_535 });
    fc.assert(
      fc.property(fc.oneof(fc.ipV4(), fc.ipV6(), fc.domain()), port, (host, number) => {
        const address = { host: host.toLowerCase(), port: number };
        expect(parseAddress(formatAddress(address))).to.deep.equal(address);
      }),
    );
    for (const text of ['', 'host', ':1', 'host:', 'host:x', 'host:65536', '::1:80', 'a b:1', 'u@h:1', 'http://h:1']) {
      expect(() => parseAddress(text), text)
        .to.throw(ParleyError)
        .with.property('code', 'USAGE');
    }
  });
});
