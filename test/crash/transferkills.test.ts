/** A few kills of the agents at both ends of a transfer (`npm run kills` does hundreds), and a loss that must be noticed. */
import { expect } from 'chai';
import { existsSync } from 'node:fs';
import { truncate } from 'node:fs/promises';
import { Chance } from './chance.js';
import { isRight, killsOf, killTransfers } from './transferkills.js';
import type { TransferTally } from './transferkills.js';

const SIDECAR_HEADER_BYTES = 68;

describe('kill -9 in a transfer', function () {
  this.timeout(120_000);

  it('costs no byte that was on disk, and leaves no wrong one', async () => {
    // On a busy machine some kills fall before anything is on disk.
    const isEnough = (tally: TransferTally): boolean => killsOf(tally) >= 3 && tally.rightAtKills > 0;
    const tally = await killTransfers({ kills: 40, isEnough, chance: new Chance(3), sizeMib: [2, 8] });
    expect(isRight(tally), JSON.stringify(tally)).to.equal(true);
    expect(isEnough(tally), JSON.stringify(tally)).to.equal(true);
    // Of a file as small as these, whatever was written is found, claimed or not.
    expect(tally.fetchedAgain).to.equal(0);
  });

  it('is noticed when it costs what was on disk', async () => {
    const damage = async (part: string): Promise<void> => {
      // Absent before anything came, and when the file has its name already.
      if (existsSync(`${part}.state`)) await truncate(`${part}.state`, SIDECAR_HEADER_BYTES);
    };
    // Blocks that are alone in their chunks are found by the manifest.
    const isEnough = ({ fetchedAgain }: TransferTally): boolean => fetchedAgain > 0;
    const options = { sizeMib: [2, 8], chunks: [1], damage } as const;
    const tally = await killTransfers({ kills: 40, isEnough, chance: new Chance(3), ...options });
    expect(tally.fetchedAgain, JSON.stringify(tally)).to.be.above(0);
  });
});
