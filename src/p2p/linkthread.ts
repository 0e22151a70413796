/** A thread with links of its own: it decrypts, checks and writes what comes over them, and this one only says what to ask for. */
import { Worker } from 'node:worker_threads';
import { unpackError } from '../chunks/fserrors.js';
import type { BlockWork } from '../chunks/blockjob.js';
import type { CommandSpec, ParamsIn, ResultOf } from '../protocol/command.js';
import type { peerCommands } from '../protocol/commands/peer.js';
import { deferred } from '../protocol/deferred.js';
import { ParleyError } from '../protocol/errors.js';
import { parseError } from '../protocol/outgoing.js';
import type { CallOptions } from '../protocol/outgoing.js';
import type { IntroducedDial } from './dialer.js';
import type { DialledLink, FetchParams, LinkConnection, TakenFailure, TakenIn } from './link.js';
import type { FromLinks, TakenAnswer, ToLinks } from './linkmessages.js';

/** Milliseconds without a link after which the thread ends and gives its memory back. */
const IDLE_MS = 60_000;

/** What was asked of the thread and is not answered. */
interface Asked {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: ParleyError) => void;
  readonly options: Pick<CallOptions, 'onEvent' | 'onBytes'>;
}

export class LinkThread {
  readonly #script: URL;
  readonly #asked = new Map<number, Asked>();
  /** Settle when the link is gone, by its number. */
  readonly #links = new Map<number, (error: ParleyError | undefined) => void>();
  #worker: Worker | undefined;
  #lastNumber = 0;
  #idle: NodeJS.Timeout | undefined;

  /** `script` is what the thread runs; it is started with the first link. */
  constructor(script = new URL('./linkworker.js', import.meta.url)) {
    this.#script = script;
  }

  /** Links that it has or is opening. */
  get links(): number {
    return this.#links.size;
  }

  /** As `dialIntroduced`, but the link is the thread's. @throws ParleyError PEER_UNREACHABLE with the reason; CANCELLED */
  async dial({ identity, host, port, introduction, timeoutMs, signal }: IntroducedDial): Promise<DialledLink> {
    const link = ++this.#lastNumber;
    const received = new SharedArrayBuffer(BigInt64Array.BYTES_PER_ELEMENT);
    const closed = deferred<ParleyError | undefined>();
    this.#links.set(link, closed.resolve);
    clearTimeout(this.#idle);
    const options = { identity, host, port, introduction, ...(timeoutMs === undefined ? {} : { timeoutMs }) };
    try {
      await this.#ask((id) => ({ kind: 'dial', link, id, options, received }), { signal });
    } catch (thrown) {
      this.#closed(link, undefined);
      throw thrown;
    }
    const counter = new BigInt64Array(received);
    return {
      peer: introduction.peer,
      connection: this.#connection(link, closed.promise),
      bytesReceived: () => Number(Atomics.load(counter, 0)),
      takeBlocks: (params, work, stop) => this.#takeBlocks(link, params, work, stop),
    };
  }

  /** Ends the thread, and its links with it; the next link starts another. What was asked fails when it writes no more. */
  async stop(): Promise<void> {
    await this.#worker?.terminate();
  }

  #connection(link: number, closed: Promise<ParleyError | undefined>): LinkConnection {
    return {
      closed,
      call: (spec, params, options) => this.#call(link, spec, params, options),
      alive: async (timeoutMs) => {
        const ping = this.#ask((id) => ({ kind: 'ping', link, id, timeoutMs }));
        return (await ping.catch(() => false)) === true;
      },
      destroy: () => this.#worker?.postMessage({ kind: 'destroy', link } satisfies ToLinks),
    };
  }

  async #call<S extends CommandSpec>(
    link: number,
    { name }: S,
    params: ParamsIn<S>,
    { signal, deadlineMs, onEvent, onBytes }: CallOptions = {},
  ): Promise<ResultOf<S>> {
    const command = name as keyof typeof peerCommands;
    const silence = deadlineMs === undefined ? {} : { deadlineMs };
    const hears = { ...(onEvent && { onEvent }), ...(onBytes && { onBytes }) };
    // Its form was checked where it came.
    return (await this.#ask((id) => ({ kind: 'call', link, id, command, params, ...silence }), {
      signal,
      ...hears,
    })) as ResultOf<S>;
  }

  async #takeBlocks(link: number, params: FetchParams, work: BlockWork, signal: AbortSignal): Promise<TakenIn> {
    // What a view is of is copied whole: not more than what is meant.
    const own = { ...work, expected: new Uint8Array(work.expected) };
    const taken = (await this.#ask((id) => ({ kind: 'take', link, id, params, work: own }), { signal })) as TakenAnswer;
    return { result: taken.result, failure: failureOf(taken) };
  }

  /** Also when it is cancelled, it is over only when the thread says so: it may be writing. */
  async #ask(message: (id: number) => ToLinks, options: CallOptions = {}): Promise<unknown> {
    const { signal } = options;
    if (signal?.aborted === true) throw new ParleyError('CANCELLED');
    const worker = (this.#worker ??= this.#start());
    const id = ++this.#lastNumber;
    const cancel = (): void => worker.postMessage({ kind: 'cancel', id } satisfies ToLinks);
    signal?.addEventListener('abort', cancel, { once: true });
    try {
      return await new Promise((resolve, reject) => {
        this.#asked.set(id, { resolve, reject, options });
        worker.postMessage(message(id));
      });
    } finally {
      signal?.removeEventListener('abort', cancel);
    }
  }

  #start(): Worker {
    const worker = new Worker(this.#script, { execArgv: [] });
    worker.on('message', (message: FromLinks) => this.#hear(message));
    worker.on('error', ({ message }) => this.#lose(worker, message));
    worker.on('exit', () => this.#lose(worker, 'its thread ended'));
    return worker;
  }

  #hear(message: FromLinks): void {
    if (message.kind === 'closed') {
      this.#closed(message.link, message.error === undefined ? undefined : parseError(message.error));
      return;
    }
    const asked = this.#asked.get(message.id);
    if (message.kind === 'event') asked?.options.onEvent?.(message.event);
    else if (message.kind === 'bytes') void asked?.options.onBytes?.(Buffer.from(message.bytes.buffer));
    else {
      this.#asked.delete(message.id);
      if (message.kind === 'answer') asked?.resolve(message.value);
      else asked?.reject(parseError(message.error));
    }
  }

  #closed(link: number, error: ParleyError | undefined): void {
    this.#links.get(link)?.(error);
    this.#links.delete(link);
    clearTimeout(this.#idle);
    if (this.#links.size === 0) this.#idle = setTimeout(() => void this.stop(), IDLE_MS).unref();
  }

  /** Whatever it had is gone with it; the next link starts another. */
  #lose(worker: Worker, reason: string): void {
    if (worker !== this.#worker) return;
    this.#worker = undefined;
    clearTimeout(this.#idle);
    const error = new ParleyError('PEER_UNREACHABLE', { reason });
    for (const { reject } of this.#asked.values()) reject(error);
    this.#asked.clear();
    for (const settle of this.#links.values()) settle(error);
    this.#links.clear();
  }
}

function failureOf({ failure }: TakenAnswer): TakenFailure | undefined {
  switch (failure?.kind) {
    case 'refused':
      return { kind: 'refused', error: parseError(failure.error) };
    case 'unwritable':
      return { kind: 'unwritable', error: unpackError(failure.error) };
    default:
      return failure;
  }
}
