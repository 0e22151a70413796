/** The prompt: who one is, in which focus group, and how much is unread. */
import type { FaceEvent } from '../../protocol/events.js';
import { printable } from '../../protocol/values.js';
import type { Style } from '../style.js';
import type { Prompt } from './screen.js';

export type Standing = Pick<Extract<FaceEvent, { type: 'standing' }>, 'user' | 'group' | 'unread'>;

/** Columns that a prompt may always have. */
const MIN_COLUMNS = 10;

/** `alice> `, `alice@skii> `, `alice@skii (3)> `; no more of it than half of the terminal has room for. */
export function promptFor({ user, group, unread }: Standing, columns: number, style: Style): Prompt {
  const at = group === null ? '' : `@${printable(group)}`;
  const count = unread === 0 ? '' : ` (${unread})`;
  const names = [printable(user) + at, at, ''];
  const room = Math.max(MIN_COLUMNS, Math.floor(columns / 2));
  const name = names.find((each) => each.length + count.length + 2 <= room) ?? '';
  const shownCount = name === '' ? count.trimStart() : count;
  return {
    plain: `${name}${shownCount}> `,
    styled: `${style.strong(name)}${style.kinds.broadcast(shownCount)}> `,
  };
}
