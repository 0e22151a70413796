/** A slow wire before an agent's listener: all its links share so many bytes a second, and what leaves is counted. */
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { Server, Socket } from 'node:net';
import { pipeline } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';

/** Milliseconds of unused rate that may be caught up with: timers are late by about that. */
const MAX_BURST_MS = 20;

export interface CappedWireOptions {
  /** Where links come in. */
  readonly host: string;
  /** Where they go to. */
  readonly to: string;
  /** The same at both ends: an agent advertises the port that it listens on. */
  readonly port: number;
  /** Of what leaves the agent. */
  readonly bytesPerSecond: number;
}

export class CappedWire {
  readonly #options: CappedWireOptions;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  /** When all that left so far is paid for. */
  #paidAt = 0;
  /** Bytes that left the agent, with all that wraps them. */
  sent = 0;

  private constructor(options: CappedWireOptions) {
    this.#options = options;
    this.#server = createServer((incoming) => void this.#carry(incoming));
  }

  static async open(options: CappedWireOptions): Promise<CappedWire> {
    const wire = new CappedWire(options);
    wire.#server.listen(options.port, options.host);
    await once(wire.#server, 'listening');
    return wire;
  }

  async close(): Promise<void> {
    if (!this.#server.listening) return;
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    await once(this.#server, 'close');
  }

  async #carry(incoming: Socket): Promise<void> {
    const { to, port } = this.#options;
    const agent = connect(port, to);
    const ends = [incoming, agent];
    for (const end of ends) this.#sockets.add(end.setNoDelay());
    const slowed = (source: AsyncIterable<Buffer>): AsyncIterable<Buffer> => this.#slowed(source);
    // Links that break are the agents' business.
    await Promise.allSettled([pipeline(incoming, agent), pipeline(agent, slowed, incoming)]);
    for (const end of ends) {
      end.destroy();
      this.#sockets.delete(end);
    }
  }

  async *#slowed(source: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    for await (const bytes of source) {
      this.sent += bytes.length;
      const now = performance.now();
      const from = Math.max(this.#paidAt, now - MAX_BURST_MS);
      this.#paidAt = from + (bytes.length * 1000) / this.#options.bytesPerSecond;
      if (from > now) await sleep(from - now);
      yield bytes;
    }
  }
}
