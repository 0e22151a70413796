import { expect } from 'chai';
import fc from 'fast-check';
import { join, relative, sep } from 'node:path';
import { encodeFolderIndex, parseFolderIndex, sorted } from '../../src/chunks/folderindex.js';
import type { FolderEntry } from '../../src/chunks/folderindex.js';
import { layoutOf, segmentsOf } from '../../src/chunks/folderlayout.js';
import { ParleyError } from '../../src/protocol/errors.js';
import { MAX_FOLDER_ENTRIES, MAX_INDEX_BYTES } from '../../src/protocol/limits.js';
import { parseFileName } from '../../src/protocol/values.js';

const HEADER = 'parley-folder 1\n';
const file = (path: string, sizeBytes = 1): FolderEntry => ({ kind: 'file', path, sizeBytes });
const folder = (path: string): FolderEntry => ({ kind: 'folder', path, sizeBytes: 0 });
const codeOf = (act: () => unknown): string => {
  try {
    act();
  } catch (error) {
    if (error instanceof ParleyError) return error.code;
    throw error;
  }
  return 'taken';
};

/** Trees of good names, with their folders. */
const names = fc
  .string({ unit: 'grapheme', minLength: 1, maxLength: 12 })
  .filter((name) => codeOf(() => parseFileName(name)) === 'taken')
  .map((name) => name.normalize('NFC'));
const trees = fc
  .array(fc.tuple(fc.array(names, { minLength: 1, maxLength: 4 }), fc.nat(5000), fc.constantFrom('file', 'executable')))
  .map((found) => {
    const entries = new Map<string, FolderEntry>();
    const taken = new Set<string>();
    for (const [path, sizeBytes, kind] of found) {
      const key = (parts: string[]): string => parts.join('/').toUpperCase().toLowerCase().normalize('NFC');
      const above = path.slice(0, -1).map((_, i) => path.slice(0, i + 1));
      const fits = above.every((parts) => !taken.has(key(parts)) || entries.get(parts.join('/'))?.kind === 'folder');
      if (!fits || taken.has(key(path))) continue;
      for (const parts of above) {
        taken.add(key(parts));
        entries.set(parts.join('/'), folder(parts.join('/')));
      }
      taken.add(key(path));
      entries.set(path.join('/'), { kind: kind, path: path.join('/'), sizeBytes });
    }
    return [...entries.values()];
  });

describe('chunks/folderindex', () => {
  it('gives back what was written, whatever the order it came in', () => {
    fc.assert(
      fc.property(trees, (entries) => {
        const index = encodeFolderIndex(entries);
        expect(parseFolderIndex(index)).to.deep.equal(sorted(entries));
        expect(encodeFolderIndex([...entries].reverse()).equals(index)).to.equal(true);
      }),
    );
  });

  it('is text, a line each', () => {
    const index = encodeFolderIndex([
      file('b/ä.txt', 12),
      { ...file('a'), kind: 'executable' },
      folder('b'),
      folder('b/e'),
    ]);
    expect(index.toString()).to.equal(`${HEADER}x 1 a\nd b\nd b/e\nf 12 b/ä.txt\n`);
    expect(encodeFolderIndex([]).toString()).to.equal(HEADER);
    expect(parseFolderIndex(Buffer.from(HEADER))).to.deep.equal([]);
  });

  it('refuses to be read when it is anything else, above all what leads out of the folder', () => {
    const bad = [
      '',
      'parley-folder 1',
      'parley-folder 2\n',
      `\ufeff${HEADER}`,
      ...[
        'f 1 ../a',
        'f 1 /etc/passwd',
        'f 1 a/../b',
        'd ..',
        'd .',
        'd a\nf 1 a/..',
        'd a\nf 1 a//b',
        'f 1 a/',
        'd a/',
        'f 1 a\\b',
        'f 1 C:a',
        'f 1 C:',
        'f 1 con',
        'd a\nf 1 a/nul.txt',
        'f 1 a\u0000b',
        'f 1 a\u202eb',
        'f 1 a\u200bb',
        'f 1 a\rb',
        'f 1 a.',
        'f 1 a ',
        'f 1  a',
        'f 1 e\u0301',
        `f 1 ${'x'.repeat(256)}`,
        'f 1 a/b',
        'f 1 a\nf 1 a/b',
        'f 1 a\nf 1 a',
        'f 1 b\nf 1 a',
        'f 1 A\nf 1 a',
        'd A\nf 1 A/x\nd a',
        'f 1 STRASSE\nf 1 straße',
        'f 1 É\nf 1 é',
        'l 1 a',
        'd 0 a\nd b c\nx',
        'f a',
        'f -1 a',
        'f 01 a',
        'f 1.5 a',
        'f 0x1 a',
        'f 1e3 a',
        'f 9007199254740993 a',
        'f 9007199254740991 a\nf 9007199254740991 b',
        'f 99999999999999999999 a',
        'f 1',
        'd',
        'd ',
        ' ',
        '',
      ].map((lines) => `${HEADER}${lines}\n`),
      `${HEADER}f 1 a`,
      `${HEADER}f 1 a\n\n`,
      `${HEADER}${Array.from(
        { length: 33 },
        (_, i) =>
          `d ${Array(i + 1)
            .fill('a')
            .join('/')}\n`,
      ).join('')}`,
    ];
    for (const index of bad) {
      expect(
        codeOf(() => parseFolderIndex(Buffer.from(index))),
        JSON.stringify(index),
      ).to.equal('BAD_FOLDER_INDEX');
    }
    expect(codeOf(() => parseFolderIndex(Buffer.from(`${HEADER}f 1 a\xff\n`, 'latin1')))).to.equal('BAD_FOLDER_INDEX');
    expect(codeOf(() => parseFolderIndex(Buffer.alloc(MAX_INDEX_BYTES + 1, 0x61)))).to.equal('BAD_FOLDER_INDEX');
    const many = Array.from({ length: MAX_FOLDER_ENTRIES + 1 }, (_, i) => `f 0 ${String(i).padStart(6, '0')}\n`);
    expect(codeOf(() => parseFolderIndex(Buffer.from(`${HEADER}${many.join('')}`)))).to.equal('BAD_FOLDER_INDEX');
    expect(parseFolderIndex(Buffer.from(`${HEADER}${many.slice(1).join('')}`))).to.have.length(MAX_FOLDER_ENTRIES);
  });

  it('takes of whatever bytes only what it would have written, and no path leads out', () => {
    const pieces = fc.constantFrom(
      'd ',
      'f 1 ',
      'x 0 ',
      'a',
      'b',
      '..',
      '.',
      '/',
      '\\',
      '\n',
      'é',
      'e\u0301',
      'A',
      ' ',
      'con',
      ':',
      '\u202e',
      '\0',
    );
    const hostile = fc.array(pieces, { maxLength: 30 }).map((parts) => Buffer.from(`${HEADER}${parts.join('')}\n`));
    const mutated = fc.tuple(trees, fc.nat(), fc.nat(255)).map(([entries, at, byte]) => {
      const index = encodeFolderIndex(entries);
      index.writeUInt8(byte, at % index.length);
      return index;
    });
    const bytes = fc.oneof(
      hostile,
      mutated,
      fc.uint8Array().map((each) => Buffer.from(each)),
    );
    fc.assert(
      fc.property(bytes, (index) => {
        let entries: FolderEntry[];
        try {
          entries = parseFolderIndex(index);
        } catch (error) {
          expect(error).to.be.instanceOf(ParleyError).with.property('code', 'BAD_FOLDER_INDEX');
          return;
        }
        expect(encodeFolderIndex(entries).equals(index)).to.equal(true);
        for (const { path } of entries) {
          const inside = relative('/target', join('/target', path));
          expect(inside.split(sep).includes('..') || inside === '' || inside !== path, path).to.equal(false);
        }
      }),
      { numRuns: 2000 },
    );
  });

  it('refuses to be made of names that not every disk takes, and says which', () => {
    for (const entries of [[file('a:b')], [file('a'), file('A')], [file('x/y')], [file('con')], [file('e\u0301')]]) {
      expect(codeOf(() => encodeFolderIndex(entries))).to.equal('BAD_NAME');
    }
    expect(() => encodeFolderIndex([folder('d'), file('d/nul')])).to.throw(/nul/);
  });
});

describe('chunks/folderlayout', () => {
  it('finds every byte in its file', () => {
    fc.assert(
      fc.property(trees, fc.nat(20_000), fc.nat(9_000), (entries, position, length) => {
        const layout = layoutOf(encodeFolderIndex(entries));
        const owner: [path: string, at: number][] = [];
        for (let at = 0; at < layout.index.length; at++) owner.push(['', at]);
        for (const { path, sizeBytes } of layout.files) for (let at = 0; at < sizeBytes; at++) owner.push([path, at]);
        expect(layout.sizeBytes).to.equal(owner.length);
        const found: [string, number][] = [];
        let start = 0;
        for (const segment of segmentsOf(layout, position, length)) {
          expect(segment.start).to.equal(start);
          expect(segment.length).to.be.above(0);
          start += segment.length;
          for (let i = 0; i < segment.length; i++) found.push([segment.file?.path ?? '', segment.at + i]);
        }
        expect(found).to.deep.equal(owner.slice(position, position + length));
      }),
      { numRuns: 60 },
    );
  });
});
