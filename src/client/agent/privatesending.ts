/** Private messages on their way: one at a time to each user, over one link after another until it is kept there, or too late. */
import { randomBytes } from 'node:crypto';
import type { Clock } from '../../protocol/clock.js';
import { pause } from '../../protocol/clock.js';
import { ParleyError, toParleyError } from '../../protocol/errors.js';
import type { ErrorCode } from '../../protocol/errors.js';
import { KeyedTurns, untilAborted } from '../../protocol/turns.js';
import { nameKey } from '../../protocol/values.js';
import type { PrivateChat, PrivateMessage } from '../../p2p/privatechat.js';
import { TAKE_UP_MS } from './outboxentries.js';
import { RETRY_PAUSES_MS, TRY_DEADLINE_MS } from './retry.js';

/**
 * How long a private message is tried, in milliseconds from the command on: a reconnect at both ends, less than a face waits for
 * its answer (CALL_DEADLINE_MS), and no longer than a person does.
 */
export const DELIVERY_MS = 20_000;
/** Longest pause between two tries, in milliseconds: who comes back late should still be met. */
const MAX_PAUSE_MS = 2_000;
/** Messages remembered whose arrival is not known, the newest: at most 1.6 MiB of text. */
const MAX_UNSURE = 100;

/** After these, another link may be had in a while. CANCELLED is one that the other end was too late to keep. */
const OUT_OF_REACH: ReadonlySet<ErrorCode> = new Set([
  'PEER_UNREACHABLE',
  'USER_OFFLINE',
  'SERVER_UNREACHABLE',
  'SERVER_BUSY',
  'TIMEOUT',
  'CANCELLED',
]);
/** With these, the other end says that it did not keep the message. */
const NOT_KEPT: ReadonlySet<ErrorCode> = new Set(['NO_PRIVATE_LINK', 'EMPTY_MESSAGE', 'MESSAGE_TOO_LONG', 'DISK_FULL']);

export interface PrivateSendingOptions {
  readonly clock: Clock;
  /** The chat that stands with a user. */
  readonly find: (user: string) => PrivateChat | undefined;
  /** Begins one over a new link. */
  readonly open: (user: string, signal: AbortSignal) => Promise<PrivateChat>;
}

interface Delivery {
  readonly id: string;
  /** ISO 8601. */
  readonly sentAt: string;
  readonly text: string;
  /** The chat of the last try; at first, the one that stood when the message was brought. */
  chat: PrivateChat;
  /** It was handed to a link and not answered. */
  mayBeThere: boolean;
  /** Why the last try failed. */
  why: ParleyError | undefined;
}

export class PrivateSending {
  readonly #options: PrivateSendingOptions;
  /** The next message does not overtake one that has to be sent again. The faces' caps bound what waits. */
  readonly #turns = new KeyedTurns<string>();
  /** What may have arrived, by user and text, oldest first. */
  readonly #unsure = new Map<string, { id: string; sentAt: string; atMs: number }>();
  readonly #over = new AbortController();

  constructor(options: PrivateSendingOptions) {
    this.#options = options;
  }

  /**
   * Sends a message behind those before it; done when the other end keeps it. The same text to the same user within TAKE_UP_MS of one
   * whose arrival is not known is that one again: it is kept once.
   * @throws ParleyError PEER_UNREACHABLE after DELIVERY_MS, which says whether it may have arrived; NO_PRIVATE_LINK when one of the two
   * ended the chat; what a new link, or the other end, is refused with; CANCELLED
   */
  async send(begun: PrivateChat, text: string, signal: AbortSignal): Promise<PrivateMessage> {
    signal.throwIfAborted();
    const { peer } = begun;
    const delivery = this.#begin(begun, text);
    const deadline = new AbortController();
    const cancelDeadline = this.#options.clock.after(DELIVERY_MS, () => deadline.abort());
    const until = AbortSignal.any([signal, deadline.signal]);
    try {
      const sent = this.#turns.run(nameKey(peer), () => this.#deliver(delivery, until));
      // One whose turn has not come gives up, too.
      return await untilAborted(until, sent);
    } catch (thrown) {
      const error = toParleyError(thrown);
      if (delivery.mayBeThere) this.#remember(delivery);
      throw signal.aborted || !OUT_OF_REACH.has(error.code) ? error : undelivered(delivery, error);
    } finally {
      cancelDeadline();
    }
  }

  /** Opens no more links, and waits for none: what a standing link has is still answered. */
  stop(): void {
    this.#over.abort();
  }

  async #deliver(delivery: Delivery, until: AbortSignal): Promise<PrivateMessage> {
    const stopped = AbortSignal.any([until, this.#over.signal]);
    for (let tries = 0; ; tries++) {
      until.throwIfAborted();
      try {
        return await this.#attempt(delivery, until, stopped);
      } catch (thrown) {
        const error = toParleyError(thrown);
        if (stopped.aborted || !mayGoOn(delivery.chat, error)) throw error;
        delivery.why = error;
      }
      await pause(this.#options.clock, Math.min(RETRY_PAUSES_MS[tries] ?? MAX_PAUSE_MS, MAX_PAUSE_MS), stopped);
    }
  }

  async #attempt(delivery: Delivery, until: AbortSignal, stopped: AbortSignal): Promise<PrivateMessage> {
    const { id, sentAt, text, mayBeThere } = delivery;
    const chat = this.#options.find(delivery.chat.peer) ?? (await this.#replace(delivery.chat, stopped));
    delivery.chat = chat;
    delivery.mayBeThere = true;
    try {
      return await chat.send(text, { id, sentAt, signal: until, deadlineMs: TRY_DEADLINE_MS });
    } catch (thrown) {
      const error = toParleyError(thrown);
      if (NOT_KEPT.has(error.code)) delivery.mayBeThere = mayBeThere;
      // A link that died without a word would stand in the way of a new one.
      if (error.code === 'TIMEOUT') await chat.drop();
      throw error;
    }
  }

  #replace(chat: PrivateChat, stopped: AbortSignal): Promise<PrivateChat> {
    stopped.throwIfAborted();
    const { peer, state } = chat;
    if (state.kind === 'ended' && state.by !== 'loss') throw new ParleyError('NO_PRIVATE_LINK', { user: peer });
    return this.#options.open(peer, stopped);
  }

  #begin(chat: PrivateChat, text: string): Delivery {
    const { clock } = this.#options;
    const key = unsureKey(chat.peer, text);
    const before = this.#unsure.get(key);
    this.#unsure.delete(key);
    const mayBeThere = before !== undefined && clock.monotonicMs() - before.atMs <= TAKE_UP_MS;
    const { id, sentAt } = mayBeThere
      ? before
      : { id: randomBytes(16).toString('hex'), sentAt: new Date(clock.epochMs()).toISOString() };
    return { id, sentAt, text, chat, mayBeThere, why: undefined };
  }

  #remember({ chat, text, id, sentAt }: Delivery): void {
    this.#unsure.set(unsureKey(chat.peer, text), { id, sentAt, atMs: this.#options.clock.monotonicMs() });
    const [oldest] = this.#unsure.keys();
    if (this.#unsure.size > MAX_UNSURE && oldest !== undefined) this.#unsure.delete(oldest);
  }
}

function unsureKey(user: string, text: string): string {
  return `${nameKey(user)} ${text}`;
}

/** Whether nobody refused the message and nobody ended the chat: the link is gone, or nobody answered. */
function mayGoOn({ state }: PrivateChat, { code }: ParleyError): boolean {
  const isLost = state.kind === 'ended' && state.by === 'loss';
  if (state.kind === 'ended' && !isLost) return false;
  return OUT_OF_REACH.has(code) || (isLost && code === 'NO_PRIVATE_LINK');
}

function undelivered({ chat, mayBeThere, why }: Delivery, error: ParleyError): ParleyError {
  const cause = why ?? error;
  const reason = mayBeThere
    ? `${reasonOf(cause)}; the message was not acknowledged and may have arrived: the same again is kept once`
    : `${reasonOf(cause)}; the message was not delivered`;
  return new ParleyError('PEER_UNREACHABLE', { user: chat.peer, reason }, { cause });
}

function reasonOf({ code, details, message }: ParleyError): string {
  if (code === 'USER_OFFLINE') return 'they are not online';
  if (code === 'TIMEOUT') return 'they do not answer';
  if (code === 'CANCELLED') return 'there was no time left';
  if (code === 'SERVER_UNREACHABLE') return 'the server, which introduces the two of you, is away';
  return String(details['reason'] ?? message);
}
