/** Numbers as people read them. */

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'] as const;

/** `0 B`, `1.5 KiB`, `12 MiB`: three digits are enough. */
export function sizeText(bytes: number): string {
  let value = bytes;
  let unit = 0;
  // 1,023.5 KiB would be shown as 1024 KiB.
  while (value >= 1023.5 && unit < UNITS.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 || value >= 99.95 ? String(Math.round(value)) : value.toFixed(1)} ${UNITS[unit] ?? ''}`;
}

export function rateText(bytesPerSecond: number): string {
  return `${sizeText(bytesPerSecond)}/s`;
}

/** `4 s`, `2:05 min`, `3:20 h`. */
export function durationText(seconds: number): string {
  const whole = Math.max(0, Math.ceil(seconds));
  const two = (n: number): string => String(n).padStart(2, '0');
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)}:${two(whole % 60)} min`;
  return `${Math.floor(whole / 3600)}:${two(Math.floor((whole % 3600) / 60))} h`;
}

/** Local time: the hour alone today, with the date before. */
export function timeText(iso: string, now = new Date()): string {
  const time = new Date(iso);
  if (Number.isNaN(time.getTime())) return '?';
  const two = (n: number): string => String(n).padStart(2, '0');
  const clock = `${two(time.getHours())}:${two(time.getMinutes())}`;
  if (time.toDateString() === now.toDateString()) return clock;
  return `${time.getFullYear()}-${two(time.getMonth() + 1)}-${two(time.getDate())} ${clock}`;
}

/** `0-4, 7, 9-12`. */
export function rangesText(numbers: readonly number[]): string {
  const sorted = [...new Set(numbers)].sort((a, b) => a - b);
  const ranges: [number, number][] = [];
  for (const n of sorted) {
    const last = ranges.at(-1);
    if (last?.[1] === n - 1) last[1] = n;
    else ranges.push([n, n]);
  }
  return ranges.map(([from, to]) => (from === to ? String(from) : `${from}-${to}`)).join(', ');
}

export function countText(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}

/** A safety number in 12 groups of 5 digits, in 3 lines, as people read it to each other. */
export function safetyNumberText(digits: string): string {
  const groups = digits.match(/.{1,5}/gu) ?? [];
  return [0, 4, 8].map((at) => groups.slice(at, at + 4).join(' ')).join('\n');
}

const RATE_UNITS: Readonly<Record<string, number>> = { '': 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30 };

/** Bytes a second of `500K`, `2.5M` or `1000000`; undefined when it is none, or less than 1. */
export function parseRate(word: string): number | undefined {
  const parts = /^(\d+(?:\.\d+)?)([KMG]?)(?:i?B)?(?:\/s)?$/i.exec(word);
  const rate = Math.floor(Number(parts?.[1]) * (RATE_UNITS[parts?.[2]?.toUpperCase() ?? ''] ?? 1));
  return rate >= 1 && rate <= Number.MAX_SAFE_INTEGER ? rate : undefined;
}
