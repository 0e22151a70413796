import { z } from 'zod';
import { defineCommand } from '../../command.js';
import { MAX_RUNS_PER_EVENT } from '../../limits.js';
import { digest } from '../../values.js';

const whole = z.number().int().min(0);
/** Runs of blocks by their number in the file. */
const runs = z
  .array(z.tuple([whole.describe('The first block, by its number in the file.'), whole.min(1).describe('How many.')]))
  .max(MAX_RUNS_PER_EVENT);

/** What is new of the blocks held. */
export const heldNews = z.object({
  type: z.literal('held'),
  anew: z.literal(true).optional().describe('All that was told before holds no more.'),
  blocks: runs.describe('Held here.'),
  given: runs.describe(
    'Sent to somebody, or about to be, since somebody watches: who wants one will soon have it from them, too.',
  ),
  coming: runs.optional().describe('On their way to here, all that are; present when others are than was told last.'),
});
export type HeldNews = z.output<typeof heldNews>;

export const watchHeld = defineCommand({
  name: 'watchHeld',
  place: 'peer',
  says: 'Tells which blocks of the bytes with this root are held here, and then what comes, until it is cancelled.',
  params: z.object({ root: digest }),
  result: z.object({}),
  errors: ['CHUNK_GONE', 'SERVER_BUSY'],
  events: heldNews,
  unbounded: true,
});
