import type { Handler } from './handler.js';

export const markRead: Handler<'markRead'> = async ({ ids }, { session, services: { storage } }) => {
  await storage.markRead(session.user.id, { ids });
  return { unread: await storage.countUnread(session.user.id) };
};
