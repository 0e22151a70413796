/** What the server counts while it runs: plain numbers that cost next to nothing; `metrics.ts` shows them. */
import type { ErrorCode } from '../protocol/errors.js';
import type { MessageKind } from './storage/port.js';

/** Counts by two labels, both from short lists: never what somebody typed. */
export class Counts {
  readonly #counts = new Map<string, Map<string, number>>();

  add(first: string, second: string): void {
    let row = this.#counts.get(first);
    if (row === undefined) this.#counts.set(first, (row = new Map<string, number>()));
    row.set(second, (row.get(second) ?? 0) + 1);
  }

  *rows(): Generator<readonly [first: string, second: string, count: number], void, void> {
    for (const [first, row] of this.#counts) for (const [second, count] of row) yield [first, second, count];
  }
}

export class Tally {
  /** Answers by command and `ok` or the code of the refusal. */
  readonly answers = new Counts();
  /** Attempts to begin a session by `login` or `resume`, and what became of them. */
  readonly entries = new Counts();
  readonly stored: Record<MessageKind, number> = { message: 0, broadcast: 0, group: 0 };
  /** Entries of inboxes that were stored, one for each recipient of a message. */
  copies = 0;
  /** Entries of inboxes that their recipients' clients acknowledged. */
  delivered = 0;
  /** Sees every commit of messages. */
  onCommit: (messages: number, seconds: number) => void = () => undefined;

  /** `code` is absent when it went well. */
  entered(how: string, code?: ErrorCode): void {
    this.entries.add(how, code === undefined ? 'ok' : (ENTRY_OUTCOMES[code] ?? 'refused'));
  }
}

const ENTRY_OUTCOMES: Partial<Record<ErrorCode, string>> = {
  BAD_CREDENTIALS: 'failed',
  LOGIN_REQUIRED: 'failed',
  LOCKED_OUT: 'locked',
};
