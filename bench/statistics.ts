/** What is said of many numbers at once. */

export const mean = (numbers: ReadonlyArray<number>): number =>
  numbers.reduce((sum, one) => sum + one, 0) / numbers.length

export const quantile = (numbers: ReadonlyArray<number>, q: number): number =>
  [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length * q)] ?? NaN

export const median = (numbers: ReadonlyArray<number>): number => quantile(numbers, 0.5)
