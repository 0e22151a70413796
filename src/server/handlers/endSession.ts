import type { Handler } from './handler.js';

export const endSession: Handler<'endSession'> = async (_params, { session, end }, { signal }) => {
  await end(session, 'logout');
  // The call is over when it has been answered.
  signal.addEventListener('abort', () => void session.connection.close(), { once: true });
  return {};
};
