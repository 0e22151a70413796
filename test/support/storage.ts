/** Users and messages for tests of the storage. */
import { expect } from 'chai';
import { randomBytes } from 'node:crypto';
import { parseUserName } from '../../src/protocol/values.js';
import type { NewMessage, Storage, UserRecord } from '../../src/server/storage/port.js';

export const T0 = Date.UTC(2030, 0, 1);

export async function addUser(storage: Storage, name: string): Promise<UserRecord> {
  const user = await storage.createUser(parseUserName(name), `hash of ${name}`, T0);
  return user ?? expect.fail(`${name} exists`);
}

/** Acknowledges for one user, and says how far that is then. */
export async function acknowledged(storage: Storage, userId: number, position: number): Promise<number | undefined> {
  await storage.acknowledge(new Map([[userId, position]]));
  return (await storage.getUser(userId))?.deliveredPosition;
}

/** A message from one user to others; `over` replaces any field. */
export function message(from: UserRecord, to: readonly UserRecord[], over: Partial<NewMessage> = {}): NewMessage {
  return {
    messageId: randomBytes(16).toString('hex'),
    senderId: from.id,
    senderName: from.name,
    kind: to.length === 1 ? 'message' : 'broadcast',
    to: to.length === 1 ? (to[0]?.name ?? '') : 'all',
    text: 'hello',
    sentAt: T0,
    recipients: to.map(({ id }) => id),
    ...over,
  };
}

/** Gives an empty storage; `dispose` removes what it made. */
export type OpenStorage = () => Promise<{ readonly storage: Storage; readonly dispose: () => Promise<void> }>;

export interface StorageOfThree {
  readonly storage: Storage;
  /** Spelled `Alice`. */
  readonly alice: UserRecord;
  readonly bob: UserRecord;
  readonly carol: UserRecord;
}

/** Called once in a suite: a new storage with three users for each test of it. */
export function storageOfThree(open: OpenStorage): StorageOfThree {
  let made: (StorageOfThree & { readonly dispose: () => Promise<void> }) | undefined;
  beforeEach(async () => {
    const { storage, dispose } = await open();
    made = {
      storage,
      dispose,
      alice: await addUser(storage, 'Alice'),
      bob: await addUser(storage, 'bob'),
      carol: await addUser(storage, 'carol'),
    };
  });
  afterEach(async () => {
    await made?.storage.close();
    await made?.dispose();
    made = undefined;
  });
  const there = (): StorageOfThree => made ?? expect.fail('no test runs');
  return {
    get storage() {
      return there().storage;
    },
    get alice() {
      return there().alice;
    },
    get bob() {
      return there().bob;
    },
    get carol() {
      return there().carol;
    },
  };
}
