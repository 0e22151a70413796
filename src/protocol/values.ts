/** Values that were checked once, at the edge, and carry that in their type. */
import { z } from 'zod';
import { ParleyError } from './errors.js';
import { MAX_CHUNKS, MAX_FILE_BYTES, MAX_FILE_NAME_BYTES, MAX_INDEX_BYTES, MAX_MESSAGE_BYTES } from './limits.js';

declare const brand: unique symbol;
type Branded<T, B extends string> = T & { readonly [brand]: B };

/** A user's or group's name: `[A-Za-z0-9_][A-Za-z0-9_.-]{0,31}`, none of the reserved ones. Compare by `nameKey`. */
export type UserName = Branded<string, 'UserName'>;
export type GroupName = Branded<string, 'GroupName'>;
/** One NFC path component that is safe to create in a folder on every platform (R12). */
export type FileName = Branded<string, 'FileName'>;
/** A BLAKE3 digest: 64 lower-case hex digits. */
export type Digest = Branded<string, 'Digest'>;
/** SHA-256 of a public key (SubjectPublicKeyInfo, DER), standard base64 with padding. */
export type KeyFingerprint = Branded<string, 'KeyFingerprint'>;

const NAME = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,31}$/;
const RESERVED = ['server', 'server-p2p', 'server-p2p-file', 'system', 'all'];
const LOOK_ALIKES: Readonly<Record<string, string>> = { 0: 'o', 1: 'l', i: 'l', 3: 'e', 5: 's', 4: 'a' };

/** What a name looks like at a glance: case, separators and digits that pass for letters taken away. */
function skeleton(name: string): string {
  return name
    .toLowerCase()
    .replace(/[_.-]/g, '')
    .replace(/[01i345]/g, (c) => LOOK_ALIKES[c] ?? c);
}
const RESERVED_SKELETONS = new Set(RESERVED.map(skeleton));

/** Names are the same when their keys are: letters' case does not count. */
export function nameKey(name: string): string {
  return name.toLowerCase();
}

/** @throws ParleyError BAD_NAME */
export function parseUserName(name: string): UserName {
  return checkName(name) as UserName;
}

/** @throws ParleyError BAD_NAME */
export function parseGroupName(name: string): GroupName {
  return checkName(name) as GroupName;
}

function checkName(name: string): string {
  if (!NAME.test(name)) {
    const reason = 'use 1 to 32 of A-Z a-z 0-9 _ . - and begin with none of . -';
    throw new ParleyError('BAD_NAME', { name: printable(name), reason });
  }
  if (RESERVED_SKELETONS.has(skeleton(name))) {
    throw new ParleyError('BAD_NAME', { name, reason: 'it is reserved, or looks like a reserved one; take another' });
  }
  return name;
}

// Windows keeps these names for devices, with any extension (also as superscript digits).
const DEVICE = /^(con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])(\..*)?$/iu;
// Separators, drives and what Windows refuses; controls, format characters (bidi, zero-width), line separators, lone surrogates, private use.
const UNSAFE = /[/\\:*?"<>|]|[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}\p{Co}\u115f\u1160\u3164\uffa0]|\u034f|[\ufe00-\ufe0f]/u;

/**
 * The one way to a FileName (R12). Brings the name to NFC first.
 * @throws ParleyError BAD_NAME
 */
export function parseFileName(name: string): FileName {
  const normal = name.normalize('NFC');
  const refuse = (reason: string): never => {
    throw new ParleyError('BAD_NAME', { name: printable(name), reason });
  };
  if (normal === '' || normal === '.' || normal === '..') refuse('it names no file; give a plain file name');
  if (Buffer.byteLength(normal) > MAX_FILE_NAME_BYTES)
    refuse(`it is longer than ${MAX_FILE_NAME_BYTES} bytes; rename the file`);
  if (UNSAFE.test(normal)) refuse('it has a separator, control or invisible character; rename the file');
  if (/[. ]$/.test(normal) || normal.startsWith(' '))
    refuse('it begins with a space or ends in a dot or space; rename the file');
  if (DEVICE.test(normal)) refuse('it is a device name on some systems; rename the file');
  return normal as FileName;
}

/** @throws ParleyError EMPTY_MESSAGE, MESSAGE_TOO_LONG */
export function parseMessageText(text: string): string {
  if (text.trim() === '') throw new ParleyError('EMPTY_MESSAGE');
  const bytes = Buffer.byteLength(text);
  if (bytes > MAX_MESSAGE_BYTES) throw new ParleyError('MESSAGE_TOO_LONG', { bytes, limit: MAX_MESSAGE_BYTES });
  return text;
}

/** The most chunks a file of so many bytes can have: 1 to 65,536, and none of them empty but an empty file's only one. */
export function maxChunks(sizeBytes: number): number {
  return Math.max(1, Math.min(sizeBytes, MAX_CHUNKS));
}

/** @throws ParleyError BAD_CHUNK_COUNT */
export function checkChunkCount(sizeBytes: number, chunks: number): number {
  const limit = maxChunks(sizeBytes);
  if (!Number.isInteger(chunks) || chunks < 1 || chunks > limit) {
    throw new ParleyError('BAD_CHUNK_COUNT', { sizeBytes, chunks, limit });
  }
  return chunks;
}

// C0, DEL, C1, format characters (bidi, zero-width, tags), line and paragraph separators, lone surrogates.
// The zero-width joiner stays: it makes one emoji of several and moves nothing.
const UNPRINTABLE = /(?!\u200d)[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu;

/**
 * The one escaper before a terminal (R13): what could move the cursor, colour, hide or reorder text becomes visible `\u{..}`.
 * With `multiline`, line feeds and tabs stay.
 */
export function printable(text: string, options: { multiline?: boolean } = {}): string {
  return text.replace(UNPRINTABLE, (c) => {
    if (options.multiline === true && (c === '\n' || c === '\t')) return c;
    return `\\u{${(c.codePointAt(0) ?? 0).toString(16)}}`;
  });
}

// ---- zod schemas of what travels; a refusal inside becomes the ParleyError that the parser threw -------------------

/** A user named by somebody: not checked further, so that a name that cannot exist is UNKNOWN_USER and not a format error. */
export const userRef = z.string().min(1).max(256);
/** A file named by somebody: as for `userRef`, an impossible name is FILE_NOT_REGISTERED. */
export const fileRef = z.string().min(1).max(1024);
export const digest = z
  .string()
  .regex(/^[0-9a-f]{64}$/)
  .transform((hex) => hex as Digest);
export const keyFingerprint = z
  .string()
  .regex(/^[A-Za-z0-9+/]{43}=$/)
  .transform((base64) => base64 as KeyFingerprint);
/** SubjectPublicKeyInfo, DER, base64. */
export const publicKey = z
  .string()
  .max(1024)
  .regex(/^[A-Za-z0-9+/]+=*$/);
export const chunkIndex = z
  .number()
  .int()
  .min(0)
  .max(MAX_CHUNKS - 1);
export const chunkCount = z.number().int().min(1).max(MAX_CHUNKS);
export const sizeBytes = z.number().int().min(0).max(MAX_FILE_BYTES);
/** Of a folder: how many bytes at its beginning are its index. */
export const indexBytes = z
  .number()
  .int()
  .min(1)
  .max(MAX_INDEX_BYTES)
  .optional()
  .describe('Present for a folder: so many bytes at its beginning are its index.');
/** ISO 8601 in UTC with milliseconds. */
export const timestamp = z.iso.datetime();
/** Bits of a bitmap, base64: bit i of byte i >> 3, least significant first, says whether chunk i is held. */
export const bitmap = z
  .string()
  .max(Math.ceil(MAX_CHUNKS / 8 / 3) * 4)
  .regex(/^[A-Za-z0-9+/]*={0,2}$/);
/** An id made by a client for a message: 16 bytes in hex, as `newMessageId` makes them. */
export const messageId = z.string().regex(/^[0-9a-f]{32}$/);

/** Words to look for in messages. */
export const searchWords = z.string().min(1).max(256);
/** The sender's own order (R27): the messages of one key count 1, 2, 3, … without a gap. */
export const sendNumber = z
  .number()
  .int()
  .min(1)
  .max(Number.MAX_SAFE_INTEGER)
  .describe(
    "This device's next number: its messages count 1, 2, 3, … and a refusal uses its number up, too. Without one the message is in no order.",
  );

/** What a file is, without its name: the digests of its chunks, and the root over all of it. */
export interface Manifest {
  readonly sizeBytes: number;
  /** N x 32 bytes: the BLAKE3 digest of each chunk, in order. */
  readonly chunkDigests: Buffer;
  /** Of a folder only: how many bytes at its beginning are its index, and the files follow. */
  readonly indexBytes?: number | undefined;
  readonly root: Digest;
}
