/** A user whose client keeps to the protocol but for what it serves: a holder at a real server, in this process. */
import type { Connection } from '../../src/protocol/connection.js';
import { makeIdentity } from '../../src/protocol/certificate.js';
import type { ParamsOf } from '../../src/protocol/command.js';
import { clientCommands } from '../../src/protocol/commands/client.js';
import { serverCommands } from '../../src/protocol/commands/server.js';
import { startPeerListener } from '../../src/p2p/listener.js';
import type { PeerListener } from '../../src/p2p/listener.js';
import { Pins } from '../../src/p2p/pins.js';
import { Provider } from '../../src/p2p/provider.js';
import { shareOf } from '../p2p/swarm.js';
import type { TestFile, TestHolder } from '../p2p/swarm.js';
import { dialServer } from '../support/server.js';

export interface RogueOptions {
  readonly password: string;
  readonly server: { readonly host: string; readonly port: number };
  /** For what is pinned. */
  readonly home: string;
  readonly file: TestFile;
  /** Who it is, and how it misbehaves. */
  readonly holder: TestHolder;
}

export class Rogue {
  readonly #connection: Connection;
  readonly #listener: PeerListener;
  readonly #pins: Pins;
  readonly #links: Connection[];

  private constructor(connection: Connection, listener: PeerListener, pins: Pins, links: Connection[]) {
    this.#connection = connection;
    this.#listener = listener;
    this.#pins = pins;
    this.#links = links;
  }

  /** Logs in, takes links, and says that it holds all of the file. */
  static async arrive({ password, server, home, file, holder }: RogueOptions): Promise<Rogue> {
    const { user } = holder;
    const identity = await makeIdentity(user);
    const pins = await Pins.open(home);
    const share = shareOf(file, holder);
    const provider = new Provider({ shares: { find: (root) => (root === file.manifest.root ? share : undefined) } });
    const listener = await startPeerListener({
      identity,
      pins,
      host: '127.0.0.1',
      port: 0,
      onLink: ({ peer, connection }) => {
        holder.ends.push(connection);
        provider.serve(peer, connection);
      },
    });
    const connection = await dialServer(server, { identity });
    connection.serve(clientCommands, (_spec, params) => {
      listener.expect(params as ParamsOf<typeof clientCommands.expectPeer>);
      return Promise.resolve({});
    });
    await connection.call(serverCommands.login, { user, password });
    await connection.call(serverCommands.advertise, { port: listener.port });
    await connection.call(serverCommands.hold, { file: file.name, root: file.manifest.root, chunks: 'all' });
    return new Rogue(connection, listener, pins, holder.ends);
  }

  async close(): Promise<void> {
    this.#listener.close();
    for (const link of this.#links) link.destroy();
    this.#connection.destroy();
    await this.#connection.closed;
    await this.#pins.flush();
  }
}
