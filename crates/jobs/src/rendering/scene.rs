//! What stands in the room: spheres of glass, of silver and of clay, placed by a seed.
//!
//! The bytes are the input of every slice, 16 fractional bits a number. The two large spheres always stand there; the
//! small ones are thrown on the floor in the order of a BLAKE3 stream and stay where they touch nothing.

/// Spheres of a scene; must equal the constant of the kernel.
pub(super) const SPHERES: usize = 14;
/// Words per sphere: centre, radius, surface, colour.
pub(super) const SPHERE_WORDS: usize = 8;

const MIRROR: i32 = 1;
const GLASS: i32 = 2;
const CLAY: i32 = 0;

/// The large ones: glass in front, silver behind.
const LARGE: [[i32; SPHERE_WORDS]; 2] = [
    [45_875, 39_322, 58_982, 39_322, GLASS, 64_880, 64_880, 64_880],
    [-55_706, 55_706, -39_322, 55_706, MIRROR, 62_915, 60_293, 56_361],
];

/// Fired clay, from ember to ash, and a blue glaze.
const CLAYS: [[i32; 3]; 6] = [
    [58_982, 22_938, 5_898],
    [60_293, 40_632, 11_796],
    [45_875, 9_830, 7_864],
    [49_807, 46_530, 41_943],
    [7_864, 28_836, 45_219],
    [17_694, 39_321, 34_078],
];

/// The spheres that a seed gives, as the input bytes of a slice.
pub(super) fn scene(seed: u32) -> Vec<u8> {
    let mut stream = blake3::Hasher::new_derive_key("hearth jobs 2026 spheres of a rendered room")
        .update(&seed.to_le_bytes())
        .finalize_xof();
    let mut draw = |low: i32, high: i32| {
        let mut word = [0; 4];
        stream.fill(&mut word);
        // The spans are far below 2^31, so that the product of 32 and 31 bits keeps its high half in range.
        low + ((u64::from(u32::from_le_bytes(word)) * (high - low) as u64) >> 32) as i32
    };
    let mut spheres = LARGE.to_vec();
    while spheres.len() < SPHERES {
        let radius = draw(7_864, 19_661);
        let (x, z) = (draw(-124_000 + radius, 124_000 - radius), draw(-120_000 + radius, 110_000 - radius));
        let [red, green, blue] = CLAYS[draw(0, CLAYS.len() as i32) as usize];
        let surface = if draw(0, 5) == 0 { GLASS } else { CLAY };
        let colour = if surface == GLASS { [63_569, 61_603, 57_016] } else { [red, green, blue] };
        let sphere = [x, radius, z, radius, surface, colour[0], colour[1], colour[2]];
        if spheres.iter().all(|other| are_apart(&sphere, other)) {
            spheres.push(sphere);
        }
    }
    let words: Vec<u32> = spheres.iter().flatten().map(|&word| word as u32).collect();
    crate::bytes_of(&words)
}

/// Whether two spheres do not touch.
fn are_apart(one: &[i32; SPHERE_WORDS], other: &[i32; SPHERE_WORDS]) -> bool {
    let square = |x: i32| i64::from(x) * i64::from(x);
    let distance: i64 = one.iter().zip(other).take(3).map(|(a, b)| square(a - b)).sum();
    distance > square(one[3] + other[3] + 1_311)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spheres(seed: u32) -> Vec<[i32; SPHERE_WORDS]> {
        let words: Vec<i32> = crate::words_of(&scene(seed)).map(|word| word as i32).collect();
        words.as_chunks().0.to_vec()
    }

    #[test]
    fn every_seed_fills_the_room_with_spheres_that_do_not_touch() {
        for seed in 0..200 {
            let spheres = spheres(seed);
            assert_eq!(spheres.len(), SPHERES, "seed {seed}");
            for (i, one) in spheres.iter().enumerate() {
                assert!(spheres[..i].iter().all(|other| are_apart(one, other)), "sphere {i} of seed {seed}");
                assert!(one[1] >= one[3], "sphere {i} of seed {seed} stands on the floor or above");
            }
        }
    }

    #[test]
    fn another_seed_is_another_room() {
        assert_eq!(spheres(1), spheres(1), "the same seed gives the same room");
        assert_ne!(spheres(1), spheres(2));
    }
}
