import { ParleyError } from '../../protocol/errors.js';
import { sendableText } from '../conversations.js';
import type { Session } from '../session.js';
import { checkOutside, knownUser } from './handler.js';
import type { Handler } from './handler.js';

export const message: Handler<'message'> = async ({ id: given, number, user, text }, { session, services }) => {
  const { conversations, storage, presence, blocks } = services;
  let recipient: Session['user'] | undefined;
  const { id, outcome, refusal } = await conversations.send(session, { id: given, number }, async () => {
    checkOutside(session);
    recipient = presence.find(user)?.user ?? (await knownUser(storage, user));
    if (recipient.id === session.user.id) throw new ParleyError('SELF');
    const draft = { kind: 'message', to: recipient.name, text: sendableText(text, recipient.name) } as const;
    const blocked = (await blocks.blockersOf(session.user.id)).has(recipient.id);
    // Also then it is asked whether this id was stored before the block: the same message again gets the same answer.
    if (blocked) return { ...draft, recipients: [], refusal: new ParleyError('BLOCKED', { user: recipient.name }) };
    return { ...draft, recipients: [recipient.id] };
  });
  // Sent before, and now refused before it was looked for whom it is.
  recipient ??= await storage.findUser(user);
  if (recipient === undefined) throw refusal ?? new ParleyError('INTERNAL', { reason: 'a message had no outcome' });
  const { id: recipientId, name } = recipient;
  const mine = outcome.recipients.find(({ userId }) => userId === recipientId);
  if (mine === undefined) {
    throw refusal ?? new ParleyError('BAD_REQUEST', { command: 'message', reason: 'id was used for another message' });
  }
  if ('refused' in mine) throw new ParleyError(mine.refused, { user: name });
  const present = presence.get(recipientId);
  if (present !== undefined) return { id, delivered: present.focus === undefined };
  if (outcome.kind !== 'duplicate') return { id, delivered: false };
  const now = await storage.getUser(recipientId);
  return { id, delivered: now !== undefined && now.deliveredPosition >= mine.position };
};
