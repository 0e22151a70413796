/**
 * `npm run kills [-- kills=200 seed=N]`: kill -9 of the downloader's and the seeder's agent in the middle of transfers, at random
 * points. Prints what was reached; exits 1 when a byte is wrong, something is left behind, or a download fails without a reason.
 */
import { Chance } from './chance.js';
import { isRight, killsOf, killTransfers } from './transferkills.js';
import type { TransferTally } from './transferkills.js';

/** Kills between two lines of progress. */
const EVERY = 20;
const GIVEN: Record<string, number> = { kills: 200, seed: Math.floor(Math.random() * 2 ** 31) };

for (const word of process.argv.slice(2)) {
  const [name = '', value] = word.split('=');
  if (!Object.hasOwn(GIVEN, name) || !/^\d+$/.test(value ?? '')) {
    console.error(`kills: ${word} is none of ${Object.keys(GIVEN).join('=N ')}=N`);
    process.exit(2);
  }
  GIVEN[name] = Number(value);
}
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130));

const mib = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(1)} MiB`;

function lines(tally: TransferTally): string[] {
  const { kills, files, wrong, leftovers, rightAtKills, fetchedAgain, mostAgain, doubled, examples } = tally;
  return [
    `${kills.fetcher} kills of the downloader, ${kills.seeder} of the seeder, ${kills.second} of the second one, ${files} files`,
    `wrong files ${wrong}, files left behind ${leftovers}, downloads with doubled bytes ${doubled}`,
    `right on disk at kills ${mib(rightAtKills)}; of that fetched again ${mib(fetchedAgain)}, at most ${mib(mostAgain)} after one kill`,
    ...examples,
  ];
}

const { kills = 0, seed = 0 } = GIVEN;
const began = performance.now();
console.log(`kill -9 of the agents at both ends of a transfer, ${kills} times; seed ${seed}`);
const tally = await killTransfers({
  kills,
  chance: new Chance(seed),
  onKill: (now) => {
    if (killsOf(now) % EVERY === 0) {
      const seconds = ((performance.now() - began) / 1000).toFixed(0);
      console.log(`  ${seconds.padStart(4)} s  ${killsOf(now)} kills, ${now.files} files, ${now.wrong} wrong`);
    }
  },
});
for (const line of lines(tally)) console.log(`  ${line}`);
if (!isRight(tally)) process.exitCode = 1;
