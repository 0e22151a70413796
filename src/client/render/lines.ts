/** A message on the screen: time, who speaks, and the text beside that, wrapped under itself. */
import type { StoredMessage } from '../../protocol/commands/server/history.js';
import type { FaceEvent } from '../../protocol/events.js';
import { printable } from '../../protocol/values.js';
import type { Style } from '../style.js';
import { timeText } from '../units.js';
import { displayWidth, wrapText } from '../width.js';

export interface ShownMessage {
  readonly kind: StoredMessage['kind'];
  readonly from: string;
  readonly to: string;
  readonly text: string;
  readonly at: string;
  readonly unread?: boolean;
}

/** Columns in which who speaks stands at the right; a longer one has a line of its own. */
const SPEAKER_COLUMNS = 16;
/** A terminal of fewer columns has no room for that column. */
const MIN_ALIGNED_COLUMNS = 60;
/** Text stands beside who speaks when it has so many columns there. */
const MIN_TEXT_COLUMNS = 16;
/** Further lines of a text where nothing is aligned: enough that no text can pass for a message of its own. */
const PLAIN_INDENT = '    ';
const NARROW_INDENT = 2;

const SPEAKERS: Readonly<Record<ShownMessage['kind'], (from: string, to: string) => string>> = {
  message: (from) => from,
  broadcast: (from, to) => `${from} to ${to}`,
  group: (from, to) => `${from} in ${to}`,
  private: (from) => `${from} privately`,
};

/** Messages one below the other; their texts begin in one column when the terminal is wide enough. */
export function messageLines(messages: readonly ShownMessage[], style: Style): string {
  const times = messages.map(({ at }) => `[${timeText(at)}]`);
  const width = times.reduce((most, time) => Math.max(most, time.length), 0);
  return messages.map((message, i) => messageLine(message, (times[i] ?? '').padEnd(width), style)).join('\n');
}

function messageLine(message: ShownMessage, time: string, style: Style): string {
  const speaker = SPEAKERS[message.kind](printable(message.from), printable(message.to));
  const paint = style.kinds[message.kind];
  const text = printable(message.text, { multiline: true });
  if (style.columns === undefined) {
    const mark = message.unread === true ? style.strong('* ') : '';
    return `${mark}${style.faint(time.trimEnd())} ${paint(speaker)}: ${text.replaceAll('\n', `\n${PLAIN_INDENT}`)}`;
  }
  const mark = message.unread === true ? style.strong('*') : ' ';
  return beside(`${style.faint(time)}${mark}`, time.length + 1, `${speaker}:`, paint, text, style.columns);
}

/** A sentence about what happened; the lines about groups are printed as they are. */
export function noticeLine(event: Extract<FaceEvent, { type: 'notice' }>, style: Style): string {
  const isWhole = event.code.startsWith('GROUP_');
  return sentenceLine(event.text, event.at, isWhole, style);
}

/** The same for what the agent says of others. */
export function sentenceLine(said: string, at: string, isWhole: boolean, style: Style): string {
  const text = printable(said);
  const paint = style.kinds.notice;
  if (isWhole) return paint(text);
  if (style.columns === undefined) return paint(`-- ${text}`);
  const time = `[${timeText(at)}] `;
  return beside(paint(time), time.length, '--', paint, text, style.columns, paint);
}

const asItIs = (text: string): string => text;

/** `head` of so many columns, who speaks, and the text wrapped beside or below them. */
function beside(
  head: string,
  headWidth: number,
  speaker: string,
  paint: (text: string) => string,
  text: string,
  columns: number,
  paintText = asItIs,
): string {
  const aligned = columns >= MIN_ALIGNED_COLUMNS;
  const speakerWidth = displayWidth(speaker);
  const pad = aligned ? Math.max(0, SPEAKER_COLUMNS + 1 - speakerWidth) : 0;
  const indent = aligned ? headWidth + SPEAKER_COLUMNS + 2 : Math.min(NARROW_INDENT, columns - 1);
  const room = Math.max(1, columns - indent);
  const left = Math.max(0, columns - headWidth - pad - speakerWidth - 1);
  const fits = left >= MIN_TEXT_COLUMNS || (!text.includes('\n') && displayWidth(text) <= left);
  const lines = wrapText(text, room, fits ? Math.min(left, columns) : 0);
  const [first = '', ...more] = lines.map((line) => (line === '' ? '' : paintText(line)));
  const begin = `${head}${' '.repeat(pad)}${paint(speaker)}${first === '' ? '' : ` ${first}`}`;
  return [begin, ...more.map((line) => ' '.repeat(indent) + line)].join('\n');
}
