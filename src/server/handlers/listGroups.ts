import type { Handler } from './handler.js';

export const listGroups: Handler<'list_groups'> = async (_params, { services }) => ({
  groups: await services.groups.list(),
});
