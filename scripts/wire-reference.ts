/** The generated part of docs/PROTOCOL.md: every command on the wire, every event, error and limit, read from the definitions. */
import { readFileSync } from 'node:fs';
import type { z } from 'zod';
import type { CommandSpec } from '../src/protocol/command.js';
import { adminCommands } from '../src/protocol/commands/admin.js';
import { clientCommands } from '../src/protocol/commands/client.js';
import { peerCommands } from '../src/protocol/commands/peer.js';
import { serverCommands } from '../src/protocol/commands/server.js';
import { ERRORS } from '../src/protocol/errors.js';
import { NOTICE_CODES, serverEvent } from '../src/protocol/events.js';
import * as protocolLimits from '../src/protocol/limits.js';
import * as serverLimits from '../src/server/limits.js';
import * as storageLimits from '../src/server/storage/port.js';
import { schemaOf } from './jsonschema.js';
import type { Schema } from './jsonschema.js';

function range(low: number | undefined, high: number | undefined, unit: string): string {
  const least = low === undefined || Math.abs(low) >= Number.MAX_SAFE_INTEGER ? undefined : low;
  const most = high === undefined || high >= Number.MAX_SAFE_INTEGER ? undefined : high;
  if (least === undefined && most === undefined) return '';
  if (most === undefined) return `, at least ${least}${unit}`;
  return least === undefined ? `, at most ${most}${unit}` : `, ${least} to ${most}${unit}`;
}

/** A schema in words. */
function words(schema: Schema): string {
  const choices = schema.anyOf ?? schema.oneOf;
  if (choices !== undefined) return choices.map(words).join(', or ');
  if (schema.const !== undefined) return `\`${JSON.stringify(schema.const)}\``;
  if (schema.enum !== undefined) return schema.enum.map((value) => `\`${JSON.stringify(value)}\``).join(' or ');
  if (schema.type === 'string') {
    if (schema.format === 'date-time') return 'string, ISO 8601 in UTC (`2026-01-31T12:00:00.000Z`)';
    const pattern = schema.pattern === undefined ? '' : `, \`${schema.pattern.replaceAll('|', '\\|')}\``;
    return `string${range(schema.minLength, schema.maxLength, ' characters')}${pattern}`;
  }
  if (schema.type === 'integer' || schema.type === 'number')
    return `${schema.type}${range(schema.minimum, schema.maximum, '')}`;
  if (schema.type === 'array')
    return `list of (${words(schema.items ?? {})})${range(schema.minItems, schema.maxItems, ' items')}`;
  if (schema.type === 'object') {
    const fields = Object.entries(schema.properties ?? {}).map(([name, field]) => {
      const optional = schema.required?.includes(name) === true ? '' : '?';
      return `\`${name}\`${optional}: ${words(field)}`;
    });
    return fields.length === 0 ? 'object' : `object {${fields.join('; ')}}`;
  }
  return String(schema.type ?? 'any value');
}

function fieldTable(title: string, schema: z.ZodType): string {
  const { properties = {}, required = [] } = schemaOf(schema);
  const rows = Object.entries(properties).map(([name, field]) => {
    const need = required.includes(name) ? '' : 'optional; ';
    return `| \`${name}\` | ${need}${words(field)} | ${field.description ?? ''} |`;
  });
  if (rows.length === 0) return `${title}: \`{}\`\n`;
  return `${title}:\n\n| field | value | meaning |\n| --- | --- | --- |\n${rows.join('\n')}\n`;
}

function commandSection(spec: CommandSpec): string {
  const notes = [
    spec.beforeLogin === true ? 'Allowed before login.' : undefined,
    spec.passive === true ? 'Does not count as activity.' : undefined,
    spec.body === undefined ? undefined : `Body after the call: ${spec.body}.`,
    spec.bytes === undefined ? undefined : `Bytes before the reply: ${spec.bytes}.`,
    spec.pages === undefined
      ? undefined
      : `Comes in pages when long: ${spec.pages.map((field) => `\`${field}\``).join(', ')}.`,
    spec.errors.length === 0 ? undefined : `Refusals: ${spec.errors.map((code) => `\`${code}\``).join(' ')}.`,
  ].filter((note) => note !== undefined);
  return [
    `#### \`${spec.name}\``,
    spec.says,
    ...(notes.length === 0 ? [] : [notes.join(' ')]),
    fieldTable('Params', spec.params).trimEnd(),
    fieldTable('Result', spec.result).trimEnd(),
  ].join('\n\n');
}

function commandList(title: string, specs: Readonly<Record<string, CommandSpec>>): string {
  return [`### ${title}`, ...Object.values(specs).map(commandSection)].join('\n\n');
}

function eventSections(): string {
  const { oneOf = [], anyOf = [] } = schemaOf(serverEvent);
  return [...oneOf, ...anyOf]
    .map((event) => {
      const type = event.properties?.['type'];
      const fields = Object.entries(event.properties ?? {})
        .filter(([name]) => name !== 'type')
        .map(([name, field]) => `| \`${name}\` | ${words(field)} | ${field.description ?? ''} |`);
      return `#### type ${words(type ?? {})}\n\n| field | value | meaning |\n| --- | --- | --- |\n${fields.join('\n')}`;
    })
    .join('\n\n');
}

/** The exported numbers of a module's sources, each with the comment above it, which says its unit and reason. */
function limitTable(title: string, paths: readonly string[], values: Readonly<Record<string, unknown>>): string {
  const source = paths.map((path) => readFileSync(path, 'utf8')).join('');
  const comments = new Map<string, string>();
  for (const [, comment = '', name = ''] of source.matchAll(/^\/\*\* (.*) \*\/\nexport const (\w+) = /gm))
    comments.set(name, comment.replace(/ \(R\d+\)/g, ''));
  const order = (name: string): number => source.indexOf(`export const ${name} `);
  const rows = Object.entries(values)
    .filter((each): each is [string, number] => typeof each[1] === 'number')
    .sort(([a], [b]) => order(a) - order(b))
    .map(([name, value]) => {
      const says = comments.get(name);
      if (says === undefined) throw new Error(`${name} in ${paths.join(', ')} has no comment of one line`);
      return `| \`${name}\` | ${inUnit(name, value)} | ${says} |`;
    });
  return `#### ${title}\n\n| limit | value | what, and why |\n| --- | --- | --- |\n${rows.join('\n')}`;
}

function inUnit(name: string, value: number): string {
  const number = value.toLocaleString('en-US');
  if (name.endsWith('_MS')) return value % 1000 === 0 ? `${(value / 1000).toLocaleString('en-US')} s` : `${number} ms`;
  return name.endsWith('_BYTES') ? `${number} bytes` : number;
}

const STORAGE_PORT = ['messages', 'files', 'users', 'groups'].map((part) => `src/server/storage/port-${part}.ts`);

/** Markdown of the reference, without a heading of its own. */
export function wireReference(): string {
  const errors = Object.entries(ERRORS).map(
    ([code, row]) =>
      `| \`${code}\` | ${row.message.replaceAll('|', '\\|')} | ${row.retryable ? 'yes' : 'no'} | ${row.exit} |`,
  );
  const notices = Object.entries(NOTICE_CODES).map(([code, says]) => `| \`${code}\` | ${says} |`);
  return [
    'Any command may also be refused with `BAD_REQUEST`, `UNKNOWN_COMMAND`, `LOGIN_REQUIRED`, `SERVER_BUSY`, `DISK_FULL`, `INTERNAL`, `CANCELLED` or ' +
      '`TIMEOUT`. An integer without a maximum is at most 2^53 - 1.',
    commandList('Commands that the server answers', serverCommands),
    commandList('Commands that a client answers for the server', clientCommands),
    commandList('Commands that the other end of a peer link answers', peerCommands),
    commandList('Commands that a server answers for its operator, on its local socket', adminCommands),
    '### Events that the server pushes',
    eventSections(),
    `#### Codes of notices\n\n| code | meaning |\n| --- | --- |\n${notices.join('\n')}`,
    '### Error codes',
    '`{name}` in a sentence is replaced by that field of `details`. The last column is the exit code of the command line.',
    `| code | message | retryable | exit |\n| --- | --- | --- | --- |\n${errors.join('\n')}`,
    '### Limits',
    limitTable('What travels', ['src/protocol/limits.ts'], protocolLimits),
    limitTable('What the server takes', ['src/server/limits.ts'], serverLimits),
    limitTable('What the server keeps', STORAGE_PORT, storageLimits),
  ].join('\n\n');
}
