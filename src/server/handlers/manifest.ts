import { HEADER_BYTES } from '../../protocol/frame.js';
import { DIGEST_PAGE_BYTES } from '../limits.js';
import { DIGEST_BYTES } from '../registry.js';
import type { Handler } from './handler.js';

export const manifest: Handler<'manifest'> = async ({ file: name }, { session, services: { registry } }, call) => {
  const file = await registry.find(name);
  // One buffer for all of it, with room for a frame's header: it waits for a slow reader in place of the digests.
  const framed = Buffer.allocUnsafe(HEADER_BYTES + Math.min(DIGEST_PAGE_BYTES, file.chunks * DIGEST_BYTES));
  for (let at = 0; at < file.chunks * DIGEST_BYTES; at += DIGEST_PAGE_BYTES) {
    await session.connection.drained(call.signal);
    const copied = (await registry.digests(file)).copy(framed, HEADER_BYTES, at, at + DIGEST_PAGE_BYTES);
    await call.writeInPlace(framed.subarray(0, HEADER_BYTES + copied));
  }
  const { sizeBytes, chunks, root, indexBytes, ownerName } = file;
  return {
    file: file.name,
    owner: ownerName,
    sizeBytes,
    chunks,
    root,
    ...(indexBytes === undefined ? {} : { indexBytes }),
  };
};
