/**
 * Frames on a byte stream: `u32 length | u8 kind | u32 id | payload`, big endian; `length` counts what follows it (5 + payload).
 * The cap of a kind is checked as soon as its header is there, before anything is allocated for the payload (R17).
 */
import { ParleyError } from './errors.js';
import { MAX_CONTROL_BYTES, MAX_DATA_BYTES } from './limits.js';

export const FRAME_KINDS = {
  hello: 1,
  call: 2,
  reply: 3,
  error: 4,
  event: 5,
  data: 6,
  cancel: 7,
  credit: 8,
  ping: 9,
  pong: 10,
} as const;
export type FrameKind = keyof typeof FRAME_KINDS;

const KIND_OF_NUMBER: readonly (FrameKind | undefined)[] = Object.entries(FRAME_KINDS).reduce<
  (FrameKind | undefined)[]
>((table, [kind, number]) => {
  table[number] = kind as FrameKind;
  return table;
}, []);

export interface Frame {
  readonly kind: FrameKind;
  /** The call it belongs to; 0 is the connection itself. */
  readonly id: number;
  readonly payload: Buffer;
}

/** Bytes before the payload. */
export const HEADER_BYTES = 9;
/** Bytes of a whole frame that carries an empty reply, `{}`. */
export const EMPTY_REPLY_BYTES = HEADER_BYTES + 2;
const LENGTH_BYTES = 4;

/** Largest payloads by kind of payload; a connection begins with small ones and raises them after login. */
export interface FrameCaps {
  readonly controlBytes: number;
  readonly dataBytes: number;
}
export const FULL_CAPS: FrameCaps = { controlBytes: MAX_CONTROL_BYTES, dataBytes: MAX_DATA_BYTES };

const FIXED_PAYLOADS: Partial<Record<FrameKind, number>> = { cancel: 0, credit: 4, ping: 8, pong: 8 };

/** Writes a header for a payload of `payloadBytes` at `offset`, so that a payload can be laid behind it without a copy. */
export function writeHeader(target: Buffer, offset: number, kind: FrameKind, id: number, payloadBytes: number): void {
  target.writeUInt32BE(HEADER_BYTES - LENGTH_BYTES + payloadBytes, offset);
  target.writeUInt8(FRAME_KINDS[kind], offset + 4);
  target.writeUInt32BE(id, offset + 5);
}

export function encodeFrame(kind: FrameKind, id: number, payload: Buffer | string = ''): Buffer {
  const payloadBytes = typeof payload === 'string' ? Buffer.byteLength(payload) : payload.length;
  const frame = Buffer.allocUnsafe(HEADER_BYTES + payloadBytes);
  writeHeader(frame, 0, kind, id, payloadBytes);
  if (typeof payload === 'string') frame.write(payload, HEADER_BYTES);
  else payload.copy(frame, HEADER_BYTES);
  return frame;
}

/** Grants the other end `bytes` more of a call's byte stream. */
export function encodeCredit(id: number, bytes: number): Buffer {
  const payload = Buffer.allocUnsafe(4);
  payload.writeUInt32BE(bytes);
  return encodeFrame('credit', id, payload);
}

/** Where a frame's payload is to be put; undefined for memory of its own. */
export type BodyFor = (kind: FrameKind, id: number, payloadBytes: number) => Buffer | undefined;

/** Cuts a stream of bytes, split anywhere, into frames. Payloads may share memory with the pushed bytes, unless `keeps`. */
export class FrameDecoder {
  caps: FrameCaps;
  /** The pushed bytes are overwritten later: no payload may share memory with them. */
  keeps = false;
  readonly #bodyFor: BodyFor;
  #header = Buffer.allocUnsafe(HEADER_BYTES);
  #headerHave = 0;
  #body: { kind: FrameKind; id: number; payload: Buffer; have: number } | undefined;

  constructor(caps: FrameCaps = FULL_CAPS, bodyFor: BodyFor = () => undefined) {
    this.caps = caps;
    this.#bodyFor = bodyFor;
  }

  /** The rest of a payload that has begun: bytes read into it need not be copied when they are pushed. */
  get room(): Buffer | undefined {
    return this.#body?.payload.subarray(this.#body.have);
  }

  /** Counts `length` bytes that were read into `room`; false when they complete the payload, and are to be pushed instead. */
  landed(target: Buffer, length: number): boolean {
    const body = this.#body;
    if (body === undefined || length >= body.payload.length - body.have) return false;
    if (!isAt(target, 0, body.payload, body.have)) return false;
    body.have += length;
    return true;
  }

  /** The frames that these bytes complete, one at a time. @throws ParleyError PROTOCOL_ERROR */
  *push(bytes: Buffer): Generator<Frame, void, void> {
    let at = 0;
    while (at < bytes.length) {
      if (this.#body === undefined) {
        const take = Math.min(HEADER_BYTES - this.#headerHave, bytes.length - at);
        bytes.copy(this.#header, this.#headerHave, at, at + take);
        this.#headerHave += take;
        at += take;
        if (this.#headerHave >= LENGTH_BYTES) this.#checkLength();
        if (this.#headerHave < HEADER_BYTES) return;
        this.#headerHave = 0;
        const { kind, id, payloadBytes } = this.#readHeader();
        const own = this.#bodyFor(kind, id, payloadBytes);
        if (bytes.length - at >= payloadBytes && own === undefined && !this.keeps) {
          yield { kind, id, payload: bytes.subarray(at, at + payloadBytes) };
          at += payloadBytes;
          continue;
        }
        this.#body = { kind, id, payload: own ?? Buffer.allocUnsafeSlow(payloadBytes), have: 0 };
      }
      const body = this.#body;
      const take = Math.min(body.payload.length - body.have, bytes.length - at);
      if (!isAt(bytes, at, body.payload, body.have)) bytes.copy(body.payload, body.have, at, at + take);
      body.have += take;
      at += take;
      if (body.have < body.payload.length) return;
      this.#body = undefined;
      yield { kind: body.kind, id: body.id, payload: body.payload };
    }
  }

  /** A length that no kind may have is refused from its four bytes alone. */
  #checkLength(): void {
    const length = this.#header.readUInt32BE(0);
    const largest = HEADER_BYTES - LENGTH_BYTES + Math.max(this.caps.controlBytes, this.caps.dataBytes);
    if (length < HEADER_BYTES - LENGTH_BYTES || length > largest) {
      throw new ParleyError('PROTOCOL_ERROR', { reason: `a frame of ${length} bytes is outside 5 to ${largest}` });
    }
  }

  #readHeader(): { kind: FrameKind; id: number; payloadBytes: number } {
    const payloadBytes = this.#header.readUInt32BE(0) - (HEADER_BYTES - LENGTH_BYTES);
    const kindNumber = this.#header.readUInt8(4);
    const kind = KIND_OF_NUMBER[kindNumber];
    if (kind === undefined) throw new ParleyError('PROTOCOL_ERROR', { reason: `${kindNumber} is no kind of frame` });
    const fixed = FIXED_PAYLOADS[kind];
    const cap = kind === 'data' ? this.caps.dataBytes : this.caps.controlBytes;
    if (payloadBytes > cap || (fixed !== undefined && payloadBytes !== fixed)) {
      throw new ParleyError('PROTOCOL_ERROR', {
        reason: `a ${kind} frame has ${fixed ?? `at most ${cap}`} bytes, not ${payloadBytes}`,
      });
    }
    return { kind, id: this.#header.readUInt32BE(5), payloadBytes };
  }
}

/** Whether both are the same place in memory. */
export function isAt(bytes: Buffer, at: number, target: Buffer, targetAt: number): boolean {
  return bytes.buffer === target.buffer && bytes.byteOffset + at === target.byteOffset + targetAt;
}
