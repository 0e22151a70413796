/** JSON as it travels: strict UTF-8, objects only, at most 16 levels deep (R17). */
import { ParleyError } from './errors.js';
import { MAX_CONTROL_BYTES, MAX_JSON_DEPTH } from './limits.js';

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** @throws ParleyError PROTOCOL_ERROR */
export function decodeJson(payload: Buffer): unknown {
  let text: string;
  try {
    text = utf8.decode(payload);
  } catch (cause) {
    throw new ParleyError('PROTOCOL_ERROR', { reason: 'a payload is not UTF-8' }, { cause });
  }
  checkDepth(text);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new ParleyError('PROTOCOL_ERROR', { reason: 'a payload is not JSON' }, { cause });
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new ParleyError('PROTOCOL_ERROR', { reason: 'a payload is not a JSON object' });
  }
  return value;
}

/** @throws ParleyError INTERNAL when ours would be larger than the other end takes */
export function encodeJson(value: object): string {
  const json = JSON.stringify(value);
  if (Buffer.byteLength(json) > MAX_CONTROL_BYTES) {
    throw new ParleyError('INTERNAL', { reason: `a message of more than ${MAX_CONTROL_BYTES} bytes was to be sent` });
  }
  return json;
}

/** Looked at before parsing, because parsers recurse. Brackets inside strings do not count. */
function checkDepth(text: string): void {
  let depth = 0;
  let inString = false;
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (inString) {
      if (c === 0x5c) i++;
      else if (c === 0x22) inString = false;
    } else if (c === 0x22) inString = true;
    else if (c === 0x7b || c === 0x5b) {
      if (++depth > MAX_JSON_DEPTH) {
        throw new ParleyError('PROTOCOL_ERROR', { reason: `JSON nested deeper than ${MAX_JSON_DEPTH}` });
      }
    } else if (c === 0x7d || c === 0x5d) depth--;
  }
}
