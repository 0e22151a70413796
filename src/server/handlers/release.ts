import type { Handler } from './handler.js';

export const release: Handler<'release'> = async ({ file: name }, { session, services: { registry, storage } }) => {
  const file = await storage.findFile(name.normalize('NFC'));
  if (file !== undefined) registry.release(session.user.id, file);
  return {};
};
