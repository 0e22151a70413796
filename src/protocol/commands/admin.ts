/** Commands answered by the server for its operator, in the order of help and reference. */
import { kick } from './admin/kick.js';
import { status } from './admin/status.js';
import { unlock } from './admin/unlock.js';

export const adminCommands = {
  status,
  kick,
  unlock,
} as const;
