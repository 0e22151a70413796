/** Commands answered by the peer, in the order of help and reference. */
import { blockDigests } from './peer/blockDigests.js';
import { endPrivate } from './peer/endPrivate.js';
import { fetchBlock } from './peer/fetchBlock.js';
import { heldChunks } from './peer/heldChunks.js';
import { privateMessage } from './peer/privateMessage.js';
import { queue } from './peer/queue.js';

export const peerCommands = {
  blockDigests,
  endPrivate,
  fetchBlock,
  heldChunks,
  privateMessage,
  queue,
} as const;
