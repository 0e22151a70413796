/** Who holds which chunks, in memory: a lease for each holder, renewed by any word about it, gone when it is not. */
import type { Clock } from '../protocol/clock.js';
import { ParleyError } from '../protocol/errors.js';
import { DEAD_AFTER_MS } from '../protocol/limits.js';
import type { UserName } from '../protocol/values.js';
import { countHeld, isEmpty } from './bitmap.js';
import type { Chunks } from './bitmap.js';
import { DEMOTION_MS, MAX_HOLDINGS, MAX_PARTIAL_CHUNKS, REPORTERS_TO_DEMOTE } from './limits.js';
import type { FileId, UserId } from './storage/port.js';

export interface Holder {
  readonly userId: UserId;
  readonly name: UserName;
}

/** What somebody holds of a file. */
export interface Held {
  readonly chunks: Chunks;
  /** Blocks of other chunks are there as well, or come. */
  readonly isPartial: boolean;
}

interface Lease extends Holder {
  /** Monotonic milliseconds. */
  until: number;
  readonly files: Map<FileId, Held>;
  /** Chunks of files held in part. */
  partialChunks: number;
  /** Chunks held of all files. */
  heldChunks: number;
}

interface Claim {
  /** Who reported it, and when (monotonic milliseconds). */
  readonly reporters: Map<UserId, number>;
  /** Not believed until then. */
  demotedUntil: number;
}

/** Leases looked at for ended ones at every new holder: twice as many as can have come since. */
const SWEEP = 2;

export class Holdings {
  readonly #clock: Clock;
  readonly #leaseMs: number;
  readonly #leases = new Map<UserId, Lease>();
  readonly #holders = new Map<FileId, Map<UserId, Lease>>();
  /** What was reported, by holder and file. */
  readonly #claims = new Map<UserId, Map<FileId, Claim>>();

  constructor(clock: Clock, leaseMs: number) {
    this.#clock = clock;
    this.#leaseMs = leaseMs;
  }

  /** What this user holds of the file, or undefined. */
  of(userId: UserId, fileId: FileId): Held | undefined {
    const lease = this.#leases.get(userId);
    return lease !== undefined && lease.until > this.#clock.monotonicMs() ? lease.files.get(fileId) : undefined;
  }

  /**
   * This user holds exactly this of the file from now on, and the lease of everything they hold begins anew.
   * @throws ParleyError TOO_MANY_FILES; BYTES_DIFFER while a holding that was reported is not believed
   */
  set(holder: Holder, fileId: FileId, held: Held, count: number, file: string): void {
    const { chunks, isPartial } = held;
    const claim = this.#claims.get(holder.userId)?.get(fileId);
    if (claim !== undefined) {
      if (claim.demotedUntil > this.#clock.monotonicMs()) throw new ParleyError('BYTES_DIFFER', { path: file, file });
      if (claim.demotedUntil > 0) this.#claims.get(holder.userId)?.delete(fileId);
    }
    const lease = this.#leaseOf(holder);
    if (isEmpty(chunks) && !isPartial) {
      this.#drop(lease, fileId, count);
      return;
    }
    const before = lease.files.get(fileId)?.chunks;
    const partial = (some: Chunks | undefined): number => (some?.kind === 'some' ? count : 0);
    const partialChunks = lease.partialChunks - partial(before) + partial(chunks);
    if (before === undefined && lease.files.size >= MAX_HOLDINGS) {
      throw new ParleyError('TOO_MANY_FILES', { limit: MAX_HOLDINGS, what: 'holdings' });
    }
    if (partialChunks > MAX_PARTIAL_CHUNKS && partialChunks > lease.partialChunks) {
      throw new ParleyError('TOO_MANY_FILES', { limit: MAX_PARTIAL_CHUNKS, what: 'chunks of unfinished files' });
    }
    lease.partialChunks = partialChunks;
    lease.heldChunks += countHeld(chunks, count) - (before === undefined ? 0 : countHeld(before, count));
    lease.files.set(fileId, held);
    const holders = this.#holders.get(fileId) ?? new Map<UserId, Lease>();
    holders.set(holder.userId, lease);
    this.#holders.set(fileId, holders);
  }

  release(userId: UserId, fileId: FileId, count: number): void {
    const lease = this.#leases.get(userId);
    if (lease !== undefined) this.#drop(lease, fileId, count);
  }

  /** The lease of everything this user holds begins anew; false when there is none. */
  renew(userId: UserId): boolean {
    const lease = this.#leases.get(userId);
    if (lease === undefined || lease.until <= this.#clock.monotonicMs()) return false;
    lease.until = this.#clock.monotonicMs() + this.#leaseMs;
    return true;
  }

  /** The connection broke: what is held counts again if the user comes back before the lease ends, at most for the dead time. */
  shorten(userId: UserId): void {
    const lease = this.#leases.get(userId);
    if (lease !== undefined) lease.until = Math.min(lease.until, this.#clock.monotonicMs() + DEAD_AFTER_MS);
  }

  /** This user holds nothing any more. */
  forgetHolder(userId: UserId): void {
    const lease = this.#leases.get(userId);
    if (lease === undefined) return;
    this.#leases.delete(userId);
    for (const fileId of lease.files.keys()) this.#unlink(fileId, userId);
  }

  /** Nobody holds this file any more, because there is no such file. */
  forgetFile(fileId: FileId, count: number): void {
    for (const lease of [...(this.#holders.get(fileId)?.values() ?? [])]) this.#drop(lease, fileId, count);
  }

  /** Who holds something of the file. */
  *sources(fileId: FileId): Generator<Holder & Held, void, void> {
    const now = this.#clock.monotonicMs();
    for (const { userId, name, until, files } of this.#holders.get(fileId)?.values() ?? []) {
      const held = files.get(fileId);
      if (until > now && held !== undefined) yield { userId, name, ...held };
    }
  }

  /** Chunks that this user holds of all files. */
  heldBy(userId: UserId): number {
    const lease = this.#leases.get(userId);
    return lease !== undefined && lease.until > this.#clock.monotonicMs() ? lease.heldChunks : 0;
  }

  /** Holdings and held chunks of everybody. */
  totals(): { readonly holdings: number; readonly chunks: number } {
    const now = this.#clock.monotonicMs();
    let holdings = 0;
    let chunks = 0;
    for (const { until, files, heldChunks } of this.#leases.values()) {
      if (until <= now) continue;
      holdings += files.size;
      chunks += heldChunks;
    }
    return { holdings, chunks };
  }

  /** Notes that what the holder gave was wrong; enough distinct reporters end the holding. Returns whether this one did. */
  report(userId: UserId, fileId: FileId, count: number, reporterId: UserId): boolean {
    if (this.of(userId, fileId) === undefined) return false;
    const now = this.#clock.monotonicMs();
    const claims = this.#claims.get(userId) ?? new Map<FileId, Claim>();
    this.#claims.set(userId, claims);
    const claim = claims.get(fileId) ?? { reporters: new Map<UserId, number>(), demotedUntil: 0 };
    claims.set(fileId, claim);
    claim.reporters.set(reporterId, now);
    for (const [reporter, at] of claim.reporters) if (now - at >= DEMOTION_MS) claim.reporters.delete(reporter);
    if (claim.reporters.size < REPORTERS_TO_DEMOTE) return false;
    claim.reporters.clear();
    claim.demotedUntil = now + DEMOTION_MS;
    this.release(userId, fileId, count);
    return true;
  }

  #leaseOf({ userId, name }: Holder): Lease {
    const now = this.#clock.monotonicMs();
    const known = this.#leases.get(userId);
    if (known !== undefined && known.until > now) {
      known.until = now + this.#leaseMs;
      return known;
    }
    this.forgetHolder(userId);
    this.#sweep(now);
    const lease: Lease = {
      userId,
      name,
      until: now + this.#leaseMs,
      files: new Map(),
      partialChunks: 0,
      heldChunks: 0,
    };
    this.#leases.set(userId, lease);
    return lease;
  }

  #sweep(now: number): void {
    let looked = 0;
    for (const [userId, lease] of this.#leases) {
      if (looked++ >= SWEEP) return;
      if (lease.until <= now) {
        this.forgetHolder(userId);
        this.#forgetClaims(userId, now);
      } else {
        // To the end, so that every lease is looked at in its turn.
        this.#leases.delete(userId);
        this.#leases.set(userId, lease);
      }
    }
  }

  #forgetClaims(userId: UserId, now: number): void {
    const claims = this.#claims.get(userId);
    if (claims === undefined) return;
    for (const [fileId, { demotedUntil }] of claims) if (demotedUntil <= now) claims.delete(fileId);
    if (claims.size === 0) this.#claims.delete(userId);
  }

  #drop(lease: Lease, fileId: FileId, count: number): void {
    const chunks = lease.files.get(fileId)?.chunks;
    if (chunks === undefined) return;
    lease.files.delete(fileId);
    if (chunks.kind === 'some') lease.partialChunks -= count;
    lease.heldChunks -= countHeld(chunks, count);
    this.#unlink(fileId, lease.userId);
  }

  #unlink(fileId: FileId, userId: UserId): void {
    const holders = this.#holders.get(fileId);
    holders?.delete(userId);
    if (holders?.size === 0) this.#holders.delete(fileId);
  }
}
