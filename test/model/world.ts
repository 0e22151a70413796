/** What users, their inboxes and groups are by the specs, as plain data: the model that the server is compared with. */
import { GROUP_GRACE_MS, GROUP_RESTART_GRACE_MS } from '../../src/server/limits.js';

/** What a command answers: its result without ids and times, or the code that it is refused with. */
export type Outcome =
  { readonly result: Readonly<Record<string, unknown>> } | { readonly refused: string; readonly group?: string };

/** A message in an inbox; its position is where it stands, counted from 1. */
export interface Entry {
  readonly kind: 'message' | 'broadcast' | 'group';
  readonly from: string;
  readonly to: string;
  readonly text: string;
  unread: boolean;
}

export interface Room {
  readonly name: string;
  readonly mode: 'focus' | 'open';
  readonly members: Set<Person>;
}

/** What a focus group holds back, as it is announced. */
interface Held {
  count: number;
  senders: string[];
  counted: number;
}

/** `cut`: the connection broke, and the session may be taken up again. */
export type State = 'out' | 'in' | 'cut';

export class Person {
  readonly name: string;
  state: State = 'out';
  readonly blocked = new Set<Person>();
  readonly inbox: Entry[] = [];
  /** Positions up to here are not pushed again. */
  acknowledged = 0;
  /** Positions that a focus group held, behind ones that are not acknowledged. */
  readonly passed = new Set<number>();
  nextNumber = 1;
  focus: Room | undefined;
  /** Entries behind this position are held; undefined while none are. */
  heldFrom: number | undefined;
  held: Held | undefined;
  /** When somebody who is cut off leaves the focus group. */
  removeAt = Infinity;
  /** Positions pushed on the connection that stands. */
  pushed: number[] = [];
  /** What was said on it besides messages and what is held. */
  notices: string[] = [];
  /** Texts this user sent with success, to be sent again. */
  readonly sent: Sent[] = [];

  constructor(name: string) {
    this.name = name;
  }

  get unread(): number {
    return this.inbox.filter(({ unread }) => unread).length;
  }
}

/** A message that was stored, so that the same id again is the same message. */
export interface Sent {
  readonly id: string;
  readonly to: Person;
  readonly text: string;
}

export const refused = (code: string, group?: string): Outcome =>
  group === undefined ? { refused: code } : { refused: code, group };
const done = (result: Readonly<Record<string, unknown>> = {}): Outcome => ({ result });
const key = (name: string): string => name.toLowerCase();
const byName = (a: string, b: string): number => (key(a) < key(b) ? -1 : key(a) > key(b) ? 1 : 0);
const names = (people: Iterable<Person>): string[] => [...people].map(({ name }) => name).sort(byName);
const isBlank = (text: string): boolean => text.trim() === '';

export class World {
  readonly people: readonly Person[];
  readonly rooms = new Map<string, Room>();
  timeMs = 0;

  constructor(users: readonly string[]) {
    this.people = users.map((name) => new Person(name));
  }

  find(name: string): Person | undefined {
    return this.people.find((person) => key(person.name) === key(name));
  }

  // ---- sessions ----------------------------------------------------------------------------------------------

  login(me: Person): Outcome {
    if (me.state === 'in') return refused('ALREADY_LOGGED_IN');
    if (me.focus !== undefined) this.#leaveRoom(me, me.focus, `[${me.name} not responsive, removed from group {}]`);
    me.heldFrom = undefined;
    return this.#begin(me);
  }

  resume(me: Person): Outcome {
    if (me.focus !== undefined) {
      const outside = me.inbox.flatMap((entry, i) =>
        i >= (me.heldFrom ?? 0) && entry.unread && !isOf(entry, me.focus) ? [i + 1] : [],
      );
      const senders = [...new Set(outside.map((position) => me.inbox[position - 1]?.from ?? ''))];
      me.held = { count: outside.length, senders, counted: Math.max(me.heldFrom ?? 0, ...outside) };
    }
    return this.#begin(me);
  }

  logout(me: Person): Outcome {
    me.state = 'out';
    if (me.focus !== undefined) this.#leaveRoom(me, me.focus, `[${me.name} left group {}]`);
    me.heldFrom = undefined;
    return done();
  }

  cut(me: Person): void {
    me.state = 'cut';
    me.held = undefined;
    if (me.focus !== undefined) me.removeAt = this.timeMs + GROUP_GRACE_MS;
  }

  /** The server goes down and comes back. */
  restart(): void {
    for (const person of this.people) {
      if (person.state === 'in') this.cut(person);
      if (person.focus !== undefined) person.removeAt = this.timeMs + GROUP_RESTART_GRACE_MS;
    }
  }

  wait(ms: number): void {
    this.timeMs += ms;
    for (const person of this.people) {
      if (person.removeAt > this.timeMs || person.focus === undefined) continue;
      this.#leaveRoom(person, person.focus, `[${person.name} not responsive, removed from group {}]`);
    }
  }

  whoelse(me: Person): Outcome {
    return done({ users: names(this.#online(me)) });
  }

  acknowledge(me: Person): void {
    const reached = me.pushed.at(-1) ?? 0;
    if (reached <= me.acknowledged) return;
    me.acknowledged = reached;
    this.#skipPassed(me);
  }

  // ---- messages ----------------------------------------------------------------------------------------------

  message(me: Person, to: string, text: string): Outcome {
    if (me.focus !== undefined) return refused('IN_FOCUS_GROUP', me.focus.name);
    const other = this.find(to);
    if (other === undefined) return refused('UNKNOWN_USER');
    if (other === me) return refused('SELF');
    if (isBlank(text)) return refused('EMPTY_MESSAGE');
    if (other.blocked.has(me)) return refused('BLOCKED');
    this.#deliver(other, { kind: 'message', from: me.name, to: other.name, text, unread: true });
    return done({ delivered: other.state === 'in' && other.focus === undefined });
  }

  /** A stored message once more: nothing is stored, whatever has changed meanwhile. */
  again(me: Person, { to }: Sent, isNumbered: boolean): Outcome {
    if (me.focus !== undefined && !isNumbered) return refused('IN_FOCUS_GROUP', me.focus.name);
    if (to.state === 'in') return done({ delivered: to.focus === undefined });
    // Whether it reached them before they went is the server's to know.
    return done({});
  }

  broadcast(me: Person, text: string): Outcome {
    if (me.focus !== undefined) return refused('IN_FOCUS_GROUP', me.focus.name);
    if (isBlank(text)) return refused('EMPTY_MESSAGE');
    const online = this.#online(me);
    const reached = online.filter(({ blocked }) => !blocked.has(me));
    for (const other of reached) {
      this.#deliver(other, { kind: 'broadcast', from: me.name, to: 'all', text, unread: true });
    }
    return done({ recipients: names(reached), blockedBy: online.length - reached.length });
  }

  broadcastTo(me: Person, to: readonly string[], text: string): Outcome {
    if (me.focus !== undefined) return refused('IN_FOCUS_GROUP', me.focus.name);
    const named = [...new Set(to.map(key))].map((name) => this.find(name));
    if (named.includes(undefined)) return refused('UNKNOWN_USER');
    if (isBlank(text)) return refused('EMPTY_MESSAGE');
    const skipped: object[] = [];
    const reached: Person[] = [];
    for (const other of named) {
      if (other === undefined) continue;
      if (other === me) skipped.push({ user: other.name, code: 'SELF' });
      else if (other.blocked.has(me)) skipped.push({ user: other.name, code: 'BLOCKED' });
      else reached.push(other);
    }
    const shown = reached.map(({ name }) => name).join(',');
    for (const other of reached) {
      this.#deliver(other, { kind: 'broadcast', from: me.name, to: shown, text, unread: true });
    }
    return done({ recipients: names(reached), skipped });
  }

  block(me: Person, name: string): Outcome {
    const other = this.find(name);
    if (other === undefined) return refused('UNKNOWN_USER');
    if (other === me) return refused('SELF');
    if (me.blocked.has(other)) return refused('ALREADY_BLOCKED');
    me.blocked.add(other);
    return done({ user: other.name });
  }

  unblock(me: Person, name: string): Outcome {
    const other = this.find(name);
    if (other === undefined) return refused('UNKNOWN_USER');
    if (other === me) return refused('SELF');
    if (!me.blocked.delete(other)) return refused('NOT_BLOCKED');
    return done({ user: other.name });
  }

  history(me: Person, question: { unread?: boolean; with?: string; limit: number }): Outcome {
    const from = question.with === undefined ? undefined : this.find(question.with);
    if (question.with !== undefined && from === undefined) return refused('UNKNOWN_USER');
    const fits = me.inbox.filter(
      (entry) => (question.unread !== true || entry.unread) && (from === undefined || entry.from === from.name),
    );
    return done({ messages: fits.slice(-question.limit).map((entry) => ({ ...entry })) });
  }

  markRead(me: Person, positions: readonly number[]): Outcome {
    for (const position of positions) {
      const entry = me.inbox[position - 1];
      if (entry !== undefined) entry.unread = false;
    }
    return done({ unread: me.unread });
  }

  // ---- groups ------------------------------------------------------------------------------------------------

  createGroup(name: string, mode: Room['mode']): Outcome {
    const standing = this.rooms.get(key(name));
    if (standing !== undefined) return refused('GROUP_EXISTS', standing.name);
    this.rooms.set(key(name), { name, mode, members: new Set() });
    return done({ group: name, mode });
  }

  listGroups(): Outcome {
    const rooms = [...this.rooms.values()].sort((a, b) => byName(a.name, b.name));
    return done({ groups: rooms.map(({ name, mode, members }) => ({ group: name, mode, members: members.size })) });
  }

  join(me: Person, name: string): Outcome {
    const room = this.rooms.get(key(name));
    if (room === undefined) return refused('NO_SUCH_GROUP', name);
    if (room.members.has(me)) return refused('ALREADY_IN_GROUP', room.name);
    if (room.mode === 'focus' && me.focus !== undefined) return refused('ALREADY_IN_GROUP', me.focus.name);
    room.members.add(me);
    if (room.mode === 'focus') {
      me.focus = room;
      me.heldFrom ??= me.inbox.length;
      me.held = { count: 0, senders: [], counted: me.inbox.length };
      me.notices.push(`focus ${room.name}`);
    }
    this.#tell(room, me, `[${me.name} joined group ${room.name}]`);
    return done({ group: room.name, members: names(room.members) });
  }

  leave(me: Person, name: string | undefined): Outcome {
    const room = this.#meant(me, name);
    if ('refused' in room) return room;
    const held = me.inbox.filter((entry, i) => i >= (me.heldFrom ?? Infinity) && entry.unread && !isOf(entry, room));
    const wasFocus = me.focus === room;
    this.#leaveRoom(me, room, `[${me.name} left group {}]`);
    if (!wasFocus) return done({ group: room.name, held: [] });
    me.heldFrom = undefined;
    me.notices.push('focus none');
    return done({ group: room.name, held: held.map((entry) => ({ ...entry })) });
  }

  members(me: Person, name: string | undefined): Outcome {
    const room = this.#meant(me, name);
    return 'refused' in room ? room : done({ group: room.name, members: names(room.members) });
  }

  sendGroup(me: Person, name: string | undefined, text: string): Outcome {
    const room = this.#meant(me, name);
    if ('refused' in room) return room;
    if (me.focus !== undefined && me.focus !== room) return refused('IN_FOCUS_GROUP', me.focus.name);
    if (isBlank(text)) return refused('EMPTY_MESSAGE');
    const reached = [...room.members].filter((member) => member !== me && !member.blocked.has(me));
    for (const member of reached) {
      this.#deliver(member, { kind: 'group', from: me.name, to: room.name, text, unread: true });
    }
    return done({ recipients: names(reached) });
  }

  // ---- what happens by itself --------------------------------------------------------------------------------

  #online(me: Person): Person[] {
    return this.people.filter((person) => person !== me && person.state === 'in');
  }

  #begin(me: Person): Outcome {
    me.state = 'in';
    me.removeAt = Infinity;
    me.pushed = [];
    me.notices = [];
    me.passed.clear();
    const start = {
      user: me.name,
      acknowledged: me.acknowledged,
      unread: me.unread,
      blocked: names(me.blocked),
      nextNumber: me.nextNumber,
      ...(me.focus === undefined ? {} : { focus: me.focus.name }),
    };
    for (let position = me.acknowledged + 1; position <= me.inbox.length; position++) this.#push(me, position);
    return done(start);
  }

  #deliver(to: Person, entry: Entry): void {
    to.inbox.push(entry);
    if (to.state === 'in') this.#push(to, to.inbox.length);
  }

  #push(to: Person, position: number): void {
    const entry = to.inbox[position - 1];
    if (entry === undefined) return;
    if (to.focus === undefined || position <= (to.heldFrom ?? 0) || isOf(entry, to.focus)) {
      to.pushed.push(position);
      return;
    }
    const { held } = to;
    if (held !== undefined && position > held.counted) {
      held.counted = position;
      held.count += 1;
      if (!held.senders.includes(entry.from)) held.senders.push(entry.from);
    }
    to.passed.add(position);
    this.#skipPassed(to);
  }

  #skipPassed(me: Person): void {
    while (me.passed.delete(me.acknowledged + 1)) me.acknowledged += 1;
  }

  /** The group that is meant by a name, or without one. */
  #meant(me: Person, name: string | undefined): Room | { readonly refused: string; readonly group?: string } {
    if (name !== undefined) {
      const room = this.rooms.get(key(name));
      return room?.members.has(me) === true ? room : { refused: 'NOT_IN_GROUP', group: name };
    }
    if (me.focus !== undefined) return me.focus;
    const mine = [...this.rooms.values()].filter(({ members }) => members.has(me));
    const [only] = mine;
    if (only === undefined) return { refused: 'NOT_IN_GROUP' };
    return mine.length === 1 ? only : { refused: 'USAGE' };
  }

  #leaveRoom(me: Person, room: Room, saying: string): void {
    room.members.delete(me);
    if (me.focus === room) {
      me.focus = undefined;
      me.held = undefined;
      me.removeAt = Infinity;
    }
    this.#tell(room, me, saying.replace('{}', room.name));
  }

  /** Everyone else in the group who is here and not in a room of their own. */
  #tell(room: Room, about: Person, text: string): void {
    for (const member of room.members) {
      if (member === about || member.state !== 'in') continue;
      if (member.focus === undefined || member.focus === room) member.notices.push(text);
    }
  }
}

function isOf(entry: Entry, room: Room | undefined): boolean {
  return entry.kind === 'group' && entry.to === room?.name;
}
