/** Asking one peer for blocks and their digests over a transfer link. */
import { DIGEST_BYTES } from '../chunks/digest.js';
import { peerCommands } from '../protocol/commands/peer.js';
import { heldNews } from '../protocol/commands/peer/watchHeld.js';
import type { HeldNews } from '../protocol/commands/peer/watchHeld.js';
import type { Connection } from '../protocol/connection.js';
import { ParleyError } from '../protocol/errors.js';
import type { Digest } from '../protocol/values.js';
import type { QueueView } from './diagnosis.js';

/** A lie about length is one about content: both name the sender. */
export type Answer = { readonly kind: 'bytes'; readonly bytes: Buffer } | { readonly kind: 'wrong length' };

/** Milliseconds for an end to say how things wait there. */
const QUEUE_DEADLINE_MS = 1_000;
/** How long the link may be silent is judged by whoever asks, for all its requests together. */
const NO_DEADLINE = { deadlineMs: Infinity };

/**
 * Blocks that stand side by side, `bytes` bytes in all (at most 1 MiB), one behind another in what `into` gives when the first of them is
 * there. That must not be used again when this fails or gives a wrong length.
 * @throws ParleyError what the other end refuses with; PEER_UNREACHABLE when the link is lost; CANCELLED
 */
export async function askBlocks(
  connection: Connection,
  params: { root: Digest; chunk: number; block: number; count?: number },
  bytes: number,
  into: () => Buffer,
  signal?: AbortSignal,
): Promise<Answer> {
  return collect(bytes, into, (onBytes, room) =>
    connection.call(peerCommands.fetchBlock, params, { ...NO_DEADLINE, signal, onBytes, into: room }),
  );
}

/** The digests of a chunk's `blocks` blocks. @throws as `askBlock` */
export async function askDigests(
  connection: Connection,
  params: { root: Digest; chunk: number },
  blocks: number,
  signal: AbortSignal,
): Promise<Answer> {
  const bytes = blocks * DIGEST_BYTES;
  return collect(
    bytes,
    () => Buffer.allocUnsafe(bytes),
    (onBytes) => connection.call(peerCommands.blockDigests, params, { ...NO_DEADLINE, signal, onBytes }),
  );
}

/**
 * Has the other end tell which blocks it holds, until the signal aborts or the link ends. Does not resolve before.
 * @throws ParleyError as `askBlock`; PROTOCOL_ERROR when it tells of blocks that a file of `blocks` blocks does not have
 */
export async function watchHeld(
  connection: Connection,
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
export async function askQueue(connection: Connection, signal: AbortSignal): Promise<QueueView | undefined> {
  try {
    const asked = { signal, deadlineMs: QUEUE_DEADLINE_MS };
    const { ahead, isLimited } = await connection.call(peerCommands.queue, {}, asked);
    return { ahead, isLimited };
  } catch {
    return undefined;
  }
}

/** Runs a call that should give so many bytes; gives up as soon as there are more. */
async function collect(
  bytes: number,
  into: () => Buffer,
  call: (onBytes: (bytes: Buffer) => void, room: () => Buffer) => Promise<unknown>,
): Promise<Answer> {
  let target: Buffer | undefined;
  const room = (): Buffer => (target ??= into());
  let have = 0;
  const tooMuch = (): boolean => have > bytes;
  try {
    await call((piece) => {
      const at = have;
      have += piece.length;
      if (tooMuch()) throw new ParleyError('CANCELLED');
      const to = room();
      const landed = piece.buffer === to.buffer && piece.byteOffset === to.byteOffset + at;
      if (!landed) piece.copy(to, at);
    }, room);
  } catch (thrown) {
    if (!tooMuch()) throw thrown;
  }
  return have === bytes ? { kind: 'bytes', bytes: room() } : { kind: 'wrong length' };
}
