// Where a rule of the owner's stands in Settings, and the figures of Settings as text and back.

import type { ReasonCode } from './backend/bindings';

export type Setting =
  | 'enabled' | 'idle' | 'light' | 'battery' | 'power_saver' | 'calls' | 'media' | 'metered' | 'vpn' | 'memory' | 'cpu_celsius' | 'cpu' | 'programs' | 'card' | 'celsius' | 'disk' | 'hours' | 'upload' | 'month'
  | 'price' | 'token' | 'watts' | 'language' | 'appearance' | 'autostart' | 'measure';

const RULES: Partial<Record<ReasonCode, Setting>> = {
  user_active: 'idle',
  on_battery: 'battery',
  power_saver: 'power_saver',
  in_call: 'calls',
  media_playing: 'media',
  screen_kept_on: 'media',
  metered: 'metered',
  metered_unknown: 'metered',
  vpn: 'vpn',
  cpu_hot: 'cpu_celsius',
  schedule: 'hours',
  exclusive_app: 'programs',
  cpu_busy: 'cpu',
  gpu_hot: 'celsius',
  disk_low: 'disk',
  at_a_loss: 'price',
  turned_off: 'enabled',
};

/** The setting that a reason comes from, where there is one. */
export function ruleOf(reason: ReasonCode): Setting | null {
  return RULES[reason] ?? null;
}

/** `0.28` or `0,28` as thousandths; null for empty text; undefined for text that is no such number. */
export function milliOf(text: string): number | null | undefined {
  const trimmed = text.trim().replace(',', '.');
  if (trimmed === '') return null;
  const match = /^(\d{1,6})(?:\.(\d{0,3}))?$/.exec(trimmed);
  if (!match) return undefined;
  return Number(match[1]) * 1000 + Number((match[2] ?? '').padEnd(3, '0'));
}

/** Thousandths as text without needless zeros: 280 is `0.28`. */
export function textOfMilli(milli: number | null): string {
  if (milli === null) return '';
  const rest = String(milli % 1000).padStart(3, '0').replace(/0+$/, '');
  return `${Math.floor(milli / 1000)}.${rest.padEnd(2, '0')}`;
}

/** A whole number within bounds; null for empty text; undefined otherwise. */
export function wholeOf(text: string, least: number, most: number): number | null | undefined {
  const trimmed = text.trim();
  if (trimmed === '') return null;
  if (!/^\d{1,9}$/.test(trimmed)) return undefined;
  const value = Number(trimmed);
  return value >= least && value <= most ? value : undefined;
}

/** Whether an hour of a day is allowed; bit n is hour n. */
export function allowed(hours: readonly number[], day: number, hour: number): boolean {
  return (((hours[day] ?? 0) >>> hour) & 1) === 1;
}

export type Week = [number, number, number, number, number, number, number];

/** The week with one hour allowed or not. */
export function withHour(hours: Week, day: number, hour: number, on: boolean): Week {
  return hours.map((mask, index) =>
    index !== day ? mask : on ? (mask | (1 << hour)) >>> 0 : (mask & ~(1 << hour)) >>> 0,
  ) as Week;
}
