import type { Handler } from './handler.js';
import { toStoredMessage } from './history.js';

export const leaveGroup: Handler<'leave_group'> = ({ group: name }, { session, services }) =>
  session.sending.run(async () => {
    const { group, held } = await services.groups.leave(session, name);
    return { group: group.name, held: held.map(toStoredMessage) };
  });
