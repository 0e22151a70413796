import { sortedByName } from './handler.js';
import type { Handler } from './handler.js';

export const whoelse: Handler<'whoelse'> = (_params, { session, services: { presence } }) => {
  const others = presence.sessions().filter((other) => other.user.id !== session.user.id);
  return {
    users: sortedByName(
      others.map(({ user }) => user.name),
      String,
    ),
  };
};
