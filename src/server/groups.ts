/** Groups: who is in which, telling the members, and removing those who left a focus group without a word. */
import type { Clock } from '../protocol/clock.js';
import { encodeEvent } from '../protocol/connection.js';
import { ParleyError } from '../protocol/errors.js';
import type { NoticeCode } from '../protocol/events.js';
import { parseGroupName, printable } from '../protocol/values.js';
import type { GroupMode } from '../protocol/commands/server/createGroup.js';
import { KeyedTurns } from '../protocol/turns.js';
import { Focus, readHeld } from './focus.js';
import { Leavers } from './leavers.js';
import {
  EMPTY_GROUP_LIFETIME_MS,
  EMPTY_GROUPS_SWEEP_MS,
  GROUP_GRACE_MS,
  GROUP_RESTART_GRACE_MS,
  MAX_CACHED_GROUPS,
} from './limits.js';
import type { Log } from './log.js';
import type { Presence } from './presence.js';
import { encodeNotice } from './notices.js';
import type { Session } from './session.js';
import type {
  FocusMember,
  GroupId,
  GroupMember,
  GroupRecord,
  GroupStore,
  HeldSummary,
  InboxEntry,
  MessageStore,
  RecipientOutcome,
  UserId,
} from './storage/port.js';

/** Groups that a list takes from the storage at a time, with the loop turning in between. */
const LIST_PAGE = 500;

export interface GroupsParts {
  readonly storage: GroupStore & Pick<MessageStore, 'entriesAfter'>;
  readonly presence: Presence;
  readonly clock: Clock;
  readonly log: Log;
  /** Ends the session of a member who does not answer. */
  readonly endDead: (session: Session) => Promise<void>;
}

type Subject = Session['user'];

const SAYINGS = {
  GROUP_JOINED: (user: string, group: string) => `[${user} joined group ${group}]`,
  GROUP_LEFT: (user: string, group: string) => `[${user} left group ${group}]`,
  GROUP_REMOVED: (user: string, group: string) => `[${user} not responsive, removed from group ${group}]`,
} as const satisfies Partial<Record<NoticeCode, unknown>>;

export class Groups {
  readonly #parts: GroupsParts;
  /** Members of groups that were used lately, by name. */
  readonly #members = new Map<GroupId, Map<UserId, GroupMember>>();
  /** Whose session it is that may enter and leave: one that ends late must not undo what the next one has found. */
  readonly #current = new Map<UserId, Session>();
  /** Sessions of a user begin and end, enter and leave one after the other. */
  readonly #changing = new KeyedTurns<UserId>();
  readonly #leavers: Leavers;
  #cancelSweep = (): void => undefined;

  constructor(parts: GroupsParts) {
    this.#parts = parts;
    const remove = (member: FocusMember): Promise<void> =>
      this.#changing.run(member.user.id, async () => {
        if (this.#leavers.forget(member.user.id)) await this.#leaveSilently(member);
      });
    this.#leavers = new Leavers({ ...parts, remove });
  }

  /** Members of focus groups from before the server went down get a while to come back; groups that nobody uses go. */
  async start(): Promise<void> {
    await this.#removeEmpty();
    this.#sweep();
    for (const member of await this.#parts.storage.focusMembers()) this.#leavers.expect(member, GROUP_RESTART_GRACE_MS);
  }

  /** @throws ParleyError BAD_NAME, GROUP_EXISTS, TOO_MANY_GROUPS, DISK_FULL */
  async create({ user }: Session, given: string, mode: GroupMode): Promise<GroupRecord> {
    const { storage, clock } = this.#parts;
    const name = parseGroupName(given);
    const group = await storage.createGroup({ name, mode, creatorId: user.id, createdAt: clock.epochMs() });
    if (group !== undefined) return group;
    const standing = await storage.findGroup(name);
    throw new ParleyError('GROUP_EXISTS', { group: standing?.name ?? name });
  }

  async list(): Promise<{ group: string; mode: GroupMode; members: number }[]> {
    const found: { group: string; mode: GroupMode; members: number }[] = [];
    let after: string | undefined;
    while (true) {
      const page = await this.#parts.storage.listGroups({ after, limit: LIST_PAGE });
      found.push(...page.map(({ name, mode, members }) => ({ group: name, mode, members })));
      after = page.at(-1)?.name;
      if (page.length < LIST_PAGE) return found;
      await new Promise(setImmediate);
    }
  }

  /** @throws ParleyError NO_SUCH_GROUP, ALREADY_IN_GROUP (`group`: the one that the user is in), LOGIN_REQUIRED, DISK_FULL */
  join(session: Session, name: string): Promise<{ group: GroupRecord; members: string[] }> {
    return this.#changing.run(session.user.id, () => this.#join(session, name));
  }

  async #join(session: Session, name: string): Promise<{ group: GroupRecord; members: string[] }> {
    this.#checkCurrent(session);
    const { storage, clock } = this.#parts;
    const { user } = session;
    const group = await storage.findGroup(name);
    if (group === undefined) throw new ParleyError('NO_SUCH_GROUP', { group: printable(name) });
    const joined = await storage.joinGroup(group.id, user.id, clock.epochMs());
    if (joined.kind === 'gone') throw new ParleyError('NO_SUCH_GROUP', { group: group.name });
    if (joined.kind === 'in') throw new ParleyError('ALREADY_IN_GROUP', { group: joined.group.name });
    this.#members.delete(group.id);
    if (group.mode === 'focus') {
      const { heldFrom } = joined;
      this.#enterFocus(session, group, joined.isAgain ? heldFrom : Math.max(heldFrom, session.pump.pushed));
      this.#tellFocus(session);
    }
    await this.#tell(group, user, 'GROUP_JOINED');
    return { group, members: await this.memberNames(group) };
  }

  /**
   * Leaves the group, and gives what was held in it and not shown, oldest first. After a focus group nothing is pushed until the
   * session's pump is released, so that what comes later is behind the answer.
   * @throws ParleyError NOT_IN_GROUP, USAGE, LOGIN_REQUIRED, DISK_FULL
   */
  leave(session: Session, name: string | undefined): Promise<{ group: GroupRecord; held: InboxEntry[] }> {
    return this.#changing.run(session.user.id, () => this.#leave(session, name));
  }

  async #leave(session: Session, name: string | undefined): Promise<{ group: GroupRecord; held: InboxEntry[] }> {
    this.#checkCurrent(session);
    const group = await this.of(session, name);
    const { focus } = session;
    await this.#remove(group, session.user, 'GROUP_LEFT');
    if (focus?.group.id !== group.id) return { group, held: [] };
    // From here on everything is pushed; what was passed over up to here is the answer.
    const upTo = session.pump.pushed;
    session.pump.hold();
    this.#leaveFocus(session);
    this.#tellFocus(session);
    return { group, held: await readHeld(this.#parts.storage, session.user.id, focus, upTo) };
  }

  /**
   * The group that is meant: the one named, else the focus group, else the only open one.
   * @throws ParleyError NOT_IN_GROUP, USAGE
   */
  async of(session: Session, name: string | undefined): Promise<GroupRecord> {
    const { storage } = this.#parts;
    if (name === undefined && session.focus !== undefined) return session.focus.group;
    if (name !== undefined) {
      const group = await storage.findGroup(name);
      if (group !== undefined && (await this.members(group)).has(session.user.id)) return group;
      throw new ParleyError('NOT_IN_GROUP', { group: printable(name), which: `group ${printable(name)}` });
    }
    const groups = await storage.groupsOf(session.user.id);
    const [only] = groups;
    if (only === undefined) throw new ParleyError('NOT_IN_GROUP', { which: 'any group' });
    if (groups.length === 1) return only;
    const names = groups.map((group) => group.name).join(', ');
    throw new ParleyError('USAGE', { reason: `you are in several groups (${names}); name the one you mean` });
  }

  async members({ id }: GroupRecord): Promise<ReadonlyMap<UserId, GroupMember>> {
    const known = this.#members.get(id);
    if (known !== undefined) return known;
    const members = new Map((await this.#parts.storage.groupMembers(id)).map((member) => [member.id, member]));
    this.#members.set(id, members);
    const [oldest] = this.#members.keys();
    if (this.#members.size > MAX_CACHED_GROUPS && oldest !== undefined) this.#members.delete(oldest);
    return members;
  }

  /** By name. */
  async memberNames(group: GroupRecord): Promise<string[]> {
    return [...(await this.members(group)).values()].map(({ name }) => name);
  }

  /** A message to this group was stored: who does not acknowledge it in a while is asked whether they are there. */
  watch(group: GroupRecord, outcomes: readonly RecipientOutcome[]): void {
    if (group.mode === 'focus') this.#leavers.watch(outcomes);
  }

  /** A session begins: a resumed one is still in its focus group, one with a password has left it. */
  began(session: Session, how: 'login' | 'resume'): Promise<void> {
    const { storage } = this.#parts;
    const { user } = session;
    return this.#changing.run(user.id, async () => {
      const standing = await storage.focusOf(user.id);
      if (how === 'login') {
        if (standing !== undefined) await this.#leaveSilently(standing);
        await storage.endHolding(user.id);
      } else if (standing !== undefined) {
        this.#enterFocus(session, standing.group, standing.heldFrom, await storage.heldSummary(user.id));
      }
      this.#leavers.forget(user.id);
      this.#current.set(user.id, session);
    });
  }

  /** A session ended. */
  ended(session: Session, how: 'left' | 'broken' | 'goes on'): Promise<void> {
    const { user } = session;
    return this.#changing.run(user.id, async () => {
      const { focus } = session;
      this.#leaveFocus(session);
      // The next session may have begun already, and found out for itself which group it is in.
      if (this.#current.get(user.id) !== session) return;
      this.#current.delete(user.id);
      if (focus === undefined) return;
      const member = { user, group: focus.group, heldFrom: focus.heldFrom };
      if (how === 'broken') this.#leavers.expect(member, GROUP_GRACE_MS);
      // What was held and not shown is in the inbox, unread.
      if (how === 'left') await this.#remove(focus.group, user, 'GROUP_LEFT');
    });
  }

  /** Accounts were changed by another process: members may have gone with them. */
  forgetMembers(): void {
    this.#members.clear();
  }

  /** Idempotent. */
  close(): void {
    this.#cancelSweep();
    this.#leavers.close();
  }

  /** @throws ParleyError LOGIN_REQUIRED when the session has ended: what it asked for would be nobody's to undo */
  #checkCurrent(session: Session): void {
    if (this.#current.get(session.user.id) !== session) throw new ParleyError('LOGIN_REQUIRED');
  }

  async #removeEmpty(): Promise<void> {
    const { storage, clock } = this.#parts;
    await storage.removeEmptyGroups(clock.epochMs() - EMPTY_GROUP_LIFETIME_MS);
  }

  #sweep(): void {
    const { clock, log } = this.#parts;
    this.#cancelSweep = clock.after(EMPTY_GROUPS_SWEEP_MS, () => {
      this.#removeEmpty().catch((error: unknown) => log.warn({ err: error }, 'could not remove empty groups'));
      this.#sweep();
    });
  }

  #enterFocus(session: Session, group: GroupRecord, heldFrom: number, before?: HeldSummary): void {
    const { clock } = this.#parts;
    session.focus = new Focus({ group, heldFrom, before, connection: session.connection, clock });
    session.pump.focus = session.focus;
  }

  #leaveFocus(session: Session): void {
    session.focus?.end();
    session.focus = undefined;
    session.pump.focus = undefined;
  }

  #tellFocus({ connection, focus }: Session): void {
    const at = new Date(this.#parts.clock.epochMs()).toISOString();
    connection.sendEncodedEvent(encodeEvent({ type: 'focus', group: focus?.group.name ?? null, at }));
  }

  /** @throws ParleyError DISK_FULL */
  async #remove(group: GroupRecord, user: Subject, code: keyof typeof SAYINGS): Promise<void> {
    const { storage, clock } = this.#parts;
    // In one commit: what a room held is not held again by the next one, when the server is killed in between.
    const holding = group.mode === 'focus' && code === 'GROUP_LEFT' ? 'ended' : 'kept';
    await storage.leaveGroup(group.id, user.id, clock.epochMs(), holding);
    this.#members.delete(group.id);
    // Also when the membership went with the account.
    await this.#tell(group, user, code);
  }

  async #leaveSilently({ user, group }: FocusMember): Promise<void> {
    await this.#remove(group, user, 'GROUP_REMOVED');
    this.#parts.log.info({ user: user.name, group: group.name }, 'removed from a group: left without a word');
  }

  /** Everyone else in the group who is here and not in a room of their own. */
  async #tell(group: GroupRecord, user: Subject, code: keyof typeof SAYINGS): Promise<void> {
    const { presence, clock } = this.#parts;
    const text = SAYINGS[code](user.name, group.name);
    const event = encodeNotice(code, clock.epochMs(), { text, group: group.name, user: user.name });
    for (const id of (await this.members(group)).keys()) {
      const session = presence.get(id);
      if (id === user.id || session === undefined) continue;
      if (session.focus === undefined || session.focus.group.id === group.id)
        session.connection.sendEncodedEvent(event);
    }
  }
}
