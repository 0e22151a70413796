/** What the agent tells a shell while it runs. */
import { agentCommands } from '../../protocol/commands/agent.js';
import type { Connection } from '../../protocol/connection.js';
import { faceEvent } from '../../protocol/events.js';
import type { FaceEvent } from '../../protocol/events.js';
import type { Output } from '../output.js';

export interface ListenOptions {
  /** A person sees them: unread ones are shown first, and all count as read. */
  readonly shows: boolean;
  readonly output: Output;
  readonly signal: AbortSignal;
  /** The agent said that there is no more to hear: it ends in good order. */
  readonly onEnd?: () => void;
  /** Gets every event as it comes, also what is not printed. */
  readonly onEvent?: (event: FaceEvent) => void;
}

/**
 * Prints messages, presence and notices from now on; resolves once that is set up. Progress of transfers is not printed: commands show
 * their own.
 * @throws ParleyError LOGIN_REQUIRED
 */
export async function listenToAgent(connection: Connection, options: ListenOptions): Promise<void> {
  const { shows, output, signal, onEnd } = options;
  /** What comes while unread messages are asked for waits, so that nothing is shown twice or out of order. */
  let waiting: FaceEvent[] | undefined = [];
  const onEvent = (value: unknown): void => {
    const parsed = faceEvent.safeParse(value);
    if (!parsed.success || parsed.data.type === 'transfer') return;
    options.onEvent?.(parsed.data);
    if (parsed.data.type === 'standing') return;
    if (waiting === undefined) output.event(parsed.data);
    else waiting.push(parsed.data);
  };
  // It ends with the connection, whose end is noticed elsewhere.
  connection.call(agentCommands.listen, shows ? { shows } : {}, { signal, onEvent }).then(onEnd, () => undefined);
  const shown = new Set<string>();
  if (shows) {
    const { messages } = await connection.call(agentCommands.inbox, { unread: true }, { signal });
    if (messages.length > 0) output.result(agentCommands.inbox, { messages });
    for (const { id } of messages) shown.add(id);
  }
  const held = waiting;
  waiting = undefined;
  for (const event of held) if (!('id' in event && shown.has(event.id))) output.event(event);
}
