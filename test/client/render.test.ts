import { expect } from 'chai';
import fc from 'fast-check';
import { z } from 'zod';
import { typedCommands } from '../../src/client/catalog.js';
import { jsonLine } from '../../src/client/json.js';
import { renderEvent, renderResult } from '../../src/client/render.js';
import { makeStyle, table } from '../../src/client/style.js';
import { displayWidth } from '../../src/client/width.js';
import { durationText, rangesText, safetyNumberText, sizeText, timeText } from '../../src/client/units.js';
import { defineCommand } from '../../src/protocol/command.js';
import { ParleyError, errorJson } from '../../src/protocol/errors.js';
import { faceEvent } from '../../src/protocol/events.js';

const plain = makeStyle(false);
// C0 but tab and line feed, DEL, C1, format characters (bidi, zero-width) but the joiner of emojis, line separators, lone surrogates.
const UNSAFE = /(?![\n\t\u200d])[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u;
const UNSAFE_JSON = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u;

/** Text that somebody might send to do harm, among other text. */
const hostile = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 20 }),
  fc.constantFrom(
    '\u001b[2J',
    '\u009b31m',
    'a\u202eb',
    '\u2066x',
    'a\rb',
    '\u0007',
    '\u2028',
    '\ud800',
    'a\nb\n[12:00] bob: c',
  ),
);

type Schema = {
  type?: string | string[];
  properties?: Record<string, Schema>;
  items?: Schema;
  anyOf?: Schema[];
  oneOf?: Schema[];
  enum?: unknown[];
  const?: unknown;
};

/** Any value of a schema's form, its strings hostile, whatever their patterns are. */
function anyOf(schema: Schema): fc.Arbitrary<unknown> {
  if (schema.const !== undefined) return fc.constant(schema.const);
  if (schema.enum !== undefined) return fc.constantFrom(...schema.enum);
  const choices = schema.anyOf ?? schema.oneOf;
  if (choices !== undefined) return fc.oneof(...choices.map(anyOf));
  const type = Array.isArray(schema.type) ? schema.type[0] : schema.type;
  if (type === 'array') return fc.array(anyOf(schema.items ?? {}), { maxLength: 3 });
  if (type === 'boolean') return fc.boolean();
  if (type === 'integer' || type === 'number') return fc.nat();
  if (type === 'null') return fc.constant(null);
  if (type !== 'object') return hostile;
  return fc.record(
    Object.fromEntries(Object.entries(schema.properties ?? {}).map(([name, field]) => [name, anyOf(field)])),
  );
}

const valuesOf = (schema: z.ZodType): fc.Arbitrary<object> =>
  anyOf(z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }) as Schema) as fc.Arbitrary<object>;

describe('client/render', () => {
  for (const spec of typedCommands) {
    it(`prints nothing of a result of ${spec.name} that a terminal obeys (R13)`, () => {
      fc.assert(
        fc.property(valuesOf(spec.result), (result) => {
          expect(renderResult(spec, result, plain)).not.to.match(UNSAFE);
        }),
        { numRuns: 40 },
      );
    });
  }

  it('prints nothing of an event that a terminal obeys (R13)', () => {
    fc.assert(
      fc.property(valuesOf(faceEvent), (event) => {
        expect(renderEvent(event as z.output<typeof faceEvent>, plain)).not.to.match(UNSAFE);
      }),
    );
  });

  it('prints JSON without anything that a terminal obeys, and with the same value (R13)', () => {
    fc.assert(
      fc.property(fc.record({ text: hostile, list: fc.array(hostile) }), (value) => {
        const line = jsonLine(value);
        expect(line).not.to.match(UNSAFE_JSON);
        expect(JSON.parse(line)).to.deep.equal(value);
      }),
    );
  });

  it('lets no text pass for a message of its own', () => {
    const text = renderEvent(
      {
        type: 'message',
        id: 'a'.repeat(32),
        from: 'eve',
        to: 'a',
        text: 'x\n[12:00] bob: y',
        at: '2030-01-01T00:00:00.000Z',
      },
      plain,
    );
    expect(text.split('\n')[1]).to.equal('    [12:00] bob: y');
  });

  it('shows a command that has no renderer, field by field', () => {
    const spec = defineCommand({
      name: 'new',
      place: 'agent',
      says: 'x',
      params: z.object({}),
      result: z.object({ group: z.string(), members: z.array(z.string()) }),
      errors: [],
    });
    expect(renderResult(spec, { group: 'g\u001b', members: ['a', 'b'] }, plain)).to.equal(
      'group: g\\u{1b}\nmembers: a, b',
    );
  });

  it('keeps what an error is, whatever its details are named', () => {
    const error = new ParleyError('LOCKED_OUT', { retryAfterSeconds: 9, code: 'NO', retryable: false });
    expect(errorJson(error)).to.deep.equal({
      error: {
        code: 'LOCKED_OUT',
        message: 'too many failed logins; try again in 9 s',
        retryable: true,
        retryAfterSeconds: 9,
      },
    });
  });

  it('aligns columns by what they take on a terminal', () => {
    const text = table(
      [{ title: 'name' }, { title: 'n', right: true }],
      [
        ['日本', '5'],
        ['a', '10'],
      ],
      plain,
    );
    expect(text).to.equal('name   n\n日本   5\na     10');
    expect(displayWidth('e\u0301a👍')).to.equal(4);
  });

  it('writes numbers as people read them', () => {
    expect([0, 1023, 1024, 1536, 1024 ** 2 - 1, 123_456_789, 5 * 1024 ** 4].map(sizeText)).to.deep.equal([
      '0 B',
      '1023 B',
      '1.0 KiB',
      '1.5 KiB',
      '1.0 MiB',
      '118 MiB',
      '5.0 TiB',
    ]);
    expect([0, 59.2, 125, 12_000].map(durationText)).to.deep.equal(['0 s', '1:00 min', '2:05 min', '3:20 h']);
    expect(rangesText([4, 0, 1, 2, 9, 9])).to.equal('0-2, 4, 9');
    expect(rangesText([])).to.equal('');
    expect(timeText('2030-01-02T03:04:05.000Z', new Date('2030-01-05T00:00:00Z'))).to.match(
      /^2030-01-0[123] \d\d:\d\d$/,
    );
    expect(timeText('nonsense')).to.equal('?');
    expect(safetyNumberText('12345'.repeat(12)).split(/\s/)).to.deep.equal(Array(12).fill('12345'));
  });
});
