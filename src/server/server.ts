/** The server on its sockets, running from `startServer` until `close`. */
import { formatFingerprint } from '../protocol/certificate.js';
import type { Identity } from '../protocol/certificate.js';
import { startCore } from './core.js';
import type { Core, CoreOptions } from './core.js';
import { connectionLimits } from './limits.js';
import type { ConnectionLimits } from './limits.js';
import { formatAddress, startListener } from './listener.js';

export interface ServerOptions extends CoreOptions {
  readonly identity: Identity;
  readonly host: string;
  /** 0 picks a free one. */
  readonly port: number;
  /** Default: what this process may open. */
  readonly limits?: ConnectionLimits | undefined;
}

export interface Server {
  readonly core: Core;
  /** As it was bound, an address. */
  readonly host: string;
  readonly port: number;
  /** `host:port`, with brackets around IPv6. */
  readonly address: string;
  /** `SHA256:…`, what clients pin. */
  readonly fingerprint: string;
  /** Connections that stand now, logged in or not. */
  connections(): number;
  /** Connections that were refused because there were too many. */
  refused(): number;
  /** Accepts no more, finishes what was begun, tells everyone, and ends all connections. Idempotent. */
  close(): Promise<void>;
}

/** @throws ParleyError USAGE when the address cannot be listened on */
export async function startServer(options: ServerOptions): Promise<Server> {
  const core = await startCore(options);
  const { identity, host, port, clock, log } = options;
  const limits = options.limits ?? connectionLimits();
  const onSocket: Parameters<typeof startListener>[0]['onSocket'] = (socket, origin, place) => {
    core.accept(socket, origin, place);
  };
  let listener;
  try {
    listener = await startListener({ identity, host, port, limits, clock, log, onSocket });
  } catch (error) {
    await core.close();
    throw error;
  }
  const running = listener;
  let closing: Promise<void> | undefined;
  const close = async (): Promise<void> => {
    running.close();
    await core.close();
    running.destroyAll();
  };
  return {
    core,
    host: running.host,
    port: running.port,
    address: formatAddress(running.host, running.port),
    fingerprint: formatFingerprint(identity.fingerprint),
    connections: () => running.size,
    refused: () => running.refused,
    close: () => (closing ??= close()),
  };
}
