/** What a download answers, and results of several fetches as one. */
import { BitSet } from '../../chunks/bits.js';
import type { ResultIn } from '../../protocol/command.js';
import type { agentCommands } from '../../protocol/commands/agent.js';
import type { DownloadResult } from '../../p2p/download.js';
import type { PartHolding } from './holding.js';
import type { Registered } from './manifests.js';

export type DownloadAnswer = ResultIn<typeof agentCommands.download>;

/** Of a file of so many chunks. */
export function nothingGot(chunks: number): DownloadResult {
  return { chunks: new BitSet(chunks), sources: [] };
}

/** Both of the same file. */
export function joinResults(a: DownloadResult, b: DownloadResult): DownloadResult {
  const chunks = a.chunks.copy();
  chunks.addAll(b.chunks);
  const bytes = new Map<string, number>();
  for (const source of [...a.sources, ...b.sources]) {
    bytes.set(source.user, (bytes.get(source.user) ?? 0) + source.bytes);
  }
  return {
    chunks,
    sources: [...bytes].map(([user, sent]) => ({ user, bytes: sent })),
  };
}

/** The answer when nothing had to be fetched. */
export function whole(
  { file, chunks, manifest }: Registered,
  path: string,
  more: { alreadyThere: true },
): DownloadAnswer {
  const held = BitSet.full(chunks).numbers();
  return { file, path, sizeBytes: manifest.sizeBytes, chunks: [], held, complete: true, sources: [], ...more };
}

/** The `.part` of a download, and what came with the index of a folder before there was one. */
export interface Taken {
  readonly holding: PartHolding;
  readonly got: DownloadResult;
}
