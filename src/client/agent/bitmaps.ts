/** Bitmaps as they travel. */

/** How many bits of a bitmap are set. */
export function countBits(bitmap: Buffer): number {
  let count = 0;
  for (let byte of bitmap) for (; byte > 0; byte &= byte - 1) count += 1;
  return count;
}

/** The bitmap of a file of so many chunks that is held whole. */
export function fullBitmap(chunks: number): Buffer {
  const bitmap = Buffer.alloc(Math.ceil(chunks / 8), 0xff);
  bitmap.writeUInt8(0xff >> (bitmap.length * 8 - chunks), bitmap.length - 1);
  return bitmap;
}
