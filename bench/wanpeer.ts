/** What the same network gives to iperf3: one plain TCP stream from each holder, all at once. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { endsWithUs } from '../test/crash/children.js';
import { command } from './measure.js';
import { versionOf } from './proc.js';
import type { Wan } from './wannetwork.js';

const SECONDS = 10;

interface Report {
  readonly end: { readonly sum_received: { readonly bytes: number; readonly seconds: number } };
}

/** Bytes a second of all streams together; undefined where iperf3 is not installed. */
export async function streamsOf({ holders, downloader }: Wan): Promise<number | undefined> {
  if (versionOf('iperf3') === undefined) return undefined;
  const rates = await Promise.all(
    holders.map(async ({ under, address }) => {
      const [program, ...words] = wordsFor(under, '-s', '-1', '-B', address, '--forceflush');
      const server = endsWithUs(spawn(program, words, { stdio: ['ignore', 'pipe', 'inherit'] }));
      const ended = once(server, 'exit');
      try {
        await once(createInterface(server.stdout), 'line');
        const [asker, ...asks] = wordsFor(downloader.under, '-c', address, '-R', '-t', String(SECONDS), '-J');
        const output = await command(asker, asks);
        const { bytes, seconds } = (JSON.parse(output) as Report).end.sum_received;
        return bytes / seconds;
      } catch (thrown) {
        server.kill();
        throw thrown;
      } finally {
        await ended;
      }
    }),
  );
  return rates.reduce((sum, rate) => sum + rate, 0);
}

function wordsFor([first, ...more]: readonly string[], ...words: readonly string[]): [string, ...string[]] {
  return first === undefined ? ['iperf3', ...words] : [first, ...more, 'iperf3', ...words];
}
