/** Trying again what was not answered: so often, with growing pauses, then no more. */
import { ParleyError } from '../../protocol/errors.js';

/** Pauses before each further try, in milliseconds: quick after a hiccup, and over within the time that a person waits. */
export const RETRY_PAUSES_MS: readonly number[] = [250, 500, 1_000, 2_000, 4_000];
/** How long one try waits for its answer, in milliseconds: far longer than a busy server takes. */
export const TRY_DEADLINE_MS = 5_000;

/** Whether nobody answered: then asking again may help. */
export function isUnanswered(thrown: unknown): boolean {
  return thrown instanceof ParleyError && (thrown.code === 'SERVER_UNREACHABLE' || thrown.code === 'TIMEOUT');
}

/**
 * Runs `attempt` until it is answered, one way or the other: once, and again after each of RETRY_PAUSES_MS.
 * @param pause ends after so many milliseconds, or sooner when there is reason to try again
 * @throws what the last attempt threw
 */
export async function withRetries<T>(
  attempt: (number: number) => Promise<T>,
  pause: (ms: number) => Promise<void>,
): Promise<T> {
  for (let number = 0; ; number++) {
    try {
      return await attempt(number);
    } catch (thrown) {
      const pauseMs = RETRY_PAUSES_MS[number];
      if (!isUnanswered(thrown) || pauseMs === undefined) throw thrown;
      await pause(pauseMs);
    }
  }
}
