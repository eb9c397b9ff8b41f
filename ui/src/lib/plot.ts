// Scales of the small plots: round steps on the axis, and nothing drawn that has no value.

/** Ticks above zero up to at least `top`: two to four of them at 1, 2 or 5 times a power of ten. */
export function ticks(top: number): number[] {
  if (!(top > 0)) return [];
  const rough = top / 3;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = ([1, 2, 5, 10].find((factor) => factor * power >= rough * 0.999) ?? 10) * power;
  const count = Math.max(1, Math.ceil(top / step - 1e-9));
  return Array.from({ length: count }, (_, index) => Number(((index + 1) * step).toPrecision(12)));
}

/** Every how many bars a label stands, so that at most `most` do. */
export function labelEvery(bars: number, most: number): number {
  return Math.max(1, Math.ceil(bars / most));
}
