import { DIGEST_PAGE_BYTES } from '../limits.js';
import { DIGEST_BYTES } from '../registry.js';
import type { Handler } from './handler.js';

export const manifest: Handler<'manifest'> = async ({ file: name }, { session, services: { registry } }, call) => {
  const file = await registry.find(name);
  for (let at = 0; at < file.chunks * DIGEST_BYTES; at += DIGEST_PAGE_BYTES) {
    await session.connection.drained(call.signal);
    const digests = await registry.digests(file);
    // A copy: while it waits for a slow reader it must not keep all the digests.
    await call.write(Buffer.from(digests.subarray(at, at + DIGEST_PAGE_BYTES)));
  }
  const { sizeBytes, chunks, root, ownerName } = file;
  return { file: file.name, owner: ownerName, sizeBytes, chunks, root };
};
