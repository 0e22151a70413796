/** The operator's view for a person: lines of text. */
import type { ResultOf } from '../../protocol/command.js';
import type { adminCommands } from '../../protocol/commands/admin.js';
import type { SessionRow } from '../../protocol/commands/admin/status.js';
import { printable } from '../../protocol/values.js';

type Status = ResultOf<typeof adminCommands.status>;

const COLUMNS = ['USER', 'ADDRESS', 'SINCE (UTC)', 'IDLE', 'GROUP', 'HELD'] as const;
const UNITS = [
  ['d', 86_400],
  ['h', 3_600],
  ['min', 60],
  ['s', 1],
] as const;

export function statusLines(status: Status): string[] {
  const { version, address, pid, uptimeSeconds, connections, online, users, files, waiting, sessions } = status;
  return [
    `parley server ${printable(version)} at ${printable(address)}, up ${duration(uptimeSeconds)} (pid ${pid})`,
    [
      count(connections, 'connection'),
      `${online} of ${count(users, 'user')} online`,
      count(waiting, 'message') + ' waiting',
      count(files, 'file') + ' registered',
    ].join(', '),
    ...(sessions.length === 0 ? [] : table([[...COLUMNS], ...sessions.map(cells)])),
  ];
}

function cells({ user, address, since, idleSeconds, group, held }: SessionRow): string[] {
  const when = since.slice(0, 19).replace('T', ' ');
  return [user, address, when, duration(idleSeconds), group ?? '', String(held)].map((cell) => printable(cell));
}

/** Columns under each other, two spaces apart. */
function table(rows: readonly (readonly string[])[]): string[] {
  const widths = COLUMNS.map((_, column) => rows.reduce((most, row) => Math.max(most, row[column]?.length ?? 0), 0));
  return rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  );
}

function count(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? '' : 's'}`;
}

/** The two largest units of it: `3 h 12 min`. */
export function duration(seconds: number): string {
  let left = seconds;
  const parts: string[] = [];
  for (const [unit, size] of UNITS) {
    const number = Math.floor(left / size);
    left -= number * size;
    if (number > 0 || (unit === 's' && parts.length === 0)) parts.push(`${number} ${unit}`);
    else if (parts.length > 0) break;
  }
  return parts.slice(0, 2).join(' ');
}
