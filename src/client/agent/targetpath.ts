/** Where a download goes: by its options, as `cp` would understand them. */
import { stat } from 'node:fs/promises';
import { join, resolve, sep } from 'node:path';
import type { ParamsOf } from '../../protocol/command.js';
import type { agentCommands } from '../../protocol/commands/agent.js';

type Place = Pick<ParamsOf<typeof agentCommands.download>, 'output' | 'directory'>;

export async function targetPath({ output, directory }: Place, file: string): Promise<string> {
  if (output === undefined) return join(resolve(directory), file);
  const path = resolve(directory, output);
  const stats = await stat(path).catch(() => undefined);
  return stats?.isDirectory() === true || output.endsWith('/') || output.endsWith(sep) ? join(path, file) : path;
}
