import { ParleyError } from '../../protocol/errors.js';
import { parseSearch } from '../../protocol/words.js';
import type { StoredMessage } from '../../protocol/commands/server/history.js';
import { MAX_HISTORY_BYTES } from '../limits.js';
import type { InboxEntry } from '../storage/port.js';
import { knownUser } from './handler.js';
import type { Handler } from './handler.js';

export const history: Handler<'history'> = async (params, { session, services: { storage } }) => {
  const senderId = params.with === undefined ? undefined : (await knownUser(storage, params.with)).id;
  const words = params.search === undefined ? undefined : parseSearch(params.search);
  if (words?.length === 0) {
    throw new ParleyError('BAD_REQUEST', { command: 'history', reason: 'there is no word in search' });
  }
  const filter = { unreadOnly: params.unread, senderId, before: params.before, words };
  const entries = await storage.inboxPage(session.user.id, filter, {
    limit: params.limit,
    maxBytes: MAX_HISTORY_BYTES,
  });
  if (entries === undefined) {
    throw new ParleyError('BAD_REQUEST', {
      command: 'history',
      reason: 'before is the id of no message in this inbox',
    });
  }
  return {
    messages: entries.map(toStoredMessage),
  };
};

/** An entry as it travels. */
export function toStoredMessage(entry: InboxEntry): StoredMessage {
  const { id, kind, from, to, text, sentAt, unread } = entry;
  return { id, kind, from, to, text, sentAt: new Date(sentAt).toISOString(), unread };
}
