import { toBase64 } from '../bitmap.js';
import type { Handler } from './handler.js';

export const locate: Handler<'locate'> = async (
  { file: name },
  { session, services: { registry, blocks, storage } },
) => {
  const file = await registry.find(name);
  const me = session.user.id;
  const others = registry.sources(file).filter(({ userId }) => userId !== me);
  const blockers = await blocks.blockersOf(me);
  const blocked = new Set((await storage.listBlocked(me)).map(({ id }) => id));
  const holders = others
    .filter(({ userId }) => !blockers.has(userId) && !blocked.has(userId))
    .map(({ name: user, chunks, isPartial }) => ({
      user,
      bitmap: toBase64(chunks, file.chunks),
      ...(isPartial ? { partial: true as const } : {}),
    }));
  return { file: file.name, root: file.root, holders };
};
