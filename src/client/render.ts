/** Results and events as a person reads them. Every string that somebody else chose goes through `printable` (R13). */
import type { CommandSpec } from '../protocol/command.js';
import { printable } from '../protocol/values.js';
import { fileRenderers } from './render/files.js';
import { groupRenderers } from './render/groups.js';
import { messageRenderers } from './render/messages.js';
import { peopleRenderers } from './render/people.js';
import type { Renderers } from './render/renderers.js';
import type { Style } from './style.js';

export { renderEvent } from './render/messages.js';

const renderers: Renderers = { ...peopleRenderers, ...messageRenderers, ...groupRenderers, ...fileRenderers };
const byName = new Map(Object.entries(renderers)) as ReadonlyMap<string, (result: object, style: Style) => string>;

/** Lines without a line feed at the end; nothing when there is nothing to say. */
export function renderResult(spec: CommandSpec, result: object, style: Style): string {
  return (byName.get(spec.name) ?? renderFields)(result, style);
}

/** `field: value`, lists of names in a row. */
function renderFields(result: object, style: Style): string {
  return Object.entries(result)
    .map(([field, value]: [string, unknown]) => `${style.faint(`${printable(field)}:`)} ${plain(value)}`)
    .join('\n');
}

function plain(value: unknown): string {
  if (typeof value === 'string') return printable(value);
  if (Array.isArray(value) && value.every((item) => typeof item !== 'object')) return value.map(plain).join(', ');
  return printable(JSON.stringify(value));
}
