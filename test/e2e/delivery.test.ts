/** Messages that nobody answers: a bounded wait, exit code 3, and in the end exactly one of each. */
import { expect } from 'chai';
import { Cast } from '../support/cast.js';
import type { Person } from '../support/cast.js';

/** A try, five more with pauses of 7.75 s in all, and starting a process on a busy machine. */
const BOUND_MS = 30_000;

describe('delivery', function () {
  this.timeout(120_000);
  let cast: Cast;
  let alice: Person;
  let bob: Person;

  beforeEach(async () => {
    cast = new Cast({ alice: 'a', bob: 'b' });
    await cast.start();
    [alice, bob] = [cast.person('alice', 'a'), cast.person('bob', 'b')];
    await Promise.all([alice.ok('login'), bob.ok('login')]);
  });
  afterEach(() => cast.close());

  /** Bob's inbox, once it has so many messages. */
  async function texts(count: number): Promise<string[]> {
    for (;;) {
      const { json, code } = await bob.run('inbox');
      const found = code === 0 ? (json['messages'] as { text: string }[]).map(({ text }) => text) : [];
      if (found.length >= count) return found;
    }
  }

  it('of a message to a server that is away fails in a while; tried again it is one message', async () => {
    await cast.stop('SIGKILL');
    const before = performance.now();
    const { code, error } = await alice.run('message', 'bob', 'the same');
    expect(performance.now() - before).to.be.below(BOUND_MS);
    expect([code, error?.code, error?.retryable]).to.deep.equal([3, 'SERVER_UNREACHABLE', true]);
    expect(error?.message).to.contain('outbox');
    await cast.start();
    const sent = await alice.ok('message', 'bob', 'the same');
    expect(sent['id']).to.match(/^[0-9a-f]{32}$/);
    // Another one with the same words is another one.
    const other = await alice.ok('message', 'bob', 'the same');
    expect(other['id']).not.to.equal(sent['id']);
    await alice.ok('message', 'bob', 'the last');
    expect(await texts(3)).to.deep.equal(['the same', 'the same', 'the last']);
  });

  it('goes on by itself when the server is back, in order', async () => {
    await cast.stop('SIGKILL');
    const waiting = ['one', 'two', 'three'].map((text) => alice.run('message', 'bob', text));
    const codes = (await Promise.all(waiting)).map(({ code }) => code);
    expect(codes).to.deep.equal([3, 3, 3]);
    await cast.start();
    expect((await texts(3)).sort()).to.deep.equal(['one', 'three', 'two']);
  });

  it('goes on with the next login after the sender’s agent was killed', async () => {
    await cast.stop('SIGKILL');
    expect(await alice.refused('message', 'bob', 'kept on disk')).to.equal('3 SERVER_UNREACHABLE');
    process.kill(alice.agentPid, 'SIGKILL');
    await cast.start();
    await alice.ok('login');
    expect(await texts(1)).to.deep.equal(['kept on disk']);
    await alice.ok('message', 'bob', 'next');
    expect(await texts(2)).to.deep.equal(['kept on disk', 'next']);
  });

  it('of other commands fails in a while, too', async () => {
    await cast.stop('SIGKILL');
    const before = performance.now();
    const ends = await Promise.all([
      alice.refused('whoelse'),
      alice.refused('block', 'bob'),
      bob.refused('list_groups'),
    ]);
    expect(performance.now() - before).to.be.below(BOUND_MS);
    expect(ends).to.deep.equal(Array.from({ length: 3 }, () => '3 SERVER_UNREACHABLE'));
  });
});
