import { knownUser } from './handler.js';
import type { Handler } from './handler.js';

export const userKey: Handler<'userKey'> = async ({ user: name }, { services: { storage, presence } }) => {
  const user = await knownUser(storage, name);
  const online = presence.get(user.id)?.origin.key?.publicKey;
  const publicKey = online ?? (await storage.latestDevice(user.id))?.publicKey;
  return { user: user.name, ...(publicKey === undefined ? {} : { publicKey }) };
};
