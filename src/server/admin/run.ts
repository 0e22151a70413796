/** `server status`, `server kick`, `server user unlock`: one command to the running server, and what is printed of it. */
import type { Connection } from '../../protocol/connection.js';
import { adminCommands } from '../../protocol/commands/admin.js';
import type { AdminAction } from '../program.js';
import { dialAdmin } from './dial.js';
import { statusLines } from './print.js';

/** @throws ParleyError SERVER_UNREACHABLE, UNKNOWN_USER, USER_OFFLINE */
export async function runAdminAction(action: AdminAction, print: (line: string) => void): Promise<void> {
  const connection = await dialAdmin(action.dataDir);
  try {
    const { result, lines } = await ask(action, connection);
    for (const line of action.json ? [JSON.stringify(result)] : lines) print(line);
  } finally {
    await connection.close();
  }
}

async function ask(
  action: AdminAction,
  connection: Connection,
): Promise<{ readonly result: object; readonly lines: readonly string[] }> {
  switch (action.kind) {
    case 'status': {
      const result = await connection.call(adminCommands.status, {});
      return { result, lines: statusLines(result) };
    }
    case 'kick': {
      const result = await connection.call(adminCommands.kick, { user: action.name });
      return { result, lines: [`${result.user} is logged out`] };
    }
    case 'unlock': {
      const result = await connection.call(adminCommands.unlock, { user: action.name });
      const before = result.wasLocked ? 'is unlocked' : 'was not locked out; failed logins are forgotten';
      return { result, lines: [`${result.user} ${before}`] };
    }
  }
}
