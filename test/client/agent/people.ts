/** Users with an agent each, at a real server in this process. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { startAgent } from '../../../src/client/agent/agent.js';
import type { Agent, AgentOptions } from '../../../src/client/agent/agent.js';
import type { CommandSpec, ParamsIn, ResultOf } from '../../../src/protocol/command.js';
import type { Connection } from '../../../src/protocol/connection.js';
import type { ParleyError } from '../../../src/protocol/errors.js';
import type { CallOptions } from '../../../src/protocol/outgoing.js';
import { refusal } from '../../support/refusal.js';
import { startTestServer } from '../../support/server.js';
import type { TestServer } from '../../support/server.js';
import { Heard, connectFace } from './support.js';
import type { Cleanup } from './support.js';

export const USERS = { alice: 'a', bob: 'b', carol: 'c', dave: 'd' } as const;
export type Name = keyof typeof USERS;

export interface Person {
  readonly name: Name;
  readonly home: string;
  /** Where this user's files are. */
  readonly folder: string;
  readonly agent: Agent;
  readonly face: Connection;
  call<S extends CommandSpec>(spec: S, params: ParamsIn<S>, options?: CallOptions): Promise<ResultOf<S>>;
  refused<S extends CommandSpec>(spec: S, params: ParamsIn<S>): Promise<ParleyError>;
  listen(shows?: boolean): Promise<Heard>;
}

export class People {
  readonly #cleanup: Cleanup;
  readonly #folder: string;
  readonly server: TestServer;

  private constructor(cleanup: Cleanup, folder: string, server: TestServer) {
    this.#cleanup = cleanup;
    this.#folder = folder;
    this.server = server;
  }

  static async gather(cleanup: Cleanup, options: Parameters<typeof startTestServer>[0] = {}): Promise<People> {
    const folder = await cleanup.folder();
    const server = await startTestServer({ users: USERS, ...options });
    cleanup.add(() => server.close());
    return new People(cleanup, folder, server);
  }

  /** Logs a user in, with an agent at their home. */
  async arrive(name: Name, options: Partial<AgentOptions> = {}): Promise<Person> {
    const home = join(this.#folder, `${name}-home`);
    const folder = join(this.#folder, name);
    await mkdir(folder, { recursive: true });
    const agent = await startAgent({ home, listen: { host: '127.0.0.1', port: 0 }, random: () => 0, ...options });
    this.#cleanup.add(() => agent.close());
    await agent.login({ server: this.server.address, user: name, password: USERS[name] });
    const face = await connectFace(home);
    return {
      name,
      home,
      folder,
      agent,
      face,
      call: (spec, params, callOptions) => face.call(spec, params, callOptions),
      refused: (spec, params) => refusal(face.call(spec, params)),
      listen: async (shows) => {
        const heard = new Heard(await connectFace(home), shows);
        await heard.attached;
        return heard;
      },
    };
  }
}
