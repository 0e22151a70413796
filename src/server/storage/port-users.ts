/** Users, their devices, resume tokens and blocks, as `port.ts` has them. */
import type { KeyFingerprint, UserName } from '../../protocol/values.js';

/** Devices remembered for a user; the one seen longest ago is forgotten first, so that new keys cannot grow the store. */
export const MAX_DEVICES_PER_USER = 32;
/** Resume tokens kept for a user; the one that ends first goes first. */
export const MAX_RESUME_TOKENS_PER_USER = 16;

/** A number that is never used again, not even when the user is removed and the name taken anew. */
export type UserId = number;
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
