import { describe, expect, it } from 'vitest';
import { allowed, milliOf, textOfMilli, wholeOf, withHour, type Week } from './rules';

describe('figures of Settings', () => {
  it('take a point or a comma and refuse what is no price', () => {
    expect(milliOf('0.28')).toBe(280);
    expect(milliOf('0,285')).toBe(285);
    expect(milliOf(' ')).toBeNull();
    expect(milliOf('0.2855')).toBeUndefined();
    expect(milliOf('-1')).toBeUndefined();
  });
  it('come back as they were written', () => {
    for (const milli of [0, 5, 280, 285, 1000, 12_340]) expect(milliOf(textOfMilli(milli))).toBe(milli);
  });
  it('keep whole numbers within their bounds', () => {
    expect(wholeOf('150', 1, 2000)).toBe(150);
    expect(wholeOf('0', 1, 2000)).toBeUndefined();
    expect(wholeOf('15 W', 1, 2000)).toBeUndefined();
    expect(wholeOf('', 1, 2000)).toBeNull();
  });
});

describe('hours of the week', () => {
  const week: Week = [0, 0, 0, 0, 0, 0, 0];
  it('change one hour of one day and leave the rest', () => {
    const changed = withHour(week, 2, 23, true);
    expect(allowed(changed, 2, 23)).toBe(true);
    expect(changed.filter((mask) => mask !== 0)).toHaveLength(1);
    expect(withHour(changed, 2, 23, false)).toEqual(week);
    expect(week).toEqual([0, 0, 0, 0, 0, 0, 0]);
  });
});
