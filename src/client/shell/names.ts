/** Names for completion, asked of the agent when Tab is pressed. */
import { agentCommands } from '../../protocol/commands/agent.js';
import { serverCommands } from '../../protocol/commands/server.js';
import type { Connection } from '../../protocol/connection.js';
import type { NameSource } from './complete.js';

/** A Tab that takes longer offers nothing. */
const DEADLINE_MS = 1_500;
/** Minutes back in which a user counts as known: a week. */
const KNOWN_WITHIN_MINUTES = 7 * 24 * 60;

export function agentNames(connection: Connection, deadlineMs = DEADLINE_MS): NameSource {
  const options = { deadlineMs };
  return {
    users: async () => {
      const [known, status] = await Promise.all([
        connection.call(serverCommands.wholast, { minutes: KNOWN_WITHIN_MINUTES }, options),
        connection.call(agentCommands.status, {}, options),
      ]);
      return known.users.map(({ user }) => user).filter((user) => user !== status.user);
    },
    groups: async () =>
      (await connection.call(serverCommands.list_groups, {}, options)).groups.map(({ group }) => group),
    files: async (prefix) => {
      const pattern = `${prefix.slice(0, 200).replace(/[*?]/g, '?')}*`;
      return (await connection.call(serverCommands.files, { pattern }, options)).files.map(({ file }) => file);
    },
    chunkCount: async (file) => (await connection.call(serverCommands.searchFile, { file }, options)).chunks,
  };
}
