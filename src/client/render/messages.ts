/** Messages, where they went, and what else happens. */
import type { StoredMessage } from '../../protocol/commands/server/history.js';
import type { FaceEvent } from '../../protocol/events.js';
import { printable } from '../../protocol/values.js';
import type { Renderers } from './renderers.js';
import type { Style } from '../style.js';
import { countText, timeText } from '../units.js';
import { transferLine } from './files.js';

const namesText = (users: readonly string[], style: Style): string =>
  users.map((user) => style.name(printable(user))).join(', ');

interface ShownMessage {
  readonly kind: StoredMessage['kind'];
  readonly from: string;
  readonly to: string;
  readonly text: string;
  readonly at: string;
  readonly unread?: boolean;
}

/** Further lines are indented, so that no text can pass for a message of its own. */
export function messageLine(message: ShownMessage, style: Style): string {
  const name = style.name(printable(message.from));
  const to = printable(message.to);
  const speaker = {
    message: name,
    broadcast: `${name} ${style.faint(`to ${to}`)}`,
    group: `${name} ${style.faint(`in ${to}`)}`,
    private: `${name} ${style.good('privately')}`,
  }[message.kind];
  const mark = message.unread === true ? style.strong('* ') : '';
  const text = printable(message.text, { multiline: true }).replaceAll('\n', '\n    ');
  return `${mark}${style.faint(`[${timeText(message.at)}]`)} ${speaker}: ${text}`;
}

export function renderEvent(event: FaceEvent, style: Style): string {
  switch (event.type) {
    case 'message':
    case 'broadcast':
    case 'group':
    case 'private':
      return messageLine({ kind: event.type, ...event }, style);
    case 'presence':
      return style.faint(`-- ${printable(event.from)} is ${event.online ? 'online' : 'away'}`);
    case 'notice':
      return style.faint(`-- ${printable(event.text)}`);
    case 'standing':
      return style.faint(`-- ${printable(event.user)}: ${event.unread} unread`);
    case 'transfer':
      return style.faint(`-- ${transferLine(event.transfer)}`);
  }
}

export const messageRenderers = {
  message: ({ delivered }) => (delivered ? 'delivered' : 'kept for when they log on'),
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
    return messages.map((message) => messageLine({ ...message, at: message.sentAt }, style)).join('\n');
  },
} satisfies Renderers;
