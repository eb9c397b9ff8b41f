import { describe, expect, it } from 'vitest';
import { sampleImage, samplePicture } from './backend/demo';
import { bandOf, colourOf, grey, levels, pixels, placeInBand, type Colour } from './picture';
import { labelEvery, ticks } from './plot';

const WAVE: Colour[] = [[23, 20, 19], [44, 31, 25], [122, 55, 24], [224, 124, 56], [255, 227, 184]];

describe('the live picture', () => {
  it('keeps the noise floor dark and the strongest level brightest', () => {
    expect(colourOf(0, WAVE)).toEqual(WAVE[0]);
    expect(colourOf(50, WAVE)).toEqual(WAVE[0]);
    expect(colourOf(255, WAVE)).toEqual(WAVE[4]);
    const brightness = (level: number) => colourOf(level, WAVE).reduce((total, channel) => total + channel, 0);
    for (let level = 1; level < 256; level += 1) expect(brightness(level)).toBeGreaterThanOrEqual(brightness(level - 1));
  });
  it('loses its colour while paused', () => {
    const [red, green, blue] = grey(colourOf(200, WAVE));
    expect(Math.max(red, green, blue) - Math.min(red, green, blue)).toBeLessThan(12);
  });
  it('holds one level per cell', () => {
    const picture = samplePicture();
    expect(levels(picture)).toHaveLength(picture.columns * picture.rows);
  });
  it('stands where its frequency is among the slices searched', () => {
    const picture = samplePicture(41);
    const place = placeInBand(picture, 64);
    expect(place).toBeGreaterThan(30 / 64);
    expect(place).toBeLessThan(31 / 64);
    expect(placeInBand({ ...picture, searched: [] }, 64)).toBeNull();
    expect(bandOf([])).toBeNull();
  });
});

describe('a growing image', () => {
  it('shows what is there and leaves the rest transparent', () => {
    const image = sampleImage(29);
    const opaque = pixels(image)?.filter((_, index) => index % 4 === 3).filter((opacity) => opacity === 255);
    expect(opaque).toHaveLength((29 / 64) * image.columns * image.rows);
  });
  it('is refused where its bytes are not those of its size', () => {
    expect(pixels({ ...sampleImage(), rows: 127 })).toBeNull();
  });
});

describe('axes', () => {
  it('have two to four round steps that reach the top', () => {
    for (const top of [0.00042, 0.446, 1, 7, 4_800_000, 1_839_294_621]) {
      const steps = ticks(top);
      expect(steps.at(-1)).toBeGreaterThanOrEqual(top * 0.999);
      expect(steps.length).toBeGreaterThanOrEqual(2);
      expect(steps.length).toBeLessThanOrEqual(4);
    }
    expect(ticks(0)).toEqual([]);
  });
  it('label no more bars than there is room for', () => {
    expect(labelEvery(7, 6)).toBe(2);
    expect(labelEvery(3, 6)).toBe(1);
  });
});
