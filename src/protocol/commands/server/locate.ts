import { z } from 'zod';
import { defineCommand } from '../../command.js';
import { bitmap, digest, fileRef } from '../../values.js';

export const locate = defineCommand({
  name: 'locate',
  place: 'server',
  says: 'Tells who else online holds which chunks or blocks, without those who block the asker or are blocked by them.',
  params: z.object({ file: fileRef }),
  result: z.object({
    file: z.string(),
    root: digest,
    holders: z.array(
      z.object({
        user: z.string(),
        bitmap,
        partial: z.literal(true).optional().describe('Blocks of other chunks are there as well, or come.'),
      }),
    ),
  }),
  errors: ['FILE_NOT_REGISTERED'],
  pages: ['holders'],
});
