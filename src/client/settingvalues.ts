/** What a setting's text may be, wherever it came from; each throws ParleyError USAGE, naming where that was. */
import { ParleyError } from '../protocol/errors.js';
import { keyFingerprint } from '../protocol/values.js';
import type { KeyFingerprint } from '../protocol/values.js';
import { formatAddress, parseAddress } from './agent/address.js';
import { parseRate } from './units.js';

export const DEFAULT_SERVER = '127.0.0.1:8100';

export const COLOR_MODES = ['auto', 'always', 'never'] as const;
export type ColorMode = (typeof COLOR_MODES)[number];

export interface Given {
  readonly value: string;
  /** As an error names it: `--server`, `PARLEY_SERVER`, `server in /…/config.json`. */
  readonly from: string;
}

export function checkAddress({ value, from }: Given): string {
  try {
    return formatAddress(parseAddress(value));
  } catch (cause) {
    throw new ParleyError(
      'USAGE',
      { reason: `${from}: '${value}' is not HOST:PORT, like ${DEFAULT_SERVER}` },
      { cause },
    );
  }
}

/** Bytes a second; Infinity for `none`. */
export function checkRate(given: Given | undefined): number | undefined {
  if (given === undefined) return undefined;
  if (given.value.toLowerCase() === 'none') return Infinity;
  const rate = parseRate(given.value);
  if (rate !== undefined) return rate;
  throw new ParleyError('USAGE', {
    reason: `${given.from}: the rate must be bytes a second like 500K or 2.5M, or none, not '${given.value}'`,
  });
}

export function checkFingerprint({ value, from }: Given): KeyFingerprint {
  const bare = value.replace(/^SHA256:/i, '');
  const parsed = keyFingerprint.safeParse(bare.length === 43 ? `${bare}=` : bare);
  if (parsed.success) return parsed.data;
  throw new ParleyError('USAGE', { reason: `${from}: '${value}' is no fingerprint; the server prints it as SHA256:…` });
}

export function checkColor(color: Given | undefined): ColorMode {
  const mode = COLOR_MODES.find((known) => known === (color?.value ?? 'auto'));
  if (mode !== undefined) return mode;
  throw new ParleyError('USAGE', {
    reason: `${color?.from ?? ''}: '${color?.value ?? ''}' is none of auto, always, never`,
  });
}
