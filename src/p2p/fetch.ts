/** Asking one peer for blocks and their digests over a transfer link. */
import { DIGEST_BYTES } from '../chunks/digest.js';
import { peerCommands } from '../protocol/commands/peer.js';
import { heldNews } from '../protocol/commands/peer/watchHeld.js';
import type { HeldNews } from '../protocol/commands/peer/watchHeld.js';
import { ParleyError, toParleyError } from '../protocol/errors.js';
import type { CallOptions } from '../protocol/outgoing.js';
import type { Digest } from '../protocol/values.js';
import { ArrivingPieces } from './arrivingpieces.js';
import type { Came, Pieces } from './arrivingpieces.js';
import type { QueueView } from './diagnosis.js';
import type { FetchParams, LinkConnection } from './link.js';

/** Milliseconds for an end to say how things wait there. */
const QUEUE_DEADLINE_MS = 1_000;
/** How long the link may be silent is judged by whoever asks, for all its requests together. */
const NO_DEADLINE = { deadlineMs: Infinity };

/**
 * Asks for blocks that stand side by side, MAX_REQUEST_BYTES at most in all. What the call fails with is part of what came.
 * @throws what `take` throws
 */
export async function askBlocks<T>(
  connection: LinkConnection,
  params: FetchParams,
  pieces: Pieces<T>,
  signal?: AbortSignal,
): Promise<Came<T>> {
  return collect(pieces, (stream) =>
    connection.call(peerCommands.fetchBlock, params, { ...NO_DEADLINE, signal, ...stream }),
  );
}

/**
 * The digests of a chunk's `blocks` blocks; undefined when something of another length came.
 * @throws ParleyError what the other end refuses with; PEER_UNREACHABLE when the link is lost; CANCELLED
 */
export async function askDigests(
  connection: LinkConnection,
  params: { root: Digest; chunk: number },
  blocks: number,
  signal: AbortSignal,
): Promise<Buffer | undefined> {
  const pieces: Pieces<Buffer> = {
    bytes: [blocks * DIGEST_BYTES],
    into: (bytes) => Buffer.allocUnsafe(bytes),
    take: (digests) => digests,
    goesOn: () => true,
  };
  const { taken, failure } = await collect(pieces, (stream) =>
    connection.call(peerCommands.blockDigests, params, { ...NO_DEADLINE, signal, ...stream }),
  );
  if (failure?.kind === 'refused') throw failure.error;
  return failure === undefined ? taken[0] : undefined;
}

/**
 * Has the other end tell which blocks it holds, until the signal aborts or the link ends. Does not resolve before.
 * @throws ParleyError as `askDigests`; PROTOCOL_ERROR when it tells of blocks that a file of `blocks` blocks does not have
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

/** How a call gets its bytes into pieces. */
type Stream = Required<Pick<CallOptions, 'onBytes' | 'into' | 'wantedBytes'>>;

/** Runs a call that should give these pieces. */
async function collect<T>(pieces: Pieces<T>, call: (stream: Stream) => Promise<unknown>): Promise<Came<T>> {
  const arriving = new ArrivingPieces(pieces);
  const stream: Stream = {
    onBytes: (bytes) => arriving.receive(bytes),
    into: (bytes) => arriving.place(bytes),
    wantedBytes: arriving.bytes,
  };
  const refused = await call(stream).then(
    () => undefined,
    (thrown: unknown) => toParleyError(thrown),
  );
  return arriving.close(refused);
}
