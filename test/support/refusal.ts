import { ParleyError } from '../../src/protocol/errors.js';

/** The ParleyError that a promise is rejected with; anything else fails the test. */
export async function refusal(promise: Promise<unknown>): Promise<ParleyError> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof ParleyError) return error;
    throw error;
  }
  throw new Error('it was not refused');
}
