import { otherUser } from './handler.js';
import type { Handler } from './handler.js';

export const report: Handler<'report'> = async ({ user, file: name, chunk, code }, { session, services }) => {
  const { storage, registry, log } = services;
  const holder = await otherUser(storage, session, user);
  const file = await registry.find(name);
  const ended = registry.report(holder.id, file, session.user.id);
  const fields = { by: session.user.name, holder: holder.name, file: file.name, chunk, code, ended };
  log.info(fields, 'a holder was reported');
  return {};
};
