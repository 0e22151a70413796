import { ParleyError } from '../../protocol/errors.js';
import { sendableText } from '../conversations.js';
import type { GroupRecord } from '../storage/port.js';
import { sortedByName } from './handler.js';
import type { Handler } from './handler.js';

export const sendGroup: Handler<'send_group'> = async ({ id: given, number, group: name, text }, context) => {
  const { session, services } = context;
  const { groups, storage, conversations } = services;
  const names = new Map<number, string>();
  let group: GroupRecord | undefined;
  const { id, outcome } = await conversations.send(session, { id: given, number }, async () => {
    group = await groups.of(session, name);
    const { focus } = session;
    if (focus !== undefined && focus.group.id !== group.id) {
      throw new ParleyError('IN_FOCUS_GROUP', { group: focus.group.name });
    }
    for (const member of (await groups.members(group)).values()) {
      if (member.id !== session.user.id) names.set(member.id, member.name);
    }
    for (const blocker of await services.blocks.blockersOf(session.user.id)) names.delete(blocker);
    return { kind: 'group', to: group.name, text: sendableText(text, group.name), recipients: [...names.keys()] };
  });
  if (group !== undefined) groups.watch(group, outcome.recipients);
  const recipients: string[] = [];
  for (const each of outcome.recipients) {
    if ('refused' in each) continue;
    // Of a message that was sent before, also those who have left since.
    const user = names.get(each.userId) ?? (await storage.getUser(each.userId))?.name;
    if (user !== undefined) recipients.push(user);
  }
  return { id, recipients: sortedByName(recipients, String) };
};
