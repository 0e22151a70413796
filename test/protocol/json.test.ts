import { expect } from 'chai';
import { ParleyError } from '../../src/protocol/errors.js';
import { decodeJson, encodeJson } from '../../src/protocol/json.js';

const refused = (payload: string | Buffer): void => {
  expect(() => decodeJson(Buffer.from(payload as string))).to.throw(ParleyError);
};

describe('json', () => {
  it('takes objects of at most 16 levels', () => {
    const nested = (depth: number): string => `{"a":${'['.repeat(depth - 1)}${']'.repeat(depth - 1)}}`;
    expect(decodeJson(Buffer.from(nested(16)))).to.be.an('object');
    refused(nested(17));
    refused('{"a":'.repeat(5000));
  });

  it('does not take brackets inside strings for nesting', () => {
    const value = { text: '[{'.repeat(100) + '\\"[[[' };
    expect(decodeJson(Buffer.from(JSON.stringify(value)))).to.deep.equal(value);
  });

  it('refuses what is no object, no JSON or no UTF-8', () => {
    for (const text of ['', '[]', 'null', '7', '"x"', '{', '{"a":1}x']) refused(text);
    refused(Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]));
    refused(Buffer.from([0x7b, 0x22, 0xc0, 0x80, 0x22, 0x3a, 0x31, 0x7d]));
  });

  it('gives no object a new prototype', () => {
    const value = decodeJson(Buffer.from('{"__proto__":{"admin":true}}')) as { admin?: boolean };
    expect(value.admin).to.equal(undefined);
    expect(({} as { admin?: boolean }).admin).to.equal(undefined);
  });

  it('sends nothing larger than the other end takes', () => {
    expect(() => encodeJson({ text: 'x'.repeat(65_536) })).to.throw(ParleyError);
  });
});
