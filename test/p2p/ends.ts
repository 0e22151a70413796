/** Two users on one machine for tests of links: identities, pins in temporary homes, listeners, and links between them. */
import { mkdtemp, rm } from 'node:fs/promises';
import { randomBytes } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeIdentity } from '../../src/protocol/certificate.js';
import type { Identity } from '../../src/protocol/certificate.js';
import type { Clock } from '../../src/protocol/clock.js';
import type { Introduction, Purpose } from '../../src/protocol/commands/server/introduce.js';
import { INTRODUCTION_TTL_MS } from '../../src/protocol/limits.js';
import { deferred } from '../../src/protocol/deferred.js';
import { ParleyError } from '../../src/protocol/errors.js';
import { dialPeer } from '../../src/p2p/dialer.js';
import type { DialOptions } from '../../src/p2p/dialer.js';
import type { PeerLink } from '../../src/p2p/link.js';
import { startPeerListener } from '../../src/p2p/listener.js';
import type { PeerListener } from '../../src/p2p/listener.js';
import { Pins } from '../../src/p2p/pins.js';

export interface End {
  readonly user: string;
  readonly identity: Identity;
  readonly pins: Pins;
}

const folders: string[] = [];
const listeners: PeerListener[] = [];
const links: PeerLink[] = [];
const pinned: Pins[] = [];

/** Closes and removes what the helpers made; for `afterEach`. */
export async function cleanUp(): Promise<void> {
  for (const listener of listeners.splice(0)) listener.close();
  await Promise.all(links.splice(0).map(({ connection }) => connection.close()));
  await Promise.all(pinned.splice(0).map((pins) => pins.flush()));
  await Promise.all(folders.splice(0).map((folder) => rm(folder, { recursive: true })));
}

export async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'parley-p2p-'));
  folders.push(folder);
  return folder;
}

const identities = new Map<string, Promise<Identity>>();

/** A user with their own pins; users of one name share the key, since making one takes a while. */
export async function makeEnd(user: string): Promise<End> {
  const made = identities.get(user) ?? makeIdentity(user);
  identities.set(user, made);
  const pins = await Pins.open(await temporaryFolder());
  pinned.push(pins);
  return { user, identity: await made, pins };
}

export async function listen(
  end: End,
  onLink: (link: PeerLink) => void = () => undefined,
  clock?: Clock,
): Promise<PeerListener> {
  const listener = await startPeerListener({
    identity: end.identity,
    pins: end.pins,
    host: '127.0.0.1',
    port: 0,
    onLink: (link) => {
      links.push(link);
      onLink(link);
    },
    ...(clock === undefined ? {} : { clock }),
  });
  listeners.push(listener);
  return listener;
}

export function introduce(to: End, purpose: Purpose = 'transfer', id?: string): Introduction {
  return {
    id: id ?? randomBytes(16).toString('hex'),
    peer: to.user,
    publicKey: to.identity.publicKey,
    purpose,
    ttlMs: INTRODUCTION_TTL_MS,
  };
}

/** Dials `to`, who is said to listen on `port`. */
export async function dial(from: End, port: number, introduction: Introduction, more: Partial<DialOptions> = {}) {
  const { identity, pins } = from;
  const link = await dialPeer({ identity, pins, host: '127.0.0.1', port, introduction, ...more });
  links.push(link);
  return link;
}

/** Both ends of a good link. */
export async function linkedPair(dialer: End, listening: End, purpose: Purpose = 'transfer') {
  const theirs = deferred<PeerLink>();
  const listener = await listen(listening, theirs.resolve);
  const introduction = introduce(listening, purpose);
  listener.expect({ ...introduction, peer: dialer.user, publicKey: dialer.identity.publicKey });
  const dialled = await dial(dialer, listener.port, introduction);
  return { dialled, accepted: await theirs.promise, listener };
}

export async function codeOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
  } catch (error) {
    return error instanceof ParleyError ? error.code : String(error);
  }
  return 'fulfilled';
}
