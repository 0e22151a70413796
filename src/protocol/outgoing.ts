/** The calls that this end has made and that are not answered yet. */
import { z } from 'zod';
import type { Clock } from './clock.js';
import type { CommandSpec, ParamsIn, ResultOf } from './command.js';
import { ParleyError, isErrorCode, toParleyError } from './errors.js';
import type { ErrorDetails } from './errors.js';
import { encodeCredit, encodeFrame } from './frame.js';
import type { Frame } from './frame.js';
import { decodeJson, encodeJson } from './json.js';
import { CALL_DEADLINE_MS, MAX_DATA_BYTES, MAX_OPEN_CALLS, STREAM_WINDOW_BYTES } from './limits.js';
import { CreditGate } from './credit.js';
import type { Wire } from './wire.js';

/** Items of a paged list that are taken at most: more than any list of ours, less than memory. */
const MAX_PAGED_ITEMS = 2_000_000;

export interface CallOptions {
  readonly signal?: AbortSignal | undefined;
  /** Silence after which the call fails with TIMEOUT; default 30 s, none for unbounded commands. */
  readonly deadlineMs?: number;
  readonly onEvent?: (event: unknown) => void;
  /** Takes the bytes before the reply, in order; more are asked for when it is done with some. */
  readonly onBytes?: (bytes: Buffer) => void | Promise<void>;
  /**
   * Where the next so many of those bytes are put, asked for when the first of them is there: a place of just that size, which `onBytes` is
   * given then; undefined for memory of their own. Not to be used for anything else when the call fails: they may be on their way into it.
   */
  readonly into?: (bytes: number) => Buffer | undefined;
  /** How many of them are wanted, when that is known: the other end is granted no more credit than it takes. */
  readonly wantedBytes?: number;
  /** The byte stream that goes with the call. */
  readonly body?: AsyncIterable<Buffer> | Iterable<Buffer>;
}

interface OpenCall {
  readonly spec: CommandSpec;
  readonly options: CallOptions;
  readonly pages: Map<string, unknown[]>;
  readonly credit: CreditGate;
  /** Settles when all bytes so far were taken. */
  taken: Promise<void>;
  /** The answer came; it is passed on when all bytes were taken. */
  isAnswered: boolean;
  /** Bytes that came and are not taken. */
  untaken: number;
  /** Bytes that the other end was given credit for, in all. */
  granted: number;
  readonly settle: (outcome: { value: unknown } | { error: ParleyError }) => void;
  readonly touch: () => void;
}

const errorSchema = z.object({
  code: z.string().max(64),
  message: z.string().max(4096),
  details: z
    .record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.array(z.union([z.string(), z.number()]))]))
    .catch({}),
});

/** An error that travelled; a code that this version does not know keeps its words. */
export function parseError(value: unknown): ParleyError {
  const parsed = errorSchema.safeParse(value);
  if (!parsed.success) return new ParleyError('PROTOCOL_ERROR', { reason: 'an error is not of its form' });
  const { code, message, details } = parsed.data;
  if (isErrorCode(code)) return new ParleyError(code, details satisfies ErrorDetails);
  return new ParleyError('INTERNAL', { reason: `${code}: ${message}` });
}

function windowOf(spec: CommandSpec): number {
  return spec.windowBytes ?? STREAM_WINDOW_BYTES;
}

export class OutgoingCalls {
  readonly #wire: Wire;
  readonly #clock: Clock;
  readonly #open = new Map<number, OpenCall>();
  readonly #parity: number;
  #nextId: number;
  /** What came in one turn of the loop behind an answer: whoever waits for that has seen it before. */
  #behind: Frame[] | undefined;
  /** Why no call can be made any more. */
  #lost: ParleyError | undefined;

  constructor(wire: Wire, clock: Clock, firstId: 1 | 2) {
    this.#wire = wire;
    this.#clock = clock;
    this.#nextId = firstId;
    this.#parity = firstId & 1;
  }

  /** Whether an id is one of this end's. */
  owns(id: number): boolean {
    return (id & 1) === this.#parity;
  }

  async call<S extends CommandSpec>(spec: S, params: ParamsIn<S>, options: CallOptions): Promise<ResultOf<S>> {
    options.signal?.throwIfAborted();
    if (this.#lost !== undefined) throw this.#lost;
    if (this.#open.size >= MAX_OPEN_CALLS) throw new ParleyError('SERVER_BUSY');
    const payload = encodeJson({ command: spec.name, params });
    const id = this.#takeId();
    const result = await new Promise<unknown>((resolve, reject) => {
      const finish = this.#track(id, spec, options, (outcome) => {
        if ('error' in outcome) reject(outcome.error);
        else resolve(outcome.value);
      });
      this.#wire.send(encodeFrame('call', id, payload));
      if (options.body !== undefined) this.#sendBody(id, options.body).catch(finish);
    });
    const parsed = spec.result.safeParse(result);
    if (parsed.success) return parsed.data as ResultOf<S>;
    throw new ParleyError(
      'PROTOCOL_ERROR',
      { reason: `the answer to ${spec.name} is not of its form` },
      { cause: parsed.error },
    );
  }

  /** The room that a call has for bytes of its stream. */
  bodyFor(id: number, bytes: number): Buffer | undefined {
    return bytes === 0 ? undefined : this.#open.get(id)?.options.into?.(bytes);
  }

  receive(frame: Frame): void {
    if (this.#behind !== undefined && frame.kind !== 'data' && frame.kind !== 'credit') {
      this.#behind.push(frame);
      return;
    }
    const call = this.#open.get(frame.id);
    if (call === undefined) {
      if (this.owns(frame.id)) return; // Answered late, after a cancel.
      throw new ParleyError('PROTOCOL_ERROR', { reason: `a ${frame.kind} frame for a call that was never made` });
    }
    call.touch();
    if (frame.kind === 'credit') call.credit.grant(frame.payload.readUInt32BE());
    else if (frame.kind === 'data') this.#receiveBytes(frame.id, call, frame.payload);
    else if (frame.kind === 'event') this.#receiveEvent(call, decodeJson(frame.payload));
    else if (frame.kind === 'error') call.settle({ error: parseError(decodeJson(frame.payload)) });
    else this.#receiveReply(call, decodeJson(frame.payload));
  }

  /** Fails every open call: the connection is gone. */
  abandon(error: ParleyError): void {
    this.#lost = error;
    while (this.#behind !== undefined) this.#catchUp();
    for (const call of [...this.#open.values()]) if (!call.isAnswered) call.settle({ error });
  }

  #takeId(): number {
    let id = this.#nextId;
    while (this.#open.has(id)) id = this.#following(id);
    this.#nextId = this.#following(id);
    return id;
  }

  #following(id: number): number {
    return id + 2 > 0xffff_ffff ? (this.#parity === 1 ? 1 : 2) : id + 2;
  }

  /** Keeps the call until it is settled, by whoever comes first: an answer, the deadline, the signal, the end of the connection. */
  #track(
    id: number,
    spec: CommandSpec,
    options: CallOptions,
    done: (outcome: { value: unknown } | { error: ParleyError }) => void,
  ): (error: unknown) => void {
    const deadlineMs = options.deadlineMs ?? (spec.unbounded === true ? Infinity : CALL_DEADLINE_MS);
    let cancelTimer: () => void = () => undefined;
    const settle: OpenCall['settle'] = (outcome) => {
      if (!this.#open.delete(id)) return;
      cancelTimer();
      options.signal?.removeEventListener('abort', onAbort);
      call.credit.close();
      done(outcome);
    };
    const giveUp = (error: ParleyError): void => {
      if (!this.#open.has(id)) return;
      this.#wire.send(encodeFrame('cancel', id));
      settle({ error });
    };
    const onAbort = (): void => giveUp(new ParleyError('CANCELLED', {}, { cause: options.signal?.reason }));
    const touch = (): void => {
      if (deadlineMs === Infinity) return;
      cancelTimer();
      cancelTimer = this.#clock.after(deadlineMs, () =>
        giveUp(new ParleyError('TIMEOUT', { seconds: Math.round(deadlineMs / 1000) })),
      );
    };
    const call: OpenCall = {
      spec,
      options,
      pages: new Map(),
      credit: new CreditGate(STREAM_WINDOW_BYTES),
      taken: Promise.resolve(),
      isAnswered: false,
      untaken: 0,
      granted: windowOf(spec),
      settle,
      touch,
    };
    this.#open.set(id, call);
    options.signal?.addEventListener('abort', onAbort, { once: true });
    touch();
    return (thrown) =>
      giveUp(thrown instanceof ParleyError ? thrown : new ParleyError('CANCELLED', {}, { cause: thrown }));
  }

  async #sendBody(id: number, body: AsyncIterable<Buffer> | Iterable<Buffer>): Promise<void> {
    for await (const bytes of body) {
      for (let at = 0; at < bytes.length; at += MAX_DATA_BYTES) {
        const piece = bytes.subarray(at, at + MAX_DATA_BYTES);
        const call = this.#open.get(id);
        if (call === undefined) return;
        await call.credit.take(piece.length);
        await this.#wire.drained(call.options.signal);
        call.touch();
        this.#wire.send(encodeFrame('data', id, piece));
      }
    }
    this.#wire.send(encodeFrame('data', id));
  }

  #receiveBytes(id: number, call: OpenCall, bytes: Buffer): void {
    call.untaken += bytes.length;
    if (call.spec.bytes === undefined || call.untaken > windowOf(call.spec)) {
      throw new ParleyError('PROTOCOL_ERROR', { reason: 'bytes came that were not asked for' });
    }
    const take = call.options.onBytes;
    call.taken = call.taken.then(async () => {
      await take?.(bytes);
      call.untaken -= bytes.length;
      if (!this.#open.has(id) || call.granted >= (call.options.wantedBytes ?? Infinity)) return;
      call.granted += bytes.length;
      this.#wire.send(encodeCredit(id, bytes.length));
    });
    call.taken.catch((thrown: unknown) => {
      this.#wire.send(encodeFrame('cancel', id));
      call.settle({
        error: thrown instanceof ParleyError ? thrown : new ParleyError('CANCELLED', {}, { cause: thrown }),
      });
    });
  }

  #receiveEvent(call: OpenCall, event: unknown): void {
    const page = call.spec.pages === undefined ? undefined : pageSchema.safeParse(event).data;
    if (page !== undefined && call.spec.pages?.includes(page.field) === true) {
      const items = call.pages.get(page.field) ?? [];
      if (items.length + page.items.length > MAX_PAGED_ITEMS)
        throw new ParleyError('PROTOCOL_ERROR', { reason: 'a list is endless' });
      for (const item of page.items) items.push(item);
      call.pages.set(page.field, items);
      return;
    }
    call.options.onEvent?.(event);
  }

  #receiveReply(call: OpenCall, value: unknown): void {
    const result = value as Record<string, unknown>;
    for (const [field, items] of call.pages) {
      const last: unknown = result[field];
      if (Array.isArray(last)) result[field] = items.concat(last);
    }
    call.isAnswered = true;
    call.taken.then(
      () => call.settle({ value: result }),
      () => undefined,
    );
    this.#letBeSeen();
  }

  /** Events of other calls are heard in the order in which they and the answer came. */
  #letBeSeen(): void {
    for (const { options } of this.#open.values()) {
      if (options.onEvent === undefined) continue;
      this.#behind = [];
      setImmediate(() => this.#catchUp());
      return;
    }
  }

  #catchUp(): void {
    const frames = this.#behind ?? [];
    this.#behind = undefined;
    try {
      for (const frame of frames) this.receive(frame);
    } catch (thrown) {
      this.#wire.close(toParleyError(thrown));
    }
  }
}

const pageSchema = z.object({ type: z.literal('page'), field: z.string(), items: z.array(z.unknown()) });
