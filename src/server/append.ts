/** Group commit: messages of one turn of the loop are stored together, and their senders answered after it (R27). */
import { ParleyError } from '../protocol/errors.js';
import { MAX_COMMIT_MESSAGES, MAX_WAITING_MESSAGES } from './limits.js';
import type { AppendOutcome, MessageStore, NewMessage } from './storage/port.js';

interface Waiting {
  readonly message: NewMessage;
  readonly resolve: (outcome: AppendOutcome) => void;
  readonly reject: (error: unknown) => void;
}

type OnStored = (messages: readonly NewMessage[], outcomes: readonly AppendOutcome[], seconds: number) => void;

/**
 * A commit is synchronous: what comes while one runs waits in the sockets, is read together and goes into the next. So no timer is
 * needed for commits to be large when there is much, and prompt when there is little.
 */
export class AppendQueue {
  readonly #storage: Pick<MessageStore, 'appendMessages'>;
  /** Sees each batch right after it was stored, before its senders are answered, and how many seconds that took. */
  readonly #onStored: OnStored;
  #waiting: Waiting[] = [];
  /** Commits are made one after the other, until nothing waits: otherwise a later message could overtake. */
  #committing: Promise<void> | undefined;

  constructor(storage: Pick<MessageStore, 'appendMessages'>, onStored: OnStored) {
    this.#storage = storage;
    this.#onStored = onStored;
  }

  /** Resolves when the message is durable. @throws ParleyError SERVER_BUSY, DISK_FULL */
  add(message: NewMessage): Promise<AppendOutcome> {
    if (this.#waiting.length >= MAX_WAITING_MESSAGES) return Promise.reject(new ParleyError('SERVER_BUSY'));
    return new Promise((resolve, reject) => {
      this.#waiting.push({ message, resolve, reject });
      this.#committing ??= this.#commitAll();
    });
  }

  /** Resolves when everything that was added is stored, or refused. */
  async settled(): Promise<void> {
    await this.#committing;
  }

  async #commitAll(): Promise<void> {
    // What else comes in this turn goes into the same commit.
    await new Promise(setImmediate);
    while (this.#waiting.length > 0) {
      const batch = this.#waiting.splice(0, MAX_COMMIT_MESSAGES);
      try {
        await this.#commit(batch);
      } catch (error) {
        for (const { reject } of batch) reject(error);
      }
    }
    this.#committing = undefined;
  }

  async #commit(batch: readonly Waiting[]): Promise<void> {
    const messages = batch.map(({ message }) => message);
    const begun = performance.now();
    const outcomes = await this.#storage.appendMessages(messages);
    this.#onStored(messages, outcomes, (performance.now() - begun) / 1000);
    for (const [index, { resolve, reject }] of batch.entries()) {
      const outcome = outcomes[index];
      if (outcome === undefined) reject(new ParleyError('INTERNAL', { reason: 'a commit had no outcome' }));
      else resolve(outcome);
    }
  }
}
