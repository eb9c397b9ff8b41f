// Money is decimal text with all digits. It is compared, added and cut here, digit by digit and never as a float.

/** The same number as an integer of `digits` decimals; null if the text is no plain decimal number. */
function scaled(text: string, digits: number): bigint | null {
  const match = /^([-−+]?)(\d+)(?:\.(\d*))?$/.exec(text.trim());
  if (!match) return null;
  const fraction = match[3] ?? '';
  if (fraction.length > digits) return null;
  const value = BigInt((match[2] ?? '0') + fraction.padEnd(digits, '0'));
  return match[1] === '-' || match[1] === '−' ? -value : value;
}

const DIGITS = 36;

/** Four decimals, cut towards zero, with a true minus; a zero has no sign. `signed` puts a plus before a gain. */
export function amount(text: string, options: { signed?: boolean; decimals?: number } = {}): string {
  const decimals = options.decimals ?? 4;
  const value = scaled(text, DIGITS);
  if (value === null) return text;
  const unit = 10n ** BigInt(DIGITS - decimals);
  const cut = value / unit;
  const positive = cut < 0n ? -cut : cut;
  const whole = positive / 10n ** BigInt(decimals);
  const rest = (positive % 10n ** BigInt(decimals)).toString().padStart(decimals, '0');
  const sign = cut < 0n ? '−' : cut > 0n && options.signed ? '+' : '';
  return `${sign}${whole.toLocaleString('en-US')}${decimals > 0 ? '.' + rest : ''}`;
}

/** All digits as they are, with a true minus; for what must be exact. At least four decimals, no needless zeros. */
export function exact(text: string): string {
  const match = /^([-−+]?)(\d+)(?:\.(\d*))?$/.exec(text.trim());
  if (!match) return text;
  const fraction = (match[3] ?? '').replace(/0+$/, '').padEnd(4, '0');
  const sign = match[1] === '-' || match[1] === '−' ? '−' : '';
  return `${sign}${BigInt(match[2] ?? '0').toLocaleString('en-US')}.${fraction}`;
}

/** -1, 0 or 1. */
export function compare(left: string, right: string): number {
  const a = scaled(left, DIGITS) ?? 0n;
  const b = scaled(right, DIGITS) ?? 0n;
  return a < b ? -1 : a > b ? 1 : 0;
}

export function isZero(text: string): boolean {
  return compare(text, '0') === 0;
}

/** The share of `part` in `whole`, for drawing only. */
export function share(part: string, whole: string): number {
  const a = scaled(part, DIGITS) ?? 0n;
  const b = scaled(whole, DIGITS) ?? 0n;
  if (b <= 0n || a <= 0n) return 0;
  return Number((a * 1_000_000n) / b) / 1_000_000;
}

/** The amount as a number, for the height of a bar and nothing else. */
export function height(text: string): number {
  return Number((scaled(text, DIGITS) ?? 0n) / 10n ** BigInt(DIGITS - 9)) / 1e9;
}

/** The sum of decimal texts, with all digits that any of them has. */
export function sum(texts: string[]): string {
  const total = texts.reduce((so_far, text) => so_far + (scaled(text, DIGITS) ?? 0n), 0n);
  const positive = total < 0n ? -total : total;
  const unit = 10n ** BigInt(DIGITS);
  const fraction = (positive % unit).toString().padStart(DIGITS, '0').replace(/0+$/, '');
  return `${total < 0n ? '-' : ''}${positive / unit}${fraction ? '.' + fraction : ''}`;
}
