// Bytes as a person reads them: sixteen in a line, with their place before and the letters that they may be behind.

const IN_LINE = 16;

/** A hex string without separators as the lines of a dump. */
export function hexdump(hex: string): string {
  const lines: string[] = [];
  for (let at = 0; at < hex.length; at += 2 * IN_LINE) {
    const pairs = hex.slice(at, at + 2 * IN_LINE).match(/../g) ?? [];
    const left = pairs.slice(0, 8).join(' ').padEnd(23);
    const right = pairs.slice(8).join(' ').padEnd(23);
    const letters = pairs.map((pair) => letter(parseInt(pair, 16))).join('');
    lines.push(`${(at / 2).toString(16).padStart(5, '0')}  ${left}  ${right}  ${letters}`);
  }
  return lines.join('\n');
}

function letter(byte: number): string {
  return byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : '.';
}
