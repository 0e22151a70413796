/** Registered files, as `port.ts` has them. */
import type { Digest, FileName, UserName } from '../../protocol/values.js';
import type { UserId } from './port-users.js';

/** Files one user may have registered (R15). */
export const MAX_FILES_PER_USER = 1_000;
/** Chunks over all files of one user (R15): 32 MB of digests. */
export const MAX_CHUNKS_PER_USER = 1_000_000;
/** As UserId, for a registered file. */
export type FileId = number;
export interface NewFile {
  /** Unique exactly, by its NFC code points. */
  readonly name: FileName;
  readonly ownerId: UserId;
  readonly sizeBytes: number;
  readonly chunks: number;
  readonly root: Digest;
  /** Of a folder: bytes of its index. */
  readonly indexBytes?: number | undefined;
  /** `chunks` x 32 bytes. */
  readonly chunkDigests: Buffer;
  readonly registeredAt: number;
}

export interface FileRecord extends Omit<NewFile, 'chunkDigests'> {
  readonly id: FileId;
  readonly ownerName: UserName;
}

export interface FileStore {
  /**
   * The registered file, or undefined when the name is taken: of any number of racing registrations one wins (R15).
   * @throws ParleyError TOO_MANY_FILES (`limit`, `what`); UNKNOWN_USER when the owner does not exist
   */
  registerFile(file: NewFile): Promise<FileRecord | undefined>;
  findFile(name: string): Promise<FileRecord | undefined>;
  /** The digests of its chunks, `chunks` x 32 bytes. */
  chunkDigests(id: FileId): Promise<Buffer | undefined>;
  /** False when there is no such file. */
  unregisterFile(id: FileId): Promise<boolean>;
  /** Files by name (UTF-8 order), from after the name `after` on. */
  listFiles(page: { readonly after?: string | undefined; readonly limit: number }): Promise<FileRecord[]>;
}
