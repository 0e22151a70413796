/** A client that does next to nothing itself, so that what is measured is the server: frames are made by hand and only counted. */
import { connect as connectPlain } from 'node:net';
import type { Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { HEADER_BYTES, encodeFrame } from '../src/protocol/frame.js';
import { makeHello } from '../src/protocol/hello.js';

const REPLY = 3;
const ERROR = 4;
const EVENT = 5;
const PING = 9;
/** `{"position":` and what follows it. */
const POSITION_AT = HEADER_BYTES + '{"position":'.length;
const POSITION = Buffer.from('position');
/** `{"type":"` and the first letter of the type. */
const TYPE_AT = HEADER_BYTES + '{"type":"'.length;
const MESSAGE_TYPES = new Set(Buffer.from('mbg'));

export interface RawTarget {
  readonly host: string;
  readonly port: number;
  readonly privateKeyPem: string;
  readonly certificatePem: string;
  /** Without TLS: `bench/plainserver.ts` is there. */
  readonly plain?: boolean;
}

export class RawClient {
  /** Called for each reply with the id of its call. */
  onReply: (id: number) => void = () => undefined;
  /** Called for each pushed message with its position. */
  onMessage: (position: number, text: Buffer) => void = () => undefined;
  errors = 0;
  readonly #socket: Socket;
  #rest: Buffer = Buffer.alloc(0);
  #nextId = 1;
  /** Of the last pushed message. */
  #position = 0;
  #gathered: Buffer[] = [];

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.setNoDelay(true);
    socket.on('data', (bytes: Buffer) => this.#receive(bytes));
    socket.on('error', () => undefined);
  }

  /** Connected and resumed with a token. */
  static async open(target: RawTarget, token: string): Promise<RawClient> {
    const { host, port, privateKeyPem: key, certificatePem: cert, plain = false } = target;
    const socket = plain
      ? connectPlain(port, host)
      : connectTls({ host, port, key, cert, minVersion: 'TLSv1.3', rejectUnauthorized: false });
    await new Promise<void>((resolve, reject) => {
      socket.once(plain ? 'connect' : 'secureConnect', () => resolve());
      socket.once('error', reject);
    });
    const client = new RawClient(socket);
    socket.write(encodeFrame('hello', 0, JSON.stringify(makeHello('client'))));
    await new Promise<void>((resolve, reject) => {
      client.onReply = () => resolve();
      socket.once('close', () => reject(new Error('the server closed the connection')));
      client.call(JSON.stringify({ command: 'resume', params: { token } }));
    });
    return client;
  }

  /** Sends a call that is encoded already; calls of one turn leave in one write. Returns its id. */
  call(json: string): number {
    const id = this.#nextId;
    this.#nextId += 2;
    this.#send(encodeFrame('call', id, json));
    return id;
  }

  acknowledge(position: number): void {
    this.#send(encodeFrame('call', 0, `{"command":"acknowledge","params":{"position":${position}}}`));
  }

  /** As `call`; resolves with the answer to it. Not to be used while `onReply` counts something else. */
  async ask(json: string): Promise<void> {
    const before = this.onReply;
    await new Promise<void>((resolve) => {
      this.onReply = () => resolve();
      this.call(json);
    });
    this.onReply = before;
  }

  close(): void {
    this.#socket.destroy();
  }

  #send(frame: Buffer): void {
    this.#gathered.push(frame);
    if (this.#gathered.length > 1) return;
    queueMicrotask(() => {
      this.#socket.write(Buffer.concat(this.#gathered));
      this.#gathered = [];
    });
  }

  #receive(bytes: Buffer): void {
    let data = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]);
    while (data.length >= HEADER_BYTES) {
      const end = 4 + data.readUInt32BE(0);
      if (data.length < end) break;
      const kind = data[4];
      if (kind === EVENT) this.#receiveEvent(data.subarray(0, end));
      else if (kind === REPLY) this.onReply(data.readUInt32BE(5));
      else if (kind === ERROR) {
        this.errors += 1;
        if (this.errors === 1) process.stderr.write(`refused: ${data.toString('utf8', HEADER_BYTES, end)}\n`);
        this.onReply(data.readUInt32BE(5));
      } else if (kind === PING) this.#send(encodeFrame('pong', 0, data.subarray(HEADER_BYTES, end)));
      data = data.subarray(end);
    }
    this.#rest = Buffer.from(data);
  }

  #receiveEvent(frame: Buffer): void {
    // Presence and notices begin with another type.
    const explicit = frame.subarray(HEADER_BYTES + 2, HEADER_BYTES + 10).equals(POSITION);
    if (explicit) this.#position = readNumber(frame, POSITION_AT);
    else if (MESSAGE_TYPES.has(frame[TYPE_AT] ?? 0)) this.#position += 1;
    else return;
    this.onMessage(this.#position, frame);
  }
}

function readNumber(bytes: Buffer, from: number): number {
  let number = 0;
  for (let at = from; ; at++) {
    const digit = (bytes[at] ?? 0) - 0x30;
    if (digit < 0 || digit > 9) return number;
    number = number * 10 + digit;
  }
}
