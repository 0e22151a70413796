/** `server user …`: accounts without the credentials file, also while a server runs on the same data. */
import { ParleyError } from '../protocol/errors.js';
import { parseUserName, printable } from '../protocol/values.js';
import { noteAccountsChanged } from './accounts.js';
import { parseNewPassword } from './auth/passwords.js';
import type { Passwords } from './auth/passwords.js';
import { knownUser } from './handlers/handler.js';
import type { AccountAction, RetentionAction, UserAction } from './program.js';
import { defaultRetention } from './retention.js';
import type { Retention, Storage } from './storage/port.js';

const LIST_PAGE = 500;

export interface UserParts {
  readonly storage: Storage;
  /** Made only when a password is to be hashed. */
  readonly passwords: () => Promise<Passwords>;
  readonly readPassword: (name: string, file: string | undefined) => Promise<string>;
  readonly print: (line: string) => void;
}

/** @throws ParleyError BAD_NAME, UNKNOWN_USER, USAGE, FILE_MISSING, CANCELLED, DISK_FULL */
export async function runUserAction(action: UserAction, parts: UserParts): Promise<void> {
  if (action.kind === 'retention') return setRetention(action, parts);
  const { storage, print } = parts;
  const name = action.name ?? '';
  switch (action.kind) {
    case 'add':
      await addUser(name, action, parts);
      break;
    case 'passwd': {
      const user = await knownUser(storage, name);
      await storage.setPasswordHash(user.id, await newHash(user.name, action, parts));
      print(`the password of ${user.name} is changed`);
      break;
    }
    case 'remove': {
      const user = await knownUser(storage, name);
      await storage.removeUser(user.id);
      print(`${user.name} is removed`);
      break;
    }
    case 'list':
      await listUsers(action, parts);
      return;
  }
  await noteAccountsChanged(storage);
}

async function addUser(given: string, action: AccountAction, parts: UserParts): Promise<void> {
  const { storage, print } = parts;
  const name = parseUserName(given);
  const taken = new ParleyError('BAD_NAME', {
    name,
    reason: 'it is taken; choose another, or set its password with passwd',
  });
  if ((await storage.findUser(name)) !== undefined) throw taken;
  const hash = await newHash(name, action, parts);
  if ((await storage.createUser(name, hash, Date.now())) === undefined) throw taken;
  print(`${name} is added`);
}

async function newHash(name: string, action: AccountAction, { passwords, readPassword }: UserParts): Promise<string> {
  const password = parseNewPassword(await readPassword(name, action.passwordFile));
  return (await passwords()).hash(password);
}

async function listUsers({ json }: AccountAction, { storage, print }: UserParts): Promise<void> {
  const users: { user: string; lastSeen?: string }[] = [];
  let after: string | undefined;
  while (true) {
    const page = await storage.listUsers({ after, limit: LIST_PAGE });
    for (const { name, lastSeenAt } of page) {
      users.push({ user: name, ...(lastSeenAt === undefined ? {} : { lastSeen: new Date(lastSeenAt).toISOString() }) });
    }
    after = page.at(-1)?.name;
    if (page.length < LIST_PAGE) break;
  }
  if (json) print(JSON.stringify({ users }));
  else for (const { user, lastSeen } of users) print(`${printable(user)}\t${lastSeen ?? 'never seen'}`);
}

/** A running server goes by it at its next sweep. */
async function setRetention(action: RetentionAction, { storage, print }: UserParts): Promise<void> {
  const { id, name: user } = await knownUser(storage, action.name);
  const wanted = action.retention;
  if (wanted !== undefined) await storage.setRetention(id, wanted === 'default' ? undefined : wanted);
  const own = await storage.getRetention(id);
  const retention = own ?? (await defaultRetention(storage));
  if (action.json) print(JSON.stringify({ user, retention, isDefault: own === undefined }));
  else print(`what ${user} has read is kept ${inWords(retention)}${own === undefined ? ', the server’s default' : ''}`);
}

function inWords(retention: Retention): string {
  if (retention === 'forever') return 'for ever';
  return retention === 1 ? '1 day' : `${retention} days`;
}
