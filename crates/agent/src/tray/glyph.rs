//! PURE. Draws the five tray glyphs as pixels from the shapes of `shared/look/tray-*.svg` (a 16 by 16 grid).
//!
//! A tray's ground may be light or dark and cannot be asked for, so the glyph is light ink with a dark rim. Only the
//! flame is ember. Shapes differ between states, so that nothing hangs on colour.

use super::Icon;

/// A square picture, row by row, each pixel alpha, red, green, blue, not premultiplied: the order of the
/// StatusNotifierItem specification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pixels {
    /// Width and height.
    pub side: u16,
    /// `side * side * 4` bytes.
    pub argb: Vec<u8>,
}

/// Sides that trays ask for.
pub const SIDES: [u16; 5] = [16, 22, 24, 32, 48];

const INK: [u8; 3] = [0xf4, 0xf1, 0xec];
const EMBER: [u8; 3] = [0xf0, 0x7b, 0x1f];
const RIM: [u8; 3] = [0x1c, 0x1a, 0x17];
/// Width of the rim in units of the grid.
const RIM_UNITS: f32 = 0.6;
/// Opacity of the rim.
const RIM_ALPHA: f32 = 0.6;
/// Samples per pixel and direction.
const SAMPLES: u16 = 4;

/// The glyph at `side` pixels.
pub fn draw(icon: Icon, side: u16) -> Pixels {
    let unit = 16.0 / f32::from(side);
    let mut argb = Vec::with_capacity(usize::from(side) * usize::from(side) * 4);
    for y in 0..side {
        for x in 0..side {
            let (mut ink, mut ember, mut rim) = (0_u16, 0_u16, 0_u16);
            for sample in 0..SAMPLES * SAMPLES {
                let across = (f32::from(sample % SAMPLES) + 0.5) / f32::from(SAMPLES);
                let down = (f32::from(sample / SAMPLES) + 0.5) / f32::from(SAMPLES);
                let point = ((f32::from(x) + across) * unit, (f32::from(y) + down) * unit);
                match covers(icon, point) {
                    Some(Paint::Ink) => ink += 1,
                    Some(Paint::Ember) => ember += 1,
                    None if near(icon, point) => rim += 1,
                    None => {}
                }
            }
            argb.extend_from_slice(&mix(ink, ember, rim));
        }
    }
    Pixels { side, argb }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Paint {
    Ink,
    Ember,
}

fn mix(ink: u16, ember: u16, rim: u16) -> [u8; 4] {
    let weights = [(f32::from(ink), INK), (f32::from(ember), EMBER), (f32::from(rim) * RIM_ALPHA, RIM)];
    let sum: f32 = weights.iter().map(|(weight, _)| weight).sum();
    if sum <= 0.0 {
        return [0; 4];
    }
    let alpha = 255.0 * sum / f32::from(SAMPLES * SAMPLES);
    let channel = |index: usize| {
        weights.iter().map(|(weight, colour)| weight * f32::from(colour[index])).sum::<f32>() / sum
    };
    [alpha, channel(0), channel(1), channel(2)].map(|value| value.round().clamp(0.0, 255.0) as u8)
}

fn near(icon: Icon, (x, y): (f32, f32)) -> bool {
    (0..8).any(|step| {
        let (sine, cosine) = (step as f32 * std::f32::consts::FRAC_PI_4).sin_cos();
        covers(icon, (x + RIM_UNITS * cosine, y + RIM_UNITS * sine)).is_some()
    })
}

/// What the glyph paints at a point of the 16 by 16 grid.
fn covers(icon: Icon, point: (f32, f32)) -> Option<Paint> {
    let ink = |inside: bool| inside.then_some(Paint::Ink);
    match icon {
        Icon::Sharing if flame(point) => Some(Paint::Ember),
        Icon::Sharing => ink(arch(point)),
        Icon::Waiting => ink(arch(point)
            || [4.0, 7.0, 10.0].iter().any(|left| within(point, (*left, 9.0), (left + 2.0, 11.0)))),
        Icon::Paused => ink(arch(point)
            || within(point, (5.0, 6.0), (7.0, 12.0))
            || within(point, (9.0, 6.0), (11.0, 12.0))),
        Icon::Attention => ink((foot(point, 1.0) || body(point))
            && !within(point, (7.1, 4.25), (8.9, 9.25))
            && !within(point, (7.1, 10.75), (8.9, 12.55))),
        Icon::Off => ink(broken_arch(point) || strike(point)),
    }
}

fn within((x, y): (f32, f32), (left, top): (f32, f32), (right, bottom): (f32, f32)) -> bool {
    (left..=right).contains(&x) && (top..=bottom).contains(&y)
}

fn foot(point: (f32, f32), left: f32) -> bool {
    within(point, (left, 13.5), (15.0, 15.0))
}

/// The half circle of radius 5.75 about (8, 7.75) and its two legs, as a line 1.5 wide.
fn bow((x, y): (f32, f32)) -> bool {
    let radius = if y <= 7.75 { (x - 8.0).hypot(y - 7.75) } else { (x - 8.0).abs() };
    y <= 14.0 && (radius - 5.75).abs() <= 0.75
}

fn arch(point: (f32, f32)) -> bool {
    bow(point) || foot(point, 1.0)
}

fn broken_arch((x, y): (f32, f32)) -> bool {
    let gap = x > 11.4 && y < 5.8;
    let cut_leg = x < 8.0 && y > 12.0;
    (bow((x, y)) && !gap && !cut_leg) || foot((x, y), 5.0)
}

/// The line from (1.5, 14.5) to (14.5, 1.5), 1.5 wide.
fn strike((x, y): (f32, f32)) -> bool {
    let from_line = (x + y - 16.0).abs() / std::f32::consts::SQRT_2;
    from_line <= 0.75 && (1.5..=14.5).contains(&x) && (1.5..=14.5).contains(&y)
}

/// The filled arch.
fn body((x, y): (f32, f32)) -> bool {
    let radius = if y <= 7.75 { (x - 8.0).hypot(y - 7.75) } else { (x - 8.0).abs() };
    y <= 13.5 && radius <= 6.5
}

/// A half circle of radius 2.75 about (8, 10.2) under two mirrored curves that meet at (8, 4.6).
fn flame((x, y): (f32, f32)) -> bool {
    if y > 10.2 {
        return (x - 8.0).hypot(y - 10.2) <= 2.75;
    }
    if y < 4.6 {
        return false;
    }
    // The curve goes down all the way, so the parameter of a height is found by halving.
    let bezier = |t: f32, a: f32, b: f32, c: f32, d: f32| {
        let s = 1.0 - t;
        s * s * s * a + 3.0 * s * s * t * b + 3.0 * s * t * t * c + t * t * t * d
    };
    let (mut low, mut high) = (0.0_f32, 1.0_f32);
    for _ in 0..16 {
        let middle = (low + high) / 2.0;
        if bezier(middle, 4.6, 6.6, 7.7, 10.2) < y { low = middle } else { high = middle }
    }
    (x - 8.0).abs() <= bezier(low, 0.0, 0.35, 2.75, 2.75)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Icon; 5] = [Icon::Sharing, Icon::Waiting, Icon::Paused, Icon::Attention, Icon::Off];

    /// The opaque pixels, as shape only.
    fn shape(icon: Icon, side: u16) -> Vec<bool> {
        let picture = draw(icon, side);
        picture.argb.chunks(4).map(|pixel| pixel[0] > 200 && pixel[1] > 128).collect()
    }

    #[test]
    fn glyphs_differ_in_shape_at_every_size() {
        for side in SIDES {
            for (index, icon) in ALL.iter().enumerate() {
                assert_eq!(draw(*icon, side).argb.len(), usize::from(side) * usize::from(side) * 4);
                for other in &ALL[..index] {
                    let differing =
                        shape(*icon, side).iter().zip(shape(*other, side)).filter(|(a, b)| **a != *b).count();
                    let enough = usize::from(side) * usize::from(side) / 50;
                    assert!(
                        differing > enough,
                        "{icon:?} and {other:?} look alike at {side}: {differing} pixels"
                    );
                }
            }
        }
    }

    #[test]
    fn only_the_flame_is_ember() {
        let orange = |icon| {
            draw(icon, 32).argb.chunks(4).filter(|p| p[0] == 255 && p[1] > 0xd0 && p[3] < 0x60).count()
        };
        assert!(orange(Icon::Sharing) > 20, "the flame glows");
        for icon in &ALL[1..] {
            assert_eq!(orange(*icon), 0, "{icon:?} does not");
        }
    }
}
