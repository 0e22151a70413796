/** Commands answered by the agent, in the order of help and reference. */
import { download } from './agent/download.js';
import { inbox } from './agent/inbox.js';
import { limits } from './agent/limits.js';
import { listen } from './agent/listen.js';
import { login } from './agent/login.js';
import { logout } from './agent/logout.js';
import { privateCommand } from './agent/private.js';
import { register } from './agent/register.js';
import { seed } from './agent/seed.js';
import { startprivate } from './agent/startprivate.js';
import { status } from './agent/status.js';
import { stopprivate } from './agent/stopprivate.js';
import { transfers } from './agent/transfers.js';
import { why } from './agent/why.js';
import { trust } from './agent/trust.js';
import { verify } from './agent/verify.js';

export const agentCommands = {
  download,
  inbox,
  limits,
  listen,
  login,
  logout,
  private: privateCommand,
  register,
  seed,
  startprivate,
  status,
  stopprivate,
  transfers,
  why,
  trust,
  verify,
} as const;
