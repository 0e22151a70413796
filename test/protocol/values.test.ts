import { expect } from 'chai';
import fc from 'fast-check';
import { basename, dirname, join } from 'node:path';
import { ParleyError } from '../../src/protocol/errors.js';
import type { ErrorCode } from '../../src/protocol/errors.js';
import {
  checkChunkCount,
  maxChunks,
  nameKey,
  parseFileName,
  parseMessageText,
  parseUserName,
  printable,
} from '../../src/protocol/values.js';

const refusedWith = (code: ErrorCode, run: () => unknown): void => {
  expect(run)
    .to.throw(ParleyError)
    .that.satisfies((error: ParleyError) => error.code === code);
};

describe('names of users and groups', () => {
  it('are 1 to 32 of the characters of the contract', () => {
    for (const name of [
      'a',
      '_',
      '0',
      'Alice',
      'a.b-c_d',
      'x'.repeat(32),
      'constructor',
      'hasOwnProperty',
      '__proto__',
    ]) {
      expect(parseUserName(name)).to.equal(name);
    }
    for (const name of ['', '.a', '-a', 'a b', 'ä', 'x'.repeat(33), 'a/b', 'a\n', 'аlice', 'a\u200b']) {
      refusedWith('BAD_NAME', () => parseUserName(name));
    }
  });

  it('are not the reserved ones, nor what looks like them', () => {
    for (const name of [
      'server',
      'SERVER',
      'Server-P2P',
      'server-p2p-file',
      'system',
      'all',
      'ALL',
      's3rver',
      'serv.er',
      'a11',
      'syst3m',
      '_server_',
    ]) {
      refusedWith('BAD_NAME', () => parseUserName(name));
    }
    for (const name of ['servers', 'allan', 'sys', 'al']) expect(parseUserName(name)).to.equal(name);
  });

  it('are the same whatever the case', () => {
    expect(nameKey('ALIce')).to.equal(nameKey('alicE'));
  });
});

const HOSTILE = [
  '',
  '.',
  '..',
  '/',
  '\\',
  '../x',
  '..\\x',
  '/etc/passwd',
  'a/b',
  'a\\b',
  'C:x',
  'c:\\x',
  'a:b',
  'x\0y',
  'x\ny',
  'x\ry',
  'x\ty',
  '\u001b[31mred',
  'x\u007fy',
  'x\u0085y',
  'x\u009by',
  'x\u202ey',
  'x\u2066y',
  'x\u200by',
  'x\u200dy',
  'x\ufeffy',
  'x\u00ady',
  'x\u2028y',
  'x\u2029y',
  'x\ud800',
  'trailing.',
  'trailing ',
  ' leading',
  '...',
  'x\u3164',
  'x\ufe0f',
  'x\u{e0041}',
  'a*b',
  'a?b',
  'a"b',
  'a<b',
  'a>b',
  'a|b',
  'con',
  'CON',
  'Con.txt',
  'nul',
  'nul.tar.gz',
  'aux',
  'prn',
  'com1',
  'COM9.log',
  'lpt1',
  'lpt9.x',
  'com¹',
  'conin$',
  'CONOUT$',
  'x'.repeat(256),
  'ä'.repeat(128),
];

describe('file names', () => {
  it('of the corpus are all refused', () => {
    for (const name of HOSTILE) refusedWith('BAD_NAME', () => parseFileName(name));
  });

  it('of ordinary files are taken, in NFC', () => {
    for (const name of [
      'a.txt',
      '.profile',
      'movie (1).mkv',
      'Über größe.pdf',
      '日本語.txt',
      'x'.repeat(255),
      '..x',
      'a..b',
      'console',
      'com10',
      '🎉.png',
    ]) {
      expect(parseFileName(name)).to.equal(name.normalize('NFC'));
    }
    expect(parseFileName('u\u0308.txt')).to.equal('ü.txt');
  });

  it('never lead out of a folder, whatever they are made of', () => {
    const hostile = fc.string({
      unit: fc.constantFrom('.', '/', '\\', 'a', ':', '\0', ' ', '\u202e', '\n', '..', 'con'),
    });
    fc.assert(
      fc.property(hostile, (name) => {
        let taken: string;
        try {
          taken = parseFileName(name);
        } catch {
          return;
        }
        expect(dirname(join('/folder', taken))).to.equal('/folder');
        expect(basename(join('/folder', taken))).to.equal(taken);
      }),
      { numRuns: 3000 },
    );
  });
});

describe('messages', () => {
  it('have text, of at most 16 KiB', () => {
    expect(parseMessageText(' x ')).to.equal(' x ');
    for (const text of ['', ' ', '\n\t ']) refusedWith('EMPTY_MESSAGE', () => parseMessageText(text));
    expect(parseMessageText('ä'.repeat(8192))).to.have.length(8192);
    refusedWith('MESSAGE_TOO_LONG', () => parseMessageText('ä'.repeat(8192) + '!'));
  });
});

describe('chunk counts', () => {
  it('go from 1 to the size, at most 65,536', () => {
    expect(maxChunks(0)).to.equal(1);
    expect(maxChunks(3)).to.equal(3);
    expect(maxChunks(10 ** 12)).to.equal(65_536);
    expect(checkChunkCount(0, 1)).to.equal(1);
    for (const [size, chunks] of [
      [0, 2],
      [10, 0],
      [10, 11],
      [10, -1],
      [10, 1.5],
      [10 ** 9, 65_537],
    ] as const) {
      refusedWith('BAD_CHUNK_COUNT', () => checkChunkCount(size, chunks));
    }
  });
});

// eslint-disable-next-line no-control-regex
const CONTROLS = /[\u0000-\u001f\u007f-\u009f\u061c\u200b\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/u;

describe('printable', () => {
  it('leaves no control, escape or bidi character, and ordinary text as it is (R13)', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        expect(printable(text)).to.not.match(CONTROLS);
      }),
      { numRuns: 2000 },
    );
    for (const text of ['hello', 'grüße, 日本語 👩‍👩‍👧', 'a\\b']) expect(printable(text)).to.equal(text);
    expect(printable('\u001b[2J')).to.equal('\\u{1b}[2J');
    expect(printable('a\nb')).to.equal('a\\u{a}b');
    expect(printable('a\nb\u001b', { multiline: true })).to.equal('a\nb\\u{1b}');
  });
});
