import type { Handler } from './handler.js';

/** Behind what the session sent before, as whoever writes without waiting means it. */
export const joinGroup: Handler<'join_group'> = ({ group: name }, { session, services }) =>
  session.sending.run(async () => {
    const { group, members } = await services.groups.join(session, name);
    return { group: group.name, members };
  });
