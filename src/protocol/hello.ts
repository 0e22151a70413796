/** The first frame of each end: who it is, which versions it speaks, what it takes at most. */
import { z } from 'zod';
import { ParleyError } from './errors.js';
import { MAX_CONTROL_BYTES, MAX_DATA_BYTES } from './limits.js';

export const PROTOCOL_VERSION = 1;
/** The oldest version this build still speaks. */
export const OLDEST_VERSION = 1;

export const helloSchema = z.object({
  protocol: z.literal('parley'),
  /** Newest and oldest version spoken; both ends use the lower of the two newest. */
  version: z.number().int().min(1),
  oldest: z.number().int().min(1),
  role: z.enum(['server', 'client', 'agent', 'face', 'peer', 'operator']),
  software: z.string().max(64),
  limits: z.object({ controlBytes: z.number().int().min(1), dataBytes: z.number().int().min(1) }),
  features: z.array(z.string().max(32)).max(32),
  /** On a peer link: the introduction that allows it. */
  introduction: z
    .string()
    .regex(/^[0-9a-f]{32}$/)
    .optional(),
  purpose: z.enum(['private', 'transfer']).optional(),
});
export type Hello = z.output<typeof helloSchema>;
export type Role = Hello['role'];

export function makeHello(role: Role, link: Pick<Hello, 'introduction' | 'purpose'> = {}): Hello {
  return {
    protocol: 'parley',
    version: PROTOCOL_VERSION,
    oldest: OLDEST_VERSION,
    role,
    software: 'parley',
    limits: { controlBytes: MAX_CONTROL_BYTES, dataBytes: MAX_DATA_BYTES },
    features: [],
    ...link,
  };
}

/** @throws ParleyError PROTOCOL_ERROR when it is no hello, VERSION_MISMATCH when no version is common */
export function parseHello(value: unknown): Hello {
  const parsed = helloSchema.safeParse(value);
  if (!parsed.success) throw new ParleyError('PROTOCOL_ERROR', { reason: 'the first frame is no hello' });
  const theirs = parsed.data;
  const common = Math.min(theirs.version, PROTOCOL_VERSION);
  if (common < OLDEST_VERSION || common < theirs.oldest) {
    throw new ParleyError('VERSION_MISMATCH', { ours: PROTOCOL_VERSION, theirs: theirs.version });
  }
  return theirs;
}
