import { formatAddress } from '../listener.js';
import type { Handler } from './handler.js';

export const advertise: Handler<'advertise'> = async ({ port }, { session, services }, { signal }) => {
  const reach = await services.introductions.advertise(session, port, signal);
  const address = formatAddress(session.origin.address, port);
  if (reach.kind === 'reachable') return { address, reachable: true };
  return { address, reachable: false, ...(reach.kind === 'unreachable' ? { reason: reach.reason } : {}) };
};
