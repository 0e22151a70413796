/** What is registered under a name, fetched from the server and checked. */
import { DIGEST_BYTES, manifestRoot } from '../../chunks/digest.js';
import { serverCommands } from '../../protocol/commands/server.js';
import { ParleyError } from '../../protocol/errors.js';
import { MAX_CHUNKS } from '../../protocol/limits.js';
import { parseFileName } from '../../protocol/values.js';
import type { FileName, Manifest } from '../../protocol/values.js';
import type { Session } from './session.js';

export interface Registered {
  /** As it is registered: safe to create in a folder. */
  readonly file: FileName;
  readonly owner: string;
  readonly chunks: number;
  readonly manifest: Manifest;
}

/** @throws ParleyError FILE_NOT_REGISTERED; HASH_MISMATCH when the digests do not make the root; what the session throws */
export async function fetchManifest(
  session: Pick<Session, 'call'>,
  name: string,
  signal: AbortSignal,
): Promise<Registered> {
  const pieces: Buffer[] = [];
  let bytes = 0;
  const { file, owner, sizeBytes, chunks, root, indexBytes } = await session.call(
    serverCommands.manifest,
    { file: name },
    {
      signal,
      onBytes: (piece) => {
        bytes += piece.length;
        if (bytes > MAX_CHUNKS * DIGEST_BYTES)
          throw new ParleyError('PROTOCOL_ERROR', { reason: 'a manifest is endless' });
        pieces.push(Buffer.from(piece));
      },
    },
  );
  const manifest = { sizeBytes, chunkDigests: Buffer.concat(pieces), indexBytes, root };
  if (bytes !== chunks * DIGEST_BYTES || manifestRoot(manifest) !== root) {
    throw new ParleyError('HASH_MISMATCH', { file: name });
  }
  return { file: parseFileName(file), owner, chunks, manifest };
}
