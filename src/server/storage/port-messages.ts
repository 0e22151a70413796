/** Messages, their words and how long they are kept, as `port.ts` has them. */
import type { KeyFingerprint, UserName } from '../../protocol/values.js';
import type { SearchWord } from '../../protocol/words.js';
import type { UserId } from './port-users.js';

/** Undelivered entries an inbox takes (R20): a fortnight away from a busy team, and a bound on what strangers can make it hold. */
export const MAX_INBOX_ENTRIES = 1_000;
/** UTF-8 bytes of undelivered texts an inbox takes (R20): 256 messages of the largest size. */
export const MAX_INBOX_BYTES = 4 * 1024 * 1024;
/** Undelivered entries an inbox takes from one sender (R20): nobody can fill it alone. */
export const MAX_INBOX_ENTRIES_PER_SENDER = 200;
/** Days for which the id of a removed message stays known: longer than a sender keeps what was not answered. */
export const MIN_KNOWN_DAYS = 30;

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
