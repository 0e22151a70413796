/** Homes, faces and conditions for the agent's tests. */
import { mkdtemp, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { controlSocketPath } from '../../../src/client/agent/socketpath.js';
import { systemClock } from '../../../src/protocol/clock.js';
import type { Clock } from '../../../src/protocol/clock.js';
import { agentCommands } from '../../../src/protocol/commands/agent.js';
import { Connection } from '../../../src/protocol/connection.js';
import { faceEvent } from '../../../src/protocol/events.js';
import type { FaceEvent } from '../../../src/protocol/events.js';
import { makeHello } from '../../../src/protocol/hello.js';

/** What a test made and must be rid of, newest first. */
export class Cleanup {
  #tasks: (() => Promise<unknown>)[] = [];

  add(task: () => Promise<unknown>): void {
    this.#tasks.unshift(task);
  }

  async run(): Promise<void> {
    for (const task of this.#tasks.splice(0)) await task();
  }

  /** A folder that is removed afterwards. */
  async folder(): Promise<string> {
    const path = await mkdtemp(join(tmpdir(), 'parley-agent-'));
    this.add(() => rm(path, { recursive: true, force: true }));
    return path;
  }
}

/** A clock on which time passes so many times faster, for what waits seconds. */
export function hurriedClock(factor: number): Clock {
  return {
    monotonicMs: () => systemClock.monotonicMs() * factor,
    epochMs: () => systemClock.epochMs(),
    after: (delayMs, task) => systemClock.after(delayMs / factor, task),
  };
}

/** A face of the agent that has `home`. */
export async function connectFace(home: string): Promise<Connection> {
  const socket = connect(controlSocketPath(home));
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve);
    socket.once('error', reject);
  });
  const face = new Connection(socket, { hello: makeHello('face'), end: 'dialer' });
  await face.ready;
  return face;
}

/** The events that a listening face hears, to be awaited one by one. */
export class Heard {
  readonly all: FaceEvent[] = [];
  readonly ended: Promise<unknown>;
  /** Resolves when the agent has taken the call: it hears everything from then on. */
  readonly attached: Promise<unknown>;
  #waiters: (() => void)[] = [];

  constructor(face: Connection, shows = false) {
    this.ended = face
      .call(agentCommands.listen, { shows }, { onEvent: (event) => this.#take(faceEvent.parse(event)) })
      .catch((error: unknown) => error);
    // Calls are taken in order.
    this.attached = face.call(agentCommands.status, {});
  }

  /** The first event that fits, already heard or still to come. */
  async find(fits: (event: FaceEvent) => boolean): Promise<FaceEvent> {
    while (true) {
      const found = this.all.find(fits);
      if (found !== undefined) return found;
      await new Promise<void>((resolve) => this.#waiters.push(resolve));
    }
  }

  notice(code: string): Promise<FaceEvent> {
    return this.find((event) => event.type === 'notice' && event.code === code);
  }

  #take(event: FaceEvent): void {
    this.all.push(event);
    for (const wake of this.#waiters.splice(0)) wake();
  }
}

/** Resolves once the condition holds; looks again each turn of the loop, for what no event tells. */
export async function until(holds: () => boolean | Promise<boolean>, limitMs = 10_000): Promise<void> {
  const end = performance.now() + limitMs;
  while (!(await holds())) {
    if (performance.now() > end) throw new Error('it never came to hold');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
