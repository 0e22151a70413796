/** Who blocks a user, kept at hand: asked for each message, changed now and then, and only by this server. */
import { MAX_CACHED_BLOCKED } from './limits.js';
import type { BlockStore, UserId } from './storage/port.js';

const NOBODY: ReadonlySet<UserId> = new Set();

export class Blocks {
  readonly #storage: BlockStore;
  /** Blockers by whom they block; the one asked for longest ago goes first. */
  readonly #blockers = new Map<UserId, ReadonlySet<UserId>>();
  /** Changes so far: what was read while one was made is not kept. */
  #changes = 0;

  constructor(storage: BlockStore) {
    this.#storage = storage;
  }

  /** Users who block this one; also of such that are no more, whose ids are nobody else's. */
  async blockersOf(userId: UserId): Promise<ReadonlySet<UserId>> {
    return this.#blockers.get(userId) ?? this.#load(userId);
  }

  /** Those of `candidates` that block this user. */
  async blockersAmong(userId: UserId, candidates: Iterable<UserId>): Promise<Set<UserId>> {
    const blockers = await this.blockersOf(userId);
    const found = new Set<UserId>();
    if (blockers.size > 0) for (const candidate of candidates) if (blockers.has(candidate)) found.add(candidate);
    return found;
  }

  /** False when it was blocked already, or one of the two does not exist. */
  add(blockerId: UserId, blockedId: UserId, at: number): Promise<boolean> {
    return this.#change(blockedId, this.#storage.addBlock(blockerId, blockedId, at));
  }

  /** False when it was not blocked. */
  remove(blockerId: UserId, blockedId: UserId): Promise<boolean> {
    return this.#change(blockedId, this.#storage.removeBlock(blockerId, blockedId));
  }

  async #load(userId: UserId): Promise<ReadonlySet<UserId>> {
    const changes = this.#changes;
    const found = await this.#storage.blockersOf(userId);
    const blockers = found.size === 0 ? NOBODY : found;
    if (changes !== this.#changes) return blockers;
    this.#blockers.set(userId, blockers);
    const [oldest] = this.#blockers.keys();
    if (this.#blockers.size > MAX_CACHED_BLOCKED && oldest !== undefined) this.#blockers.delete(oldest);
    return blockers;
  }

  async #change(blockedId: UserId, change: Promise<boolean>): Promise<boolean> {
    try {
      return await change;
    } finally {
      this.#changes += 1;
      this.#blockers.delete(blockedId);
    }
  }
}
