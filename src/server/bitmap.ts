/** Which chunks of a file are held. A complete one costs no memory, which is what most are. */
import { ParleyError } from '../protocol/errors.js';

export type Chunks = { readonly kind: 'all' } | { readonly kind: 'some'; readonly bits: Buffer };

export const ALL: Chunks = { kind: 'all' };

const bytesFor = (count: number): number => Math.ceil(count / 8);

export function has(chunks: Chunks, index: number): boolean {
  return chunks.kind === 'all' || ((chunks.bits[index >> 3] ?? 0) & (1 << (index & 7))) !== 0;
}

export function isEmpty(chunks: Chunks): boolean {
  return chunks.kind === 'some' && chunks.bits.every((byte) => byte === 0);
}

/**
 * From a bitmap as it travels (base64).
 * @throws ParleyError CHUNK_NOT_FOUND when it has another length than `count` chunks need, or bits beyond them
 */
export function fromBase64(base64: string, count: number, file: string): Chunks {
  const bits = Buffer.from(base64, 'base64');
  const spare = bits.length * 8 - count;
  const beyond = spare > 0 && spare < 8 ? (bits.at(-1) ?? 0) >> (8 - spare) : 0;
  if (bits.length !== bytesFor(count) || beyond !== 0) {
    throw new ParleyError('CHUNK_NOT_FOUND', { file, last: count - 1, index: Math.max(count, bits.length * 8 - 1) });
  }
  return compact(bits, count);
}

export function toBase64(chunks: Chunks, count: number): string {
  return bitsOf(chunks, count).toString('base64');
}

/** With these as well. @throws ParleyError CHUNK_NOT_FOUND */
export function withChunks(chunks: Chunks, indices: readonly number[], count: number, file: string): Chunks {
  const bits = Buffer.from(bitsOf(chunks, count));
  for (const index of indices) {
    if (index >= count) throw new ParleyError('CHUNK_NOT_FOUND', { file, last: count - 1, index });
    bits[index >> 3] = (bits[index >> 3] ?? 0) | (1 << (index & 7));
  }
  return compact(bits, count);
}

export function none(count: number): Chunks {
  return { kind: 'some', bits: Buffer.alloc(bytesFor(count)) };
}

/** Whether every chunk is held by one of them at least. */
export function coverAll(holders: readonly Chunks[], count: number): boolean {
  if (holders.some(({ kind }) => kind === 'all')) return true;
  const union = Buffer.alloc(bytesFor(count));
  for (const chunks of holders) {
    const bits = bitsOf(chunks, count);
    for (let i = 0; i < union.length; i++) union[i] = (union[i] ?? 0) | (bits[i] ?? 0);
  }
  return compact(union, count).kind === 'all';
}

/** How many of the file's `count` chunks are held. */
export function countHeld(chunks: Chunks, count: number): number {
  if (chunks.kind === 'all') return count;
  let held = 0;
  for (let byte of chunks.bits) for (; byte !== 0; byte &= byte - 1) held += 1;
  return held;
}

function bitsOf(chunks: Chunks, count: number): Buffer {
  if (chunks.kind === 'some') return chunks.bits;
  const bits = Buffer.alloc(bytesFor(count), 0xff);
  const used = count & 7;
  if (used !== 0) bits[bits.length - 1] = (1 << used) - 1;
  return bits;
}

function compact(bits: Buffer, count: number): Chunks {
  return bits.equals(bitsOf(ALL, count)) ? ALL : { kind: 'some', bits };
}
