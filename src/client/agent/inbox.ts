/** The inbox: what the server keeps for this user and the private messages kept here, as one list. */
import { serverCommands } from '../../protocol/commands/server.js';
import { ParleyError, toParleyError } from '../../protocol/errors.js';
import type { StoredMessage } from '../../protocol/commands/server/history.js';
import { MAX_INBOX_PAGE } from '../../protocol/limits.js';
import { nameKey } from '../../protocol/values.js';
import { hasWords, parseSearch, wordsOf } from '../../protocol/words.js';
import type { Log } from './log.js';
import type { KeptMessage, PrivateLog } from './privatelog.js';
import type { Session } from './session.js';
import type { Standing } from './standing.js';

/** Read messages that are shown without a limit given: a screenful, so that what was said before is seen. */
const DEFAULT_MESSAGES = 50;
/** Pages of messages that are marked as read at once. */
const MARKED_AT_ONCE = 32;

export interface InboxQuestion {
  readonly unread?: boolean | undefined;
  readonly with?: string | undefined;
  readonly limit?: number | undefined;
  /** Only messages older than this one. */
  readonly before?: string | undefined;
  /** Only messages with all of these words. */
  readonly search?: string | undefined;
}

export interface InboxSources {
  readonly session: Pick<Session, 'call'>;
  readonly privateLog: PrivateLog;
  /** Whose private messages. */
  readonly account: string;
  readonly signal: AbortSignal;
}

/**
 * What fits the question, oldest first. Without a limit: all unread ones, and at least the newest 50.
 * @throws ParleyError UNKNOWN_USER, USAGE when there is no word in `search`; what the session throws
 */
export async function readInbox(question: InboxQuestion, sources: InboxSources): Promise<StoredMessage[]> {
  if (question.search !== undefined && parseSearch(question.search).length === 0) {
    throw new ParleyError('USAGE', {
      reason: 'there is no word in what is searched for; words are letters and digits',
    });
  }
  const limit = question.limit ?? (question.unread === true ? Infinity : DEFAULT_MESSAGES);
  const found = await newest(question, limit, sources);
  if (question.limit !== undefined || question.unread === true || found.length < limit) return found.reverse();
  const unread = await newest({ ...question, unread: true }, Infinity, sources);
  const shown = new Set(found.map(({ id }) => id));
  const older = unread.filter(({ id }) => !shown.has(id));
  return [...found, ...older].reverse();
}

/** Notes that messages were shown to a person. What is asked next is asked behind this, so nothing is shown as unread twice. */
export async function markShown(
  messages: readonly Pick<StoredMessage, 'id' | 'kind'>[],
  { session, privateLog, standing }: Pick<InboxSources, 'session' | 'privateLog'> & { standing: Standing },
): Promise<void> {
  const ids = (wanted: boolean): string[] =>
    messages.filter(({ kind }) => (kind === 'private') === wanted).map(({ id }) => id);
  const relayed = ids(false);
  const kept = privateLog.markRead(ids(true));
  for (let at = 0; at < relayed.length; at += MARKED_AT_ONCE * MAX_INBOX_PAGE) {
    const pages = Array.from({ length: MARKED_AT_ONCE }, (_, page) => at + page * MAX_INBOX_PAGE);
    const answers = await Promise.all(
      pages
        .map((start) => relayed.slice(start, start + MAX_INBOX_PAGE))
        .filter(({ length }) => length > 0)
        .map((page) => session.call(serverCommands.markRead, { ids: page })),
    );
    const last = answers.at(-1);
    if (last !== undefined) standing.setUnread(last.unread);
  }
  await kept;
  if (relayed.length < messages.length) standing.publish();
}

/** The newest that fit, newest first. */
async function newest(question: InboxQuestion, limit: number, sources: InboxSources): Promise<StoredMessage[]> {
  const { before } = question;
  if (before === undefined) return take(merged(question, limit, sources), limit);
  if (sources.privateLog.messages(sources.account).length === 0) return relayedBefore(before, question, limit, sources);
  // It may be a private message, or from somebody else: all are looked at until it comes.
  if (question.with !== undefined) await historyPage({ with: question.with }, undefined, 1, sources);
  const all = merged({}, Infinity, sources);
  for await (const { id } of withoutEnd(all)) if (id === before) break;
  return take(all, limit, fitting(question));
}

/** The newest of the server's before one of them; none when that is none, or gone. */
async function relayedBefore(
  before: string,
  question: InboxQuestion,
  limit: number,
  sources: InboxSources,
): Promise<StoredMessage[]> {
  try {
    return await take(history(question, limit, sources, before), limit);
  } catch (thrown) {
    if (toParleyError(thrown).code === 'BAD_REQUEST') return [];
    throw thrown;
  }
}

async function take(
  messages: AsyncIterable<StoredMessage>,
  limit: number,
  isWanted: (message: StoredMessage) => boolean = () => true,
): Promise<StoredMessage[]> {
  const found: StoredMessage[] = [];
  for await (const message of messages) {
    if (isWanted(message)) found.push(message);
    if (found.length >= limit) break;
  }
  return found;
}

/** The same messages; leaving a loop over them does not end them. */
function withoutEnd(messages: AsyncGenerator<StoredMessage, void, void>): AsyncIterable<StoredMessage> {
  return { [Symbol.asyncIterator]: () => ({ next: () => messages.next() }) };
}

/** Whether a message is asked for, by the server's rules. */
function fitting({ unread, with: from, search }: InboxQuestion): (message: StoredMessage) => boolean {
  const words = search === undefined ? [] : parseSearch(search);
  return (message) =>
    (unread !== true || message.unread) &&
    (from === undefined || nameKey(message.from) === nameKey(from)) &&
    (words.length === 0 || hasWords(wordsOf(message.text), words));
}

/** Both lists as one, newest first. */
async function* merged(
  question: InboxQuestion,
  limit: number,
  sources: InboxSources,
): AsyncGenerator<StoredMessage, void, void> {
  const kept = sources.privateLog
    .messages(sources.account)
    .map(asStored)
    .filter(fitting(question))
    .sort((a, b) => (a.sentAt < b.sentAt ? -1 : a.sentAt > b.sentAt ? 1 : 0));
  for await (const message of history(question, limit, sources)) {
    for (let own = kept.at(-1); own !== undefined && own.sentAt > message.sentAt; own = kept.at(-1)) {
      yield own;
      kept.pop();
    }
    yield message;
  }
  yield* kept.reverse();
}

/** What the server keeps, newest first, a page at a time. */
async function* history(
  question: InboxQuestion,
  limit: number,
  sources: InboxSources,
  start?: string,
): AsyncGenerator<StoredMessage, void, void> {
  let before = start;
  while (true) {
    const messages = await historyPage(question, before, Math.min(MAX_INBOX_PAGE, limit), sources);
    before = messages[0]?.id;
    yield* messages.reverse();
    if (before === undefined) return;
  }
}

async function historyPage(
  { unread, with: from, search }: InboxQuestion,
  before: string | undefined,
  limit: number,
  { session, signal }: InboxSources,
): Promise<StoredMessage[]> {
  const { messages } = await session.call(
    serverCommands.history,
    { unread, with: from, search, before, limit },
    { signal },
  );
  return messages;
}

/** A private message as it is shown. */
export function asStored({ id, from, to, text, sentAt, unread }: KeptMessage): StoredMessage {
  return { id, kind: 'private', from, to, text, sentAt, unread };
}

/** Marks what a person was shown, when somebody was there to see it. Does not wait. */
export function noteShown(
  shown: Parameters<typeof markShown>[0],
  parts: Parameters<typeof markShown>[1] & { readonly log: Log },
): void {
  if (shown.length === 0) return;
  markShown(shown, parts).catch((thrown: unknown) => {
    // They stay unread, and are shown once more.
    parts.log.debug({ reason: toParleyError(thrown).message }, 'could not mark messages as read');
  });
}
