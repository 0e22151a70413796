/** How long `client whoelse --json` takes in all against a running agent, beside Node doing nothing. */
import { Cast, CLIENT_MAIN } from '../test/support/cast.js';
import { command, interleave, median, printSeconds } from './measure.js';

export async function benchWhoelse(): Promise<void> {
  console.log('\nclient whoelse --json against a running agent (wanted: under 0.250 s in all)');
  const cast = new Cast({ alice: 'a' });
  await cast.start();
  const alice = cast.person('alice', 'a');
  try {
    await alice.ok('login');
    const seconds = await interleave(
      {
        'client whoelse --json': () => command(process.execPath, [CLIENT_MAIN, 'whoelse', '--json'], alice.env),
        'node that does nothing': () => command(process.execPath, ['-e', '0']),
      },
      15,
    );
    printSeconds(seconds);
    const [ours = [], node = []] = Object.values(seconds);
    console.log(`  ratio to Node alone: ${(median(ours) / median(node)).toFixed(2)}`);
  } finally {
    await cast.close();
  }
}
