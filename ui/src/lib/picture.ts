// The live picture as numbers: levels to colours, and strips on a canvas. It draws what was measured and nothing else.

import type { Image, SearchedSlice, Waterfall } from './backend/bindings';

export type Colour = [number, number, number];

/** Levels of the scale at which the colours wave-0 to wave-4 stand; the noise floor stays dark. */
const STOPS: [number, number][] = [[0, 0], [50, 0], [112, 1], [178, 2], [222, 3], [255, 4]];

function decoded(base64: string): Uint8Array {
  return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
}

export function levels(picture: Waterfall): Uint8Array {
  return decoded(picture.levels);
}

export function colourOf(level: number, wave: Colour[]): Colour {
  const upper = Math.max(1, STOPS.findIndex(([stop]) => stop >= level));
  const [from, fromIndex] = STOPS[upper - 1] ?? [0, 0];
  const [to, toIndex] = STOPS[upper] ?? [255, 4];
  const share = (level - from) / (to - from);
  const low = wave[fromIndex] ?? [0, 0, 0];
  const high = wave[toIndex] ?? [255, 255, 255];
  return [0, 1, 2].map((channel) => {
    const start = low[channel] ?? 0;
    return Math.round(start + ((high[channel] ?? 0) - start) * share);
  }) as Colour;
}

export function grey([red, green, blue]: Colour): Colour {
  const mean = (red + green + blue) / 3;
  return [Math.round(mean), Math.round(mean * 0.97), Math.round(mean * 0.94)];
}

/** The colour scale as the style sheet has it. */
export function waveOf(element: Element): Colour[] {
  const style = getComputedStyle(element);
  return [0, 1, 2, 3, 4].map((index) => {
    const pairs = style.getPropertyValue(`--wave-${index}`).trim().match(/[0-9a-f]{2}/gi) ?? ['00', '00', '00'];
    return pairs.slice(0, 3).map((pair) => parseInt(pair, 16)) as Colour;
  });
}

function prepare(canvas: HTMLCanvasElement): [CanvasRenderingContext2D, number, number, number] | null {
  const scale = window.devicePixelRatio || 1;
  const width = Math.round(canvas.clientWidth * scale);
  const height = Math.round(canvas.clientHeight * scale);
  const pen = canvas.getContext('2d');
  if (!pen || width === 0 || height === 0) return null;
  canvas.width = width;
  canvas.height = height;
  return [pen, width, height, scale];
}

/** One strip per spectrum, a hairline between two strips. */
export function drawStrips(canvas: HTMLCanvasElement, picture: Waterfall, still: boolean): void {
  const ready = prepare(canvas);
  if (!ready) return;
  const [pen, width, height, scale] = ready;
  const wave = waveOf(canvas);
  const scaleColours = Array.from({ length: 256 }, (_, level) => {
    const colour = colourOf(level, wave);
    return still ? grey(colour) : colour;
  });
  const lines = document.createElement('canvas');
  lines.width = picture.columns;
  lines.height = picture.rows;
  const linePen = lines.getContext('2d');
  if (!linePen) return;
  const pixels = linePen.createImageData(picture.columns, picture.rows);
  levels(picture).forEach((level, index) => {
    const [red, green, blue] = scaleColours[level] ?? [0, 0, 0];
    pixels.data.set([red, green, blue, 255], index * 4);
  });
  linePen.putImageData(pixels, 0, 0);
  pen.imageSmoothingQuality = 'high';
  const gap = height / picture.rows > 6 * scale ? Math.max(1, Math.round(scale)) : 0;
  for (let row = 0; row < picture.rows; row += 1) {
    const top = Math.round((row * height) / picture.rows);
    const bottom = Math.round(((row + 1) * height) / picture.rows);
    pen.drawImage(lines, 0, row, picture.columns, 1, 0, top, width, bottom - top - gap);
  }
}

/** The lowest and highest frequency of the finished slices; null while there is none. */
export function bandOf(searched: SearchedSlice[]): { left: number; right: number } | null {
  if (searched.length === 0) return null;
  return {
    left: Math.min(...searched.map((slice) => slice.left_hz)),
    right: Math.max(...searched.map((slice) => slice.right_hz)),
  };
}

/**
 * What has been searched, as a spectrum that fills from the left: each finished slice takes its share of `total`, in
 * the order of frequency, and what is left to do is a thin line.
 */
export function drawBand(canvas: HTMLCanvasElement, searched: SearchedSlice[], total: number, still: boolean): void {
  const ready = prepare(canvas);
  if (!ready) return;
  const [pen, width, height, scale] = ready;
  const wave = waveOf(canvas);
  const slices = [...searched].sort((a, b) => a.left_hz - b.left_hz);
  const each = width / Math.max(total, slices.length, 1);
  pen.fillStyle = '#564c45';
  pen.fillRect(0, height - scale, width, scale);
  slices.forEach((slice, position) => {
    const step = each / Math.max(1, slice.levels.length);
    // Each slice has a brightness of its own: what stands out is what is above its own quietest column.
    const floor = Math.min(...slice.levels);
    slice.levels.forEach((level, column) => {
      const above = level - floor;
      const colour = colourOf(Math.min(255, 172 + above), wave);
      const [red, green, blue] = still ? grey(colour) : colour;
      const tall = 2 * scale + (above / 255) * (height - 2 * scale);
      pen.fillStyle = `rgb(${red} ${green} ${blue})`;
      pen.fillRect(position * each + column * step, height - tall, step + 0.5, tall);
    });
  });
}

/** Where the present window stands in the band drawn by [drawBand], as a share of its width. */
export function placeInBand(picture: Waterfall, total: number): number | null {
  const slices = [...picture.searched].sort((a, b) => a.left_hz - b.left_hz);
  const centre = (picture.left_hz + picture.right_hz) / 2;
  const index = slices.findIndex((slice) => slice.left_hz <= centre && centre <= slice.right_hz);
  const slice = slices[index];
  if (!slice) return null;
  const inside = (centre - slice.left_hz) / Math.max(1, slice.right_hz - slice.left_hz);
  return (index + inside) / Math.max(total, slices.length, 1);
}

/** Red, green, blue and opacity of each pixel; null for an image whose bytes are not those of its size. */
export function pixels(image: Image): Uint8Array | null {
  const bytes = decoded(image.rgba);
  return bytes.length === image.columns * image.rows * 4 ? bytes : null;
}

/** What is there of an image, pixel by pixel; the style sheet gives it its size. */
export function drawImage(canvas: HTMLCanvasElement, image: Image): void {
  const bytes = pixels(image);
  const pen = canvas.getContext('2d');
  if (!bytes || !pen) return;
  canvas.width = image.columns;
  canvas.height = image.rows;
  const grid = pen.createImageData(image.columns, image.rows);
  grid.data.set(bytes);
  pen.putImageData(grid, 0, 0);
}
