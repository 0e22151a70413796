/** Two ends of a link in memory, which break like a socket: when one is destroyed, so is the other. */
import { duplexPair } from 'node:stream';
import type { Duplex } from 'node:stream';

export function linkedPair(): [Duplex, Duplex] {
  const [left, right] = duplexPair();
  left.on('close', () => right.destroy());
  right.on('close', () => left.destroy());
  // A socket that is not half open answers an end with its own.
  left.on('end', () => left.end());
  right.on('end', () => right.end());
  left.on('error', () => undefined);
  right.on('error', () => undefined);
  return [left, right];
}
