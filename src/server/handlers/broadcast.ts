import { ParleyError } from '../../protocol/errors.js';
import { nameKey, printable } from '../../protocol/values.js';
import type { Context } from '../context.js';
import { sendableText } from '../conversations.js';
import type { AppendOutcome, UserId } from '../storage/port.js';
import { sortedByName, checkOutside } from './handler.js';
import type { Handler } from './handler.js';

interface Audience {
  /** As the readers see it. */
  readonly to: string;
  readonly recipients: ReadonlyMap<UserId, string>;
  readonly skipped: readonly Skipped[];
  readonly blockedBy: number;
}

interface Skipped {
  readonly user: string;
  readonly code: string;
}

export const broadcast: Handler<'broadcast'> = async ({ id: given, number, text, to }, context) => {
  const { session, services } = context;
  let audience: Audience | undefined;
  const { id, outcome } = await services.conversations.send(session, { id: given, number }, async () => {
    checkOutside(session);
    audience = to === undefined ? await everyone(context) : await named(context, to);
    const recipients = [...audience.recipients.keys()];
    return { kind: 'broadcast', to: audience.to, text: sendableText(text, audience.to), recipients };
  });
  // Sent before, and now refused: whom it reached then is what counts.
  audience ??= { to: '', recipients: new Map(), skipped: [], blockedBy: 0 };
  const { reached, full } = await sort(context, audience, outcome);
  const skipped = [...audience.skipped, ...full];
  if (to !== undefined) return { id, recipients: reached, skipped };
  return { id, recipients: reached, blockedBy: audience.blockedBy, ...(skipped.length > 0 ? { skipped } : {}) };
};

/** Everybody else who is online, without those who block the sender. */
async function everyone({ session, services }: Context): Promise<Audience> {
  const others = services.presence.sessions().filter((other) => other !== session);
  const blockers = await services.blocks.blockersAmong(
    session.user.id,
    others.map(({ user }) => user.id),
  );
  const recipients = new Map<UserId, string>();
  for (const { user } of others) if (!blockers.has(user.id)) recipients.set(user.id, user.name);
  return { to: 'all', recipients, skipped: [], blockedBy: blockers.size };
}

/** The users of these names. @throws ParleyError UNKNOWN_USER, and then nobody gets it */
async function named({ session, services }: Context, names: readonly string[]): Promise<Audience> {
  const users = new Map((await services.storage.findUsers(names)).map((user) => [nameKey(user.name), user]));
  const me = session.user.id;
  const blockers = await services.blocks.blockersOf(me);
  const recipients = new Map<UserId, string>();
  const skipped: Skipped[] = [];
  for (const key of new Set(names.map(nameKey))) {
    const user = users.get(key);
    if (user === undefined) throw new ParleyError('UNKNOWN_USER', { user: printable(key) });
    if (user.id === me) skipped.push({ user: user.name, code: 'SELF' });
    else if (blockers.has(user.id)) skipped.push({ user: user.name, code: 'BLOCKED' });
    else recipients.set(user.id, user.name);
  }
  return { to: [...recipients.values()].join(','), recipients, skipped, blockedBy: 0 };
}

/** Names of those it was stored for, and of those whose inbox was full. */
async function sort(
  { services: { storage } }: Context,
  { recipients }: Audience,
  outcome: AppendOutcome,
): Promise<{ reached: string[]; full: Skipped[] }> {
  const reached: string[] = [];
  const full: Skipped[] = [];
  const outcomes = 'recipients' in outcome ? outcome.recipients : [];
  for (const each of outcomes) {
    // Of a message that was sent before, also those who have left since.
    const user = recipients.get(each.userId) ?? (await storage.getUser(each.userId))?.name;
    if (user === undefined) continue;
    if ('refused' in each) full.push({ user, code: each.refused });
    else reached.push(user);
  }
  return { reached: sortedByName(reached, String), full };
}
