import { describe, expect, it } from 'vitest';
import { amount, compare, exact, isZero, share, sum } from './amounts';

describe('amounts', () => {
  it('are cut towards zero, so that no amount shown is more than there is', () => {
    expect(amount('0.18409999')).toBe('0.1840');
    expect(amount('-0.00009')).toBe('0.0000');
    expect(amount('1234567')).toBe('1,234,567.0000');
  });
  it('carry a true minus, a plus only where asked, and no sign at zero', () => {
    expect(amount('-0.5')).toBe('−0.5000');
    expect(amount('0.184', { signed: true })).toBe('+0.1840');
    expect(amount('0', { signed: true })).toBe('0.0000');
  });
  it('show what is no number as it came', () => {
    expect(amount('one')).toBe('one');
    expect(exact('1e5')).toBe('1e5');
  });
  it('keep every digit where they must be exact', () => {
    expect(exact('4.996900000000000001')).toBe('4.996900000000000001');
    expect(exact('5')).toBe('5.0000');
    expect(exact('0.0031')).toBe('0.0031');
  });
  it('add up beyond what a float can hold', () => {
    expect(sum(['0.1', '0.2'])).toBe('0.3');
    expect(sum(['9007199254740993', '0.000000000000000001'])).toBe('9007199254740993.000000000000000001');
    expect(sum(['1', '-1'])).toBe('0');
  });
  it('compare by value', () => {
    expect(compare('10', '9.99')).toBe(1);
    expect(compare('0.10', '0.1')).toBe(0);
    expect(isZero('0.000')).toBe(true);
    expect(isZero('0.000000000000000001')).toBe(false);
  });
  it('become shares for drawing', () => {
    expect(share('1', '4')).toBe(0.25);
    expect(share('1', '0')).toBe(0);
  });
});
