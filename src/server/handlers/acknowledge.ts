import type { Handler } from './handler.js';

export const acknowledge: Handler<'acknowledge'> = ({ position }, { session, services }) => {
  services.conversations.acknowledge(session, position);
  return {};
};
