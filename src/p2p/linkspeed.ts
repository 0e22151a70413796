/** How fast blocks come over one link, and how many bytes are worth asking for ahead. Pure. */

/** Bytes asked of one holder and not yet there: enough to keep a fast link busy while both ends are, little enough to give back. */
export const WINDOW_BYTES = 8 * 1024 * 1024;
/** Requests open at one holder: small blocks would otherwise wait for the round trip instead of the wire. */
export const WINDOW_REQUESTS = 64;
/** Requests open at a holder however slow it is: one is answered while the next one travels. */
export const LEAST_REQUESTS = 2;
/** Milliseconds that are asked ahead of what rate and latency need: a busy machine pauses as long now and then. */
export const AHEAD_MS = 150;
/** Weight of the newest block in what is smoothed. */
const NEWEST_WEIGHT = 0.3;
/** How much the shortest time seen grows with each block: a link that became slower is believed after some tens. */
const FORGETTING = 1.02;

export class LinkSpeed {
  /** Milliseconds from asking to the block, smoothed; undefined until the first one. */
  #typicalMs: number | undefined;
  /** The shortest of late: nothing of ours waited before it. */
  #shortestMs = 0;
  /** Milliseconds for each byte while something was asked for, smoothed. */
  #msPerByte = 0;
  #lastAt = -Infinity;
  #came = 0;

  /** Milliseconds from asking to the block; undefined until one has come. */
  get typicalMs(): number | undefined {
    return this.#typicalMs;
  }

  /** Bytes a millisecond; 0 until a block has come. */
  get rate(): number {
    return this.#typicalMs === undefined ? 0 : 1 / this.#msPerByte;
  }

  /** Bytes that are worth having under way: what the link takes in a round trip, and a little ahead. */
  get windowBytes(): number {
    return Math.min(WINDOW_BYTES, this.rate * (this.#shortestMs + AHEAD_MS));
  }

  /** Requests that may be open: one more with each block that came, so that who turns out to lie was asked for little. */
  get windowRequests(): number {
    return Math.min(WINDOW_REQUESTS, LEAST_REQUESTS + this.#came);
  }

  /** A block of so many bytes came. Times are of any monotonic clock, in milliseconds. */
  note(bytes: number, askedAt: number, now: number): void {
    const tookMs = now - askedAt;
    this.#came += 1;
    // While one is answered the next one waits: each costs only the time since the one before.
    const msPerByte = Math.max(now - Math.max(askedAt, this.#lastAt), SHORTEST_MS) / Math.max(1, bytes);
    this.#lastAt = now;
    if (this.#typicalMs === undefined) {
      this.#typicalMs = this.#shortestMs = tookMs;
      this.#msPerByte = msPerByte;
      return;
    }
    this.#typicalMs += NEWEST_WEIGHT * (tookMs - this.#typicalMs);
    this.#msPerByte += NEWEST_WEIGHT * (msPerByte - this.#msPerByte);
    this.#shortestMs = Math.min(tookMs, this.#shortestMs * FORGETTING);
  }
}

/** Blocks that come in one turn of the loop show no time between them. */
const SHORTEST_MS = 0.05;
