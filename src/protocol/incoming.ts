/** The calls of the other end that this end is answering. */
import { z } from 'zod';
import type { CommandSpec, IncomingCall } from './command.js';
import { CreditGate } from './credit.js';
import { deferred } from './deferred.js';
import { ParleyError, toParleyError } from './errors.js';
import { EMPTY_REPLY_BYTES, HEADER_BYTES, encodeCredit, encodeFrame, writeHeader } from './frame.js';
import type { Frame } from './frame.js';
import { decodeJson, encodeJson } from './json.js';
import { MAX_CONTROL_BYTES, MAX_DATA_BYTES, MAX_OPEN_CALLS, STREAM_WINDOW_BYTES } from './limits.js';
import { errorPayload } from './wire.js';
import type { Wire } from './wire.js';

/** Answers one call whose parameters were checked; what it throws becomes the error frame. */
export type Answer = (spec: CommandSpec, params: unknown, call: IncomingCall) => Promise<object>;

/** Room that a page leaves in its frame for the brackets around it. */
const PAGE_BYTES = MAX_CONTROL_BYTES - 128;

const callSchema = z.object({ command: z.string().max(64), params: z.unknown() });

interface Served {
  /** The reply went out with the last bytes. */
  answered: boolean;
  readonly abort: AbortController;
  readonly credit: CreditGate;
  readonly body: BodyQueue;
}

/** Made once for a list of specs, however many connections serve it. */
const specTables = new WeakMap<Readonly<Record<string, CommandSpec>>, ReadonlyMap<string, CommandSpec>>();

function specTable(specs: Readonly<Record<string, CommandSpec>>): ReadonlyMap<string, CommandSpec> {
  const table = specTables.get(specs) ?? new Map(Object.values(specs).map((spec) => [spec.name, spec]));
  specTables.set(specs, table);
  return table;
}

export class IncomingCalls {
  readonly #wire: Wire;
  readonly #open = new Map<number, Served>();
  #specs: ReadonlyMap<string, CommandSpec> = new Map();
  /** Settles with the first `serve`. */
  readonly #answer = deferred<Answer>();

  constructor(wire: Wire) {
    this.#wire = wire;
  }

  get size(): number {
    return this.#open.size;
  }

  serve(specs: Readonly<Record<string, CommandSpec>>, answer: Answer): void {
    this.#specs = specTable(specs);
    this.#answer.resolve(answer);
  }

  receive(frame: Frame): void {
    if (frame.kind === 'call') {
      this.#begin(frame.id, decodeJson(frame.payload));
      return;
    }
    const served = this.#open.get(frame.id);
    if (served === undefined) return; // Answered already.
    if (frame.kind === 'cancel') stop(served);
    else if (frame.kind === 'credit') served.credit.grant(frame.payload.readUInt32BE());
    else served.body.push(frame.payload);
  }

  abandon(): void {
    for (const served of this.#open.values()) stop(served);
  }

  #begin(id: number, value: unknown): void {
    const parsed = callSchema.safeParse(value);
    if (!parsed.success || id === 0 || this.#open.has(id)) {
      throw new ParleyError('PROTOCOL_ERROR', { reason: 'a call is not of its form' });
    }
    const { command, params } = parsed.data;
    const served: Served = {
      answered: false,
      abort: new AbortController(),
      credit: new CreditGate(STREAM_WINDOW_BYTES),
      body: new BodyQueue((bytes) => this.#wire.send(encodeCredit(id, bytes))),
    };
    const busy = this.#open.size >= MAX_OPEN_CALLS;
    this.#open.set(id, served);
    this.#run(id, command, params, served, busy)
      .catch((thrown: unknown) => {
        const error = toParleyError(thrown);
        this.#wire.send(encodeFrame('error', id, encodeJson(errorPayload(error))));
      })
      .finally(() => {
        this.#open.delete(id);
        served.credit.close();
        // What belongs to the call and outlives it (a timer, a waiter) ends with it.
        served.abort.abort(new ParleyError('CANCELLED'));
      })
      .catch((thrown: unknown) => this.#wire.destroy(toParleyError(thrown)));
  }

  async #run(id: number, command: string, params: unknown, served: Served, busy: boolean): Promise<void> {
    if (busy) throw new ParleyError('SERVER_BUSY');
    // A call may come before this end has opened what it serves: it waits.
    const answer = await this.#answer.promise;
    served.abort.signal.throwIfAborted();
    const spec = this.#specs.get(command);
    if (spec === undefined) throw new ParleyError('UNKNOWN_COMMAND', { command });
    const checked = spec.params.safeParse(params ?? {});
    if (!checked.success) throw new ParleyError('BAD_REQUEST', { command, reason: firstIssue(checked.error) });
    const { signal } = served.abort;
    const result = await answer(spec, checked.data, {
      signal,
      body: served.body,
      emit: async (event) => {
        await this.#wire.drained(signal);
        this.#wire.send(encodeFrame('event', id, encodeJson(event)));
      },
      write: (bytes) => this.#write(id, served, bytes),
      writeInPlace: (framed) => this.#writeInPlace(id, served, framed, framed.length - HEADER_BYTES),
      answerInPlace: (room, payloadBytes) => this.#answerInPlace(id, served, room, payloadBytes),
    });
    if (!served.answered) await this.#reply(id, spec, result, signal);
  }

  async #write(id: number, served: Served, bytes: Buffer): Promise<void> {
    for (let at = 0; at < bytes.length; at += MAX_DATA_BYTES) {
      const piece = bytes.subarray(at, at + MAX_DATA_BYTES);
      await served.credit.take(piece.length);
      await this.#wire.drained(served.abort.signal);
      this.#wire.send(encodeFrame('data', id, piece));
    }
  }

  async #writeInPlace(id: number, served: Served, framed: Buffer, payloadBytes: number): Promise<void> {
    await served.credit.take(payloadBytes);
    await this.#wire.drained(served.abort.signal);
    writeHeader(framed, 0, 'data', id, payloadBytes);
    await this.#wire.sendInPlace(framed);
  }

  async #answerInPlace(id: number, served: Served, room: Buffer, payloadBytes: number): Promise<void> {
    const end = HEADER_BYTES + payloadBytes;
    encodeFrame('reply', id, '{}').copy(room, end);
    await this.#writeInPlace(id, served, room.subarray(0, end + EMPTY_REPLY_BYTES), payloadBytes);
    served.answered = true;
  }

  async #reply(id: number, spec: CommandSpec, result: object, signal: AbortSignal): Promise<void> {
    if (spec.pages === undefined) {
      this.#wire.send(encodeFrame('reply', id, encodeJson(result)));
      return;
    }
    const whole = JSON.stringify(result);
    if (Buffer.byteLength(whole) <= MAX_CONTROL_BYTES) {
      this.#wire.send(encodeFrame('reply', id, whole));
      return;
    }
    const rest: Record<string, unknown> = { ...result };
    for (const field of spec.pages) {
      const list = rest[field];
      if (!Array.isArray(list)) continue;
      const pages = cutIntoPages(list);
      // The next page is made when there is room for it.
      await this.#wire.drained(signal);
      for (let next = pages.next(); next.done !== true; next = pages.next()) {
        const page = next.value;
        this.#wire.send(encodeFrame('event', id, `{"type":"page","field":"${field}","items":[${page}]}`));
        await this.#wire.drained(signal);
      }
      rest[field] = [];
    }
    this.#wire.send(encodeFrame('reply', id, encodeJson(rest)));
  }
}

/** Tells a handler to stop, and wakes it where it waits for credit or for more of the body. */
function stop({ abort, credit, body }: Served): void {
  abort.abort(new ParleyError('CANCELLED'));
  credit.close();
  body.close();
}

function* cutIntoPages(items: readonly unknown[]): Generator<string> {
  let page: string[] = [];
  let pageBytes = 0;
  for (const item of items) {
    const json = JSON.stringify(item);
    const bytes = Buffer.byteLength(json) + 1;
    if (page.length > 0 && pageBytes + bytes > PAGE_BYTES) {
      yield page.join(',');
      page = [];
      pageBytes = 0;
    }
    page.push(json);
    pageBytes += bytes;
  }
  if (page.length > 0) yield page.join(',');
}

function firstIssue(error: z.ZodError): string {
  const issue = error.issues[0];
  if (issue === undefined) return 'unknown';
  const where = issue.path.map(String).join('.');
  return where === '' ? issue.message : `${where}: ${issue.message}`;
}

/** A call's byte stream as it comes in: at most a window of it waits, and what is taken is granted again. */
class BodyQueue implements AsyncIterable<Buffer> {
  readonly #grant: (bytes: number) => void;
  #waiting: Buffer[] = [];
  #waitingBytes = 0;
  #ended = false;
  #broken = false;
  #wake: () => void = () => undefined;

  constructor(grant: (bytes: number) => void) {
    this.#grant = grant;
  }

  push(bytes: Buffer): void {
    if (this.#ended) return;
    if (bytes.length === 0) this.#ended = true;
    this.#waitingBytes += bytes.length;
    if (this.#waitingBytes > STREAM_WINDOW_BYTES) {
      throw new ParleyError('PROTOCOL_ERROR', { reason: 'more bytes came than were granted' });
    }
    if (bytes.length > 0) this.#waiting.push(bytes);
    this.#wake();
  }

  /** No more will come: whoever reads it fails with CANCELLED unless the end was there already. */
  close(): void {
    this.#broken = !this.#ended;
    this.#ended = true;
    this.#wake();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Buffer, void, void> {
    while (true) {
      if (this.#broken) throw new ParleyError('CANCELLED');
      const bytes = this.#waiting.shift();
      if (bytes !== undefined) {
        this.#waitingBytes -= bytes.length;
        yield bytes;
        this.#grant(bytes.length);
      } else if (this.#ended) return;
      else await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }
}
