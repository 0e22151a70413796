import { expect } from 'chai';
import { ERRORS, ParleyError, describe as say, toParleyError } from '../../src/protocol/errors.js';
import type { ErrorCode } from '../../src/protocol/errors.js';

/** CONTRACT section 3: everything that is not 1. */
const EXITS: Partial<Record<ErrorCode, number>> = {
  USAGE: 2,
  SERVER_UNREACHABLE: 3,
  PEER_UNREACHABLE: 3,
  NO_HOLDER: 3,
  TIMEOUT: 3,
  LOGIN_REQUIRED: 4,
  BAD_CREDENTIALS: 4,
  LOCKED_OUT: 4,
  ALREADY_LOGGED_IN: 4,
  KEY_CHANGED: 4,
  CHUNK_GONE: 5,
  HASH_MISMATCH: 5,
  DISK_FULL: 5,
  CANCELLED: 130,
};

describe('errors', () => {
  it('have the exit codes of the contract', () => {
    for (const code of Object.keys(ERRORS) as ErrorCode[]) expect(ERRORS[code].exit, code).to.equal(EXITS[code] ?? 1);
  });

  it('fill in their details and never print undefined', () => {
    expect(say('UNKNOWN_USER', { user: 'zed' })).to.contain('zed');
    for (const code of Object.keys(ERRORS) as ErrorCode[]) expect(say(code)).to.not.match(/undefined|\{/);
  });

  it('count in the singular what there is one of', () => {
    expect(say('BAD_CHUNK_COUNT', { sizeBytes: 1, limit: 1, chunks: 2 })).to.equal(
      'a file of 1 byte can have 1 to 1 chunk, not 2',
    );
    expect(say('BAD_CHUNK_COUNT', { sizeBytes: 0, limit: 11, chunks: 0 })).to.equal(
      'a file of 0 bytes can have 1 to 11 chunks, not 0',
    );
  });

  it('keep the cause of what was not foreseen', () => {
    const cause = new Error('boom');
    const error = toParleyError(cause);
    expect(error.code).to.equal('INTERNAL');
    expect(error.cause).to.equal(cause);
    expect(toParleyError(error)).to.equal(error);
    expect(toParleyError(new DOMException('x', 'AbortError')).code).to.equal('CANCELLED');
    expect(new ParleyError('NO_HOLDER').exitCode).to.equal(3);
  });
});
