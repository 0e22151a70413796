/** Asking one peer for blocks and their digests over a transfer link. */
import { DIGEST_BYTES } from '../chunks/digest.js';
import { peerCommands } from '../protocol/commands/peer.js';
import { heldNews } from '../protocol/commands/peer/watchHeld.js';
import type { HeldNews } from '../protocol/commands/peer/watchHeld.js';
import { ParleyError } from '../protocol/errors.js';
import type { Digest } from '../protocol/values.js';
import type { QueueView } from './diagnosis.js';
import type { FetchParams, LinkConnection } from './link.js';

/** A lie about length is one about content: both name the sender. */
export type Came<T> = { readonly kind: 'taken'; readonly value: T } | { readonly kind: 'wrong length' };

/** Takes the bytes that were asked for, which are its own from then on. */
export type Take<T> = (bytes: Buffer) => T | Promise<T>;

/** Milliseconds for an end to say how things wait there. */
const QUEUE_DEADLINE_MS = 1_000;
/** How long the link may be silent is judged by whoever asks, for all its requests together. */
const NO_DEADLINE = { deadlineMs: Infinity };

/**
 * Blocks that stand side by side, `bytes` bytes in all (at most 1 MiB), one behind another in what `into` gives when the first of them is
 * there. `take` is given it when the last is; when that does not happen it must not be used again.
 * @throws ParleyError what the other end refuses with; PEER_UNREACHABLE when the link is lost; CANCELLED; what `take` throws
 */
export async function askBlocks<T>(
  connection: LinkConnection,
  params: FetchParams,
  bytes: number,
  into: () => Buffer,
  take: Take<T>,
  signal?: AbortSignal,
): Promise<Came<T>> {
  const ask: Parameters<typeof collect>[2] = (onBytes, room) =>
    connection.call(peerCommands.fetchBlock, params, { ...NO_DEADLINE, signal, onBytes, into: room });
  return collect(bytes, into, ask, take);
}

/** The digests of a chunk's `blocks` blocks. @throws as `askBlocks` */
export async function askDigests(
  connection: LinkConnection,
  params: { root: Digest; chunk: number },
  blocks: number,
  signal: AbortSignal,
): Promise<Came<Buffer>> {
  const bytes = blocks * DIGEST_BYTES;
  const ask: Parameters<typeof collect>[2] = (onBytes) =>
    connection.call(peerCommands.blockDigests, params, { ...NO_DEADLINE, signal, onBytes });
  return collect(
    bytes,
    () => Buffer.allocUnsafe(bytes),
    ask,
    (digests) => digests,
  );
}

/**
 * Has the other end tell which blocks it holds, until the signal aborts or the link ends. Does not resolve before.
 * @throws ParleyError as `askBlocks`; PROTOCOL_ERROR when it tells of blocks that a file of `blocks` blocks does not have
 */
export async function watchHeld(
  connection: LinkConnection,
  root: Digest,
  blocks: number,
  signal: AbortSignal,
  onNews: (news: HeldNews) => void,
): Promise<void> {
  const wrong = new AbortController();
  const onEvent = (event: unknown): void => {
    const news = heldNews.safeParse(event).data;
    const isOfFile = (run: readonly [number, number]): boolean => run[0] + run[1] <= blocks;
    if (news !== undefined && [...news.blocks, ...news.given, ...(news.coming ?? [])].every(isOfFile)) onNews(news);
    else wrong.abort();
  };
  try {
    await connection.call(
      peerCommands.watchHeld,
      { root },
      { onEvent, signal: AbortSignal.any([signal, wrong.signal]) },
    );
  } catch (thrown) {
    if (!wrong.signal.aborted) throw thrown;
    throw new ParleyError('PROTOCOL_ERROR', { reason: 'it told of blocks that the file does not have' });
  }
}

/** How what was asked for waits at the other end; undefined when it does not say so soon. */
export async function askQueue(connection: LinkConnection, signal: AbortSignal): Promise<QueueView | undefined> {
  try {
    const asked = { signal, deadlineMs: QUEUE_DEADLINE_MS };
    const { ahead, isLimited } = await connection.call(peerCommands.queue, {}, asked);
    return { ahead, isLimited };
  } catch {
    return undefined;
  }
}

/**
 * Runs a call that should give so many bytes, and has them taken as soon as they are there: while they are in the cache, and before more
 * come. Gives up as soon as there are more. Settles only when nothing is being taken any more.
 */
async function collect<T>(
  bytes: number,
  into: () => Buffer,
  call: (onBytes: (bytes: Buffer) => Promise<void> | undefined, room: () => Buffer) => Promise<unknown>,
  take: Take<T>,
): Promise<Came<T>> {
  let target: Buffer | undefined;
  const room = (): Buffer => (target ??= into());
  let have = 0;
  const tooMuch = (): boolean => have > bytes;
  let taking: Promise<T> | undefined;
  const taken = async (): Promise<T> => take(room());
  try {
    await call((piece) => {
      const at = have;
      have += piece.length;
      if (tooMuch()) throw new ParleyError('CANCELLED');
      const to = room();
      const landed = piece.buffer === to.buffer && piece.byteOffset === to.byteOffset + at;
      if (!landed) piece.copy(to, at);
      if (have < bytes) return undefined;
      taking = taken();
      // What it fails with is told when the call is over.
      return taking.then(ignore, ignore);
    }, room);
  } catch (thrown) {
    // All of it is there: how the call ends makes no difference any more.
    if (taking === undefined && !tooMuch()) throw thrown;
    await taking?.catch(ignore);
  }
  return have === bytes ? { kind: 'taken', value: await (taking ?? taken()) } : { kind: 'wrong length' };
}

const ignore = (): void => undefined;
