/** How the user stands: in which focus group, with how much unread; and what that group holds back here. */
import { ParleyError } from '../../protocol/errors.js';
import { printable } from '../../protocol/values.js';
import type { FaceEvents } from './faceevents.js';

export interface StandingOptions {
  readonly events: FaceEvents;
  readonly user: () => string | undefined;
  /** Unread private messages, which only this agent knows. */
  readonly privateUnread: () => number;
}

export class Standing {
  readonly #options: StandingOptions;
  #focus: string | undefined;
  /** As the server counts. */
  #unread = 0;
  /** Private messages that came in the focus group and were not shown: ids by sender. */
  readonly #held = new Map<string, string>();

  constructor(options: StandingOptions) {
    this.#options = options;
  }

  /** The focus group that the user is in. */
  get focus(): string | undefined {
    return this.#focus;
  }

  begin(focus: string | undefined, unread: number): void {
    this.#focus = focus;
    this.#unread = unread;
    this.publish();
  }

  setFocus(focus: string | undefined): void {
    this.#focus = focus;
    this.publish();
  }

  /** What the server counts is known anew. */
  setUnread(unread: number): void {
    this.#unread = unread;
    this.publish();
  }

  /** A message came that nobody was shown yet. */
  addUnread(): void {
    this.#unread += 1;
    this.publish();
  }

  /** @throws ParleyError IN_FOCUS_GROUP inside a room that keeps the outside out */
  checkOutside(): void {
    if (this.#focus !== undefined) throw new ParleyError('IN_FOCUS_GROUP', { group: this.#focus });
  }

  /** A private message came; true when it is held, and the user was told that. */
  holds(id: string, from: string): boolean {
    if (this.#focus === undefined) return false;
    this.#held.set(id, from);
    const senders = [...new Set(this.#held.values())].map((name) => printable(name)).join(', ');
    const text = `${this.#held.size} private message${this.#held.size === 1 ? '' : 's'} held: ${senders}`;
    this.#options.events.notice('MESSAGES_HELD', { text });
    this.publish();
    return true;
  }

  /** Ids of the private messages that were held, which are held no more. */
  release(): ReadonlySet<string> {
    const ids = new Set(this.#held.keys());
    this.#held.clear();
    return ids;
  }

  /** For faces that show how the user stands. */
  event(): { type: 'standing'; user: string; group: string | null; unread: number; at: string } | undefined {
    const user = this.#options.user();
    if (user === undefined) return undefined;
    const unread = this.#unread + this.#options.privateUnread();
    return { type: 'standing', user, group: this.#focus ?? null, unread, at: this.#options.events.now() };
  }

  publish(): void {
    const event = this.event();
    if (event !== undefined) this.#options.events.publish(event);
  }
}
