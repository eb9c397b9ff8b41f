//! The image on a processor: the same bits as the WGSL kernels, line by line the same steps.
//!
//! Oracle for the known answers of a package and for conformance. Every operation wraps as the kernel's does, so that no
//! scene and no camera can stop it.

use super::head::{HeadError, TileHead};
use super::scene::{SPHERE_WORDS, SPHERES};
use super::{BOUNCES, Shape};

/// Numbers with 16 fractional bits.
const ONE: i32 = 1 << 16;
const NEAR: i32 = 128;
const FAR: i32 = i32::MAX;
const STEP: i32 = 64;
const ROOM_LOW: Triple = Triple(-131_072, 0, -131_072);
const ROOM_HIGH: Triple = Triple(131_072, 196_608, 262_144);
const LAMP: i32 = 45_875;
const LAMP_LIGHT: Triple = Triple(786_432, 589_824, 393_216);
const LAMP_AREA_BY_PI: i32 = 40_888;
const MOST: i32 = 524_288;
const MOST_GATHERED: i32 = 65_536;
const INTO_GLASS: i32 = 43_691;
const OUT_OF_GLASS: i32 = 98_304;
const STRAIGHT: i32 = 2_621;

/// The pixels of a tile as the kernels give them: `scene` is the input of the slice, `params` its head.
///
/// # Errors
/// [`HeadError`] when the params are not those of a tile or the scene has another size.
pub fn reference(scene: &[u8], params: &[u32]) -> Result<Vec<u8>, HeadError> {
    let head = TileHead::from_words(params)?;
    if scene.len() != SPHERES * SPHERE_WORDS * 4 {
        return Err(HeadError);
    }
    let scene: Vec<i32> = crate::words_of(scene).map(|word| word as i32).collect();
    let room = Room { spheres: scene.as_chunks().0.iter().map(Sphere::read).collect() };
    let shape = head.shape;
    let (width, height) = shape.tile();
    let mut words = Vec::with_capacity((width * height) as usize);
    for down in 0..height {
        for across in 0..width {
            let sums = room.pixel(&head, head.left + across, head.top + down);
            words.push(sums.iter().rev().fold(0xff, |word, &sum| (word << 8) | developed(sum, &shape)));
        }
    }
    Ok(crate::bytes_of(&words))
}

fn mul(a: i32, b: i32) -> i32 {
    ((i64::from(a) * i64::from(b)) >> 16) as i32
}

fn inverse(x: i32) -> i32 {
    (u32::MAX / (x as u32 | 1)) as i32
}

/// The square root, rounded down. Of a whole number below 2^48 a double's root, which IEEE 754 rounds rightly, is never
/// rounded up to the next whole number: that is 2^-25 away, a double's step there 2^-29.
fn root(x: i32) -> i32 {
    (f64::from(x as u32) * 65_536.0).sqrt() as i32
}

fn scatter(word: u32) -> u32 {
    let state = word.wrapping_mul(747_796_405).wrapping_add(2_891_336_453);
    let mixed = ((state >> ((state >> 28) + 4)) ^ state).wrapping_mul(277_803_737);
    (mixed >> 22) ^ mixed
}

fn developed(sum: u32, shape: &Shape) -> u32 {
    let x = ((sum / shape.samples) << 4) as i32;
    let above = mul(x, mul(164_495, x).wrapping_add(1966));
    let below = mul(x, mul(159_252, x).wrapping_add(38_666)).wrapping_add(9175);
    let share = mul(above, inverse(below));
    (root(share.clamp(0, ONE)) * 255 + 32_768) as u32 >> 16
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Triple(i32, i32, i32);

impl Triple {
    const ZERO: Self = Self(0, 0, 0);

    fn read([x, y, z]: [i32; 3]) -> Self {
        Self(x, y, z)
    }

    fn add(self, other: Self) -> Self {
        Self(self.0.wrapping_add(other.0), self.1.wrapping_add(other.1), self.2.wrapping_add(other.2))
    }

    fn negated(self) -> Self {
        Self(self.0.wrapping_neg(), self.1.wrapping_neg(), self.2.wrapping_neg())
    }

    fn sub(self, other: Self) -> Self {
        self.add(other.negated())
    }

    fn scaled(self, by: i32) -> Self {
        Self(mul(self.0, by), mul(self.1, by), mul(self.2, by))
    }

    fn tinted(self, by: Self) -> Self {
        Self(mul(self.0, by.0), mul(self.1, by.1), mul(self.2, by.2))
    }

    fn at_most(self, most: i32) -> Self {
        Self(self.0.min(most), self.1.min(most), self.2.min(most))
    }

    fn along(self, other: Self) -> i32 {
        mul(self.0, other.0).wrapping_add(mul(self.1, other.1)).wrapping_add(mul(self.2, other.2))
    }

    fn normalised(self) -> Self {
        self.scaled(inverse(root(self.along(self))))
    }
}

#[derive(Debug, Clone, Copy)]
struct Sphere {
    centre: Triple,
    radius: i32,
    surface: i32,
    colour: Triple,
}

impl Sphere {
    fn read(words: &[i32; SPHERE_WORDS]) -> Self {
        let [x, y, z, radius, surface, red, green, blue] = *words;
        Self { centre: Triple(x, y, z), radius, surface, colour: Triple(red, green, blue) }
    }

    fn distance(&self, origin: Triple, direction: Triple) -> i32 {
        let offset = origin.sub(self.centre);
        let b = offset.along(direction);
        let inside = mul(b, b).wrapping_sub(offset.along(offset)).wrapping_add(mul(self.radius, self.radius));
        if inside <= 0 {
            return FAR;
        }
        let half = root(inside);
        let (near, far) = (b.wrapping_neg().wrapping_sub(half), half.wrapping_sub(b));
        if near > NEAR {
            near
        } else if far > NEAR {
            far
        } else {
            FAR
        }
    }
}

fn to_wall(position: i32, direction: i32, low: i32, high: i32) -> i32 {
    let speed = direction.wrapping_abs();
    if speed < 64 {
        return FAR;
    }
    let gap = if direction > 0 { high.wrapping_sub(position) } else { position.wrapping_sub(low) };
    mul(gap, inverse(speed))
}

fn colour_of_wall(position: Triple, normal: Triple) -> Triple {
    if normal.0 > 0 {
        Triple(53_740, 17_695, 5_898)
    } else if normal.0 < 0 {
        Triple(9_175, 22_282, 43_909)
    } else if normal.1 > 0 {
        let odd = ((position.0 >> 15) ^ (position.2 >> 15)) & 1;
        if odd == 1 { Triple(17_039, 15_073, 13_762) } else { Triple(49_152, 45_875, 41_288) }
    } else {
        Triple(50_462, 47_841, 43_909)
    }
}

fn reflected_part(cosine: i32) -> i32 {
    let rest = ONE.wrapping_sub(cosine);
    let square = mul(rest, rest);
    STRAIGHT.wrapping_add(mul(ONE - STRAIGHT, mul(mul(square, square), rest)))
}

/// The sequence of random numbers of one path.
struct Draws(u32);

impl Draws {
    fn draw(&mut self) -> i32 {
        self.0 = scatter(self.0);
        (self.0 >> 16) as i32
    }

    /// A number from -1 to 1.
    fn either_side(&mut self) -> i32 {
        2 * self.draw() - ONE
    }

    fn scattered(&mut self, normal: Triple) -> Triple {
        let (mut x, mut y, mut square) = (0, 0, ONE);
        for _ in 0..8 {
            if square >= ONE {
                x = self.either_side();
                y = self.either_side();
                square = mul(x, x) + mul(y, y);
            }
        }
        if square >= ONE {
            (x, y, square) = (0, 0, 0);
        }
        let wide = 2 * root(ONE - square);
        let sum = normal.add(Triple(mul(x, wide), mul(y, wide), ONE - 2 * square));
        let length = root(sum.along(sum));
        if length < 1024 { normal } else { sum.scaled(inverse(length)) }
    }
}

/// What light meets.
struct Room {
    spheres: Vec<Sphere>,
}

impl Room {
    /// The sums of a pixel of the whole image after all paths.
    fn pixel(&self, head: &TileHead, column: u32, row: u32) -> [u32; 3] {
        let [eye, right, up, forward] = head.camera.vectors().map(Triple::read);
        let (width, height) = (head.shape.width, head.shape.height);
        let mut sums = [0_u32; 3];
        for index in 0..head.shape.samples {
            let mut draws = Draws(scatter(scatter(scatter(head.seed ^ index) ^ row) ^ column));
            let x = (((column << 17) + 2 * draws.draw() as u32) / width) as i32 - ONE;
            let y = ONE - (((row << 17) + 2 * draws.draw() as u32) / height) as i32;
            let view = forward.add(right.scaled(x)).add(up.scaled(y)).normalised();
            let light = self.path(eye, view, &mut draws);
            for (sum, light) in sums.iter_mut().zip([light.0, light.1, light.2]) {
                *sum = sum.wrapping_add(light.clamp(0, MOST) as u32 >> 4);
            }
        }
        sums
    }

    fn is_shadowed(&self, origin: Triple, direction: Triple, distance: i32) -> bool {
        self.spheres.iter().any(|sphere| sphere.distance(origin, direction) < distance)
    }

    fn lit(&self, position: Triple, normal: Triple, draws: &mut Draws) -> Triple {
        let (x, z) = (mul(draws.either_side(), LAMP), mul(draws.either_side(), LAMP));
        let to = Triple(x, ROOM_HIGH.1, z).sub(position);
        let square = to.along(to);
        let distance = root(square);
        if distance < 4096 {
            return Triple::ZERO;
        }
        let direction = to.scaled(inverse(distance));
        let here = normal.along(direction);
        let share = mul(mul(mul(here, direction.1), LAMP_AREA_BY_PI), inverse(square.max(4096)));
        if here <= 0 || share <= 0 || self.is_shadowed(position, direction, distance.wrapping_sub(NEAR)) {
            return Triple::ZERO;
        }
        LAMP_LIGHT.scaled(share)
    }

    fn path(&self, eye: Triple, view: Triple, draws: &mut Draws) -> Triple {
        let (mut origin, mut direction) = (eye, view);
        let (mut light, mut weight) = (Triple::ZERO, Triple(ONE, ONE, ONE));
        let (mut counts, mut most) = (true, MOST);
        for _ in 0..BOUNCES {
            let x = to_wall(origin.0, direction.0, ROOM_LOW.0, ROOM_HIGH.0);
            let y = to_wall(origin.1, direction.1, ROOM_LOW.1, ROOM_HIGH.1);
            let z = to_wall(origin.2, direction.2, ROOM_LOW.2, ROOM_HIGH.2);
            let mut distance = x.min(y.min(z));
            let mut met = None;
            for sphere in &self.spheres {
                let to = sphere.distance(origin, direction);
                if to < distance {
                    distance = to;
                    met = Some(sphere);
                }
            }
            let position = origin.add(direction.scaled(distance));
            let (normal, surface, colour) = if let Some(sphere) = met {
                let normal = position.sub(sphere.centre).scaled(inverse(sphere.radius));
                (normal, sphere.surface, sphere.colour)
            } else {
                let facing = |direction: i32| if direction > 0 { -ONE } else { ONE };
                let normal = if x <= y && x <= z {
                    Triple(facing(direction.0), 0, 0)
                } else if y <= z {
                    Triple(0, facing(direction.1), 0)
                } else {
                    Triple(0, 0, facing(direction.2))
                };
                let lamp = position.0.wrapping_abs() < LAMP && position.2.wrapping_abs() < LAMP;
                if normal.1 < 0 && lamp {
                    let lamp = weight.tinted(LAMP_LIGHT).at_most(most);
                    return if counts { light.add(lamp) } else { light };
                }
                (normal, 0, colour_of_wall(position, normal))
            };
            let against = normal.along(direction);
            weight = weight.tinted(colour);
            if surface == 0 {
                origin = position.add(normal.scaled(STEP));
                light = light.add(weight.tinted(self.lit(origin, normal, draws)));
                direction = draws.scattered(normal);
                counts = false;
                most = MOST_GATHERED;
                continue;
            }
            counts = true;
            let inward = against < 0;
            let facing = if inward { normal } else { normal.negated() };
            let cosine = against.wrapping_abs();
            let ratio = if inward { INTO_GLASS } else { OUT_OF_GLASS };
            let slant = ONE.wrapping_sub(mul(cosine, cosine));
            let through = ONE.wrapping_sub(mul(mul(ratio, ratio), slant));
            if surface == 1 || through <= 0 || draws.draw() < reflected_part(cosine) {
                origin = position.add(facing.scaled(STEP));
                direction = direction.add(facing.scaled(cosine.wrapping_mul(2))).normalised();
            } else {
                origin = position.sub(facing.scaled(STEP));
                let bend = mul(ratio, cosine).wrapping_sub(root(through));
                direction = direction.scaled(ratio).add(facing.scaled(bend)).normalised();
            }
        }
        light
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The root of the kernel, digit by digit.
    fn root_by_digits(x: i32) -> i32 {
        let (mut left, mut rest, mut result) = (x as u32, 0_u32, 0_u32);
        for _ in 0..24 {
            rest = (rest << 2) | (left >> 30);
            left <<= 2;
            let trial = (result << 2) | 1;
            result <<= 1;
            if rest >= trial {
                rest -= trial;
                result |= 1;
            }
        }
        result as i32
    }

    /// The product of the kernel, which has no 64-bit numbers.
    fn mul_by_halves(a: i32, b: i32) -> i32 {
        let (low_a, low_b) = (a as u32 & 0xffff, b as u32 & 0xffff);
        (a >> 16)
            .wrapping_mul(b)
            .wrapping_add((low_a as i32).wrapping_mul(b >> 16))
            .wrapping_add((low_a.wrapping_mul(low_b) >> 16) as i32)
    }

    #[test]
    fn the_root_of_a_square_and_of_its_neighbours_is_rounded_down() {
        for root_of in (0_u32..1 << 16).step_by(7).chain([(1 << 16) - 1]) {
            let square = root_of * root_of;
            for x in [square.wrapping_sub(1), square, square + 1] {
                assert_eq!(root(x as i32), root_by_digits(x as i32), "the root of {x}");
            }
        }
    }

    proptest! {
        #[test]
        fn roots_and_products_are_those_of_the_kernel(a in any::<i32>(), b in any::<i32>()) {
            prop_assert_eq!(root(a), root_by_digits(a));
            prop_assert_eq!(mul(a, b), mul_by_halves(a, b));
        }

        #[test]
        fn no_scene_and_no_camera_stops_the_native_kernel(
            scene in prop::collection::vec(any::<u8>(), SPHERES * SPHERE_WORDS * 4),
            camera in prop::collection::vec(-(8_i32 << 16)..=8 << 16, 12),
            seed in any::<u32>(),
        ) {
            let mut words = vec![0, 0, 0, 0, 64, 64, 8, 16, 8, 8, 4, seed];
            words.extend(camera.iter().map(|&number| number as u32));
            let pixels = reference(&scene, &words).expect("within the bounds");
            prop_assert_eq!(pixels.len(), 8 * 8 * 4);
        }
    }
}
