/** Messages, where they went, and what else happens. */
import type { FaceEvent } from '../../protocol/events.js';
import { printable } from '../../protocol/values.js';
import type { Renderers } from './renderers.js';
import type { Style } from '../style.js';
import { countText } from '../units.js';
import { transferLine } from './files.js';
import { messageLines, noticeLine, sentenceLine } from './lines.js';

export const namesText = (users: readonly string[], style: Style): string =>
  users.map((user) => style.name(printable(user))).join(', ');

export function renderEvent(event: FaceEvent, style: Style): string {
  switch (event.type) {
    case 'message':
    case 'broadcast':
    case 'group':
    case 'private':
      return messageLines([{ kind: event.type, ...event }], style);
    case 'presence':
      return sentenceLine(`${event.from} is ${event.online ? 'online' : 'away'}`, event.at, false, style);
    case 'notice':
      return noticeLine(event, style);
    case 'standing':
      return style.faint(`-- ${printable(event.user)}: ${event.unread} unread`);
    case 'transfer':
      return style.faint(`-- ${transferLine(event.transfer)}`);
  }
}

export const messageRenderers = {
  message: ({ delivered }) => (delivered ? 'delivered' : 'kept for when they are back'),
  private: () => 'delivered',
  broadcast: ({ recipients, blockedBy = 0, skipped = [] }, style) => {
    const sent =
      recipients.length === 0
        ? 'nobody got it'
        : `sent to ${countText(recipients.length, 'user')}: ${namesText(recipients, style)}`;
    const lines = [sent];
    if (blockedBy > 0) lines.push(style.bad(`${countText(blockedBy, 'user')} did not get it: they block you`));
    for (const { user, code } of skipped) lines.push(`${style.name(printable(user))} was skipped (${printable(code)})`);
    return lines.join('\n');
  },
  inbox: ({ messages }, style) => {
    if (messages.length === 0) return style.faint('no messages');
    return messageLines(
      messages.map((message) => ({ ...message, at: message.sentAt })),
      style,
    );
  },
} satisfies Renderers;
