/** Groups, who is in them, and what was held meanwhile. */
import { printable } from '../../protocol/values.js';
import type { Renderers } from './renderers.js';
import { table } from '../style.js';
import { countText } from '../units.js';
import { messageLines } from './lines.js';
import { namesText } from './messages.js';

export const groupRenderers = {
  create_group: ({ group, mode }, style) =>
    `made the ${mode} group ${style.strong(printable(group))}; join_group ${printable(group)} enters it`,
  list_groups: ({ groups }, style) => {
    if (groups.length === 0) return style.faint('there are no groups; create_group makes one');
    const rows = groups.map(({ group, mode, members }) => [printable(group), mode, String(members)]);
    return table(
      [{ title: 'group', style: style.strong }, { title: 'mode' }, { title: 'members', right: true }],
      rows,
      style,
    );
  },
  join_group: ({ group, members }, style) => `in group ${style.strong(printable(group))}: ${namesText(members, style)}`,
  list_members: ({ members }, style) => members.map((user) => style.name(printable(user))).join('\n'),
  send_group: ({ recipients }, style) =>
    recipients.length === 0
      ? 'nobody got it'
      : `sent to ${countText(recipients.length, 'member')}: ${namesText(recipients, style)}`,
  leave_group: ({ group, held }, style) => {
    const left = `left group ${style.strong(printable(group))}`;
    if (held.length === 0) return left;
    const messages = held.map((message) => ({ ...message, unread: false, at: message.sentAt }));
    return `${left}; ${countText(held.length, 'message')} came meanwhile:\n${messageLines(messages, style)}`;
  },
} satisfies Renderers;
