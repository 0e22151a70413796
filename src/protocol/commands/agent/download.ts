import { z } from 'zod';
import { defineCommand } from '../../command.js';
import { transferState } from '../../events.js';
import { fileRef } from '../../values.js';
import { folderCounts } from './register.js';

export const download = defineCommand({
  name: 'download',
  place: 'agent',
  says: 'Fetches a file or folder, or some of its chunks, from everyone who holds them at once; resumes what was begun.',
  params: z.object({
    file: fileRef,
    chunks: z.array(z.number().int().min(0)).optional().describe('Only these chunks; all when absent or empty.'),
    output: z
      .string()
      .max(4096)
      .optional()
      .describe('Where to: a file or an existing folder; made absolute by the face.'),
    directory: z.string().max(4096).describe('The folder it was typed in.'),
    jobs: z.number().int().min(1).max(64).optional().describe('Holders asked at once.'),
    limitRate: z.number().int().min(1).optional().describe('Bytes a second, of this download.'),
    overwrite: z.boolean().optional(),
  }),
  result: z.object({
    file: z.string(),
    path: z.string(),
    sizeBytes: z.number(),
    chunks: z.array(z.number()).describe('Chunks fetched by this command.'),
    held: z.array(z.number()).describe('Chunks that are here now, those included.'),
    complete: z.boolean(),
    sources: z.array(z.object({ user: z.string(), bytes: z.number() })),
    folder: folderCounts,
    setAside: z
      .string()
      .optional()
      .describe('Where a folder that had the name before is now, after --overwrite: folders are never deleted.'),
    alreadyThere: z
      .boolean()
      .optional()
      .describe('Present when the target was there already with the registered bytes.'),
  }),
  errors: [
    'FILE_NOT_REGISTERED',
    'CHUNK_NOT_FOUND',
    'NO_HOLDER',
    'DISK_FULL',
    'TARGET_EXISTS',
    'HASH_MISMATCH',
    'CHUNK_GONE',
    'BAD_FOLDER_INDEX',
  ],
  events: z.object({ type: z.literal('transfer'), transfer: transferState }),
  pages: ['chunks', 'held'],
  unbounded: true,
  cli: {
    arguments: [
      { param: 'file', kind: 'word', completes: 'file' },
      { param: 'chunks', label: 'n', kind: 'integers', optional: true, completes: 'chunk' },
    ],
    options: [
      {
        flags: '-o, --output <path>',
        param: 'output',
        kind: 'path',
        says: 'the file or folder to write to',
        completes: 'path',
      },
      {
        flags: '-j, --jobs <n>',
        param: 'jobs',
        kind: 'integer',
        says: 'ask at most so many holders at once (default 8)',
      },
      {
        flags: '--limit-rate <rate>',
        param: 'limitRate',
        kind: 'rate',
        says: 'bytes a second, with K, M or G if you like',
      },
      {
        flags: '--overwrite',
        param: 'overwrite',
        kind: 'flag',
        says: 'replace an existing file that holds other bytes; set an existing folder aside',
      },
    ],
    examples: [
      { line: 'download movie.mkv', says: 'all of it, into this folder' },
      { line: 'download movie.mkv 0 2 -o /tmp/', says: 'the chunks 0 and 2, kept in /tmp/movie.mkv.part' },
    ],
  },
});
