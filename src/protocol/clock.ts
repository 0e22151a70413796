/** Time as the rest of the code sees it, so that tests can turn the hands. */
export interface Clock {
  /** Milliseconds on a clock that never jumps; only differences mean something. For every timer and deadline. */
  monotonicMs(): number;
  /** Milliseconds since 1970 in UTC; may jump. Only for what people read and what is stored. */
  epochMs(): number;
  /** Runs `task` once after `delayMs`; the returned function cancels it. The timer alone does not keep a process alive. */
  after(delayMs: number, task: () => void): () => void;
}

export const systemClock: Clock = {
  monotonicMs: () => performance.now(),
  epochMs: () => Date.now(),
  after: (delayMs, task) => {
    const timer = setTimeout(task, delayMs);
    timer.unref();
    return () => clearTimeout(timer);
  },
};

/** Resolves after `ms`, or when the signal aborts. */
export async function pause(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  await new Promise<void>((resolve) => {
    const done = (): void => {
      cancel();
      signal.removeEventListener('abort', done);
      resolve();
    };
    const cancel = clock.after(ms, done);
    signal.addEventListener('abort', done, { once: true });
    if (signal.aborted) done();
  });
}
