/**
 * `npm run crash [-- server=300 sender=200 recipient=200 seed=N]`: kill -9 of the server, the sender's agent and the recipient's agent at
 * random points, with messages, group messages and held ones on their way. Prints what was reached; exits 1 when anything that was
 * acknowledged is lost, doubled or out of order, or a database is damaged.
 */
import { Chance } from './chance.js';
import { killRecipients } from './recipientkills.js';
import { isClean, summary } from './report.js';
import type { Tally } from './report.js';
import { killSenders } from './senderkills.js';
import { killServers } from './serverkills.js';

/** Kills between two lines of progress. */
const EVERY = 25;
const KILLS: Record<string, number> = {
  server: 300,
  sender: 200,
  recipient: 200,
  seed: Math.floor(Math.random() * 2 ** 31),
};

for (const word of process.argv.slice(2)) {
  const [name = '', value] = word.split('=');
  if (!Object.hasOwn(KILLS, name) || !/^\d+$/.test(value ?? '')) {
    console.error(`crash: ${word} is none of ${Object.keys(KILLS).join('=N ')}=N`);
    process.exit(2);
  }
  KILLS[name] = Number(value);
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130));

const began = performance.now();
const seconds = (): string => `${((performance.now() - began) / 1000).toFixed(0)} s`;
const follow =
  (name: string) =>
  (tally: Tally): void => {
    // What was sent is compared at the end of each database.
    if (tally.kills % EVERY === 0)
      console.log(
        `  ${name.padEnd(10)} ${seconds().padStart(6)}  ${tally.kills} kills, databases intact: ${tally.kills - tally.damaged}`,
      );
  };

const { server = 0, sender = 0, recipient = 0, seed = 0 } = KILLS;
console.log(
  `kill -9 of the server ${server} times, of the sender ${sender}, of the recipient ${recipient}; seed ${seed}`,
);
// Two at once: most of the time something starts.
const [servers, [senders, recipients]] = await Promise.all([
  killServers({ kills: server, chance: new Chance(seed), onKill: follow('server') }),
  killSenders({ kills: sender, chance: new Chance(seed + 1), onKill: follow('sender') }).then(
    async (tally) =>
      [
        tally,
        await killRecipients({ kills: recipient, chance: new Chance(seed + 2), onKill: follow('recipient') }),
      ] as const,
  ),
]);
console.log(`\nafter ${seconds()}`);
for (const [name, tally] of Object.entries({ server: servers, sender: senders, recipient: recipients })) {
  console.log(`  ${name.padEnd(10)} ${summary(tally)}`);
  for (const example of tally.examples) console.log(`    ${example}`);
  if (!isClean(tally)) process.exitCode = 1;
}
