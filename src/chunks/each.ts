/** Runs `act` for each item, at most `atOnce` at the same time. The first failure ends it, once those under way are done. */
export async function eachOf<T>(items: Iterable<T>, atOnce: number, act: (item: T) => Promise<unknown>): Promise<void> {
  const iterator = items[Symbol.iterator]();
  const failure: { error?: unknown } = {};
  const worker = async (): Promise<void> => {
    for (let next = iterator.next(); next.done !== true && !('error' in failure); next = iterator.next()) {
      try {
        await act(next.value);
      } catch (error) {
        if (!('error' in failure)) failure.error = error;
      }
    }
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
  if ('error' in failure) throw failure.error;
}
