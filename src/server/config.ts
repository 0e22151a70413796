/** The settings of `server`, checked. */
import { InvalidArgumentError } from 'commander';
import type { Retention } from './storage/port.js';

export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];
export const LOG_FORMATS = ['pretty', 'json'] as const;
export type LogFormat = (typeof LOG_FORMATS)[number];

export const DEFAULTS = {
  port: 8100,
  blockSeconds: 60,
  timeoutSeconds: 600,
  host: '127.0.0.1',
  credentials: 'Credentials.txt',
  data: 'parley-data',
  logLevel: 'info',
  logFormat: 'pretty',
  retentionDays: 365,
} as const;

/** Days that messages can be kept: a century, beyond which there is for ever. */
const MAX_RETENTION_DAYS = 36_500;
/** Seconds that a timer can wait: 23 days, just below what Node's timers hold. */
const MAX_SECONDS = 2_000_000;
const MAX_PORT = 65_535;

export interface ServeConfig {
  readonly port: number;
  readonly host: string;
  readonly blockMs: number;
  readonly timeoutMs: number;
  readonly credentials: string;
  /** Whether the file was named: then it has to be there. */
  readonly credentialsNamed: boolean;
  readonly dataDir: string;
  readonly logLevel: LogLevel;
  readonly logFormat: LogFormat;
  /** How long messages are kept that were read. */
  readonly retention: Retention;
  /** Where metrics are shown; nowhere when absent. */
  readonly metrics?: ListenAddress | undefined;
}

export interface ListenAddress {
  readonly host: string;
  /** 0 picks a free one. */
  readonly port: number;
}

/** @throws InvalidArgumentError */
export function parsePort(text: string): number {
  const port = wholeNumber(text);
  if (port === undefined || port > MAX_PORT) {
    throw new InvalidArgumentError(`a port is a whole number from 0 to ${MAX_PORT} (0 picks a free one).`);
  }
  return port;
}

/** @throws InvalidArgumentError */
export function parseSeconds(text: string): number {
  const seconds = wholeNumber(text);
  if (seconds === undefined || seconds < 1 || seconds > MAX_SECONDS) {
    throw new InvalidArgumentError(`give whole seconds, from 1 to ${MAX_SECONDS}.`);
  }
  return seconds;
}

/** @throws InvalidArgumentError */
export function parseRetention(text: string): Retention {
  if (text.toLowerCase() === 'forever') return 'forever';
  const days = wholeNumber(text);
  if (days === undefined || days < 1 || days > MAX_RETENTION_DAYS) {
    throw new InvalidArgumentError(`give whole days, from 1 to ${MAX_RETENTION_DAYS}, or forever.`);
  }
  return days;
}

/** @throws InvalidArgumentError */
export function parseNonEmpty(text: string): string {
  if (text === '') throw new InvalidArgumentError('it is empty.');
  return text;
}

/** An address without the brackets that a URL has around IPv6. @throws InvalidArgumentError */
export function parseHost(text: string): string {
  return parseNonEmpty(text.replace(/^\[(.*)\]$/, '$1'));
}

/** `127.0.0.1:9100`, `[::1]:9100`. @throws InvalidArgumentError */
export function parseHostPort(text: string): ListenAddress {
  const [, host = '', port = ''] = /^(\[[^\]]+\]|[^:]+):(\d+)$/.exec(text) ?? [];
  if (host === '') throw new InvalidArgumentError('give HOST:PORT, as in 127.0.0.1:9100 or [::1]:9100.');
  return { host: parseHost(host), port: parsePort(port) };
}

/** @throws InvalidArgumentError */
export function parseLogLevel(text: string): LogLevel {
  return oneOf(text, LOG_LEVELS);
}

/** @throws InvalidArgumentError */
export function parseLogFormat(text: string): LogFormat {
  return oneOf(text, LOG_FORMATS);
}

function oneOf<T extends string>(text: string, allowed: readonly T[]): T {
  const found = allowed.find((each) => each === text.toLowerCase());
  if (found === undefined) throw new InvalidArgumentError(`it is one of ${allowed.join(', ')}.`);
  return found;
}

function wholeNumber(text: string): number | undefined {
  return /^\d{1,10}$/.test(text) ? Number(text) : undefined;
}
