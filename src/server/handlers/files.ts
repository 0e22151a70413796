import { fitsPattern } from '../glob.js';
import type { Handler } from './handler.js';

export const files: Handler<'files'> = async ({ pattern }, { services: { registry } }, { signal }) => {
  const wanted = pattern?.normalize('NFC');
  const found = [];
  for await (const page of registry.list()) {
    signal.throwIfAborted();
    for (const file of page) {
      if (wanted !== undefined && !fitsPattern(file.name, wanted)) continue;
      const { name, sizeBytes, chunks, ownerName } = file;
      const folder = file.indexBytes === undefined ? {} : { folder: true as const };
      found.push({ file: name, sizeBytes, chunks, ...folder, owner: ownerName, holders: registry.countHolders(file) });
    }
  }
  return { files: found };
};
