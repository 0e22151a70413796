/** What a kind of kill reached. */
import type { Fate, Finding, Ledger } from './ledger.js';

export interface Tally {
  kills: number;
  acknowledged: number;
  promised: number;
  refused: number;
  /** Entries in all inboxes that were compared. */
  delivered: number;
  /** Messages shown as held. */
  held: number;
  lost: number;
  doubled: number;
  reordered: number;
  stray: number;
  damaged: number;
  /** The first findings of each kind, to begin with. */
  readonly examples: string[];
}

/** Findings of a kind that are printed. */
const EXAMPLES = 5;

export function emptyTally(): Tally {
  return {
    kills: 0,
    acknowledged: 0,
    promised: 0,
    refused: 0,
    delivered: 0,
    held: 0,
    lost: 0,
    doubled: 0,
    reordered: 0,
    stray: 0,
    damaged: 0,
    examples: [],
  };
}

export function addFindings(tally: Tally, findings: readonly Finding[]): void {
  for (const { fault, user, text } of findings) {
    tally[fault] += 1;
    if (tally[fault] <= EXAMPLES) tally.examples.push(`${fault}: '${text}' at ${user}`);
  }
}

export function addFates(tally: Tally, ledger: Ledger): void {
  const kinds: readonly Exclude<Fate['kind'], 'unanswered'>[] = ['acknowledged', 'promised', 'refused'];
  for (const kind of kinds) tally[kind] += ledger.count(kind);
}

export function isClean({ lost, doubled, reordered, stray, damaged }: Tally): boolean {
  return lost + doubled + reordered + stray + damaged === 0;
}

export function summary(tally: Tally): string {
  const { kills, acknowledged, delivered, held, lost, doubled, reordered, stray, damaged } = tally;
  const checked = `${acknowledged} acknowledged, ${delivered} delivered, ${held} shown as held`;
  return `${kills} kills: ${checked}; lost ${lost}, doubled ${doubled}, reordered ${reordered}, stray ${stray}, damaged ${damaged}`;
}
