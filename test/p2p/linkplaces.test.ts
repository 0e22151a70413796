import { expect } from 'chai';
import type { IntroducedDial } from '../../src/p2p/dialer.js';
import type { DialledLink } from '../../src/p2p/link.js';
import { LinkPlaces } from '../../src/p2p/linkplaces.js';
import { refusal } from '../support/refusal.js';
import { cleanUp, introduce, listen, makeEnd } from './ends.js';
import type { End } from './ends.js';

/** A thread that only counts. */
class CountingThread {
  links = 0;
  stopped = false;
  dial(): Promise<DialledLink> {
    this.links += 1;
    return Promise.resolve({ peer: 'bob' } as DialledLink);
  }
  stop(): Promise<void> {
    this.stopped = true;
    return Promise.resolve();
  }
}

describe('p2p/linkplaces', () => {
  let me: End;
  let bob: End;
  beforeEach(async () => {
    [me, bob] = await Promise.all([makeEnd('alice'), makeEnd('bob')]);
  });
  afterEach(cleanUp);

  async function dialOptions(): Promise<IntroducedDial> {
    const listener = await listen(bob);
    const introduction = introduce(bob);
    listener.expect({ ...introduce(me), id: introduction.id });
    return { identity: me.identity, host: '127.0.0.1', port: listener.port, introduction };
  }

  it('have the first link here, and each next one where there are the fewest', async () => {
    const threads: CountingThread[] = [];
    const places = new LinkPlaces(2, () => threads[threads.push(new CountingThread()) - 1]!);
    const links: DialledLink[] = [];
    const counts: number[][] = [];
    for (let i = 0; i < 4; i++) {
      links.push(await places.dial(await dialOptions()));
      counts.push(threads.map((thread) => thread.links));
    }
    expect(counts).to.deep.equal([
      [0, 0],
      [1, 0],
      [1, 1],
      [1, 1],
    ]);
    expect(links.map((link) => 'connection' in link)).to.deep.equal([true, false, false, true]);
    links[0]!.connection.destroy();
    links[3]!.connection.destroy();
    await Promise.all([links[0]!.connection.closed, links[3]!.connection.closed]);
    await places.dial(await dialOptions());
    expect(threads.map((thread) => thread.links)).to.deep.equal([1, 1]);
    await places.close();
    expect(threads.map(({ stopped }) => stopped)).to.deep.equal([true, true]);
  });

  it('do not count a link that could not be opened', async () => {
    const thread = new CountingThread();
    const places = new LinkPlaces(1, () => thread);
    const options = { ...(await dialOptions()), introduction: introduce(me) };
    expect((await refusal(places.dial(options))).code).to.equal('PEER_UNREACHABLE');
    await places.dial(await dialOptions());
    expect(thread.links).to.equal(0);
  });

  it('are all here where there is one core', async () => {
    const places = new LinkPlaces(0);
    const links = [await places.dial(await dialOptions()), await places.dial(await dialOptions())];
    expect(links.every(({ takeBlocks }) => takeBlocks === undefined)).to.equal(true);
    for (const { connection } of links) connection.destroy();
  });
});
