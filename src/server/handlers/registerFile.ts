import type { IncomingCall } from '../../protocol/command.js';
import type { Clock } from '../../protocol/clock.js';
import { ParleyError } from '../../protocol/errors.js';
import { UPLOAD_DEADLINE_MS } from '../limits.js';
import { DIGEST_BYTES } from '../registry.js';
import { untilAborted } from '../../protocol/turns.js';
import type { Handler } from './handler.js';

export const registerFile: Handler<'registerFile'> = async (params, { session, services }, call) => {
  const { registry, clock, log } = services;
  const { file: name, sizeBytes, chunks } = params;
  await registry.checkNew(name, sizeBytes, chunks);
  const free = [session.uploads.take(), registry.uploads.take()];
  try {
    const digests = await readBody(call, chunks * DIGEST_BYTES, clock);
    const owner = { userId: session.user.id, name: session.user.name };
    const file = await registry.register(owner, params, digests);
    // Who showed no key can have no links, and so gives nothing to others.
    if (session.origin.key !== undefined) registry.hold(owner, file, 'all');
    log.info({ user: session.user.name, file: file.name, sizeBytes, chunks }, 'file registered');
    return { file: file.name };
  } finally {
    for (const give of free) give();
  }
};

/** Exactly so many bytes of the call's stream. @throws ParleyError BAD_REQUEST, TIMEOUT, CANCELLED */
async function readBody(call: IncomingCall, wanted: number, clock: Clock): Promise<Buffer> {
  const wrong = (have: string): ParleyError =>
    new ParleyError('BAD_REQUEST', {
      command: 'registerFile',
      reason: `the body has ${have} bytes, and ${wanted} are due: ${DIGEST_BYTES} for each chunk`,
    });
  const read = async (): Promise<Buffer> => {
    const pieces: Buffer[] = [];
    let have = 0;
    for await (const piece of call.body) {
      have += piece.length;
      if (have > wanted) throw wrong(`more than ${wanted}`);
      pieces.push(piece);
    }
    if (have < wanted) throw wrong(String(have));
    return Buffer.concat(pieces, have);
  };
  const late = new AbortController();
  const cancel = clock.after(UPLOAD_DEADLINE_MS, () =>
    late.abort(new ParleyError('TIMEOUT', { seconds: UPLOAD_DEADLINE_MS / 1000 })),
  );
  try {
    return await untilAborted(AbortSignal.any([call.signal, late.signal]), read());
  } finally {
    cancel();
  }
}
