/** Limits of what is fetched and what is sent, with real processes: nothing goes faster, and who waits for it is told why. */
import { expect } from 'chai';
import { randomFillSync } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { agentCommands } from '../../src/protocol/commands/agent.js';
import { Cast } from '../support/cast.js';
import type { Person } from '../support/cast.js';

const MIB = 1024 * 1024;
const SIZE = 6 * MIB + 333;
/** MiB a second. */
const LIMIT = 3;
/** Seconds that so many bytes take at least: a second's worth, and the last block, may have gone at once. */
const leastSeconds = (bytes: number): number => (bytes - MIB) / (LIMIT * MIB) - 1;

interface Reason {
  readonly code: string;
  readonly text: string;
  readonly user?: string | undefined;
}

describe('limits of rates', function () {
  this.timeout(60_000);
  let cast: Cast;
  let people: Person[];
  const bytes = randomFillSync(Buffer.alloc(SIZE));

  const begin = async (settings: NodeJS.ProcessEnv): Promise<void> => {
    cast = new Cast({ alice: 'a', bob: 'b', carol: 'c' });
    await cast.start();
    const alice = cast.person('alice', 'a', settings);
    people = [alice, cast.person('bob', 'b'), cast.person('carol', 'c')];
    for (const name of ['bob.bin', 'carol.bin']) {
      writeFileSync(join(alice.folder, name), bytes);
      await alice.ok('register', name, '3');
    }
  };
  afterEach(() => cast.close());

  const seconds = async (act: () => Promise<unknown>): Promise<number> => {
    const since = performance.now();
    await act();
    return (performance.now() - since) / 1000;
  };
  /** The first reason with this code that `why` gives while it goes on; undefined when there is none. */
  const reasonIn = async (
    person: Person,
    file: string,
    code: string,
    going: Promise<unknown>,
  ): Promise<Reason | undefined> => {
    let over = false;
    void going.finally(() => (over = true));
    const isOver = (): boolean => over;
    // A command would take a while to start.
    const face = await person.dial();
    try {
      while (!isOver()) {
        const { reasons } = await face.call(agentCommands.why, { file });
        const found = reasons.find((each) => each.code === code);
        if (found !== undefined) return found;
      }
    } finally {
      await face.close();
    }
    return undefined;
  };
  const arrived = (person: Person, file: string): boolean => readFileSync(join(person.folder, file)).equals(bytes);

  it('--upload-limit holds for all whom an agent sends to together', async () => {
    await begin({ PARLEY_UPLOAD_LIMIT: `${LIMIT}M` });
    const [, bob, carol] = people as [Person, Person, Person];
    await Promise.all([bob.ok('login'), carol.ok('login')]);
    const took = await seconds(async () => {
      const toBob = bob.ok('download', 'bob.bin');
      const toCarol = carol.ok('download', 'carol.bin');
      expect(await reasonIn(bob, 'bob.bin', 'RATE_LIMIT', toBob)).to.include({ user: 'alice' });
      await Promise.all([toBob, toCarol]);
    });
    expect(took).to.be.above(leastSeconds(2 * SIZE));
    expect([arrived(bob, 'bob.bin'), arrived(carol, 'carol.bin')]).to.deep.equal([true, true]);
  });

  it('an option given while the agent runs holds at once, also for what is being sent', async () => {
    await begin({});
    const [alice, bob] = people as [Person, Person];
    await bob.ok('login');
    const slowly = await alice.run('status', '--upload-limit', '200K', '--upload-limit-per-link', '100K');
    expect(slowly.stderr).to.include('upload limit of the running agent: 200 KiB/s from now on, none before');
    expect(slowly.stderr).to.include('upload limit per link of the running agent: 100 KiB/s from now on, none before');
    // At this rate it would take a minute.
    const took = await seconds(async () => {
      const fetching = bob.ok('download', 'bob.bin');
      expect(await reasonIn(bob, 'bob.bin', 'RATE_LIMIT', fetching)).to.include({ user: 'alice' });
      const freed = await alice.run('status', '--upload-limit', 'none', '--upload-limit-per-link', 'none');
      expect(freed.stderr).to.include('upload limit of the running agent: none from now on, 200 KiB/s before');
      await fetching;
    });
    expect(took).to.be.below(20);
    expect(arrived(bob, 'bob.bin')).to.equal(true);
  });

  it('--upload-limit-per-link holds for each link, --limit-rate for one download', async () => {
    await begin({ PARLEY_UPLOAD_LIMIT_PER_LINK: `${LIMIT}M` });
    const [, bob, carol] = people as [Person, Person, Person];
    await Promise.all([bob.ok('login'), carol.ok('login')]);
    expect(await seconds(() => bob.ok('download', 'bob.bin'))).to.be.above(leastSeconds(SIZE));
    const took = await seconds(async () => {
      const slow = carol.ok('download', 'carol.bin', '--limit-rate', `${LIMIT}M`);
      const reason = await reasonIn(carol, 'carol.bin', 'RATE_LIMIT', slow);
      expect(reason?.text).to.match(/--limit-rate|alice limits/);
      await slow;
    });
    expect(took).to.be.above(leastSeconds(SIZE));
    expect(await carol.refused('download', 'bob.bin', '--limit-rate', 'fast')).to.equal('2 USAGE');
    expect(await carol.refused('status', '--upload-limit', 'fast')).to.equal('2 USAGE');
  });
});
