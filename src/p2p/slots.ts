/** Who may be served now: so many at once in all, so many of one user, and users take turns. */
import { ParleyError } from '../protocol/errors.js';

export interface SlotLimits {
  /** Served at once. */
  readonly total: number;
  /** Served at once for one user. */
  readonly perUser: number;
  /** Waiting of one user; one more is refused. */
  readonly waitingPerUser: number;
}

interface UserSlots {
  serving: number;
  /** What to call when it is their turn, in the order they came. */
  readonly waiting: Set<() => void>;
}

export class Slots {
  readonly #limits: SlotLimits;
  /** Users who are served or wait; whoever was served last is last. */
  readonly #users = new Map<string, UserSlots>();
  #serving = 0;

  constructor(limits: SlotLimits) {
    this.#limits = limits;
  }

  /**
   * Runs `task` for `user` when it is their turn. The signal of `asked` is looked at only when they have to wait: making one costs more
   * than a turn.
   * @throws ParleyError SERVER_BUSY when too much of this user waits already; CANCELLED when the signal aborts before the turn
   */
  async run<T>(user: string, asked: { readonly signal: AbortSignal }, task: () => Promise<T>): Promise<T> {
    if (!this.#enter(user)) await this.#turn(user, asked.signal);
    try {
      return await task();
    } finally {
      this.#leave(user);
    }
  }

  /** Users who are served, or have their turn, before this one; undefined when nothing of this one waits for others. */
  ahead(user: string): number | undefined {
    const mine = this.#users.get(user);
    if (mine === undefined || mine.waiting.size === 0) return undefined;
    let ahead = 0;
    let isBefore = true;
    for (const slots of this.#users.values()) {
      if (slots === mine) isBefore = false;
      else if (slots.serving > 0 || (isBefore && slots.waiting.size > 0)) ahead += 1;
    }
    return ahead === 0 ? undefined : ahead;
  }

  /** Takes a free slot, if there is one and nothing of this user waits for it. */
  #enter(user: string): boolean {
    const slots = this.#users.get(user) ?? { serving: 0, waiting: new Set() };
    if (slots.waiting.size > 0 || slots.serving >= this.#limits.perUser || this.#serving >= this.#limits.total) {
      return false;
    }
    this.#take(user, slots);
    return true;
  }

  /** Whoever is served last is last. */
  #take(user: string, slots: UserSlots): void {
    slots.serving += 1;
    this.#serving += 1;
    this.#users.delete(user);
    this.#users.set(user, slots);
  }

  async #turn(user: string, signal: AbortSignal): Promise<void> {
    if (signal.aborted) throw new ParleyError('CANCELLED');
    const slots = this.#users.get(user) ?? { serving: 0, waiting: new Set() };
    this.#users.set(user, slots);
    if (slots.waiting.size >= this.#limits.waitingPerUser) throw new ParleyError('SERVER_BUSY');
    await new Promise<void>((resolve, reject) => {
      slots.waiting.add(resolve);
      const drop = (): void => {
        if (!slots.waiting.delete(resolve)) return;
        this.#forgetIdle(user, slots);
        reject(new ParleyError('CANCELLED'));
      };
      signal.addEventListener('abort', drop, { once: true });
      this.#serveNext();
    });
  }

  #leave(user: string): void {
    const slots = this.#users.get(user);
    if (slots === undefined) return;
    slots.serving -= 1;
    this.#serving -= 1;
    this.#forgetIdle(user, slots);
    this.#serveNext();
  }

  #forgetIdle(user: string, slots: UserSlots): void {
    if (slots.serving === 0 && slots.waiting.size === 0) this.#users.delete(user);
  }

  #serveNext(): void {
    for (const [user, slots] of [...this.#users]) {
      while (this.#serving < this.#limits.total && slots.serving < this.#limits.perUser) {
        const [first] = slots.waiting;
        if (first === undefined) break;
        slots.waiting.delete(first);
        this.#take(user, slots);
        first();
      }
    }
  }
}
