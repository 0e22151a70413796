/** Commands answered by the peer, in the order of help and reference. */
import { blockDigests } from './peer/blockDigests.js';
import { endPrivate } from './peer/endPrivate.js';
import { fetchBlock } from './peer/fetchBlock.js';
import { privateMessage } from './peer/privateMessage.js';
import { queue } from './peer/queue.js';
import { watchHeld } from './peer/watchHeld.js';

export const peerCommands = {
  blockDigests,
  endPrivate,
  fetchBlock,
  privateMessage,
  queue,
  watchHeld,
} as const;
