import type { Handler } from './handler.js';

const MINUTE_MS = 60_000;

export const wholast: Handler<'wholast'> = async ({ minutes }, { services }) => {
  const seen = await services.presence.seenSince(services.clock.epochMs() - minutes * MINUTE_MS);
  return {
    users: seen.map(({ name, lastSeenAt, online }) => ({
      user: name,
      lastSeen: new Date(lastSeenAt).toISOString(),
      online,
    })),
  };
};
