/** What a renderer is, for every command there is. */
import type { ResultOf } from '../../protocol/command.js';
import type { agentCommands } from '../../protocol/commands/agent.js';
import type { serverCommands } from '../../protocol/commands/server.js';
import type { Style } from '../style.js';

type Commands = Omit<typeof serverCommands, keyof typeof agentCommands> & typeof agentCommands;

/** How the result of each command is shown; a command without one is shown field by field. */
export type Renderers = {
  readonly [N in keyof Commands]?: (result: ResultOf<Commands[N]>, style: Style) => string;
};
