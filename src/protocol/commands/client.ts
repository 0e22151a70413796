/** Commands answered by the client, in the order of help and reference. */
import { expectPeer } from './client/expectPeer.js';

export const clientCommands = {
  expectPeer,
} as const;
