// Figures in the reader's language: spans, times, bytes, rates, frequencies. All by `Intl`, never glued by hand.

import { t, words } from './words.svelte';

const TIME: Intl.DateTimeFormatOptions = { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' };

function tag(): string {
  return words.language === 'en' ? 'en-GB' : words.language;
}

export function number(value: number, decimals = 0): string {
  return new Intl.NumberFormat(tag(), { minimumFractionDigits: decimals, maximumFractionDigits: decimals })
    .format(value)
    .replace('-', '−');
}

export function clock(at: number): string {
  return new Intl.DateTimeFormat(tag(), TIME).format(at);
}

export function clockSeconds(at: number): string {
  return new Intl.DateTimeFormat(tag(), { ...TIME, second: '2-digit' }).format(at);
}

/** The clock today, else the date before it. */
export function moment(at: number, now: number): string {
  const same = new Date(at).toDateString() === new Date(now).toDateString();
  return same ? clock(at) : `${day(at)} ${clock(at)}`;
}

/** `24 Nov` */
export function day(at: number): string {
  return new Intl.DateTimeFormat(tag(), { day: 'numeric', month: 'short' }).format(at);
}

/** `Tue 24 Nov` of a local date `2026-11-24` */
export function weekday(date: string): string {
  return new Intl.DateTimeFormat(tag(), { weekday: 'short', day: 'numeric', month: 'short' })
    .format(localDate(date))
    .replace(',', '');
}

/** `Tuesday 24 November` of a local date `2026-11-24` */
export function longDay(date: string): string {
  return new Intl.DateTimeFormat(tag(), { weekday: 'long', day: 'numeric', month: 'long' })
    .format(localDate(date))
    .replace(',', '');
}

export function localDate(date: string): number {
  const [year = 1970, month = 1, dayOfMonth = 1] = date.split('-').map(Number);
  return new Date(year, month - 1, dayOfMonth, 12).getTime();
}

/** Monday to Sunday, short. */
export function weekdays(): string[] {
  const format = new Intl.DateTimeFormat(tag(), { weekday: 'short', timeZone: 'UTC' });
  // 5 January 1970 was a Monday.
  return Array.from({ length: 7 }, (_, index) => format.format((4 + index) * 86_400_000));
}

/** `24 minutes`, the largest unit only. */
export function span(millis: number): string {
  const seconds = Math.max(0, Math.round(millis / 1000));
  if (seconds < 60) return t('span-seconds', { count: seconds });
  if (seconds < 3600) return t('span-minutes', { count: Math.floor(seconds / 60) });
  if (seconds < 86_400) return t('span-hours', { count: Math.floor(seconds / 3600) });
  return t('span-days', { count: Math.floor(seconds / 86_400) });
}

/** `4 h 47`, for tables. */
export function hours(seconds: number): string {
  const minutes = Math.floor((seconds % 3600) / 60);
  return t('shared-span', { hours: Math.floor(seconds / 3600), minutes: String(minutes).padStart(2, '0') });
}

/** `1.84 GB`: value and unit apart, in decimal units. */
export function bytesParts(bytes: number): [string, string] {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let value = bytes;
  let index = 0;
  while (value >= 1000 && index < units.length - 1) {
    value /= 1000;
    index += 1;
  }
  return [number(value, index === 0 ? 0 : value < 10 ? 2 : 1), units[index] ?? 'B'];
}

/** A round byte count on an axis: `200 MB`. */
export function bytesTick(count: number): string {
  const scale = count >= 1e9 ? 1e9 : count >= 1e6 ? 1e6 : count >= 1e3 ? 1e3 : 1;
  const unit = { 1e9: 'GB', 1e6: 'MB', 1e3: 'kB', 1: 'B' }[scale] ?? 'B';
  return `${tick(count / scale)}\u00a0${unit}`;
}

/** A round number on an axis, without needless zeros. */
export function tick(value: number): string {
  return new Intl.NumberFormat(tag(), { maximumSignificantDigits: 3 }).format(value);
}

export function bytes(count: number): string {
  return bytesParts(count).join('\u00a0');
}

/** bit/s as Mbit/s with one decimal. */
export function mbits(bitsPerSecond: number): string {
  return number(bitsPerSecond / 1e6, 1);
}

/** Milliseconds with the digits that matter. */
export function millis(value: number): string {
  return number(value, value < 10 ? 1 : 0);
}

/** `8419.2970 MHz` */
export function megahertz(hertz: number, decimals = 4): string {
  return `${plain(hertz / 1e6, decimals)}\u00a0MHz`;
}

/** Without grouping: a frequency reads as one number. */
export function plain(value: number, decimals: number): string {
  return new Intl.NumberFormat(tag(), {
    minimumFractionDigits: decimals,
    maximumFractionDigits: decimals,
    useGrouping: false,
  })
    .format(value)
    .replace('-', '−');
}

/** The width of a frequency window with its unit. */
export function width(hertz: number): string {
  const [scale, unit] = hertz < 1e3 ? [1, 'Hz'] : hertz < 1e6 ? [1e3, 'kHz'] : [1e6, 'MHz'];
  return `${new Intl.NumberFormat(tag(), { maximumSignificantDigits: 3 }).format(hertz / scale)}\u00a0${unit}`;
}

/** micro-Hz/s as Hz/s */
export function drift(microHertzPerSecond: number): string {
  return plain(microHertzPerSecond / 1e6, 3);
}

/** thousandths as a whole number */
export function snr(milli: number): string {
  return number(Math.round(milli / 1000));
}

/** `0xf39F…2266` */
export function shortAddress(address: string): string {
  return address.length > 12 ? `${address.slice(0, 6)}…${address.slice(-4)}` : address;
}
