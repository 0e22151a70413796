import { z } from 'zod';
import { defineCommand } from '../../command.js';

/** Events while a file is read through. */
export const readingProgress = z.object({ type: z.literal('reading'), bytes: z.number(), sizeBytes: z.number() });

/** Present when it is a folder: what is in it. */
export const folderCounts = z
  .object({ files: z.number(), folders: z.number() })
  .optional()
  .describe('Present when it is a folder: what is in it.');

export const register = defineCommand({
  name: 'register',
  place: 'agent',
  says: 'Registers a file, or a folder with all that is in it, under its base name, cut into so many chunks, and shares it from where it is.',
  params: z.object({ path: z.string().max(4096), chunks: z.number() }),
  result: z.object({
    file: z.string(),
    sizeBytes: z.number().describe('Of a folder: its files and their index.'),
    chunks: z.number(),
    root: z.string(),
    folder: folderCounts,
    skipped: z
      .array(z.object({ path: z.string(), kind: z.string() }))
      .optional()
      .describe('Of a folder: what is in it and is not shared: symbolic links, sockets, pipes, devices.'),
  }),
  errors: ['FILE_ALREADY_REGISTERED', 'FILE_MISSING', 'BAD_CHUNK_COUNT', 'BAD_NAME', 'TOO_MANY_FILES'],
  events: readingProgress,
  pages: ['skipped'],
  unbounded: true,
  cli: {
    arguments: [
      { param: 'path', label: 'file', kind: 'path', completes: 'path' },
      { param: 'chunks', label: 'number_of_chunks', kind: 'integer' },
    ],
    examples: [
      { line: 'register movie.mkv 5', says: 'others find it as movie.mkv, in 5 chunks' },
      { line: 'register photos 20', says: 'the whole folder, as photos' },
    ],
  },
});
