/** Login, blocks, messages, inbox and groups against a simple model (`npm run model` runs ten times as many). */
import { checkModel } from './check.js';

const SEQUENCES = 2_000;

describe('a server and a model of it', function () {
  this.timeout(300_000);

  it(`say the same in ${SEQUENCES.toLocaleString('en')} sequences of commands`, () => checkModel({ runs: SEQUENCES }));
});
