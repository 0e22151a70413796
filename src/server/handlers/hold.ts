import { ParleyError } from '../../protocol/errors.js';
import type { Handler } from './handler.js';

export const hold: Handler<'hold'> = async (
  { file: name, root, chunks, partial = false },
  { session, services: { registry } },
) => {
  if (session.origin.key === undefined) throw new ParleyError('KEY_REQUIRED');
  const file = await registry.find(name);
  if (file.root !== root) throw new ParleyError('BYTES_DIFFER', { path: file.name, file: file.name });
  registry.hold({ userId: session.user.id, name: session.user.name }, file, chunks, partial);
  return {};
};
