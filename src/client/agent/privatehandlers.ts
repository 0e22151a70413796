/** Handlers about private chats and the keys behind them. */
import type { HandlersOf } from './handlers.js';
import type { PrivateChats } from './privatechats.js';

export function privateHandlers(
  chats: PrivateChats,
): HandlersOf<'startprivate' | 'private' | 'stopprivate' | 'verify' | 'trust'> {
  return {
    startprivate: ({ user }, _context, call) => chats.start(user, call.signal),
    private: async ({ user, text }, _context, call) => {
      const { id } = await chats.send(user, text, call.signal);
      return { id, delivered: true };
    },
    stopprivate: async ({ user }) => ({ user: await chats.stop(user) }),
    verify: ({ user, confirm }) => (confirm === true ? chats.confirm(user) : chats.view(user)),
    trust: ({ user }) => chats.reset(user),
  };
}
