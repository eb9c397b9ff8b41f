import { describe, expect, it } from 'vitest';
import { hexdump } from './hexdump';

describe('a dump', () => {
  it('shows each byte once, with its place and its letter', () => {
    const bytes = [...Array(18).keys()].map((byte) => byte + 0x41);
    const hex = bytes.map((byte) => byte.toString(16)).join('');
    expect(hexdump(hex).split('\n')).toEqual([
      '00000  41 42 43 44 45 46 47 48  49 4a 4b 4c 4d 4e 4f 50  ABCDEFGHIJKLMNOP',
      '00010  51 52                                             QR',
    ]);
  });
  it('lets no byte steer the page', () => {
    expect(hexdump('0a1b7fff')).toContain('0a 1b 7f ff');
    expect(hexdump('0a1b7fff')).toContain('  ....');
  });
  it('of nothing is nothing', () => {
    expect(hexdump('')).toBe('');
  });
});
