/** `client <command> …`: one command at the agent, then the end. */
import { agentCommands } from '../protocol/commands/agent.js';
import { ParleyError } from '../protocol/errors.js';
import type { TypedCommand } from './catalog.js';
import type { FaceContext } from './context.js';
import { completeParams, execute } from './execute.js';
import type { Execution } from './execute.js';
import { logIn, logInOnce, logOut, openFace } from './face.js';
import type { Params } from './parameters.js';

/** @throws ParleyError what the command is refused with */
export async function runOnce(
  spec: TypedCommand,
  typed: Params,
  context: FaceContext,
  execution: Execution,
  cwd: string,
): Promise<void> {
  if (spec.name === agentCommands.login.name) return login(spec, typed, context, execution);
  const params = completeParams(spec, typed, cwd);
  if (spec.name === agentCommands.logout.name) return logout(spec, context, execution);
  const { connection } = await openFace(context);
  let heard = 0;
  try {
    await execute(connection, spec, params, { ...execution, onHeard: () => (heard += 1) });
  } catch (thrown) {
    if (!(thrown instanceof ParleyError) || thrown.code !== 'LOGIN_REQUIRED') throw thrown;
    // Who listened was logged in, and the server has ended that: it is not for us to undo it.
    if (heard > 0) throw thrown;
    // The agent has just been started and waits for its login, or its session is over.
    const face = await logIn(context);
    try {
      await execute(face.connection, spec, params, execution);
    } finally {
      await face.connection.close();
    }
  } finally {
    await connection.close();
  }
}

async function login(spec: TypedCommand, typed: Params, context: FaceContext, { output }: Execution): Promise<void> {
  const named = typed['user'];
  const settings = typeof named === 'string' ? { ...context.settings, user: named } : context.settings;
  const { connection, user } = await logInOnce({ ...context, settings });
  output.result(spec, { user });
  await connection.close();
}

/** Nobody to log out is no failure: afterwards nobody is logged in, as was asked for. */
async function logout(spec: TypedCommand, context: FaceContext, { output }: Execution): Promise<void> {
  const wasThere = await logOut(context);
  if (!wasThere) context.notice('nobody was logged in');
  if (wasThere || output.options.json) output.result(spec, {});
}
