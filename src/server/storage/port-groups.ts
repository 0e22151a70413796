/** Groups and who is in them, as `port.ts` has them. */
import type { GroupMode } from '../../protocol/commands/server/createGroup.js';
import type { GroupName, UserName } from '../../protocol/values.js';
import type { UserId } from './port-users.js';

/** Groups one user may have made: rooms for a team, no flood of names. */
export const MAX_GROUPS_PER_USER = 100;

/** As UserId, for a group. */
export type GroupId = number;

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
