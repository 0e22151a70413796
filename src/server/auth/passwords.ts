/** Password hashes: Argon2id, two at a time, with a bounded queue before them (R1). */
import { hash as argon2Hash, verify as argon2Verify } from '@node-rs/argon2';
import { randomBytes } from 'node:crypto';
import { ParleyError } from '../../protocol/errors.js';
import { MAX_PASSWORD_BYTES } from '../../protocol/limits.js';

/** OWASP's parameters for Argon2id: 19 MiB, two passes, one lane. */
const ARGON2ID = { memoryCost: 19 * 1024, timeCost: 2, parallelism: 1 } as const;
/** Hashes at once: 38 MiB, and half of Node's thread pool stays for files. */
export const MAX_HASHES = 2;
/** Hashes that may wait: about a second's work; who comes then is better told to come again. */
export const MAX_WAITING_HASHES = 64;

export interface TurnOptions {
  /** Ends the wait for a turn with CANCELLED; a hash that has begun is always finished. */
  readonly signal?: AbortSignal | undefined;
  /** Called when the turn has come, before the hash; what it throws ends the call. */
  readonly onTurn?: (() => void) | undefined;
  /** Waits also behind a full queue: for the few that the server itself asks for. */
  readonly mustQueue?: boolean | undefined;
}

/** The two functions of Argon2 that are used; tests bring their own. */
export interface Argon2 {
  hash(password: string, options: typeof ARGON2ID): Promise<string>;
  verify(hash: string, password: string): Promise<boolean>;
}
const NATIVE: Argon2 = { hash: argon2Hash, verify: argon2Verify };

/**
 * A password somebody chose.
 * @throws ParleyError USAGE, without the password in it
 */
export function parseNewPassword(password: string): string {
  if (password === '') throw new ParleyError('USAGE', { reason: 'the password is empty; choose one' });
  if (Buffer.byteLength(password) > MAX_PASSWORD_BYTES) {
    const reason = `the password is longer than ${MAX_PASSWORD_BYTES} bytes; choose a shorter one`;
    throw new ParleyError('USAGE', { reason });
  }
  return password;
}

/** The same characters may be typed as different code points on different systems. */
const normal = (password: string): string => password.normalize('NFC');

export class Passwords {
  readonly #argon2: Argon2;
  /** Of no password: what an unknown user's is compared with. */
  readonly #dummyHash: string;
  readonly #waiting: { readonly start: () => void }[] = [];
  #running = 0;

  private constructor(argon2: Argon2, dummyHash: string) {
    this.#argon2 = argon2;
    this.#dummyHash = dummyHash;
  }

  static async create(argon2: Argon2 = NATIVE): Promise<Passwords> {
    return new Passwords(argon2, await argon2.hash(randomBytes(32).toString('hex'), ARGON2ID));
  }

  /**
   * A PHC string.
   * @throws ParleyError SERVER_BUSY when the queue is full, CANCELLED
   */
  hash(password: string, options: TurnOptions = {}): Promise<string> {
    return this.#inTurn(() => this.#argon2.hash(normal(password), ARGON2ID), options);
  }

  /**
   * Whether the hash is of this password. For a user that does not exist give undefined: it takes as long and is false (R5).
   * @throws ParleyError SERVER_BUSY when the queue is full, CANCELLED, INTERNAL for what is no hash, and what `onTurn` throws
   */
  verify(hash: string | undefined, password: string, options: TurnOptions = {}): Promise<boolean> {
    return this.#inTurn(async () => {
      options.onTurn?.();
      let matches: boolean;
      try {
        matches = await this.#argon2.verify(hash ?? this.#dummyHash, normal(password));
      } catch {
        throw new ParleyError('INTERNAL', { reason: 'a stored password hash cannot be read; set the password anew' });
      }
      return matches && hash !== undefined;
    }, options);
  }

  async #inTurn<T>(work: () => Promise<T>, { signal, mustQueue = false }: TurnOptions): Promise<T> {
    if (signal?.aborted === true) throw new ParleyError('CANCELLED');
    if (this.#running < MAX_HASHES) this.#running += 1;
    else if (mustQueue || this.#waiting.length < MAX_WAITING_HASHES) await this.#turn(signal);
    else throw new ParleyError('SERVER_BUSY');
    try {
      return await work();
    } finally {
      // The place goes to the next in line, or is free.
      const next = this.#waiting.shift();
      if (next === undefined) this.#running -= 1;
      else next.start();
    }
  }

  #turn(signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const leave = (): void => {
        this.#waiting.splice(this.#waiting.indexOf(waiter), 1);
        reject(new ParleyError('CANCELLED'));
      };
      const waiter = {
        start: () => {
          signal?.removeEventListener('abort', leave);
          resolve();
        },
      };
      signal?.addEventListener('abort', leave, { once: true });
      this.#waiting.push(waiter);
    });
  }
}
