/** Private messages over a direct link: acknowledged by the other end once it keeps them, in order, each once. */
import { randomBytes } from 'node:crypto';
import type { Handlers } from '../protocol/command.js';
import { peerCommands } from '../protocol/commands/peer.js';
import type { Connection } from '../protocol/connection.js';
import { ParleyError } from '../protocol/errors.js';
import { parseMessageText } from '../protocol/values.js';

/** Ids remembered of messages that came: the same message can only come again soon after it came first. */
const REMEMBERED_IDS = 1_024;
/** Milliseconds that the other end gets to answer a goodbye. */
const GOODBYE_MS = 2_000;

export interface PrivateMessage {
  /** 32 hex digits, made by the sender. */
  readonly id: string;
  readonly text: string;
  /** ISO 8601, by the sender's clock. */
  readonly sentAt: string;
}

/** How a chat ended: by this end, by the other (`stopprivate`), or because the link broke. */
export type ChatEnd = { readonly by: 'us' | 'them' } | { readonly by: 'loss'; readonly error: ParleyError | undefined };

export type ChatState = { readonly kind: 'open' } | ({ readonly kind: 'ended' } & ChatEnd);

export interface PrivateChatOptions {
  /** The user at the other end. */
  readonly peer: string;
  readonly connection: Connection;
  /** Keeps a message durably; only when it is done is the sender told so. Called one message at a time, in order. */
  readonly onMessage: (message: PrivateMessage) => Promise<void>;
}

export interface SendOptions {
  /** Of a message that is sent again. */
  readonly id?: string;
  readonly sentAt?: string;
  readonly signal?: AbortSignal;
  /** How long the other end may take to keep it; default that of any call. */
  readonly deadlineMs?: number;
}

const { privateMessage, endPrivate } = peerCommands;
const privateCommands = { privateMessage, endPrivate } as const;

/** One end of a private chat. Serves the connection from its construction on, and ends with it. */
export class PrivateChat {
  readonly peer: string;
  /** Resolves once, when the chat is over. Never rejects. */
  readonly ended: Promise<ChatEnd>;
  readonly #connection: Connection;
  readonly #onMessage: (message: PrivateMessage) => Promise<void>;
  /** What came, by id, with the promise of keeping it: oldest first. */
  readonly #came = new Map<string, Promise<void>>();
  /** Settles when the messages so far were kept or refused. */
  #kept: Promise<void> = Promise.resolve();
  #state: ChatState = { kind: 'open' };

  constructor(options: PrivateChatOptions) {
    this.peer = options.peer;
    this.#connection = options.connection;
    this.#onMessage = options.onMessage;
    this.#connection.serve(privateCommands, (spec, params) => {
      const handler = this.#handlers[spec.name as keyof typeof privateCommands];
      return Promise.resolve(handler(params as never, undefined, undefined as never));
    });
    this.ended = this.#connection.closed.then((error) => {
      const end: ChatEnd = this.#state.kind === 'ended' ? this.#state : { by: 'loss', error };
      this.#state = { ...end, kind: 'ended' };
      return end;
    });
  }

  get state(): ChatState {
    return this.#state;
  }

  /**
   * Sends a message; done when the other end keeps it. When it fails in between, nobody knows whether it came: sending it again
   * with the same `id` is harmless.
   * @throws ParleyError EMPTY_MESSAGE, MESSAGE_TOO_LONG, NO_PRIVATE_LINK when the chat is over, PEER_UNREACHABLE when the link
   * breaks, what the other end refuses with, CANCELLED
   */
  async send(text: string, options: SendOptions = {}): Promise<PrivateMessage> {
    parseMessageText(text);
    if (this.#state.kind === 'ended') throw new ParleyError('NO_PRIVATE_LINK', { user: this.peer });
    const id = options.id ?? randomBytes(16).toString('hex');
    const message = { id, text, sentAt: options.sentAt ?? new Date().toISOString() };
    const { signal, deadlineMs } = options;
    await this.#connection.call(privateMessage, message, {
      signal,
      ...(deadlineMs === undefined ? {} : { deadlineMs }),
    });
    return message;
  }

  /** Tells the other end that the chat is over, as far as it can be told, and closes the link. Idempotent. */
  async close(): Promise<void> {
    if (this.#state.kind === 'open') {
      this.#state = { kind: 'ended', by: 'us' };
      await this.#connection.call(endPrivate, {}, { deadlineMs: GOODBYE_MS }).catch(() => undefined);
      await this.#kept;
    }
    await this.#connection.close();
  }

  /** Tears the link down without a goodbye: the chat ends by loss. Idempotent. */
  async drop(): Promise<void> {
    this.#connection.destroy();
    await this.ended;
  }

  readonly #handlers: Handlers<typeof privateCommands, undefined> = {
    privateMessage: async (message) => {
      parseMessageText(message.text);
      if (this.#state.kind === 'ended') throw new ParleyError('NO_PRIVATE_LINK');
      await this.#keep(message);
      return {};
    },
    endPrivate: async () => {
      if (this.#state.kind === 'open') this.#state = { kind: 'ended', by: 'them' };
      await this.#kept; // What came before it is acknowledged before it.
      return {};
    },
  };

  /** Keeps a message after those that came before it; the same one again is the same promise. */
  #keep(message: PrivateMessage): Promise<void> {
    const known = this.#came.get(message.id);
    if (known !== undefined) return known;
    const kept = this.#kept.then(() => this.#onMessage(message));
    this.#came.set(message.id, kept);
    // A message that could not be kept may come again.
    kept.catch(() => this.#came.delete(message.id));
    this.#kept = kept.catch(() => undefined);
    const [oldest] = this.#came.keys();
    if (this.#came.size > REMEMBERED_IDS && oldest !== undefined) this.#came.delete(oldest);
    return kept;
  }
}
