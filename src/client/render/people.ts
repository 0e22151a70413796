/** Who is here, who I am, and whose key is whose. */
import { printable } from '../../protocol/values.js';
import type { Renderers } from './renderers.js';
import { table } from '../style.js';
import type { Style } from '../style.js';
import { countText, safetyNumberText, timeText } from '../units.js';
import { transferLine } from './files.js';

const nameLines = (users: readonly string[], none: string, style: Style): string =>
  users.length === 0 ? style.faint(none) : users.map((user) => style.name(printable(user))).join('\n');

interface KeyView {
  readonly user: string;
  readonly safetyNumber: string | null;
  readonly verified: boolean;
}

function keyLines({ user, safetyNumber, verified }: KeyView, style: Style): string {
  const name = printable(user);
  if (safetyNumber === null) return `no key of ${style.name(name)} is known yet; it is pinned with the first link`;
  const next = verified
    ? style.good('verified: you compared it')
    : `compare it by voice, and when it is the same: verify ${name} --confirm`;
  return `safety number with ${style.name(name)}:\n${style.strong(safetyNumberText(printable(safetyNumber)))}\n${next}`;
}

export const peopleRenderers = {
  login: ({ user }, style) => `logged in as ${style.name(printable(user))}`,
  logout: () => 'logged out',
  status: ({ user, server, online, listen, held, transfers }, style) => {
    if (user === null) return 'the agent runs, and nobody is logged in';
    const reach = online ? style.good('online') : style.bad('not reached, the agent keeps trying');
    const lines = [
      `user       ${style.name(printable(user))}`,
      `server     ${printable(server ?? '?')} (${reach})`,
      `links      ${listen === null ? 'none can come in' : `come in at ${printable(listen)}`}`,
      `holding    ${countText(held.length, 'file')}`,
      ...held.map((file) => `  ${printable(file.file)}  ${file.held} of ${countText(file.chunks, 'chunk')}`),
      `moving     ${countText(transfers.filter(({ state }) => state === 'running').length, 'transfer')}`,
      ...transfers.map((transfer) => `  ${transferLine(transfer)}`),
    ];
    return lines.join('\n');
  },
  whoelse: ({ users }, style) => nameLines(users, 'nobody else is online', style),
  whoelsesince: ({ users }, style) => nameLines(users, 'nobody else was online', style),
  wholast: ({ users }, style) => {
    if (users.length === 0) return style.faint('nobody was online');
    const rows = users.map(({ user, lastSeen, online }) => [printable(user), online ? 'now' : timeText(lastSeen)]);
    return table([{ title: 'user', style: style.name }, { title: 'last seen' }], rows, style);
  },
  block: ({ user }, style) => `${style.name(printable(user))} is blocked, and is not told`,
  unblock: ({ user }, style) => `${style.name(printable(user))} may write to you again`,
  startprivate: (view, style) =>
    `private chat with ${style.name(printable(view.user))} is open; write with: private ${printable(view.user)} TEXT\n${keyLines(view, style)}`,
  stopprivate: ({ user }, style) => `private chat with ${style.name(printable(user))} is over`,
  verify: keyLines,
  trust: (view, style) =>
    view.safetyNumber === null
      ? `the key of ${style.name(printable(view.user))} is forgotten; the next link pins the one they have then`
      : keyLines(view, style),
} satisfies Renderers;
