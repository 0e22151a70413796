/** The people of the contract's examples and their server, for a suite of tests. */
import { Cast } from './cast.js';
import type { Person } from './cast.js';

export interface ContractCast {
  readonly cast: Cast;
  readonly alice: Person;
  readonly bob: Person;
  readonly carol: Person;
}

/** Called once in a suite: there while its tests run. `dave` has an account, too, and the password `never here`. */
export function contractCast(): ContractCast {
  let stage: ContractCast | undefined;
  let stop: () => Promise<void> = () => Promise.resolve();
  before(async () => {
    const cast = new Cast({ alice: 'wonderland-7', bob: 'builder-42', carol: 'sings a song', dave: 'never here' });
    // Also one that does not come up is ended.
    stop = () => cast.close();
    await cast.start();
    stage = {
      cast,
      alice: cast.person('alice', 'wonderland-7'),
      bob: cast.person('bob', 'builder-42'),
      carol: cast.person('carol', 'sings a song'),
    };
  });
  after(() => stop());
  const there = (): ContractCast => {
    if (stage === undefined) throw new Error('no test runs');
    return stage;
  };
  return {
    get cast() {
      return there().cast;
    },
    get alice() {
      return there().alice;
    },
    get bob() {
      return there().bob;
    },
    get carol() {
      return there().carol;
    },
  };
}
