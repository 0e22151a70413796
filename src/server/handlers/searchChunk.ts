import { ParleyError } from '../../protocol/errors.js';
import { has } from '../bitmap.js';
import type { Handler } from './handler.js';

export const searchChunk: Handler<'searchChunk'> = async ({ file: name, chunks }, { services: { registry } }) => {
  const file = await registry.find(name);
  const indices = [...new Set(chunks)];
  const beyond = indices.find((index) => index >= file.chunks);
  if (beyond !== undefined) {
    throw new ParleyError('CHUNK_NOT_FOUND', { file: file.name, last: file.chunks - 1, index: beyond });
  }
  const holders = registry.holders(file);
  return {
    file: file.name,
    chunks: indices.map((index) => {
      const names = holders.filter((holder) => has(holder.chunks, index)).map((holder) => holder.name);
      return { index, available: names.length > 0, holders: names };
    }),
  };
};
