/** What a download answers, and results of several fetches as one. */
import type { ResultIn } from '../../protocol/command.js';
import type { agentCommands } from '../../protocol/commands/agent.js';
import type { DownloadResult } from '../../p2p/download.js';
import type { PartHolding } from './holding.js';
import type { Registered } from './manifests.js';

export type DownloadAnswer = ResultIn<typeof agentCommands.download>;

export const NOTHING: DownloadResult = { chunks: [], sources: [] };

export function joinResults(a: DownloadResult, b: DownloadResult): DownloadResult {
  if (a.sources.length === 0 && a.chunks.length === 0) return b;
  const bytes = new Map<string, number>();
  for (const source of [...a.sources, ...b.sources]) {
    bytes.set(source.user, (bytes.get(source.user) ?? 0) + source.bytes);
  }
  return {
    chunks: [...new Set([...a.chunks, ...b.chunks])].sort((x, y) => x - y),
    sources: [...bytes].map(([user, sent]) => ({ user, bytes: sent })),
  };
}

/** The answer when nothing had to be fetched. */
export function whole(
  { file, chunks, manifest }: Registered,
  path: string,
  more: { alreadyThere: true },
): DownloadAnswer {
  const held = Array.from({ length: chunks }, (_, chunk) => chunk);
  return { file, path, sizeBytes: manifest.sizeBytes, chunks: [], held, complete: true, sources: [], ...more };
}

/** The `.part` of a download, and what came with the index of a folder before there was one. */
export interface Taken {
  readonly holding: PartHolding;
  readonly got: DownloadResult;
}
