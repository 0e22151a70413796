/** Bars while bytes move; made only where there is a terminal to draw them on. */
import cliProgress from 'cli-progress';
import { z } from 'zod';
import { transferState } from '../protocol/events.js';
import type { TransferState } from '../protocol/events.js';
import { readingProgress } from '../protocol/commands/agent/register.js';
import { printable } from '../protocol/values.js';
import { EMPTY_VIEW, LiveArea } from './livearea.js';
import { durationText, rateText, sizeText } from './units.js';
import { clip, displayWidth } from './width.js';

/** Events of a command that move bars. */
const progressEvent = z.discriminatedUnion('type', [
  readingProgress,
  z.object({ type: z.literal('transfer'), transfer: transferState }),
]);

type ProgressEvent = z.output<typeof progressEvent>;

/** Bars of sources at most: more scroll off a terminal. */
const MAX_SOURCE_BARS = 16;
/** Time between two drawings: more than ten a second nobody sees. */
const DRAW_EVERY_MS = 100;
/** Columns of a name in front of a bar. */
const MAX_NAME_COLUMNS = 28;
const BAR_COLUMNS = 24;
/** A shorter bar says nothing. */
const MIN_BAR_COLUMNS = 4;

export interface Progress {
  /** Takes an event of the call; one that is none of progress is passed over. */
  update(event: unknown): void;
  /** Fills the bars: all that was to be done is done, whether the last event said so or not. */
  complete(): void;
  /** Leaves the bars as they stand. Idempotent. */
  stop(): void;
}

/** Where bars are drawn. */
export interface Canvas {
  columns(): number;
  /** These rows stand there now, in place of those before. */
  draw(rows: readonly string[]): void;
  /** These stay. */
  leave(rows: readonly string[]): void;
}

interface Bar {
  readonly name: string;
  /** How much is done, 0 to 1. */
  readonly share: number;
  readonly note: string;
}

export function makeProgress(canvas: Canvas): Progress {
  let last: ProgressEvent | undefined;
  let timer: NodeJS.Timeout | undefined;
  let stopped = false;
  const rows = (): string[] => (last === undefined ? [] : barRows(barsOf(last), canvas.columns()));
  return {
    update: (event) => {
      const parsed = progressEvent.safeParse(event);
      if (stopped || !parsed.success) return;
      if (last === undefined) canvas.draw(barRows(barsOf(parsed.data), canvas.columns()));
      last = parsed.data;
      timer ??= setTimeout(() => {
        timer = undefined;
        canvas.draw(rows());
      }, DRAW_EVERY_MS);
    },
    complete: () => {
      if (last?.type === 'reading') last = { ...last, bytes: last.sizeBytes };
      else if (last !== undefined) {
        const transfer: TransferState = { ...last.transfer, state: 'done', bytes: last.transfer.sizeBytes };
        last = { ...last, transfer };
      }
    },
    stop: () => {
      clearTimeout(timer);
      if (!stopped && last !== undefined) canvas.leave(rows());
      stopped = true;
    },
  };
}

/** A terminal that nothing else is written to meanwhile. */
export function streamCanvas(stream: NodeJS.WriteStream): Canvas {
  const area = new LiveArea();
  const size = (): { columns: number; rows: number } => ({ columns: stream.columns || 80, rows: stream.rows || 24 });
  return {
    columns: () => size().columns,
    draw: (bars) => void stream.write(area.draw({ ...EMPTY_VIEW, bars }, size())),
    leave: (bars) => void stream.write(area.draw(EMPTY_VIEW, size(), bars.map((bar) => `${bar}\n`).join(''))),
  };
}

function barsOf(event: ProgressEvent): Bar[] {
  if (event.type === 'transfer') return transferBars(event.transfer);
  const { bytes, sizeBytes } = event;
  const note = `${sizeText(bytes)} of ${sizeText(sizeBytes)}`;
  return [{ name: 'reading', share: shareOf(bytes, sizeBytes), note }];
}

function transferBars({ file, bytes, sizeBytes, rate, secondsLeft, sources, state, code }: TransferState): Bar[] {
  const left = secondsLeft === undefined || bytes >= sizeBytes ? '' : `  ${durationText(secondsLeft)} left`;
  const waits = state === 'waiting' ? `  waiting${code === undefined ? '' : ` (${printable(code)})`}` : '';
  const note = `${sizeText(bytes)} of ${sizeText(sizeBytes)}  ${rateText(rate)}${left}${waits}`;
  return [
    { name: printable(file), share: shareOf(bytes, sizeBytes), note },
    ...sources.slice(0, MAX_SOURCE_BARS).map((source) => ({
      name: `  ${printable(source.user)}`,
      share: shareOf(source.bytes, sizeBytes),
      note: `${sizeText(source.bytes)}  ${rateText(source.rate)}`,
    })),
  ];
}

/** An empty file is done as soon as it is begun. */
const shareOf = (bytes: number, sizeBytes: number): number => (sizeBytes === 0 ? 1 : Math.min(1, bytes / sizeBytes));

/** Rows of fewer than so many columns: where there is little room, names and bars are shorter, or bars are left out. */
function barRows(bars: readonly Bar[], columns: number): string[] {
  const longest = Math.max(...bars.map(({ name }) => displayWidth(name)));
  const width = Math.min(longest, MAX_NAME_COLUMNS, Math.max(8, Math.floor(columns / 3)));
  const notes = Math.max(...bars.map(({ note }) => displayWidth(note)));
  const room = Math.min(BAR_COLUMNS, columns - 1 - width - notes - ' [] '.length);
  return bars.map(({ name, share, note }) => {
    const cut = clip(name, width);
    const padded = cut + ' '.repeat(width - displayWidth(cut));
    const bar = room < MIN_BAR_COLUMNS ? `${Math.floor(100 * share)}%`.padStart(4) : `[${drawnBar(share, room)}]`;
    return clip(`${padded} ${bar} ${note}`, columns - 1);
  });
}

function drawnBar(share: number, columns: number): string {
  return cliProgress.Format.BarFormat(share, {
    barsize: columns,
    barCompleteString: '='.repeat(columns),
    barIncompleteString: ' '.repeat(columns),
    barGlue: '',
  });
}
