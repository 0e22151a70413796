/** Bitmaps as they travel. */

/** How many bits of a bitmap are set. */
export function countBits(bitmap: Buffer): number {
  let count = 0;
  for (let byte of bitmap) for (; byte > 0; byte &= byte - 1) count += 1;
  return count;
}
