/** Serves blocks to peers over transfer links: fairly, in bounded memory, and only what is held. */
import { blocksOfChunk, bytesOfBlocks, chunkOfBlock, spansOf } from '../chunks/plan.js';
import type { BlockRange } from '../chunks/plan.js';
import { systemClock } from '../protocol/clock.js';
import type { Clock } from '../protocol/clock.js';
import type { Handlers, IncomingCall } from '../protocol/command.js';
import { peerCommands } from '../protocol/commands/peer.js';
import type { Connection } from '../protocol/connection.js';
import { ParleyError } from '../protocol/errors.js';
import { EMPTY_REPLY_BYTES, HEADER_BYTES } from '../protocol/frame.js';
import { BLOCK_BYTES, MAX_REQUEST_BYTES } from '../protocol/limits.js';
import { InTurn } from '../protocol/turns.js';
import { nameKey } from '../protocol/values.js';
import type { Digest } from '../protocol/values.js';
import { HeldWatch } from './heldwatch.js';
import { RateLimit, RateMeter } from './rate.js';
import type { Share, Shares } from './share.js';
import { Slots } from './slots.js';

/** Requests served at once, each with a buffer of 4 MiB: keeps disk and wire busy, and the agent small. */
export const SERVED_AT_ONCE = 8;
/** The same for one user: one is read while the other is sent, and nobody asks for more large ones ahead. */
export const SERVED_AT_ONCE_PER_USER = 2;
/** Requests of one user that wait; asking further ahead gains nothing. */
export const WAITING_PER_USER = 128;
/** Milliseconds in which a MiB must have left, 9 KB/s, without those that a limit held it back: an end that does not read holds a buffer no longer. */
export const SEND_DEADLINE_MS = 120_000;
/** Milliseconds between the pieces in which a block leaves under a limit: what else goes over the line waits no longer for one. */
const PIECE_MS = 50;
/** Bytes that a piece has at least: a record of TLS. */
const LEAST_PIECE_BYTES = 16 * 1024;
/** Milliseconds after the last block that an upload counts as one. */
const UPLOAD_QUIET_MS = 5_000;

const { blockDigests, fetchBlock, queue, watchHeld } = peerCommands;
const transferCommands = { blockDigests, fetchBlock, queue, watchHeld } as const;

export interface ProviderOptions {
  readonly shares: Shares;
  /** Bytes a second to all peers together; no limit when absent or Infinity. */
  readonly limitRate?: number | undefined;
  /** Bytes a second over one link; no limit when absent or Infinity. */
  readonly linkLimitRate?: number | undefined;
  readonly clock?: Clock;
}

export type UploadLimits = Pick<ProviderOptions, 'limitRate' | 'linkLimitRate'>;

/** What is being sent to one user of one file. */
export interface Upload {
  readonly user: string;
  readonly file: string;
  readonly sizeBytes: number;
  readonly bytes: number;
  readonly rate: number;
}

export class Provider {
  readonly #shares: Shares;
  readonly #clock: Clock;
  readonly #limit: RateLimit;
  #linkLimitRate: number;
  readonly #links = new Set<Context>();
  readonly #watch: HeldWatch;
  readonly #slots = new Slots({
    total: SERVED_AT_ONCE,
    perUser: SERVED_AT_ONCE_PER_USER,
    waitingPerUser: WAITING_PER_USER,
  });
  /** Buffers of a request that nobody uses now; never more than SERVED_AT_ONCE exist. */
  readonly #buffers: Buffer[] = [];
  readonly #uploads = new Map<string, { user: string; share: Share; meter: RateMeter; lastAt: number }>();

  constructor(options: ProviderOptions) {
    this.#shares = options.shares;
    this.#clock = options.clock ?? systemClock;
    this.#limit = new RateLimit(options.limitRate ?? Infinity, this.#clock);
    this.#linkLimitRate = options.linkLimitRate ?? Infinity;
    this.#watch = new HeldWatch(options.shares, this.#clock);
  }

  /** Answers `user` on a transfer link until it closes. */
  serve(user: string, connection: Connection): void {
    const limit = new RateLimit(this.#linkLimitRate, this.#clock);
    const context: Context = { user, connection, limit, paced: new InTurn() };
    this.#links.add(context);
    void connection.closed.then(() => this.#links.delete(context));
    connection.serve(transferCommands, (spec, params, call) => {
      const handler = this.#handlers[spec.name as keyof typeof transferCommands];
      return Promise.resolve(handler(params as never, context, call));
    });
  }

  /** Infinity: none. */
  get limits(): Required<UploadLimits> {
    return { limitRate: this.#limit.bytesPerSecond, linkLimitRate: this.#linkLimitRate };
  }

  /** Limits that hold from now on, also for what is being sent; what is not given stays as it is. */
  setLimits({ limitRate = this.#limit.bytesPerSecond, linkLimitRate = this.#linkLimitRate }: UploadLimits): void {
    this.#limit.bytesPerSecond = limitRate;
    this.#linkLimitRate = linkLimitRate;
    for (const { limit } of this.#links) limit.bytesPerSecond = linkLimitRate;
  }

  /** What was sent within the last seconds. */
  uploads(): readonly Upload[] {
    const now = this.#clock.monotonicMs();
    for (const [key, { lastAt }] of this.#uploads) if (now - lastAt > UPLOAD_QUIET_MS) this.#uploads.delete(key);
    return [...this.#uploads.values()].map(({ user, share, meter }) => ({
      user,
      file: share.file,
      sizeBytes: share.plan.sizeBytes,
      bytes: meter.total,
      rate: meter.rate(),
    }));
  }

  readonly #handlers: Handlers<typeof transferCommands, Context> = {
    queue: (_params, { user, limit }) => {
      const ahead = this.#slots.ahead(user);
      const isLimited = this.#limit.isHolding || limit.isHolding;
      return { ...(ahead === undefined ? {} : { ahead }), isLimited };
    },
    watchHeld: ({ root }, { connection }, call) => this.#watch.tell(root, connection, call),
    blockDigests: async ({ root, chunk }, { user }, call) => {
      const digests = this.#find(root, chunk).blockDigests(chunk);
      if (digests === undefined) throw new ParleyError('CHUNK_GONE', { chunk });
      await this.#slots.run(user, call, () => call.write(digests));
      return {};
    },
    fetchBlock: async ({ root, chunk, block, count = 1 }, context, call) => {
      const share = this.#find(root, chunk);
      const ofChunk = blocksOfChunk(share.plan, chunk);
      if (block >= ofChunk.count) throw new ParleyError('CHUNK_GONE', { file: share.file, chunk });
      const blocks = { first: ofChunk.first + block, count };
      this.#expectHeld(share, blocks);
      this.#watch.give(root, blocks);
      const send = (): Promise<void> =>
        this.#slots.run(context.user, call, () => this.#send(share, blocks, context, call));
      await (this.#pieceBytes(context) < BLOCK_BYTES ? inTurn(context, send) : send());
      return {};
    },
  };

  #find(root: Digest, chunk: number): Share {
    const share = this.#shares.find(root);
    if (share === undefined || chunk >= share.plan.chunks) throw new ParleyError('CHUNK_GONE', { chunk });
    return share;
  }

  /** @throws ParleyError CHUNK_GONE, BAD_REQUEST */
  #expectHeld(share: Share, { first, count }: BlockRange): void {
    const { plan, file } = share;
    const last = plan.blocks - 1;
    const missing = first + count - 1 > last ? last : share.lacks({ first, count });
    if (missing !== undefined) throw new ParleyError('CHUNK_GONE', { file, chunk: chunkOfBlock(plan, missing) });
    if (bytesOfBlocks(plan, { first, count }).length <= MAX_REQUEST_BYTES) return;
    throw new ParleyError('BAD_REQUEST', { command: 'fetchBlock', reason: 'so many blocks have more than 4 MiB' });
  }

  /**
   * All of it is read at once, and leaves in one write for each block or so: into the room for a header, which is where the block before it
   * was, for the blocks and for the reply. Nothing is copied.
   */
  async #send(share: Share, blocks: BlockRange, context: Context, call: IncomingCall): Promise<void> {
    const buffer = this.#buffers.pop() ?? Buffer.allocUnsafeSlow(HEADER_BYTES + MAX_REQUEST_BYTES + EMPTY_REPLY_BYTES);
    try {
      let left = await share.read(blocks.first, buffer, HEADER_BYTES, blocks.count);
      let rest = buffer;
      for (const { length } of spansOf(share.plan, blocks)) {
        left -= length;
        await this.#sendSpan(share, rest, length, left === 0, context, call);
        rest = rest.subarray(length);
      }
    } finally {
      this.#buffers.push(buffer);
    }
  }

  /** What stands in `room` behind a header. Under a limit it leaves in pieces, each with its header where the one before it was. */
  async #sendSpan(
    share: Share,
    room: Buffer,
    length: number,
    isLast: boolean,
    context: Context,
    call: IncomingCall,
  ): Promise<void> {
    const deadline = new SendDeadline(context.connection, this.#clock);
    for (let sent = 0; sent < length;) {
      const piece = Math.min(length - sent, this.#pieceBytes(context));
      await this.#mayGo(piece, context, call);
      const rest = room.subarray(sent);
      const ends = isLast && sent + piece === length;
      const write = ends ? call.answerInPlace(rest, piece) : call.writeInPlace(rest.subarray(0, HEADER_BYTES + piece));
      await deadline.of(write);
      this.#note(context.user, share, piece);
      sent += piece;
    }
  }

  /** Bytes that leave at once. */
  #pieceBytes({ limit }: Context): number {
    const rate = Math.min(this.#limit.bytesPerSecond, limit.bytesPerSecond);
    return Math.max(LEAST_PIECE_BYTES, Math.floor((rate * PIECE_MS) / 1000));
  }

  /** @throws ParleyError CANCELLED */
  async #mayGo(bytes: number, { user, limit }: Context, call: IncomingCall): Promise<void> {
    // A signal is dear to make: only for those who may have to wait.
    if (limit.bytesPerSecond === Infinity && this.#limit.bytesPerSecond === Infinity) return;
    await limit.take(bytes, call.signal);
    try {
      await this.#limit.take(bytes, call.signal, nameKey(user));
    } catch (thrown) {
      limit.refund(bytes);
      throw thrown;
    }
  }

  #note(user: string, share: Share, bytes: number): void {
    const key = `${nameKey(user)} ${share.file}`;
    const upload = this.#uploads.get(key) ?? { user, share, meter: new RateMeter(this.#clock), lastAt: 0 };
    upload.lastAt = this.#clock.monotonicMs();
    upload.meter.add(bytes);
    this.#uploads.set(key, upload);
  }
}

interface Context {
  readonly user: string;
  readonly connection: Connection;
  /** Of this link alone. */
  readonly limit: RateLimit;
  /** Blocks that leave in pieces leave one after the other: the first is there sooner, and the last no later. */
  readonly paced: InTurn;
}

/** @throws ParleyError SERVER_BUSY when too much waits on this link already */
function inTurn({ paced }: Context, send: () => Promise<void>): Promise<void> {
  if (paced.size > WAITING_PER_USER) throw new ParleyError('SERVER_BUSY');
  return paced.run(send);
}

/** Destroys a connection whose end takes too long to take what was written, all writes of a block together. */
class SendDeadline {
  readonly #connection: Connection;
  readonly #clock: Clock;
  #leftMs = SEND_DEADLINE_MS;

  constructor(connection: Connection, clock: Clock) {
    this.#connection = connection;
    this.#clock = clock;
  }

  async of(written: Promise<void>): Promise<void> {
    const begin = this.#clock.monotonicMs();
    const done = this.#clock.after(this.#leftMs, () => {
      this.#connection.destroy(new ParleyError('TIMEOUT', { seconds: SEND_DEADLINE_MS / 1000 }));
    });
    try {
      await written;
    } finally {
      done();
      this.#leftMs = Math.max(0, this.#leftMs - (this.#clock.monotonicMs() - begin));
    }
  }
}
