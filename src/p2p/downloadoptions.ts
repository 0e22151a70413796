/** What a download is given, and what it gives back. */
import type { BitSet } from '../chunks/bits.js';
import type { Part } from '../chunks/part.js';
import type { BlockRange } from '../chunks/plan.js';
import type { Clock } from '../protocol/clock.js';
import type { Manifest } from '../protocol/values.js';
import type { BlockTarget } from './checked.js';
import type { DownloadView } from './diagnosis.js';
import type { Located } from './finding.js';
import type { HolderLink } from './link.js';
import type { DownloadProgress } from './ledger.js';

export interface DownloadOptions {
  /** The file's name, for messages. */
  readonly file: string;
  readonly manifest: Manifest;
  /** Where blocks go. Neither finished nor closed here. */
  readonly part: Pick<Part, 'plan' | 'heldBlocks' | 'hasChunk'> & BlockTarget;
  /** The chunks to fetch; those that are there already cost nothing. */
  readonly chunks: BitSet;
  /** Who holds what now (`locate` of the server); may fail while the server is away. */
  readonly locate: (signal: AbortSignal) => Promise<readonly Located[]>;
  /** Introduces and dials; the link belongs to the download from then on. */
  readonly connect: (user: string, signal: AbortSignal) => Promise<HolderLink>;
  readonly signal?: AbortSignal | undefined;
  /** Holders asked at once, 1 to 64. */
  readonly jobs?: number | undefined;
  /** Bytes a second; no limit when absent. */
  readonly limitRate?: number | undefined;
  /** Chunks are whole and verified: announce them. */
  readonly onChunks?: (chunks: readonly number[]) => void;
  /** A holder's bytes or promises were wrong: report it. */
  readonly onReport?: (user: string, chunk: number, code: 'HASH_MISMATCH' | 'CHUNK_GONE') => void;
  /** Called a few times a second. */
  readonly onProgress?: (progress: DownloadProgress) => void;
  /** Called once, before anything is asked for: what shows how it stands, and which blocks are on their way, in order. */
  readonly onBegun?: (running: {
    readonly view: () => Promise<DownloadView>;
    readonly coming: () => readonly BlockRange[];
  }) => void;
  readonly clock?: Clock;
  /** Uniform in [0, 1). */
  readonly random?: () => number;
}

export interface DownloadResult {
  /** Chunks made whole by this download. */
  readonly chunks: BitSet;
  /** Who sent at least one good block. */
  readonly sources: readonly { readonly user: string; readonly bytes: number }[];
}
