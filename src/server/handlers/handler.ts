/** What every handler is, and what several of them need. */
import type { Handlers } from '../../protocol/command.js';
import type { serverCommands } from '../../protocol/commands/server.js';
import { ParleyError } from '../../protocol/errors.js';
import { nameKey, printable } from '../../protocol/values.js';
import type { Context } from '../context.js';
import type { Session } from '../session.js';
import type { UserRecord, UserStore } from '../storage/port.js';

type ServerCommands = typeof serverCommands;

/** Answers one command of somebody who is logged in. */
export type Handler<N extends keyof ServerCommands> = Handlers<ServerCommands, Context>[N];

/** @throws ParleyError UNKNOWN_USER, also for names that no user can have */
export async function knownUser(storage: Pick<UserStore, 'findUser'>, name: string): Promise<UserRecord> {
  const user = await storage.findUser(name);
  if (user === undefined) throw new ParleyError('UNKNOWN_USER', { user: printable(name) });
  return user;
}

/** As `knownUser`. @throws ParleyError UNKNOWN_USER, SELF */
export async function otherUser(
  storage: Pick<UserStore, 'findUser'>,
  session: Session,
  name: string,
): Promise<UserRecord> {
  const user = await knownUser(storage, name);
  if (user.id === session.user.id) throw new ParleyError('SELF');
  return user;
}

/** @throws ParleyError IN_FOCUS_GROUP when the session's user is in a room that keeps them from the outside, too */
export function checkOutside({ focus }: Session): void {
  if (focus !== undefined) throw new ParleyError('IN_FOCUS_GROUP', { group: focus.group.name });
}

/** Sorted without regard to case; each key is made once. */
export function sortedByName<T>(items: readonly T[], nameOf: (item: T) => string): T[] {
  const keyed = items.map((item) => ({ key: nameKey(nameOf(item)), item }));
  keyed.sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0));
  return keyed.map(({ item }) => item);
}
