/** The registered files (kept by the storage) and who online holds which of their chunks (kept in memory, as leases). */
import type { Clock } from '../protocol/clock.js';
import { ParleyError } from '../protocol/errors.js';
import { checkChunkCount, nameKey, parseFileName, printable } from '../protocol/values.js';
import type { Digest } from '../protocol/values.js';
import { ALL, coverAll, fromBase64, isEmpty, none, withChunks } from './bitmap.js';
import type { Chunks } from './bitmap.js';
import { Holdings } from './holdings.js';
import type { Held, Holder } from './holdings.js';
import { MAX_UPLOADS, Slots } from './limits.js';
import type { Presence } from './presence.js';
import type { FileId, FileRecord, FileStore, UserId } from './storage/port.js';

/** Bytes of a chunk digest. */
export const DIGEST_BYTES = 32;
/** Files read from the storage at a time, with the loop turning in between. */
const LIST_PAGE = 500;
/** Digests of files kept in memory, in bytes: those of eight files of the largest number of chunks. */
const DIGEST_CACHE_BYTES = 16 * 1024 * 1024;

export interface RegistryParts {
  readonly storage: FileStore;
  readonly presence: Presence;
  readonly clock: Clock;
  readonly leaseMs: number;
}

export type HoldChange = 'all' | { readonly bitmap: string } | { readonly add: readonly number[] };

export type OnlineHolder = Holder & Held;

export class Registry {
  readonly uploads = new Slots(MAX_UPLOADS);
  readonly #storage: FileStore;
  readonly #presence: Presence;
  readonly #clock: Clock;
  readonly #holdings: Holdings;
  readonly #digests = new Map<FileId, Buffer>();
  #digestBytes = 0;

  constructor({ storage, presence, clock, leaseMs }: RegistryParts) {
    this.#storage = storage;
    this.#presence = presence;
    this.#clock = clock;
    this.#holdings = new Holdings(clock, leaseMs);
  }

  /** @throws ParleyError FILE_NOT_REGISTERED */
  async find(name: string): Promise<FileRecord> {
    const file = await this.#storage.findFile(name.normalize('NFC'));
    if (file === undefined) throw new ParleyError('FILE_NOT_REGISTERED', { file: printable(name) });
    return file;
  }

  /** @throws ParleyError BAD_NAME, BAD_CHUNK_COUNT, FILE_ALREADY_REGISTERED: what can be known before the digests come */
  async checkNew(file: string, sizeBytes: number, chunks: number): Promise<void> {
    const name = parseFileName(file);
    checkChunkCount(sizeBytes, chunks);
    if ((await this.#storage.findFile(name)) !== undefined) throw alreadyRegistered(file);
  }

  /** @throws ParleyError as `checkNew`, and TOO_MANY_FILES, DISK_FULL */
  async register(
    owner: Holder,
    what: {
      readonly file: string;
      readonly sizeBytes: number;
      readonly chunks: number;
      readonly root: Digest;
      readonly indexBytes?: number | undefined;
    },
    chunkDigests: Buffer,
  ): Promise<FileRecord> {
    const { sizeBytes, chunks, root, indexBytes } = what;
    if (indexBytes !== undefined && indexBytes > sizeBytes) {
      const reason = `an index of ${indexBytes} bytes does not fit into ${sizeBytes}`;
      throw new ParleyError('BAD_REQUEST', { command: 'registerFile', reason });
    }
    const registered = await this.#storage.registerFile({
      name: parseFileName(what.file),
      ownerId: owner.userId,
      sizeBytes,
      chunks: checkChunkCount(sizeBytes, chunks),
      root,
      indexBytes,
      chunkDigests,
      registeredAt: this.#clock.epochMs(),
    });
    if (registered === undefined) throw alreadyRegistered(what.file);
    return registered;
  }

  /** @throws ParleyError FILE_NOT_REGISTERED, NOT_OWNER */
  async unregister(userId: UserId, name: string): Promise<FileRecord> {
    const file = await this.find(name);
    if (file.ownerId !== userId) throw new ParleyError('NOT_OWNER', { file: file.name, owner: file.ownerName });
    await this.#storage.unregisterFile(file.id);
    this.#holdings.forgetFile(file.id, file.chunks);
    this.#forgetDigests(file.id);
    return file;
  }

  /** @throws ParleyError BYTES_DIFFER, CHUNK_NOT_FOUND, TOO_MANY_FILES */
  hold(holder: Holder, file: FileRecord, change: HoldChange, isPartial = false): void {
    const { id, chunks: count, name } = file;
    const now = (): Chunks => this.#holdings.of(holder.userId, id)?.chunks ?? none(count);
    const chunks =
      change === 'all'
        ? ALL
        : 'bitmap' in change
          ? fromBase64(change.bitmap, count, name)
          : withChunks(now(), change.add, count, name);
    this.#holdings.set(holder, id, { chunks, isPartial }, count, name);
  }

  release(userId: UserId, file: FileRecord): void {
    this.#holdings.release(userId, file.id, file.chunks);
  }

  renew(userId: UserId): void {
    this.#holdings.renew(userId);
  }

  /** The user's session is over: for good, or because its connection broke and may be back soon. */
  leave(userId: UserId, how: 'ended' | 'broken'): void {
    if (how === 'ended') this.#holdings.forgetHolder(userId);
    else this.#holdings.shorten(userId);
  }

  /** Returns whether this report ended the holding. */
  report(holderId: UserId, file: FileRecord, reporterId: UserId): boolean {
    return this.#holdings.report(holderId, file.id, file.chunks, reporterId);
  }

  /** Users online who hold at least one chunk, by name. */
  holders(file: Pick<FileRecord, 'id'>): OnlineHolder[] {
    return this.sources(file).filter(({ chunks }) => !isEmpty(chunks));
  }

  /** Users online who can be asked for something of it, by name: holders, and those who have blocks of chunks only. */
  sources(file: Pick<FileRecord, 'id'>): OnlineHolder[] {
    const online = [...this.#holdings.sources(file.id)].filter(
      ({ userId }) => this.#presence.get(userId) !== undefined,
    );
    return online.sort((a, b) => (nameKey(a.name) < nameKey(b.name) ? -1 : 1));
  }

  countHolders(file: Pick<FileRecord, 'id'>): number {
    let count = 0;
    for (const { userId, chunks } of this.#holdings.sources(file.id)) {
      if (this.#presence.get(userId) !== undefined && !isEmpty(chunks)) count += 1;
    }
    return count;
  }

  /** Chunks that this user holds of all files. */
  heldBy(userId: UserId): number {
    return this.#holdings.heldBy(userId);
  }

  /** Holdings and held chunks of everybody, those who may come back before their lease ends included. */
  totals(): { readonly holdings: number; readonly chunks: number } {
    return this.#holdings.totals();
  }

  /** Whether every chunk is held by one of these. */
  isAvailable(file: FileRecord, holders: readonly OnlineHolder[]): boolean {
    return holders.length > 0 && coverAll(holders.map(({ chunks }) => chunks), file.chunks); // prettier-ignore
  }

  /** Every registered file by name, in pages; others get their turn in between. */
  async *list(): AsyncGenerator<FileRecord[], void, void> {
    let after: string | undefined;
    while (true) {
      const page = await this.#storage.listFiles({ after, limit: LIST_PAGE });
      yield page;
      after = page.at(-1)?.name;
      if (page.length < LIST_PAGE) return;
      await new Promise(setImmediate);
    }
  }

  /**
   * The chunk digests of a file, shared by everyone who reads them: never changed, and not to be kept.
   * @throws ParleyError FILE_NOT_REGISTERED when it was unregistered meanwhile
   */
  async digests(file: FileRecord): Promise<Buffer> {
    const known = this.#digests.get(file.id);
    if (known !== undefined) return known;
    const digests = await this.#storage.chunkDigests(file.id);
    if (digests === undefined) throw new ParleyError('FILE_NOT_REGISTERED', { file: file.name });
    this.#forgetDigests(file.id);
    this.#digests.set(file.id, digests);
    this.#digestBytes += digests.length;
    for (const oldest of this.#digests.keys()) {
      if (this.#digestBytes <= DIGEST_CACHE_BYTES) break;
      this.#forgetDigests(oldest);
    }
    return digests;
  }

  #forgetDigests(fileId: FileId): void {
    this.#digestBytes -= this.#digests.get(fileId)?.length ?? 0;
    this.#digests.delete(fileId);
  }
}

function alreadyRegistered(file: string): ParleyError {
  return new ParleyError('FILE_ALREADY_REGISTERED', { file: printable(file) });
}
