/** Bytes that are expected in pieces of known lengths, as they come over a link, however they are cut into frames there. */
import { ParleyError } from '../protocol/errors.js';
import { isAt } from '../protocol/frame.js';

/** What is expected, and what becomes of it. */
export interface Pieces<T> {
  /** Bytes of each piece, in order: 1 to BLOCK_BYTES. */
  readonly bytes: readonly number[];
  /** Memory for a piece, asked for when it begins. It may be used again only when `take` was given it. */
  readonly into: (bytes: number) => Buffer;
  /** Takes a piece, which is its own from then on, as soon as all of it is there: while it is in the cache. */
  readonly take: (bytes: Buffer, piece: number) => T | Promise<T>;
  /** Whether those behind it are still wanted. */
  readonly goesOn: (taken: T) => boolean;
}

/** What came. */
export interface Came<T> {
  /** What became of each piece that came, in order. */
  readonly taken: readonly T[];
  /** Why others that were wanted did not come. A lie about length is one about content: both name the sender. */
  readonly failure: CameFailure | undefined;
}
export type CameFailure =
  | { readonly kind: 'wrong length' }
  /** What the other end refused with, or the link or the caller ended it with. */
  | { readonly kind: 'refused'; readonly error: ParleyError };

/** A place in the pieces. */
interface Cursor {
  piece: number;
  at: number;
}

export class ArrivingPieces<T> {
  /** Bytes of all. */
  readonly bytes: number;
  readonly #pieces: Pieces<T>;
  /** Of the pieces that have begun and are not taken. */
  readonly #rooms = new Map<number, Buffer>();
  /** Where the next frame goes that begins; ahead of `#comes` while pieces wait to be taken. */
  readonly #begins: Cursor = { piece: 0, at: 0 };
  /** Where the next frame goes that is there. */
  readonly #comes: Cursor = { piece: 0, at: 0 };
  readonly #taken: T[] = [];
  #have = 0;
  #taking: Promise<void> | undefined;
  #thrown: { readonly by: unknown } | undefined;
  #state: 'open' | 'enough' | 'closed' = 'open';

  constructor(pieces: Pieces<T>) {
    this.#pieces = pieces;
    this.bytes = pieces.bytes.reduce((sum, bytes) => sum + bytes, 0);
  }

  /** Where the next `bytes` bytes are to be put; undefined when they are not of one piece. To be asked once for each frame. */
  place(bytes: number): Buffer | undefined {
    const { piece, at } = this.#begins;
    const isOfOne = at + bytes <= this.#lengthOf(piece);
    this.#advance(this.#begins, bytes);
    return isOfOne ? this.#roomOf(piece).subarray(at, at + bytes) : undefined;
  }

  /** Resolves when what is whole by these bytes was taken. @throws ParleyError CANCELLED when no more is wanted */
  async receive(bytes: Buffer): Promise<void> {
    this.#have += bytes.length;
    for (let rest = bytes; rest.length > 0;) {
      if (this.#state !== 'open' || this.#have > this.bytes) throw new ParleyError('CANCELLED');
      const { piece, at } = this.#comes;
      const length = Math.min(rest.length, this.#lengthOf(piece) - at);
      this.#put(rest.subarray(0, length));
      if (this.#comes.piece > piece) await (this.#taking = this.#take(piece));
      rest = rest.subarray(length);
    }
  }

  /**
   * What came, when the call is over; `refused` is what it failed with. Settles when nothing is being taken, and nothing is after that.
   * @throws what `take` threw
   */
  async close(refused: ParleyError | undefined): Promise<Came<T>> {
    const isEnough = this.#state === 'enough';
    this.#state = 'closed';
    await this.#taking;
    if (this.#thrown !== undefined) throw this.#thrown.by;
    const isComplete = this.#taken.length === this.#pieces.bytes.length;
    // How the call ends makes no difference any more when all of it is there.
    if (this.#have <= this.bytes && (isEnough || isComplete)) return { taken: this.#taken, failure: undefined };
    if (this.#have > this.bytes || refused === undefined) {
      return { taken: this.#taken, failure: { kind: 'wrong length' } };
    }
    return { taken: this.#taken, failure: { kind: 'refused', error: refused } };
  }

  /** Never rejects. */
  async #take(piece: number): Promise<void> {
    const room = this.#roomOf(piece);
    this.#rooms.delete(piece);
    try {
      const taken = await this.#pieces.take(room, piece);
      this.#taken.push(taken);
      if (this.#state === 'open' && !this.#pieces.goesOn(taken)) this.#state = 'enough';
    } catch (thrown) {
      this.#thrown = { by: thrown };
      this.#state = 'closed';
    }
  }

  #put(bytes: Buffer): void {
    const { piece, at } = this.#comes;
    const room = this.#roomOf(piece);
    if (!isAt(bytes, 0, room, at)) bytes.copy(room, at);
    this.#advance(this.#comes, bytes.length);
  }

  #roomOf(piece: number): Buffer {
    const room = this.#rooms.get(piece) ?? this.#pieces.into(this.#lengthOf(piece));
    this.#rooms.set(piece, room);
    return room;
  }

  #lengthOf(piece: number): number {
    return this.#pieces.bytes[piece] ?? 0;
  }

  #advance(cursor: Cursor, bytes: number): void {
    cursor.at += bytes;
    for (let length = this.#lengthOf(cursor.piece); length > 0 && cursor.at >= length;) {
      cursor.at -= length;
      cursor.piece += 1;
      length = this.#lengthOf(cursor.piece);
    }
  }
}
