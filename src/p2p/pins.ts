/** Keys seen before, of peers and of servers: trust on first use, and a changed key is never taken silently. */
import { createHash, randomBytes } from 'node:crypto';
import { mkdir, open, readFile, rename, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { sameKey } from '../protocol/certificate.js';
import { ParleyError } from '../protocol/errors.js';
import { nameKey, publicKey } from '../protocol/values.js';

export const PINS_FILE = 'pins.json';

const pin = z.object({
  kind: z.enum(['peer', 'server']),
  /** A user's name, or a server's `host:port`, as first seen. */
  name: z.string().min(1),
  /** SubjectPublicKeyInfo, DER, base64. */
  publicKey,
  /** ISO 8601. */
  firstSeen: z.iso.datetime(),
  /** The user compared safety numbers (or gave the fingerprint) and said that they match. */
  verified: z.boolean(),
});
const pinsFile = z.object({ version: z.literal(1), pins: z.array(pin) });

export type PinKind = 'peer' | 'server';
export type Pin = Readonly<z.infer<typeof pin>>;
export type PinCheck = 'new' | 'same' | 'changed';

/** The pins of one home folder. One process owns it: the agent. Changes are on disk when their promise is fulfilled. */
export class Pins {
  readonly #home: string;
  readonly #pins: Map<string, Pin>;
  #saved: Promise<void> = Promise.resolve();

  private constructor(home: string, pins: readonly Pin[]) {
    this.#home = home;
    this.#pins = new Map(pins.map((each) => [pinKey(each.kind, each.name), each]));
  }

  /** @throws ParleyError STATE_DAMAGED when the file is there but cannot be used */
  static async open(home: string): Promise<Pins> {
    await mkdir(home, { recursive: true, mode: 0o700 });
    const path = join(home, PINS_FILE);
    let text: string;
    try {
      text = await readFile(path, 'utf8');
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return new Pins(home, []);
      throw damaged(path, (cause as Error).message, cause);
    }
    try {
      return new Pins(home, pinsFile.parse(JSON.parse(text)).pins);
    } catch (cause) {
      throw damaged(path, 'it is not a list of pinned keys', cause);
    }
  }

  get(kind: PinKind, name: string): Pin | undefined {
    return this.#pins.get(pinKey(kind, name));
  }

  /** Compares a key (base64) with the pinned one; changes nothing. */
  check(kind: PinKind, name: string, key: string): PinCheck {
    const pinned = this.get(kind, name);
    if (pinned === undefined) return 'new';
    return sameKey(pinned.publicKey, key) ? 'same' : 'changed';
  }

  /**
   * Pins a key that is new; does nothing when it is pinned already.
   * @throws ParleyError KEY_CHANGED when another key is pinned: `forget` it first
   */
  async pin(kind: PinKind, name: string, key: string, options: { verified?: boolean } = {}): Promise<void> {
    const outcome = this.check(kind, name, key);
    if (outcome === 'changed') throw keyChanged(kind, name);
    if (outcome === 'same') return;
    const firstSeen = new Date().toISOString();
    const verified = options.verified ?? false;
    this.#pins.set(pinKey(kind, name), { kind, name, publicKey: key, firstSeen, verified });
    await this.#save();
  }

  /** Forgets a pin, so that the next key is trusted on first use again; whether there was one. */
  async forget(kind: PinKind, name: string): Promise<boolean> {
    const found = this.#pins.delete(pinKey(kind, name));
    if (found) await this.#save();
    return found;
  }

  /** Notes whether the user compared safety numbers; false when nothing is pinned under this name. */
  async setVerified(kind: PinKind, name: string, verified: boolean): Promise<boolean> {
    const pinned = this.get(kind, name);
    if (pinned === undefined) return false;
    this.#pins.set(pinKey(kind, name), { ...pinned, verified });
    await this.#save();
    return true;
  }

  /** Waits until what was set so far is on disk, or could not be put there. */
  async flush(): Promise<void> {
    await this.#saved.catch(() => undefined);
  }

  /** Each save follows the one before and writes what is true by then; a failed one does not stop the next. */
  #save(): Promise<void> {
    const saved = this.#saved.catch(() => undefined).then(() => this.#write());
    this.#saved = saved;
    return saved;
  }

  async #write(): Promise<void> {
    const path = join(this.#home, PINS_FILE);
    const temporary = `${path}.${randomBytes(8).toString('hex')}`;
    const text = JSON.stringify({ version: 1, pins: [...this.#pins.values()] }, undefined, 2);
    try {
      const file = await open(temporary, 'wx', 0o600);
      try {
        await file.writeFile(`${text}\n`);
        await file.sync();
      } finally {
        await file.close();
      }
      await rename(temporary, path);
      const folder = await open(this.#home, 'r');
      await folder.sync().catch(() => undefined); // not every platform can sync a folder
      await folder.close();
    } catch (cause) {
      await unlink(temporary).catch(() => undefined);
      throw new ParleyError('DISK_FULL', { path, reason: (cause as Error).message }, { cause });
    }
  }
}

function pinKey(kind: PinKind, name: string): string {
  return `${kind} ${nameKey(name)}`;
}

function damaged(path: string, reason: string, cause: unknown): ParleyError {
  const next = 'restore it from a backup; or move it away, and every key is trusted on first use again';
  return new ParleyError('STATE_DAMAGED', { path, reason, next }, { cause });
}

/** KEY_CHANGED with the next step for this kind of pin. */
export function keyChanged(kind: PinKind, name: string): ParleyError {
  const next =
    kind === 'peer'
      ? `client trust ${name} --reset, then compare the safety number with client verify ${name}`
      : 'compare the fingerprint that the server prints at its start, and give it with --server-fingerprint';
  return new ParleyError('KEY_CHANGED', { who: name, next });
}

/** Rounds of SHA-512: makes looking for a key with a similar number 5,200 times as dear. */
const SAFETY_ROUNDS = 5_200;
const SAFETY_VERSION = Buffer.from([0, 0]);

/**
 * The safety number of two users: 60 decimal digits, the same at both ends whoever comes first.
 *
 * Each user has 30 digits:
 * 1. `key` = the public key (SubjectPublicKeyInfo, DER), `name` = the user name in lower case, UTF-8.
 * 2. `hash` = 0x0000 || key || name; then 5,200 times: hash = SHA-512(hash || key).
 * 3. The first 30 bytes of `hash` are six groups of 5 bytes; each, read as a big-endian number modulo 100,000, gives 5
 *    digits with leading zeros.
 *
 * The smaller of the two strings of 30 digits comes first.
 */
export function safetyNumber(a: SafetyParty, b: SafetyParty): string {
  return [safetyDigits(a), safetyDigits(b)].sort().join('');
}

export interface SafetyParty {
  readonly user: string;
  /** SubjectPublicKeyInfo, DER, base64. */
  readonly publicKey: string;
}

function safetyDigits(party: SafetyParty): string {
  const key = Buffer.from(party.publicKey, 'base64');
  let hash = Buffer.concat([SAFETY_VERSION, key, Buffer.from(nameKey(party.user))]);
  for (let round = 0; round < SAFETY_ROUNDS; round += 1) hash = createHash('sha512').update(hash).update(key).digest();
  return [0, 5, 10, 15, 20, 25].map((at) => String(hash.readUIntBE(at, 5) % 100_000).padStart(5, '0')).join('');
}
