/**
 * What the server keeps, as a port: one atomic verb a method. An adapter either does all of a verb or none of it, and has made it
 * durable when the promise resolves. There is no clock inside: every time is epoch milliseconds given by the caller.
 *
 * Every verb may reject with ParleyError DISK_FULL (nothing was changed; reads go on, and writes do again when there is room) or
 * INTERNAL. What is only absent is `undefined`, `false` or an empty list.
 *
 * `test/contracts/storage.ts` is this page as tests; every adapter passes it.
 */
import type { FileStore } from './port-files.js';
import type { GroupStore } from './port-groups.js';
import type { IndexStore, MessageStore, RetentionStore } from './port-messages.js';
import type { BlockStore, DeviceStore, ResumeTokenStore, UserStore } from './port-users.js';

export * from './port-files.js';
export * from './port-groups.js';
export * from './port-messages.js';
export * from './port-users.js';

export interface SettingStore {
  getSetting(key: string): Promise<string | undefined>;
  setSetting(key: string, value: string): Promise<void>;
}

/** For the server's operator. */
export interface CensusStore {
  /** How many there are; costs the same as reading an index of them. */
  countAll(): Promise<{ readonly users: number; readonly files: number }>;
  /** Entries of all inboxes that are not acknowledged; reads a row of every user. */
  countUndelivered(): Promise<number>;
}

export interface Storage
  extends
    UserStore,
    DeviceStore,
    ResumeTokenStore,
    BlockStore,
    MessageStore,
    IndexStore,
    RetentionStore,
    GroupStore,
    FileStore,
    SettingStore,
    CensusStore {
  /** Whether what is stored is whole; reads everything, so it may take long. */
  integrityOk(): Promise<boolean>;
  /** May be called more than once. Every other verb rejects with INTERNAL afterwards. */
  close(): Promise<void>;
}
