/** The thread that `LinkThread` starts: has links of its own, asks over them, checks what comes and writes it. */
import { write as writeCallback } from 'node:fs';
import { promisify } from 'node:util';
import { parentPort } from 'node:worker_threads';
import { bytesOfWork, checkBlockJob, goodSpans, joinResults, piecesOf } from '../chunks/blockjob.js';
import type { BlockJobResult, BlockWork } from '../chunks/blockjob.js';
import { writeFully, writeFullySync } from '../chunks/files.js';
import type { Writable } from '../chunks/files.js';
import { errnoOf, packError } from '../chunks/fserrors.js';
import type { PackedError } from '../chunks/fserrors.js';
import { systemClock } from '../protocol/clock.js';
import { peerCommands } from '../protocol/commands/peer.js';
import { ParleyError, toParleyError } from '../protocol/errors.js';
import { errorPayload } from '../protocol/wire.js';
import type { Pieces } from './arrivingpieces.js';
import { giveBuffer, takeBuffer } from './blockbuffers.js';
import { BlockWriter } from './blockwriter.js';
import type { BlockSink } from './blockwriter.js';
import { dialIntroduced } from './dialer.js';
import { askBlocks } from './fetch.js';
import type { PeerLink } from './link.js';
import type { FromLinks, TakenAnswer, ToLinks } from './linkmessages.js';

/** Milliseconds between looks at what the links have received: whoever waits for them looks less often. */
const COUNT_EVERY_MS = 100;

type Message<K extends ToLinks['kind']> = Extract<ToLinks, { kind: K }>;

interface Opened {
  readonly link: PeerLink;
  readonly received: BigInt64Array;
}

const links = new Map<number, Opened>();
/** What is being answered, by its number. */
const running = new Map<number, AbortController>();
/** By descriptor: whether that disk is slow. */
const writers = new Map<number, BlockWriter>();
const writeInPool = promisify(writeCallback);
let counting: NodeJS.Timeout | undefined;

function post(message: FromLinks): void {
  parentPort?.postMessage(message);
}

function linkOf({ link }: { link: number }): PeerLink {
  const opened = links.get(link);
  if (opened === undefined) throw new ParleyError('PEER_UNREACHABLE', { reason: 'the link was closed' });
  return opened.link;
}

async function dial({ link: number, options, received }: Message<'dial'>, signal: AbortSignal): Promise<null> {
  const link = await dialIntroduced({ ...options, signal });
  links.set(number, { link, received: new BigInt64Array(received) });
  counting ??= setInterval(count, COUNT_EVERY_MS);
  void link.connection.closed.then((error) => closed(number, error));
  return null;
}

function closed(number: number, error: ParleyError | undefined): void {
  count();
  links.delete(number);
  if (links.size === 0) {
    writers.clear();
    clearInterval(counting);
    counting = undefined;
  }
  post({ kind: 'closed', link: number, error: error === undefined ? undefined : errorPayload(error) });
}

function count(): void {
  for (const { link, received } of links.values()) Atomics.store(received, 0, BigInt(link.bytesReceived()));
}

function call(message: Message<'call'>, signal: AbortSignal): Promise<unknown> {
  const { id, command, params, deadlineMs } = message;
  return linkOf(message).connection.call(peerCommands[command], params as never, {
    signal,
    ...(deadlineMs === undefined ? {} : { deadlineMs }),
    onEvent: (event) => post({ kind: 'event', id, event }),
    // A copy: what a view is of is copied whole otherwise.
    onBytes: (bytes) => post({ kind: 'bytes', id, bytes: new Uint8Array(bytes) }),
  });
}

async function take(message: Message<'take'>, signal: AbortSignal): Promise<TakenAnswer> {
  const { params, work } = message;
  const works = piecesOf(work);
  const pieces: Pieces<Taken> = {
    bytes: works.map(bytesOfWork),
    into: takeBuffer,
    take: async (bytes, piece) => checkAndWrite(works[piece] ?? work, bytes),
    goesOn: (taken) => !('unwritable' in taken) && taken.good.every(Boolean),
  };
  const { taken, failure } = await askBlocks(linkOf(message).connection, params, pieces, signal);
  const done: BlockJobResult[] = [];
  for (const each of taken) {
    if ('unwritable' in each)
      return { result: joinResults(done), failure: { kind: 'unwritable', error: each.unwritable } };
    done.push(each);
  }
  const refused = failure?.kind === 'refused' ? ({ ...failure, error: errorPayload(failure.error) } as const) : failure;
  return { result: joinResults(done), failure: refused };
}

/** What became of a piece. */
type Taken = BlockJobResult | { readonly unwritable: PackedError };

async function checkAndWrite(work: BlockWork, bytes: Buffer): Promise<Taken> {
  try {
    const result = checkBlockJob({ ...work, bytes });
    const writer = writerOf(work.fd);
    for (const { begin, end } of goodSpans(work, result)) {
      await writer.write(work.position + begin, bytes.subarray(begin, end));
    }
    return result;
  } catch (thrown) {
    if (errnoOf(thrown) === undefined) throw thrown;
    return { unwritable: packError(thrown) };
  } finally {
    giveBuffer(bytes);
  }
}

/** A slow disk holds up no other link of this thread. */
function writerOf(fd: number): BlockWriter {
  const known = writers.get(fd);
  if (known !== undefined) return known;
  const file: Writable = { write: (bytes, start, length, position) => writeInPool(fd, bytes, start, length, position) };
  const sink: BlockSink = {
    writeNow: (position, bytes) => writeFullySync(fd, bytes, position),
    write: (position, bytes) => writeFully(file, bytes, position),
  };
  const writer = new BlockWriter(sink, systemClock);
  writers.set(fd, writer);
  return writer;
}

function answer(message: Exclude<ToLinks, Message<'cancel' | 'destroy'>>, signal: AbortSignal): Promise<unknown> {
  switch (message.kind) {
    case 'dial':
      return dial(message, signal);
    case 'call':
      return call(message, signal);
    case 'take':
      return take(message, signal);
    case 'ping':
      return linkOf(message).connection.alive(message.timeoutMs);
  }
}

async function run(message: Exclude<ToLinks, Message<'cancel' | 'destroy'>>): Promise<void> {
  const { id } = message;
  const abort = new AbortController();
  running.set(id, abort);
  try {
    const value = await answer(message, abort.signal);
    count();
    post({ kind: 'answer', id, value });
  } catch (thrown) {
    post({ kind: 'refusal', id, error: errorPayload(toParleyError(thrown)) });
  } finally {
    running.delete(id);
  }
}

parentPort?.on('message', (message: ToLinks) => {
  if (message.kind === 'cancel') running.get(message.id)?.abort();
  else if (message.kind === 'destroy') links.get(message.link)?.link.connection.destroy();
  else void run(message);
});
