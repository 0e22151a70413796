/** The inbox: what the server keeps for this user and the private messages kept here, as one list. */
import { serverCommands } from '../../protocol/commands/server.js';
import type { StoredMessage } from '../../protocol/commands/server/history.js';
import { MAX_INBOX_PAGE } from '../../protocol/limits.js';
import type { KeptMessage, PrivateLog } from './privatelog.js';
import type { Session } from './session.js';

/** Read messages that are shown without a limit given: a screenful, so that what was said before is seen. */
const DEFAULT_MESSAGES = 50;

export interface InboxQuestion {
  readonly unread?: boolean | undefined;
  readonly with?: string | undefined;
  readonly limit?: number | undefined;
  /** Only messages older than this one. */
  readonly before?: string | undefined;
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
 * @throws ParleyError UNKNOWN_USER; what the session throws
 */
export async function readInbox(question: InboxQuestion, sources: InboxSources): Promise<StoredMessage[]> {
  const limit = question.limit ?? (question.unread === true ? Infinity : DEFAULT_MESSAGES);
  const found = await newest(question, limit, sources);
  if (question.limit !== undefined || question.unread === true || found.length < limit) return found.reverse();
  const unread = await newest({ ...question, unread: true }, Infinity, sources);
  const shown = new Set(found.map(({ id }) => id));
  const older = unread.filter(({ id }) => !shown.has(id));
  return [...found, ...older].reverse();
}

/** Notes that messages were shown to a person. */
export async function markShown(
  messages: readonly Pick<StoredMessage, 'id' | 'kind'>[],
  sources: Omit<InboxSources, 'signal' | 'account'>,
): Promise<void> {
  const ids = (wanted: boolean): string[] =>
    messages.filter(({ kind }) => (kind === 'private') === wanted).map(({ id }) => id);
  await sources.privateLog.markRead(ids(true));
  const relayed = ids(false);
  for (let at = 0; at < relayed.length; at += MAX_INBOX_PAGE) {
    await sources.session.call(serverCommands.markRead, { ids: relayed.slice(at, at + MAX_INBOX_PAGE) });
  }
}

/** The newest that fit, newest first. */
async function newest(question: InboxQuestion, limit: number, sources: InboxSources): Promise<StoredMessage[]> {
  const { before } = question;
  const found: StoredMessage[] = [];
  let passed = before === undefined;
  for await (const message of merged(question, passed ? limit : Infinity, sources)) {
    if (passed && fits(message, question)) found.push(message);
    if (found.length >= limit) break;
    passed ||= message.id === before;
  }
  return found;
}

function fits(message: StoredMessage, question: InboxQuestion): boolean {
  return question.unread !== true || message.unread;
}

/** Both lists as one, newest first. */
async function* merged(
  question: InboxQuestion,
  limit: number,
  sources: InboxSources,
): AsyncGenerator<StoredMessage, void, void> {
  const kept = sources.privateLog
    .messages(sources.account, question.with)
    .filter((each) => question.before !== undefined || question.unread !== true || each.unread)
    .map(asStored)
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
): AsyncGenerator<StoredMessage, void, void> {
  const pageSize = Math.min(MAX_INBOX_PAGE, limit);
  // With a `before`, all are looked at: it may be a private message's, which the server does not know.
  const unread = question.before === undefined && question.unread === true ? true : undefined;
  let before: string | undefined;
  while (true) {
    const page = await sources.session.call(
      serverCommands.history,
      { unread, with: question.with, before, limit: pageSize },
      { signal: sources.signal },
    );
    yield* [...page.messages].reverse();
    before = page.messages[0]?.id;
    if (before === undefined) return;
  }
}

function asStored({ id, from, to, text, sentAt, unread }: KeptMessage): StoredMessage {
  return { id, kind: 'private', from, to, text, sentAt, unread };
}
