/** What is printed where: results on stdout, notices and errors on stderr; with `--json` each is one line of JSON. */
import type { CommandSpec } from '../protocol/command.js';
import { errorJson } from '../protocol/errors.js';
import type { ParleyError } from '../protocol/errors.js';
import { printable } from '../protocol/values.js';
import type { FaceEvent } from '../protocol/events.js';
import { jsonLine } from './json.js';
import { renderEvent, renderResult } from './render.js';
import { makeStyle } from './style.js';
import type { Style } from './style.js';

export interface Sinks {
  /** For results. */
  readonly out: (text: string) => void;
  /** For notices and errors. */
  readonly err: (text: string) => void;
}

export interface OutputOptions {
  readonly json: boolean;
  readonly quiet: boolean;
  readonly verbose: boolean;
  /** Whether colours are wanted on each of them. */
  readonly colorOut: boolean;
  readonly colorErr: boolean;
  /** Columns of the terminal that results go to, now; undefined when it is none. */
  readonly columns?: () => number | undefined;
  /** Stands before an error in words: `client: `. */
  readonly errorPrefix?: string;
}

export interface Output {
  readonly options: OutputOptions;
  result(spec: CommandSpec, result: object): void;
  /** A sentence for a person; nothing with --quiet. */
  notice(text: string): void;
  event(event: FaceEvent): void;
  /** The same as JSON, whatever the settings. */
  jsonEvent(event: FaceEvent): void;
  error(error: ParleyError): void;
  /** Text of our own on stdout. */
  text(text: string): void;
}

export function makeOutput(sinks: Sinks, options: OutputOptions): Output {
  const outStyle = (): Style => makeStyle(options.colorOut, options.columns?.());
  const errStyle = (): Style => makeStyle(options.colorErr, options.columns?.());
  return {
    options,
    result: (spec, result) => {
      const text = options.json ? jsonLine(result) : renderResult(spec, result, outStyle());
      if (text !== '') sinks.out(`${text}\n`);
    },
    notice: (text) => {
      if (!options.quiet)
        sinks.err(`${options.json ? jsonLine({ notice: text }) : errStyle().faint(printable(text))}\n`);
    },
    jsonEvent: (event) => sinks.out(`${jsonLine(event)}\n`),
    event: (event) => {
      if (options.json) sinks.out(`${jsonLine(event)}\n`);
      else printEvent(event, sinks, options, outStyle, errStyle);
    },
    error: (error) =>
      sinks.err(`${options.json ? jsonLine(errorJson(error)) : renderError(error, options, errStyle())}\n`),
    text: (text) => sinks.out(text),
  };
}

/** Messages are results; presence and notices are notices. */
function printEvent(event: FaceEvent, sinks: Sinks, options: OutputOptions, out: () => Style, err: () => Style): void {
  const isMessage = 'text' in event && event.type !== 'notice';
  if (isMessage) sinks.out(`${renderEvent(event, out())}\n`);
  else if (!options.quiet && event.type !== 'transfer' && event.type !== 'standing')
    sinks.err(`${renderEvent(event, err())}\n`);
}

function renderError(error: ParleyError, options: OutputOptions, style: Style): string {
  const sentence = `${options.errorPrefix ?? ''}${printable(error.message)} ${style.faint(`[${error.code}]`)}`;
  return options.verbose ? [style.bad(sentence), ...causes(error)].join('\n') : style.bad(sentence);
}

function causes(error: Error): string[] {
  const cause = error.cause;
  if (!(cause instanceof Error)) return [];
  return [`  because: ${printable(cause.stack ?? cause.message, { multiline: true })}`, ...causes(cause)];
}
