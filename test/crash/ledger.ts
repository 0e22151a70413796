/** What was sent and what its sender was told, against what lies in the recipients' inboxes (R27). */

/**
 * - `unanswered`: it may have been stored, once.
 * - `acknowledged`: it is there, once, for these recipients.
 * - `promised`: the sender was told that it goes out later.
 * - `refused`: it is nowhere.
 */
export type Fate =
  | { readonly kind: 'unanswered' | 'promised' | 'refused' }
  | { readonly kind: 'acknowledged'; readonly recipients: readonly string[] };

export type Fault = 'lost' | 'doubled' | 'reordered' | 'stray';

export interface Finding {
  readonly fault: Fault;
  readonly user: string;
  readonly text: string;
}

/** One message that somebody sent; `recipients` are those it may reach. */
export interface Sending {
  readonly from: string;
  /** Counts what this sender sends. */
  readonly number: number;
  readonly text: string;
  readonly to: readonly string[];
  fate: Fate;
}

export class Ledger {
  readonly #sent = new Map<string, Sending>();
  readonly #numbers = new Map<string, number>();

  /** Notes a message before it is sent; its text says who sent it and where it stands among theirs. */
  send(from: string, to: readonly string[]): Sending {
    const number = (this.#numbers.get(from) ?? 0) + 1;
    this.#numbers.set(from, number);
    const sending: Sending = { from, number, text: `${from} ${number}`, to, fate: { kind: 'unanswered' } };
    this.#sent.set(sending.text, sending);
    return sending;
  }

  get all(): Sending[] {
    return [...this.#sent.values()];
  }

  count(kind: Fate['kind']): number {
    return this.all.filter(({ fate }) => fate.kind === kind).length;
  }

  /** What is wrong with these inboxes, each oldest first. */
  check(inboxes: ReadonlyMap<string, readonly string[]>): Finding[] {
    const findings: Finding[] = [];
    for (const [user, texts] of inboxes) {
      findings.push(...inOrder(user, texts), ...this.#strays(user, texts));
      const there = new Set(texts);
      for (const { text, to, fate } of this.#sent.values()) {
        const isDue =
          fate.kind === 'acknowledged' ? fate.recipients.includes(user) : fate.kind === 'promised' && to.includes(user);
        if (isDue && !there.has(text)) findings.push({ fault: 'lost', user, text });
      }
    }
    return findings;
  }

  #strays(user: string, texts: readonly string[]): Finding[] {
    const isStray = (text: string): boolean => {
      const sending = this.#sent.get(text);
      if (sending === undefined || !sending.to.includes(user) || sending.fate.kind === 'refused') return true;
      return sending.fate.kind === 'acknowledged' && !sending.fate.recipients.includes(user);
    };
    return texts.filter(isStray).map((text) => ({ fault: 'stray', user, text }));
  }
}

/** What came twice or behind a later one of the same sender. */
export function inOrder(user: string, texts: readonly string[]): Finding[] {
  const findings: Finding[] = [];
  const seen = new Set<string>();
  const last = new Map<string, number>();
  for (const text of texts) {
    const [from = '', digits] = text.split(' ');
    const number = Number(digits);
    if (seen.has(text)) findings.push({ fault: 'doubled', user, text });
    else if (number < (last.get(from) ?? 0)) findings.push({ fault: 'reordered', user, text });
    else last.set(from, number);
    seen.add(text);
  }
  return findings;
}
