import { sortedByName } from './handler.js';
import type { Handler } from './handler.js';

export const whoelsesince: Handler<'whoelsesince'> = async ({ seconds }, { session, services }) => {
  const seen = await services.presence.seenSince(services.clock.epochMs() - seconds * 1000);
  const names = seen.map(({ name }) => name as string).filter((name) => name !== session.user.name);
  return { users: sortedByName(names, String) };
};
