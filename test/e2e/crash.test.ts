/** kill -9 of the server among a thousand messages: what was acknowledged is in the recipient's inbox, once, in order (R27). */
import { expect } from 'chai';
import { Cast, CLIENT_MAIN } from '../support/cast.js';
import { spawn } from 'node:child_process';
import { once } from 'node:events';

const MESSAGES = 1_000;
/** Fewer than one may leave unread with another. */
const TOGETHER = 100;
/** After how many acknowledgements the server is killed. */
const KILLS = [150, 400, 720];

describe('a server that is killed among messages', function () {
  this.timeout(120_000);
  let cast: Cast;
  before(async () => {
    cast = new Cast({ alice: 'a', bob: 'b' });
    await cast.start();
  });
  after(() => cast.close());

  it('loses, doubles and reorders nothing that it acknowledged', async () => {
    const [alice, bob] = [cast.person('alice', 'a'), cast.person('bob', 'b')];
    await alice.ok('login');
    await bob.ok('login');
    const shell = spawn(process.execPath, [CLIENT_MAIN, '--json'], {
      cwd: alice.folder,
      env: alice.env,
      stdio: 'pipe',
    });
    const acknowledged: string[] = [];
    const kills = [...KILLS];
    let restarted: Promise<unknown> = Promise.resolve();
    let rest = '';
    let refused = 0;
    shell.stderr.setEncoding('utf8').on('data', (text: string) => (refused += text.split('\n').length - 1));
    shell.stdout.setEncoding('utf8').on('data', (text: string) => {
      const lines = (rest + text).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) {
        const { id, delivered } = JSON.parse(line) as { id?: string; delivered?: boolean };
        if (id !== undefined && delivered !== undefined) acknowledged.push(id);
        if (acknowledged.length >= (kills[0] ?? Infinity)) {
          kills.shift();
          restarted = restarted.then(() => cast.stop('SIGKILL')).then(() => cast.start());
        }
      }
    });
    for (let sent = 0; sent < MESSAGES;) {
      // Both are back, so that bob's inbox does not fill up while he waits for his next try.
      await restarted;
      await bob.ok('whoelse');
      for (const end = sent + TOGETHER; sent < end; sent++) shell.stdin.write(`message bob number ${sent}\n`);
      while (acknowledged.length + refused < sent) {
        await new Promise(setImmediate);
      }
    }
    shell.stdin.end();
    await once(shell, 'close');
    await restarted;
    expect(kills).to.deep.equal([]);
    // Some are refused while the server is away; those after the last kill are not.
    expect(acknowledged.length).to.be.above(KILLS.at(-1) ?? 0);

    // Both agents come back by themselves.
    let inbox: { id: string; text: string }[] = [];
    while (inbox.length === 0) {
      inbox = ((await bob.run('inbox', '--limit', '5000')).json['messages'] ?? []) as { id: string; text: string }[];
    }
    const ids = inbox.map(({ id }) => id);
    expect(new Set(ids).size, 'each once').to.equal(ids.length);
    const acknowledgedSet = new Set(acknowledged);
    expect(
      ids.filter((id) => acknowledgedSet.has(id)),
      'all acknowledged ones, in order',
    ).to.deep.equal(acknowledged);
    const numbers = inbox.map(({ text }) => Number(text.replace('number ', '')));
    expect(numbers, 'none doubled, none out of order').to.deep.equal([...new Set(numbers)].sort((a, b) => a - b));
  });
});
