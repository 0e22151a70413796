/** Bytes of a socket straight into the frame they belong to, without a buffer for each piece. */

/** Bytes of the place where headers and small frames land: a TLS record has at most 16 KiB. */
const SCRATCH_BYTES = 64 * 1024;

/** What bytes are read for: says where the next ones go, and takes them. */
export interface LandingSite {
  /** Where the next bytes are wanted; undefined when that is not known yet. */
  room(): Buffer | undefined;
  /** Takes the first `length` bytes of `target`, which are overwritten later. */
  take(target: Buffer, length: number): void;
}

/**
 * Made before a socket is opened, whose `onread` option is `onread`, and given to the Connection over it. Bytes that come before that
 * are refused: the other end of a link has nothing to say then.
 */
export class Landing {
  readonly #scratch = Buffer.allocUnsafeSlow(SCRATCH_BYTES);
  #site: LandingSite | undefined;
  /** Where the bytes that are being read go. */
  #target: Buffer = this.#scratch;

  readonly onread = {
    buffer: (): Uint8Array => {
      this.#target = this.#site?.room() ?? this.#scratch;
      return this.#target;
    },
    callback: (bytes: number): boolean => {
      if (this.#site === undefined) return false;
      this.#site.take(this.#target, bytes);
      return true;
    },
  };

  attach(site: LandingSite): void {
    this.#site = site;
  }
}
