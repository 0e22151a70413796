import type { Handler } from './handler.js';

export const searchFile: Handler<'searchFile'> = async ({ file: name }, { services: { registry } }) => {
  const file = await registry.find(name);
  const holders = registry.holders(file);
  return {
    file: file.name,
    available: registry.isAvailable(file, holders),
    sizeBytes: file.sizeBytes,
    chunks: file.chunks,
    ...(file.indexBytes === undefined ? {} : { folder: true as const }),
    owner: file.ownerName,
    root: file.root,
    holders: holders.map((holder) => holder.name),
  };
};
