import type { Handler } from './handler.js';
import { toStoredMessage } from './history.js';

export const leaveGroup: Handler<'leave_group'> = ({ group: name }, { session, services }, call) =>
  session.sending.run(async () => {
    // What comes from now on is shown behind what was held.
    call.signal.addEventListener('abort', () => session.pump.release(), { once: true });
    const { group, held } = await services.groups.leave(session, name);
    return { group: group.name, held: held.map(toStoredMessage) };
  });
