/** The real agent as a process that can be killed, and a face of it. */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { agentCommands } from '../../src/protocol/commands/agent.js';
import type { Connection } from '../../src/protocol/connection.js';
import { faceEvent } from '../../src/protocol/events.js';
import type { FaceEvent } from '../../src/protocol/events.js';
import { dialAgent } from '../../src/client/dial.js';
import { CLIENT_MAIN } from '../support/cast.js';
import { until } from './chance.js';
import { endsWithUs } from './children.js';

export interface AgentOptions {
  readonly home: string;
  readonly user: string;
  readonly password: string;
  /** `host:port`. */
  readonly server: string;
  /** Where links come in; any port of 127.0.0.1 when absent. */
  readonly listen?: string;
  /** What it is run under. */
  readonly under?: readonly string[];
  /** Everything that it tells its faces. */
  readonly onEvent?: (event: FaceEvent) => void;
}

export interface RunningAgent {
  readonly face: Connection;
  readonly pid: number;
  /** Resolves when it is gone. */
  kill(): Promise<void>;
  /** Logs out. */
  end(): Promise<void>;
}

/** Starts an agent on its home and logs in; rejects when that is refused. */
export async function runAgentProcess(options: AgentOptions): Promise<RunningAgent> {
  const { home, user, password, server, onEvent, listen = '127.0.0.1:0', under = [] } = options;
  const words = ['agent', '--background', '--json', '--home', home, '--listen', listen];
  const [program = process.execPath, ...before] = [...under, process.execPath, CLIENT_MAIN, ...words];
  const child = endsWithUs(spawn(program, before, { stdio: ['ignore', 'ignore', 'pipe'] }));
  let complaint = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (complaint += text));
  const isOver = (): boolean => child.exitCode !== null || child.signalCode !== null;
  let face: Connection | undefined;
  try {
    await until('the agent can be reached', async () => {
      if (isOver()) throw new Error(`the agent ended with ${child.exitCode}: ${complaint}`);
      face = await dialAgent(home);
      return face !== undefined;
    });
    if (face === undefined) throw new Error('there is no agent');
    if (onEvent !== undefined) hear(face, onEvent);
    await face.call(agentCommands.login, { server, user, password });
    return { face, pid: child.pid ?? 0, kill: () => end(child, face), end: () => logout(child, face) };
  } catch (error) {
    await end(child, face);
    throw error;
  }
}

function hear(face: Connection, onEvent: (event: FaceEvent) => void): void {
  const heard = (value: unknown): void => {
    const { data } = faceEvent.safeParse(value);
    if (data !== undefined) onEvent(data);
  };
  face.call(agentCommands.listen, {}, { onEvent: heard }).catch(() => undefined);
}

async function end(child: ChildProcess, face: Connection | undefined): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) {
    const exited = once(child, 'exit');
    child.kill('SIGKILL');
    await exited;
  }
  // What it said before it was killed is still read.
  await face?.closed;
}

async function logout(child: ChildProcess, face: Connection | undefined): Promise<void> {
  const exited = once(child, 'exit');
  await face?.call(agentCommands.logout, {}).catch(() => undefined);
  const late = setTimeout(() => child.kill('SIGKILL'), 5_000);
  await exited;
  clearTimeout(late);
  face?.destroy();
}
