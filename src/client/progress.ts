/** Bars on stderr while bytes move; made only when stderr is a terminal. */
import { MultiBar } from 'cli-progress';
import type { SingleBar } from 'cli-progress';
import { z } from 'zod';
import { transferState } from '../protocol/events.js';
import type { TransferState } from '../protocol/events.js';
import { readingProgress } from '../protocol/commands/agent/register.js';
import { printable } from '../protocol/values.js';
import { durationText, rateText, sizeText } from './units.js';

/** Events of a command that move bars. */
const progressEvent = z.discriminatedUnion('type', [
  readingProgress,
  z.object({ type: z.literal('transfer'), transfer: transferState }),
]);

type ProgressEvent = z.output<typeof progressEvent>;

/** Bars of sources at most: more scroll off a terminal. */
const MAX_SOURCE_BARS = 16;

export interface Progress {
  /** Takes an event of the call; one that is none of progress is passed over. */
  update(event: unknown): void;
  /** Fills the bars: all that was to be done is done, whether the last event said so or not. */
  complete(): void;
  /** Prints whole lines above the bars. */
  print(text: string): void;
  /** Leaves the bars as they stand and gives the cursor back. Idempotent. */
  stop(): void;
}

export function makeProgress(stream: NodeJS.WritableStream): Progress {
  const bars = new MultiBar({
    stream,
    format: '{name} [{bar}] {note}',
    barsize: 24,
    barCompleteChar: '=',
    barIncompleteChar: ' ',
    hideCursor: true,
    clearOnComplete: false,
    stopOnComplete: false,
    gracefulExit: false, // Signals are the caller's.
    forceRedraw: true, // What is printed above moves bars that did not change, too.
    fps: 10,
  });
  const byKey = new Map<string, SingleBar>();
  let stopped = false;
  let last: ProgressEvent | undefined;

  const show = (key: string, total: number, value: number, payload: { name: string; note: string }): void => {
    const room = Math.max(1, total); // An empty file has a bar, too.
    let bar = byKey.get(key);
    if (bar === undefined) {
      if (byKey.size > MAX_SOURCE_BARS) return;
      bar = bars.create(room, 0, payload);
      byKey.set(key, bar);
    }
    bar.setTotal(room);
    bar.update(total === 0 ? room : Math.min(value, room), payload);
  };

  return {
    update: (event) => {
      const parsed = progressEvent.safeParse(event);
      if (stopped || !parsed.success) return;
      last = parsed.data;
      showEvent(last, show);
    },
    complete: () => {
      if (stopped || last === undefined) return;
      if (last.type === 'reading') showEvent({ ...last, bytes: last.sizeBytes }, show);
      else showEvent({ ...last, transfer: { ...last.transfer, state: 'done', bytes: last.transfer.sizeBytes } }, show);
    },
    print: (text) => {
      // Each line takes the place of a bar: the rest of that has to go.
      if (byKey.size > 0 && !stopped) bars.log(text.replaceAll('\n', '\u001b[K\n'));
      else stream.write(text);
    },
    stop: () => {
      if (!stopped && byKey.size > 0) {
        bars.update(); // Prints what waits to stand above.
        bars.stop();
      }
      stopped = true;
    },
  };
}

type Show = (key: string, total: number, value: number, payload: { name: string; note: string }) => void;

function showEvent(event: ProgressEvent, show: Show): void {
  if (event.type === 'transfer') {
    showTransfer(event.transfer, show);
    return;
  }
  const { bytes, sizeBytes } = event;
  show('reading', sizeBytes, bytes, { name: 'reading', note: `${sizeText(bytes)} of ${sizeText(sizeBytes)}` });
}

function showTransfer(transfer: TransferState, show: Show): void {
  const { file, bytes, sizeBytes, rate, secondsLeft, sources, state, code } = transfer;
  const names = [file, ...sources.map(({ user }) => `  ${user}`)].map((name) => shorten(printable(name)));
  const width = Math.max(...names.map((name) => name.length));
  const left = secondsLeft === undefined || bytes >= sizeBytes ? '' : `  ${durationText(secondsLeft)} left`;
  const waits = state === 'waiting' ? `  waiting${code === undefined ? '' : ` (${printable(code)})`}` : '';
  const total = `${sizeText(bytes)} of ${sizeText(sizeBytes)}  ${rateText(rate)}${left}${waits}`;
  show('total', sizeBytes, bytes, { name: (names[0] ?? '').padEnd(width), note: total });
  sources.forEach((source, i) => {
    const note = `${sizeText(source.bytes)}  ${rateText(source.rate)}`;
    show(`from ${source.user}`, sizeBytes, source.bytes, { name: (names[i + 1] ?? '').padEnd(width), note });
  });
}

/** Columns of a name in front of a bar. */
const MAX_NAME_COLUMNS = 28;

const shorten = (name: string): string =>
  name.length > MAX_NAME_COLUMNS ? `${name.slice(0, MAX_NAME_COLUMNS - 1)}…` : name;
