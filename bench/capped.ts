/** A slow wire before an agent's listener: all its links share so many bytes a second, and what leaves is counted. */
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { Server, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { farWire } from './farwire.js';
import type { Distance } from './farwire.js';

/** Milliseconds of unused rate that may be caught up with: timers are late by about that. */
const MAX_BURST_MS = 20;

/** With a distance, the agent is that far away. */
export interface CappedWireOptions extends Partial<Distance> {
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
  /** Directions of links so far. */
  #directions = 0;
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
    const [there, back] = [this.#far(), this.#far()];
    // Links that break are the agents' business.
    await Promise.allSettled([
      there === undefined ? pipeline(incoming, agent) : pipeline(incoming, there, agent),
      back === undefined ? pipeline(agent, slowed, incoming) : pipeline(agent, slowed, back, incoming),
    ]);
    for (const end of ends) {
      end.destroy();
      this.#sockets.delete(end);
    }
  }

  #far(): Duplex | undefined {
    const { roundTripMs, loss = 0, seed = 0 } = this.#options;
    this.#directions += 1;
    return roundTripMs === undefined
      ? undefined
      : farWire({ roundTripMs, loss, seed: seed * 1_000 + this.#directions });
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
