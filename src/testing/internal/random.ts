/** Numbers that look random and are not: the same seed gives the same ones. */

/** The nth number of a seeded sequence in [0, 1), without the ones before it (mulberry32, which counts by a constant). */
export const draw = (seed: number, nth: number): number => {
  const state = (seed + Math.imul(nth + 1, 0x6d2b79f5)) | 0
  const mixed = Math.imul(state ^ (state >>> 15), state | 1)
  const again = mixed ^ (mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61))
  return ((again ^ (again >>> 14)) >>> 0) / 2 ** 32
}
