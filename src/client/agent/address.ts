/** `host:port`, as people type it and as pins are named. */
import { ParleyError } from '../../protocol/errors.js';

export interface Address {
  readonly host: string;
  /** 0 to 65,535. */
  readonly port: number;
}

const ADDRESS = /^(?:\[(?<v6>[0-9A-Fa-f:.]+(?:%[\w.-]+)?)\]|(?<host>[^\s:[\]/@]+)):(?<port>\d{1,5})$/;

/** @throws ParleyError USAGE when it is not `host:port` or `[IPv6 address]:port` */
export function parseAddress(text: string): Address {
  const groups = ADDRESS.exec(text.trim())?.groups;
  const host = groups?.['v6'] ?? groups?.['host'];
  const port = Number(groups?.['port']);
  if (host === undefined || !(port <= 65_535)) {
    throw new ParleyError('USAGE', { reason: `'${text}' is no address; write it as HOST:PORT, like 127.0.0.1:8100` });
  }
  return { host: host.toLowerCase(), port };
}

export function formatAddress({ host, port }: Address): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}
