/** What a download waits for, in words: from how it stands with each holder. Pure. */
import { runsOf } from '../chunks/bits.js';
import { ParleyError, describe, isErrorCode } from '../protocol/errors.js';
import type { ErrorCode } from '../protocol/errors.js';

/** How a download stands with one holder. */
export interface HolderView {
  readonly user: string;
  readonly state: 'known' | 'linking' | 'linked' | 'dropped';
  /** Bytes a second that come from there. */
  readonly rate: number;
  /** Blocks asked for that have not come. */
  readonly asked: number;
  /** Milliseconds in which something that was asked for was waited for all the time. */
  readonly waitingMs: number;
  /** Whether it has chunks that are wanted. */
  readonly isUseful: boolean;
  /** Why the last link or request failed. */
  readonly error: ParleyError | undefined;
  /** Seconds until it is tried again, or asked again. */
  readonly retrySeconds: number;
  /** How what was asked waits there, when it says so. */
  readonly queue: QueueView | undefined;
}

export interface QueueView {
  /** Users whose requests come before ours; undefined when none of ours waits. */
  readonly ahead: number | undefined;
  /** It sends to all no faster than it was told to. */
  readonly isLimited: boolean;
}

export interface DownloadView {
  readonly file: string;
  readonly sizeBytes: number;
  readonly bytes: number;
  readonly rate: number;
  /** Wanted chunks that no known holder has, ascending. */
  readonly unheld: readonly number[];
  /** Our own limit holds requests back now. */
  readonly isLimited: boolean;
  /** What the last question for holders failed with. */
  readonly locateError: ParleyError | undefined;
  readonly holders: readonly HolderView[];
}

/** One thing that a download waits for. */
export interface Reason {
  /** An error code, or RUNNING, QUEUED, RATE_LIMIT, LINKING, SLOW_HOLDER. */
  readonly code: string;
  readonly text: string;
  readonly user?: string;
  /** Where a link was tried. */
  readonly address?: string;
  /** Users that are served before us. */
  readonly ahead?: number;
  readonly chunks?: number[];
}

/** Bytes a second below which a holder that was asked counts as one that keeps us waiting. */
const SLOW_RATE = 64 * 1024;
/** Milliseconds of waiting after which it does: some round trips of a far link, and soon enough to be told within two seconds. */
export const SLOW_AFTER_MS = 1_000;
/** Chunk numbers that a reason or an error names one by one. */
const MAX_NAMED_CHUNKS = 1_000;
/** Runs of chunk numbers that a sentence names. */
const MAX_NAMED_RUNS = 20;
/** Holders that a sentence names. */
const MAX_NAMED_HOLDERS = 3;

/** What the download waits for, the most telling first; at least one. */
export function reasonsOf(view: DownloadView): Reason[] {
  const { rate, isLimited, unheld, holders, locateError } = view;
  const reasons: Reason[] = [];
  if (isLimited) reasons.push({ code: 'RATE_LIMIT', text: 'your own --limit-rate holds it back' });
  if (locateError !== undefined) {
    const text = `the server cannot be asked who holds it (${locateError.message}); those who are linked go on`;
    reasons.push({ code: locateError.code, text });
  }
  if (unheld.length > 0) {
    const text = `nobody who can be reached holds ${namedChunks(unheld)}; it goes on when a holder is back`;
    reasons.push({ code: 'NO_HOLDER', text, chunks: unheld.slice(0, MAX_NAMED_CHUNKS) });
  }
  reasons.push(...holders.flatMap(reasonOf));
  // What came over a link that is gone is still in the rate for some seconds.
  const sending = holders.filter(({ state, rate }) => state === 'linked' && rate >= SLOW_RATE).map(({ user }) => user);
  if (rate > 0 && sending.length > 0) reasons.push({ code: 'RUNNING', text: `blocks come from ${sending.join(', ')}` });
  if (reasons.length === 0) reasons.push(beginning(holders));
  return reasons;
}

/** Nothing came yet, and nothing is wrong. */
function beginning(holders: readonly HolderView[]): Reason {
  const asked = holders.filter(({ state, asked }) => state === 'linked' && asked > 0).map(({ user }) => user);
  if (asked.length > 0) return { code: 'RUNNING', text: `blocks were asked of ${asked.join(', ')}` };
  return { code: 'LINKING', text: 'it looks for holders' };
}

/** A holder that nothing can be had from, and why. */
export interface Failure {
  readonly user: string;
  readonly error: ParleyError;
}

/** The end of a download that has nobody left to ask for these chunks (ascending); `failures`: who is said to hold some of them. */
export function noHolder(file: string, chunks: readonly number[], failures: readonly Failure[]): ParleyError {
  const said = failures.slice(0, MAX_NAMED_HOLDERS).map(failureText);
  if (failures.length > said.length) said.push(`and ${failures.length - said.length} more`);
  const what = `${namedChunks(chunks)} of ${file}${said.length === 0 ? '' : ` (${said.join(', ')})`}`;
  const failed = failures.map(failedText);
  return new ParleyError('NO_HOLDER', { what, file, chunks: chunks.slice(0, MAX_NAMED_CHUNKS), failed });
}

/** As a detail of NO_HOLDER: user, code, and the address that was tried, if any. */
function failedText({ user, error }: Failure): string {
  const { address } = error.details;
  return [user, error.code, ...(typeof address === 'string' ? [address] : [])].join(' ');
}

const FAILURES: Partial<Record<ErrorCode, (user: string, reason: string) => string>> = {
  PEER_UNREACHABLE: (user, reason) => `${user} could not be reached: ${reason}`,
  USER_OFFLINE: (user) => `${user} has gone`,
  BLOCKED: (user) => `${user} takes nothing from you, or you block ${user}`,
  KEY_CHANGED: (user) => `the key of ${user} is not the one seen before`,
  HASH_MISMATCH: (user) => `${user} sent other bytes`,
};

/** The same within a sentence. */
function failureText({ user, error }: Failure): string {
  const { reason = 'no reason given', address } = error.details;
  const where = typeof address === 'string' && !String(reason).includes(address) ? ` at ${address}` : '';
  return FAILURES[error.code]?.(user, `${String(reason)}${where}`) ?? `${user}: ${error.code}`;
}

/** What a download ended with: the error, and each holder that it names. */
export function reasonsOfEnd(error: ParleyError): Reason[] {
  const { code, message, details } = error;
  const failed = Array.isArray(details['failed']) ? details['failed'] : [];
  const holders = failed.flatMap((text): Reason[] => {
    const [user = '', of = '', address] = String(text).split(' ');
    if (!isErrorCode(of)) return [];
    const reason = address === undefined ? 'the last try failed' : `tried at ${address}`;
    return [{ code: of, user, text: describe(of, { user, who: user, reason }), ...(address && { address }) }];
  });
  return [{ code, text: message }, ...holders];
}

function reasonOf({ user, state, rate, asked, waitingMs, isUseful, error, retrySeconds, queue }: HolderView): Reason[] {
  if (state === 'dropped') {
    const text = `${user} sent bytes that are not those of the file, and is asked no more`;
    return error?.code === 'HASH_MISMATCH' ? [{ code: error.code, user, text }] : [];
  }
  if (state === 'linking') return [{ code: 'LINKING', user, text: `a link to ${user} is being made` }];
  if (state === 'known') {
    if (error === undefined) return [];
    const address = error.details['address'];
    const text = `${error.message}; tried again in ${retrySeconds} s`;
    return [{ code: error.code, user, text, ...(typeof address === 'string' ? { address } : {}) }];
  }
  if (retrySeconds > 0) {
    return [{ code: 'QUEUED', user, text: `${user} has too much of ours waiting; asked again in ${retrySeconds} s` }];
  }
  if (asked === 0 || !isUseful) return [];
  // Said also of one that sends well: it is why it does not send faster.
  const limited = queue?.isLimited === true ? [{ code: 'RATE_LIMIT', user, text: `${user} limits what it sends` }] : [];
  if (rate >= SLOW_RATE) return limited;
  if (queue?.ahead !== undefined) {
    const { ahead } = queue;
    const text = `${user} serves ${ahead} ${ahead === 1 ? 'other' : 'others'} first`;
    return [{ code: 'QUEUED', user, ahead, text }];
  }
  if (limited.length > 0 || waitingMs < SLOW_AFTER_MS) return limited;
  return [{ code: 'SLOW_HOLDER', user, text: `${user} was asked for ${asked} blocks and sends little or nothing` }];
}

/** `chunks 0, 3-5, 9`, and no longer than a line or two. */
function namedChunks(chunks: readonly number[]): string {
  const runs = runsOf(chunks).map(({ first, count }) => (count === 1 ? `${first}` : `${first}-${first + count - 1}`));
  const named = runs.slice(0, MAX_NAMED_RUNS).join(', ');
  return `${chunks.length === 1 ? 'chunk' : 'chunks'} ${named}${runs.length > MAX_NAMED_RUNS ? ' and more' : ''}`;
}
