/** The calls of the other end that this end is answering. */
import { z } from 'zod';
import type { CommandSpec, IncomingCall } from './command.js';
import { deferred } from './deferred.js';
import { ParleyError, toParleyError } from './errors.js';
import { encodeFrame } from './frame.js';
import type { Frame } from './frame.js';
import { decodeJson, encodeJson } from './json.js';
import { MAX_CONTROL_BYTES, MAX_OPEN_CALLS } from './limits.js';
import { ServedCall } from './servedcall.js';
import { errorPayload } from './wire.js';
import type { Wire } from './wire.js';

/** Answers one call whose parameters were checked; what it throws becomes the error frame. */
export type Answer = (spec: CommandSpec, params: unknown, call: IncomingCall) => Promise<object>;

/** Room that a page leaves in its frame for the brackets around it. */
const PAGE_BYTES = MAX_CONTROL_BYTES - 128;
/** Items of a page that are made into JSON together: thousands of numbers in one list are common. */
const ITEMS_TOGETHER = 1024;

const callSchema = z.object({ command: z.string().max(64), params: z.unknown() });

/** Made once for a list of specs, however many connections serve it. */
const specTables = new WeakMap<Readonly<Record<string, CommandSpec>>, ReadonlyMap<string, CommandSpec>>();

function specTable(specs: Readonly<Record<string, CommandSpec>>): ReadonlyMap<string, CommandSpec> {
  const table = specTables.get(specs) ?? new Map(Object.values(specs).map((spec) => [spec.name, spec]));
  specTables.set(specs, table);
  return table;
}

export class IncomingCalls {
  readonly #wire: Wire;
  readonly #open = new Map<number, ServedCall>();
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
    if (frame.kind === 'cancel') served.stop();
    else if (frame.kind === 'credit') served.grant(frame.payload.readUInt32BE());
    else served.push(frame.payload);
  }

  abandon(): void {
    for (const served of this.#open.values()) served.stop();
  }

  #begin(id: number, value: unknown): void {
    const parsed = callSchema.safeParse(value);
    if (!parsed.success || this.#open.has(id)) throw malformed();
    const { command, params } = parsed.data;
    if (id === 0) {
      this.#hear(command, params);
      return;
    }
    const served = new ServedCall(this.#wire, id);
    const busy = this.#open.size >= MAX_OPEN_CALLS;
    this.#open.set(id, served);
    this.#run(id, command, params, served, busy)
      .catch((thrown: unknown) => {
        const error = toParleyError(thrown);
        this.#wire.send(encodeFrame('error', id, encodeJson(errorPayload(error))));
      })
      .finally(() => {
        this.#open.delete(id);
        served.end();
      })
      .catch((thrown: unknown) => this.#wire.destroy(toParleyError(thrown)));
  }

  /** What was told and not asked (JSON-RPC calls it a notification): it is refused as silently. */
  #hear(command: string, params: unknown): void {
    const spec = this.#specs.get(command);
    const checked = spec?.tellable === true ? spec.params.safeParse(params ?? {}) : undefined;
    if (spec === undefined || checked?.success !== true) throw malformed();
    this.#answer.promise
      .then((answer) => answer(spec, checked.data, new ServedCall(this.#wire, 0)))
      .catch(() => undefined);
  }

  async #run(id: number, command: string, params: unknown, served: ServedCall, busy: boolean): Promise<void> {
    if (busy) throw new ParleyError('SERVER_BUSY');
    // A call may come before this end has opened what it serves: it waits.
    const answer = await this.#answer.promise;
    served.throwIfStopped();
    const spec = this.#specs.get(command);
    if (spec === undefined) throw new ParleyError('UNKNOWN_COMMAND', { command });
    const checked = spec.params.safeParse(params ?? {});
    if (!checked.success) throw new ParleyError('BAD_REQUEST', { command, reason: firstIssue(checked.error) });
    if (spec.windowBytes !== undefined) served.windowBytes = spec.windowBytes;
    const result = await answer(spec, checked.data, served);
    if (!served.isAnswered) await this.#reply(id, spec, result, served);
  }

  async #reply(id: number, spec: CommandSpec, result: object, served: ServedCall): Promise<void> {
    if (spec.pages === undefined) {
      this.#wire.send(encodeFrame('reply', id, encodeJson(result)));
      return;
    }
    const rest: Record<string, unknown> = { ...result };
    const whole = isSurelyTooLarge(spec.pages.map((field) => rest[field])) ? undefined : JSON.stringify(result);
    if (whole !== undefined && Buffer.byteLength(whole) <= MAX_CONTROL_BYTES) {
      this.#wire.send(encodeFrame('reply', id, whole));
      return;
    }
    for (const field of spec.pages) {
      const list = rest[field];
      if (!Array.isArray(list)) continue;
      const pages = cutIntoPages(list);
      // The next page is made when there is room for it.
      const { signal } = served;
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

function malformed(): ParleyError {
  return new ParleyError('PROTOCOL_ERROR', { reason: 'a call is not of its form' });
}

/** Whether lists are too long for a frame, whatever is in them: an item has a byte at least, and a comma. */
function isSurelyTooLarge(lists: readonly unknown[]): boolean {
  return lists.reduce((sum: number, list) => sum + (Array.isArray(list) ? 2 * list.length : 0), 0) > MAX_CONTROL_BYTES;
}

/** The items in pages of JSON, without brackets; each fits a frame unless one item alone does not. */
function* cutIntoPages(items: readonly unknown[]): Generator<string> {
  let page: string[] = [];
  let pageBytes = 0;
  for (let at = 0; at < items.length; at += ITEMS_TOGETHER) {
    const together = items.slice(at, at + ITEMS_TOGETHER);
    // One piece for many small items; one for each where they are large.
    const joined = JSON.stringify(together).slice(1, -1);
    const pieces = Buffer.byteLength(joined) < PAGE_BYTES ? [joined] : together.map((item) => JSON.stringify(item));
    for (const piece of pieces) {
      const bytes = Buffer.byteLength(piece) + 1;
      if (page.length > 0 && pageBytes + bytes > PAGE_BYTES) {
        yield page.join(',');
        page = [];
        pageBytes = 0;
      }
      page.push(piece);
      pageBytes += bytes;
    }
  }
  if (page.length > 0) yield page.join(',');
}

function firstIssue(error: z.ZodError): string {
  const issue = error.issues[0];
  if (issue === undefined) return 'unknown';
  const where = issue.path.map(String).join('.');
  return where === '' ? issue.message : `${where}: ${issue.message}`;
}
