/**
 * What the server keeps, as a port: one atomic verb a method. An adapter either does all of a verb or none of it, and has made it
 * durable when the promise resolves. There is no clock inside: every time is epoch milliseconds given by the caller.
 *
 * Every verb may reject with ParleyError DISK_FULL (nothing was changed; reads go on, and writes do again when there is room) or
 * INTERNAL. What is only absent is `undefined`, `false` or an empty list.
 *
 * `test/contracts/storage.ts` is this page as tests; every adapter passes it.
 */
import type { GroupMode } from '../../protocol/commands/server/createGroup.js';
import type { SearchWord } from '../../protocol/words.js';
import type { Digest, FileName, GroupName, KeyFingerprint, UserName } from '../../protocol/values.js';

/** Undelivered entries an inbox takes (R20): a fortnight away from a busy team, and a bound on what strangers can make it hold. */
export const MAX_INBOX_ENTRIES = 1_000;
/** UTF-8 bytes of undelivered texts an inbox takes (R20): 256 messages of the largest size. */
export const MAX_INBOX_BYTES = 4 * 1024 * 1024;
/** Undelivered entries an inbox takes from one sender (R20): nobody can fill it alone. */
export const MAX_INBOX_ENTRIES_PER_SENDER = 200;
/** Files one user may have registered (R15). */
export const MAX_FILES_PER_USER = 1_000;
/** Chunks over all files of one user (R15): 32 MB of digests. */
export const MAX_CHUNKS_PER_USER = 1_000_000;
/** Devices remembered for a user; the one seen longest ago is forgotten first, so that new keys cannot grow the store. */
export const MAX_DEVICES_PER_USER = 32;
/** Resume tokens kept for a user; the one that ends first goes first. */
export const MAX_RESUME_TOKENS_PER_USER = 16;

/** Days for which the id of a removed message stays known: longer than a sender keeps what was not answered. */
export const MIN_KNOWN_DAYS = 30;

/** Groups one user may have made: rooms for a team, no flood of names. */
export const MAX_GROUPS_PER_USER = 100;

/** A number that is never used again, not even when the user is removed and the name taken anew. */
export type UserId = number;
/** As UserId, for a registered file. */
export type FileId = number;
/** As UserId, for a group. */
export type GroupId = number;

export interface UserRecord {
  readonly id: UserId;
  /** As it was spelled when the user was created; unique by `nameKey`. */
  readonly name: UserName;
  /** Argon2id, PHC string. Never logged, never sent. */
  readonly passwordHash: string;
  /** undefined when never seen. */
  readonly lastSeenAt: number | undefined;
  /** Position of the newest entry in the user's inbox; 0 when there was none. */
  readonly lastPosition: number;
  /** Entries up to here have been acknowledged by the user's agent; 0 at first. */
  readonly deliveredPosition: number;
}

export interface SeenUser {
  readonly id: UserId;
  readonly name: UserName;
  readonly lastSeenAt: number;
}

export interface Device {
  readonly keyFingerprint: KeyFingerprint;
  /** SubjectPublicKeyInfo, DER, base64. */
  readonly publicKey: string;
}

export interface ResumeToken {
  readonly userId: UserId;
  readonly keyFingerprint: KeyFingerprint;
  readonly expiresAt: number;
}

/** A session that begins with a key. */
export interface BegunSession extends ResumeToken {
  /** Of the token that resumes it, whose other fields are these. */
  readonly tokenHash: string;
  /** The key that it showed, remembered as the user's latest. */
  readonly publicKey: string;
  readonly at: number;
  /** The token that it used itself, which ends then at the latest. */
  readonly used?: { readonly tokenHash: string; readonly until: number } | undefined;
}

export type MessageKind = 'message' | 'broadcast' | 'group';

export interface NewMessage {
  /** 32 hex digits, made by the client; unique for the sender only. */
  readonly messageId: string;
  readonly senderId: UserId;
  /** Kept with the message: it stays readable when the sender is removed. */
  readonly senderName: UserName;
  readonly kind: MessageKind;
  /** As shown to the readers: the recipient's or the group's name, or `all`. */
  readonly to: string;
  readonly text: string;
  readonly sentAt: number;
  /** Without the sender and without who blocks them. Empty: nothing is stored, the number is used up. */
  readonly recipients: readonly UserId[];
  /**
   * The sender's own order (R27): numbers of a device are contiguous from 1. undefined: the message is in no order. A message
   * that is refused for good before it comes here uses its number up by an entry without recipients.
   */
  readonly order?: { readonly device: KeyFingerprint; readonly number: number } | undefined;
}

/** What became of a message for one recipient; positions count 1, 2, 3, … for each recipient. */
export type RecipientOutcome =
  | { readonly userId: UserId; readonly position: number }
  | { readonly userId: UserId; readonly refused: 'INBOX_FULL' | 'UNKNOWN_USER' };

/**
 * - `stored`: for at least one recipient, or there were none.
 * - `duplicate`: this sender and id were stored before; these are the outcomes of then, and nothing was changed.
 * - `refused`: every recipient was; nothing is stored, the number is used up. The same id may be sent again with a new number.
 * - `used`: the number was used up by a message that was refused; nothing was changed.
 * - `gap`: numbers before this one have not come; nothing was changed, send from `expected` on.
 */
export type AppendOutcome =
  | { readonly kind: 'stored' | 'duplicate' | 'refused'; readonly recipients: readonly RecipientOutcome[] }
  | { readonly kind: 'used' }
  | { readonly kind: 'gap'; readonly expected: number };

/** A message as it lies in one recipient's inbox. */
export interface InboxEntry {
  readonly position: number;
  /** The client's id of the message. */
  readonly id: string;
  readonly kind: MessageKind;
  /** Of a user that may be removed by now. */
  readonly fromId: UserId;
  readonly from: UserName;
  readonly to: string;
  readonly text: string;
  readonly sentAt: number;
  readonly unread: boolean;
}

export interface PageSize {
  /** At most so many entries, 1 or more. */
  readonly limit: number;
  /** The page ends before its texts pass so many UTF-8 bytes, but always has one entry when there is one. Default: no bound. */
  readonly maxBytes?: number | undefined;
}

export interface InboxFilter {
  /** Only unread entries. */
  readonly unreadOnly?: boolean | undefined;
  /** Only entries from this user. */
  readonly senderId?: UserId | undefined;
  /** Only entries older than the one with this message id. */
  readonly before?: string | undefined;
  /** Only entries with all of these words; at least one. Such a page may be shorter than asked for, but is empty only at the end. */
  readonly words?: readonly SearchWord[] | undefined;
}

/** These very positions or message ids (unknown ones are passed over), or everything up to one (of one sender only, when given). */
export type ReadMark =
  | { readonly positions: readonly number[] }
  | { readonly ids: readonly string[] }
  | { readonly upTo: number; readonly senderId?: UserId | undefined };

export interface NewFile {
  /** Unique exactly, by its NFC code points. */
  readonly name: FileName;
  readonly ownerId: UserId;
  readonly sizeBytes: number;
  readonly chunks: number;
  readonly root: Digest;
  /** `chunks` x 32 bytes. */
  readonly chunkDigests: Buffer;
  readonly registeredAt: number;
}

export interface FileRecord extends Omit<NewFile, 'chunkDigests'> {
  readonly id: FileId;
  readonly ownerName: UserName;
}

export interface UserStore {
  /** A new user, or undefined when the name is taken (letters' case does not count). */
  createUser(name: UserName, passwordHash: string, at: number): Promise<UserRecord | undefined>;
  /** By a name somebody typed; the case of letters does not count. */
  findUser(name: string): Promise<UserRecord | undefined>;
  /** Those of `names` that exist, in no order, each once. At most 32,000 names. */
  findUsers(names: readonly string[]): Promise<UserRecord[]>;
  getUser(id: UserId): Promise<UserRecord | undefined>;
  /** Also revokes the user's resume tokens. False when there is no such user. */
  setPasswordHash(id: UserId, passwordHash: string): Promise<boolean>;
  /** The user with inbox, devices, tokens, blocks and registered files. What they sent stays with those who got it. */
  removeUser(id: UserId): Promise<boolean>;
  /** Users by `nameKey`, from after the name `after` on. */
  listUsers(page: { readonly after?: string | undefined; readonly limit: number }): Promise<UserRecord[]>;
  /** Sets when these users were last seen; ids of no user are passed over. */
  touchLastSeen(ids: readonly UserId[], at: number): Promise<void>;
  /** Users seen at `since` or later, the latest first. */
  usersSeenSince(since: number): Promise<SeenUser[]>;
}

export interface DeviceStore {
  /** Remembers the key of a successful login as the user's latest. */
  rememberDevice(userId: UserId, device: Device, at: number): Promise<void>;
  /** Whether this user has logged in with this key before. */
  isKnownDevice(userId: UserId, keyFingerprint: KeyFingerprint): Promise<boolean>;
  /** The key of the user's latest login that showed one. */
  latestDevice(userId: UserId): Promise<Device | undefined>;
}

export interface ResumeTokenStore {
  /** `tokenHash`: SHA-256 of the token, 64 hex digits; the token itself is never stored. */
  storeResumeToken(tokenHash: string, token: ResumeToken): Promise<void>;
  /** undefined when there is none or it has ended by `at`. */
  findResumeToken(tokenHash: string, at: number): Promise<ResumeToken | undefined>;
  /** Keeps what a session begins with, in one commit; false, and nothing is kept, when the token it used has been revoked meanwhile. */
  keepSession(begun: BegunSession): Promise<boolean>;
  revokeResumeTokens(userId: UserId): Promise<void>;
  /** Forgets tokens of all users that have ended by `at`; returns how many. */
  removeExpiredResumeTokens(at: number): Promise<number>;
}

export interface BlockStore {
  /** False when it was blocked already, or one of the two does not exist. */
  addBlock(blockerId: UserId, blockedId: UserId, at: number): Promise<boolean>;
  /** False when it was not blocked. */
  removeBlock(blockerId: UserId, blockedId: UserId): Promise<boolean>;
  /** Whom this user blocks, by `nameKey`. */
  listBlocked(blockerId: UserId): Promise<{ readonly id: UserId; readonly name: UserName }[]>;
  /** Everyone who blocks this user. */
  blockersOf(blockedId: UserId): Promise<Set<UserId>>;
}

export interface MessageStore {
  /**
   * Appends in the given order, all in one commit (R27); the outcomes are in the same order. An inbox counts as full by its
   * undelivered entries (MAX_INBOX_…, R20), so the cost of an entry does not depend on how much history there is.
   */
  appendMessages(batch: readonly NewMessage[]): Promise<AppendOutcome[]>;
  /** The number the next message of this device must have. */
  nextNumber(userId: UserId, device: KeyFingerprint): Promise<number>;
  /** Entries after `position`, oldest first: what the pump sends. */
  entriesAfter(recipientId: UserId, position: number, page: PageSize): Promise<InboxEntry[]>;
  /**
   * The agents of these users have everything up to these positions: moves deliveredPosition there, never back and never past the
   * newest entry. Ids of no user are passed over.
   */
  acknowledge(reached: ReadonlyMap<UserId, number>): Promise<void>;
  /** The newest entries that pass the filter, oldest of them first; undefined when `before` names nothing in this inbox. */
  inboxPage(userId: UserId, filter: InboxFilter, page: PageSize): Promise<InboxEntry[] | undefined>;
  /** Returns how many entries were unread and are not any more. */
  markRead(userId: UserId, mark: ReadMark): Promise<number>;
  /** Costs the same for any size of inbox. */
  countUnread(userId: UserId): Promise<number>;
}

/** The words of messages. What is not in the index yet is found all the same, only slower. */
export interface IndexStore {
  /**
   * Takes some milliseconds' worth of entries into the index, the oldest first; says how many: none when all are in it. What an
   * adapter puts off until there is time is done before.
   */
  indexMessages(): Promise<number>;
}

/** How long what was delivered and read is kept: days of 24 hours, 1 or more. */
export type Retention = number | 'forever';

/** Where a sweep goes on. */
export interface SweepPlace {
  readonly userId: UserId;
  readonly position: number;
}

export interface RetentionStore {
  /** undefined: what the server does by default. False when there is no such user. */
  setRetention(userId: UserId, retention: Retention | undefined): Promise<boolean>;
  getRetention(userId: UserId): Promise<Retention | undefined>;
  /**
   * A bounded step of a sweep: removes entries that are older at `at` than their user wants, were acknowledged and are read, and
   * messages that nobody has any more; what an adapter puts off (`indexMessages`) may wait for a later sweep. `next` is where the next step goes on; undefined when the sweep is through.
   * Of a message that is less than MIN_KNOWN_DAYS old the id stays known, so that it is not stored a second time.
   */
  removeOld(step: {
    readonly at: number;
    readonly fallback: Retention;
    readonly from?: SweepPlace | undefined;
  }): Promise<{ readonly removed: number; readonly next: SweepPlace | undefined }>;
}

export interface NewGroup {
  /** Unique without regard to case. */
  readonly name: GroupName;
  readonly mode: GroupMode;
  readonly creatorId: UserId;
  readonly createdAt: number;
}

export interface GroupRecord extends Pick<NewGroup, 'name' | 'mode'> {
  readonly id: GroupId;
}

export interface GroupSummary extends Pick<NewGroup, 'name' | 'mode'> {
  readonly members: number;
}

export interface GroupMember {
  readonly id: UserId;
  readonly name: UserName;
}

/** Who is in which focus group, and the position behind which entries of their inbox are held. */
export interface FocusMember {
  readonly user: GroupMember;
  readonly group: GroupRecord;
  readonly heldFrom: number;
}

/**
 * - `joined`: entries behind `heldFrom` are held, when it is a focus group; `isAgain` when that began before, and was not ended.
 * - `in`: the user is in this group already, or this is a focus group and the user is in that other one.
 * - `gone`: no such group, or no such user.
 */
export type Joined =
  | { readonly kind: 'joined'; readonly heldFrom: number; readonly isAgain: boolean }
  | { readonly kind: 'in'; readonly group: GroupRecord }
  | { readonly kind: 'gone' };

/** What is held and unread: how much, from whom in the order of their first, and up to which position. */
export interface HeldSummary {
  readonly count: number;
  readonly senders: readonly UserName[];
  readonly upTo: number;
}

export interface GroupStore {
  /**
   * The new group, without members, or undefined when the name is taken (letters' case does not count).
   * @throws ParleyError TOO_MANY_GROUPS (`limit`)
   */
  createGroup(group: NewGroup): Promise<GroupRecord | undefined>;
  findGroup(name: string): Promise<GroupRecord | undefined>;
  /** Groups by `nameKey`, from after the name `after` on. */
  listGroups(page: { readonly after?: string | undefined; readonly limit: number }): Promise<GroupSummary[]>;
  /** A user is in any number of open groups and in one focus group at most. Entering that begins to hold what comes from outside. */
  joinGroup(groupId: GroupId, userId: UserId, at: number): Promise<Joined>;
  /** False when the user was not in it. What is held stays so until `endHolding`, unless it is `ended` with this. */
  leaveGroup(groupId: GroupId, userId: UserId, at: number, holding?: 'kept' | 'ended'): Promise<boolean>;
  /** By `nameKey`. */
  groupMembers(groupId: GroupId): Promise<GroupMember[]>;
  /** The groups that a user is in, by `nameKey`. */
  groupsOf(userId: UserId): Promise<GroupRecord[]>;
  focusOf(userId: UserId): Promise<FocusMember | undefined>;
  /** All members of all focus groups. */
  focusMembers(): Promise<FocusMember[]>;
  /** What the focus group of this user holds now. */
  heldSummary(userId: UserId): Promise<HeldSummary>;
  /** Nothing is held any more; the next focus group begins anew. */
  endHolding(userId: UserId): Promise<void>;
  /** Removes groups that have no members and were not used since; returns how many. */
  removeEmptyGroups(usedBefore: number): Promise<number>;
}

export interface FileStore {
  /**
   * The registered file, or undefined when the name is taken: of any number of racing registrations one wins (R15).
   * @throws ParleyError TOO_MANY_FILES (`limit`, `what`); UNKNOWN_USER when the owner does not exist
   */
  registerFile(file: NewFile): Promise<FileRecord | undefined>;
  findFile(name: string): Promise<FileRecord | undefined>;
  /** The digests of its chunks, `chunks` x 32 bytes. */
  chunkDigests(id: FileId): Promise<Buffer | undefined>;
  /** False when there is no such file. */
  unregisterFile(id: FileId): Promise<boolean>;
  /** Files by name (UTF-8 order), from after the name `after` on. */
  listFiles(page: { readonly after?: string | undefined; readonly limit: number }): Promise<FileRecord[]>;
}

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
