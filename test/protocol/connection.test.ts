import { expect } from 'chai';
import { z } from 'zod';
import { Connection } from '../../src/protocol/connection.js';
import type { ConnectionOptions } from '../../src/protocol/connection.js';
import { defineCommand } from '../../src/protocol/command.js';
import type { Handlers, IncomingCall } from '../../src/protocol/command.js';
import { ParleyError } from '../../src/protocol/errors.js';
import { FrameDecoder, HEADER_BYTES, encodeFrame } from '../../src/protocol/frame.js';
import { makeHello } from '../../src/protocol/hello.js';
import { FakeClock } from '../support/fakeclock.js';
import { linkedPair } from '../support/pair.js';
import { refusal } from '../support/refusal.js';

const echo = defineCommand({
  name: 'echo',
  place: 'server',
  says: 'Says it back.',
  params: z.object({ text: z.string() }),
  result: z.object({ text: z.string() }),
  errors: ['EMPTY_MESSAGE'],
});
const count = defineCommand({
  name: 'count',
  place: 'server',
  says: 'Counts.',
  params: z.object({ to: z.number() }),
  result: z.object({ items: z.array(z.number()) }),
  errors: [],
  pages: ['items'],
});
const bytes = defineCommand({
  name: 'bytes',
  place: 'server',
  says: 'Gives bytes.',
  params: z.object({ total: z.number(), inPlace: z.boolean().optional() }),
  result: z.object({ total: z.number() }),
  errors: [],
  bytes: 'zeros',
});
const manyBytes = defineCommand({ ...bytes, name: 'manyBytes', windowBytes: 3 << 20 });
const upload = defineCommand({
  name: 'upload',
  place: 'server',
  says: 'Takes bytes.',
  params: z.object({}),
  result: z.object({ total: z.number() }),
  errors: [],
  body: 'anything',
});
const wait = defineCommand({
  name: 'wait',
  place: 'server',
  says: 'Waits for a cancel.',
  params: z.object({}),
  result: z.object({}),
  errors: [],
});
const note = defineCommand({
  name: 'note',
  place: 'server',
  says: 'Notes it.',
  params: z.object({ text: z.string() }),
  result: z.object({}),
  errors: [],
  tellable: true,
});
const specs = { echo, count, bytes, manyBytes, upload, wait, note } as const;

async function giveBytes(
  { total, inPlace }: { total: number; inPlace?: boolean | undefined },
  call: IncomingCall,
): Promise<{ total: number }> {
  for (let sent = 0; sent < total;) {
    const size = Math.min(1 << 20, total - sent);
    if (inPlace === true) await call.writeInPlace(Buffer.alloc(HEADER_BYTES + size));
    else await call.write(Buffer.alloc(size));
    sent += size;
  }
  return { total };
}

const notes: string[] = [];

const waits: AbortSignal[] = [];
const handlers: Handlers<typeof specs, undefined> = {
  note: ({ text }) => {
    notes.push(text);
    if (text === '') throw new ParleyError('EMPTY_MESSAGE');
    return {};
  },
  echo: ({ text }) => {
    if (text === '') throw new ParleyError('EMPTY_MESSAGE');
    return { text };
  },
  count: ({ to }) => ({ items: Array.from({ length: to }, (_, i) => i) }),
  bytes: (params, _, call) => giveBytes(params, call),
  manyBytes: (params, _, call) => giveBytes(params, call),
  upload: async (_, __, call) => {
    let total = 0;
    for await (const piece of call.body) total += piece.length;
    return { total };
  },
  wait: (_, __, call) =>
    new Promise((_resolve, reject) => {
      waits.push(call.signal);
      call.signal.addEventListener('abort', () => reject(new ParleyError('CANCELLED')));
    }),
};

function pair(
  dialer: Partial<ConnectionOptions> = {},
  listener: Partial<ConnectionOptions> = {},
): [Connection, Connection] {
  const [a, b] = linkedPair();
  const left = new Connection(a, { hello: makeHello('client'), end: 'dialer', ...dialer });
  const right = new Connection(b, { hello: makeHello('server'), end: 'listener', ...listener });
  right.serve(specs, async (spec, params, call) => {
    const handler = handlers[spec.name as keyof typeof specs] as (
      p: unknown,
      c: undefined,
      i: typeof call,
    ) => Promise<object>;
    return handler(params, undefined, call);
  });
  return [left, right];
}

async function* endless(): AsyncGenerator<Buffer, void, void> {
  yield Buffer.alloc(1);
  await new Promise(() => undefined);
}

describe('Connection', () => {
  it('exchanges hellos and answers calls', async () => {
    const [left, right] = pair();
    expect((await left.ready).role).to.equal('server');
    expect((await right.ready).role).to.equal('client');
    expect(await left.call(echo, { text: 'grüße' })).to.deep.equal({ text: 'grüße' });
    await left.close();
    expect(await right.closed).to.equal(undefined);
  });

  it('answers calls that came before it served, once it does', async () => {
    const [a, b] = linkedPair();
    const left = new Connection(a, { hello: makeHello('client'), end: 'dialer' });
    const right = new Connection(b, { hello: makeHello('server'), end: 'listener' });
    const call = left.call(echo, { text: 'early' });
    while (right.servingCalls === 0) await new Promise(setImmediate);
    right.serve({ echo }, (_spec, params) => Promise.resolve(params as object));
    expect(await call).to.deep.equal({ text: 'early' });
    left.destroy();
  });

  it('lets an answer be seen before the events behind it, also when all comes at once and the link ends', async () => {
    const [a, b] = linkedPair();
    const left = new Connection(a, { hello: makeHello('client'), end: 'dialer' });
    b.write(encodeFrame('hello', 0, JSON.stringify(makeHello('server'))));
    await left.ready;
    const seen: unknown[] = [];
    const waited = left.call(wait, {}, { onEvent: (event) => void seen.push(event) }).then(() => seen.push('the end'));
    const asked = left.call(echo, { text: '' }).then(({ text }) => seen.push(text));
    await new Promise(setImmediate);
    const frames = [
      encodeFrame('event', 1, '{"number":1}'),
      encodeFrame('reply', 3, '{"text":"answer"}'),
      encodeFrame('event', 1, '{"number":2}'),
      encodeFrame('reply', 1, '{}'),
    ];
    b.end(Buffer.concat(frames));
    await Promise.all([waited, asked]);
    expect(seen).to.deep.equal([{ number: 1 }, 'answer', { number: 2 }, 'the end']);
  });

  it('carries refusals with code and details', async () => {
    const [left] = pair();
    expect((await refusal(left.call(echo, { text: '' }))).code).to.equal('EMPTY_MESSAGE');
    const bad = await refusal(left.call(echo, { text: 7 as unknown as string }));
    expect(bad.code).to.equal('BAD_REQUEST');
    expect(bad.message).to.contain('text');
    const unknown = await refusal(left.call({ ...echo, name: '__proto__' as 'echo' }, { text: 'x' }));
    expect(unknown.code).to.equal('UNKNOWN_COMMAND');
    left.destroy();
  });

  it('hears what is told without answering it, and nothing else that has no id', async () => {
    const [client, server] = pair();
    await client.ready;
    notes.length = 0;
    for (const text of ['one', '', 'two']) client.tell(note, { text });
    expect(await client.call(note, { text: 'asked' })).to.deep.equal({});
    expect(notes).to.deep.equal(['one', '', 'two', 'asked']);
    client.tell(echo, { text: 'what may only be asked' });
    expect((await server.closed)?.code).to.equal('PROTOCOL_ERROR');
    await client.closed;
  });

  it('cuts a long list into pages and joins them', async () => {
    const [left] = pair();
    const { items } = await left.call(count, { to: 50_000 });
    expect(items).to.have.length(50_000);
    expect(items[49_999]).to.equal(49_999);
    left.destroy();
  });

  for (const inPlace of [false, true]) {
    it(`streams more bytes than a window before the reply${inPlace ? ', in place' : ''}`, async () => {
      const [left] = pair();
      let total = 0;
      const size = 5 * 1024 * 1024 + 3;
      const reply = await left.call(bytes, { total: size, inPlace }, { onBytes: (b) => void (total += b.length) });
      expect(total).to.equal(size);
      expect(reply.total).to.equal(size);
      left.destroy();
    });
  }

  for (const [spec, windowMiB] of [
    [bytes, 1],
    [manyBytes, 3],
  ] as const) {
    it(`holds the sender back while the receiver does not take bytes: ${windowMiB} MiB`, async () => {
      const [left] = pair();
      let taken = 0;
      let begun = 0;
      let release: () => void = () => undefined;
      const gate = new Promise<void>((resolve) => (release = resolve));
      const call = left.call(
        spec,
        { total: 8 << 20 },
        { into: (length) => ((begun += length), undefined), onBytes: async (b) => ((taken += b.length), gate) },
      );
      for (let turn = 0; turn < 100; turn++) await new Promise(setImmediate);
      expect(taken).to.equal(1 << 20);
      expect(begun).to.equal(windowMiB << 20);
      release();
      await call;
      expect(taken).to.equal(8 << 20);
      left.destroy();
    });
  }

  it('grants no more than the caller wants', async () => {
    const [left, right] = pair();
    let taken = 0;
    const abort = new AbortController();
    const onBytes = (b: Buffer): void => void (taken += b.length);
    const call = left.call(bytes, { total: 8 << 20 }, { onBytes, wantedBytes: 5 << 19, signal: abort.signal });
    for (let turn = 0; turn < 100; turn++) await new Promise(setImmediate);
    // The window that brought it there was granted whole.
    expect(taken).to.equal(3 << 20);
    expect(right.servingCalls).to.equal(1);
    abort.abort();
    expect((await refusal(call)).code).to.equal('CANCELLED');
    expect(await left.call(bytes, { total: 5 << 19 }, { onBytes, wantedBytes: 5 << 19 })).to.deep.equal({
      total: 5 << 19,
    });
    left.destroy();
  });

  it('takes a body of any size', async () => {
    const [left] = pair();
    const body = [Buffer.alloc(3 << 20), Buffer.alloc(7)];
    expect(await left.call(upload, {}, { body })).to.deep.equal({ total: (3 << 20) + 7 });
    expect(await left.call(upload, {}, { body: [] })).to.deep.equal({ total: 0 });
    left.destroy();
  });

  it('cancels a call at both ends, by signal and by deadline', async () => {
    const [left] = pair();
    const abort = new AbortController();
    const call = left.call(wait, {}, { signal: abort.signal });
    while (waits.length === 0) await new Promise(setImmediate);
    abort.abort();
    expect((await refusal(call)).code).to.equal('CANCELLED');
    const timed = await refusal(left.call(wait, {}, { deadlineMs: 5 }));
    expect(timed.code).to.equal('TIMEOUT');
    while (waits.some((signal) => !signal.aborted)) await new Promise(setImmediate);
    left.destroy();
  });

  it('ends a stream that waits for credit, and a body that waits for bytes, when the call is cancelled', async () => {
    const [left, right] = pair();
    for (const [spec, params, options] of [
      [bytes, { total: 8 << 20 }, { onBytes: () => new Promise<void>(() => undefined) }],
      [upload, {}, { body: endless() }],
    ] as const) {
      const abort = new AbortController();
      const call = left.call(spec as typeof bytes, params as { total: number }, { ...options, signal: abort.signal });
      while (right.servingCalls === 0) await new Promise(setImmediate);
      for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate);
      abort.abort();
      expect((await refusal(call)).code).to.equal('CANCELLED');
      while (right.servingCalls > 0) await new Promise(setImmediate);
    }
    left.destroy();
  });

  it('pings after 15 s of silence and takes the other end for dead after 45 s', async () => {
    const clock = new FakeClock();
    const [a, b] = linkedPair();
    const right = new Connection(b, { hello: makeHello('server'), end: 'listener', clock });
    let pings = 0;
    const decoder = new FrameDecoder();
    a.on('data', (chunk: Buffer) => {
      for (const frame of decoder.push(chunk)) if (frame.kind === 'ping') pings += 1;
    });
    await clock.advance(7_000);
    a.write(encodeFrame('hello', 0, JSON.stringify(makeHello('client'))));
    await right.ready;
    await clock.advance(14_900);
    expect(pings).to.equal(0);
    await clock.advance(15_200);
    expect(pings).to.equal(2);
    await clock.advance(14_800);
    expect(right.isOpen).to.equal(true);
    await clock.advance(200);
    expect((await right.closed)?.code).to.equal('TIMEOUT');
  });

  it('fails open calls when the link breaks, with the error that its owner names', async () => {
    const [left, right] = pair({ lost: (reason) => new ParleyError('SERVER_UNREACHABLE', { server: 's', reason }) });
    const call = left.call(wait, {});
    await left.ready;
    right.destroy();
    expect((await refusal(call)).code).to.equal('SERVER_UNREACHABLE');
    expect((await refusal(left.call(wait, {}))).code, 'a call made afterwards').to.equal('SERVER_UNREACHABLE');
  });

  it('refuses a frame that is no hello, a second hello and a wrong version', async () => {
    const [a, b] = linkedPair();
    const right = new Connection(b, { hello: makeHello('server'), end: 'listener' });
    a.resume();
    a.write(encodeFrame('call', 1, '{"command":"echo"}'));
    expect((await right.closed)?.code).to.equal('PROTOCOL_ERROR');
    const [c, d] = linkedPair();
    const versions = new Connection(d, { hello: makeHello('server'), end: 'listener' });
    c.resume();
    c.write(encodeFrame('hello', 0, JSON.stringify({ ...makeHello('client'), version: 9, oldest: 9 })));
    expect((await versions.closed)?.code).to.equal('VERSION_MISMATCH');
  });

  it('refuses JSON nested 5,000 deep, and keeps __proto__ an ordinary name', async () => {
    const [a, b] = linkedPair();
    const right = new Connection(b, { hello: makeHello('server'), end: 'listener' });
    a.resume();
    a.write(encodeFrame('hello', 0, JSON.stringify(makeHello('client'))));
    a.write(encodeFrame('call', 1, `{"command":"echo","params":${'['.repeat(5000)}${']'.repeat(5000)}}`));
    expect((await right.closed)?.message).to.contain('nested');
  });

  it('tells the other end why it closes', async () => {
    const [left, right] = pair();
    await left.ready;
    void right.close(new ParleyError('LOGIN_REQUIRED'));
    expect((await left.closed)?.code).to.equal('LOGIN_REQUIRED');
  });

  it('cuts off a reader that does not read its events', async () => {
    const [a, b] = linkedPair();
    const right = new Connection(b, { hello: makeHello('server'), end: 'listener' });
    a.write(encodeFrame('hello', 0, JSON.stringify(makeHello('client'))));
    await right.ready;
    for (let i = 0; i < 100 && right.isOpen; i++) {
      right.sendEvent({ text: 'x'.repeat(10_000) });
      await new Promise(setImmediate);
    }
    expect((await right.closed)?.message).to.contain('not being read');
  });
});
