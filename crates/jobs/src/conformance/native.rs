//! PURE: the conformance kernels in Rust, where integers are what WGSL says that they are.

/// Steps of the generator per invocation; must equal the loop bound in the WGSL.
pub(super) const STEPS: u32 = 256;
/// Lanes of a group.
pub(super) const LANES: usize = 64;

/// The word after `at`, round the end.
fn after(words: &[u32], at: usize) -> u32 {
    words[(at + 1) % words.len()]
}

/// Every word of a kernel that has one result per word.
fn each(words: &[u32], result: impl Fn(usize) -> u32) -> Vec<u32> {
    (0..words.len()).map(result).collect()
}

/// The xor of 256 outputs of PCG-RXS-M-XS-32 (O'Neill 2014).
pub(super) fn generate(words: &[u32], seed: u32) -> Vec<u32> {
    each(words, |at| {
        let mut state = seed ^ (at as u32).wrapping_mul(0x9e37_79b1);
        (0..STEPS).fold(0, |fold, _| {
            state = state.wrapping_mul(747_796_405).wrapping_add(2_891_336_453);
            let word = ((state >> ((state >> 28) + 4)) ^ state).wrapping_mul(277_803_737);
            fold ^ (word >> 22) ^ word
        })
    })
}

pub(super) fn multiply_high(words: &[u32], _: u32) -> Vec<u32> {
    each(words, |at| ((u64::from(words[at]) * u64::from(after(words, at))) >> 32) as u32)
}

pub(super) fn bits(words: &[u32], _: u32) -> Vec<u32> {
    each(words, |at| {
        let (x, y) = (words[at], after(words, at));
        let amount = y & 31;
        let turned = x.rotate_left(amount);
        let quotient = (x / (y | 1)) ^ (x % (y | 1)).rotate_left(7);
        let counts = x.count_ones() | (x.leading_zeros() << 8) | (y.count_zeros() << 16);
        let signed = (x.cast_signed() >> amount).wrapping_mul(y.cast_signed()).cast_unsigned();
        let lowest = if x.cast_signed() < y.cast_signed() { x } else { y };
        turned ^ quotient ^ counts.wrapping_mul(0x85eb_ca6b) ^ signed ^ lowest.reverse_bits()
    })
}

pub(super) fn signed(words: &[u32], _: u32) -> Vec<u32> {
    each(words, |at| {
        let (mut x, y) = (words[at].cast_signed(), after(words, at).cast_signed());
        let mut fold = 0_i32;
        for turn in 0..31 {
            fold ^= (x >> turn) ^ (y << turn);
            x = x.wrapping_mul(y).wrapping_add(x.wrapping_neg() >> 1);
            let order = if x < y { -1 } else { 1_i32 };
            fold = fold
                .wrapping_add(x.min(y))
                .wrapping_sub(y.wrapping_neg().max(x.wrapping_abs()))
                .wrapping_add(order.wrapping_mul(x.signum()));
        }
        let least = if at % 8 == 0 { i32::MIN } else { x };
        let lowest = least.wrapping_abs() ^ least.wrapping_neg();
        // WGSL's clamp is min(max(value, low), high), also where low is above high.
        let clamped = x.max(-1000).min(y | 1);
        let extracted = (y << 20) >> 23;
        (fold ^ lowest ^ clamped ^ extracted).cast_unsigned()
    })
}

pub(super) fn divide(words: &[u32], _: u32) -> Vec<u32> {
    each(words, |at| {
        let (x, y) = (words[at], after(words, at));
        let quotients = [3, 7, 10, 641, 65537, 0x8000_0001, u32::MAX].map(|by| x / by);
        let rests = [3, 7, 10, 641, 65537, 0x8000_0001].map(|by| x % by);
        let fold = quotients.into_iter().fold(0, |fold, quotient| fold ^ quotient);
        let fold = rests.into_iter().fold(fold.wrapping_mul(31), u32::wrapping_add);
        (0..32).fold(fold, |fold, turn| {
            let divisor = (y >> turn) | 1;
            (fold ^ (x / divisor)).wrapping_mul(0x0100_0193).wrapping_add(x % divisor)
        })
    })
}

pub(super) fn wide(words: &[u32], _: u32) -> Vec<u32> {
    each(words, |at| {
        let (mut low, mut high) = (words[at], after(words, at));
        for turn in 0..16 {
            let (sum, carry) = low.overflowing_add(words[(at + turn) % words.len()]);
            high = high.wrapping_add(carry.into());
            let (difference, borrow) = sum.overflowing_sub(high);
            high = high.wrapping_sub(borrow.into());
            let number = (u64::from(high) << 32) | u64::from(difference);
            let number = number.wrapping_mul(0x1_0000_01b3);
            (low, high) = (number as u32, (number >> 32) as u32);
        }
        low ^ high
    })
}

pub(super) fn branch(words: &[u32], _: u32) -> Vec<u32> {
    each(words, |at| {
        let (mut x, mut fold) = (words[at], 0_u32);
        for _ in 0..12 {
            match x & 3 {
                0 => fold = fold.wrapping_add(x.trailing_zeros()),
                1 => {
                    for inner in (0..9).take_while(|inner| (x >> inner) & 5 != 5) {
                        fold = fold.wrapping_mul(3).wrapping_add(inner);
                    }
                }
                2 => {
                    fold ^= x.ilog2();
                    if fold > x {
                        x = x.wrapping_add(0x9e37_79b1);
                        continue;
                    }
                }
                _ => fold = fold.wrapping_add(x >> (fold & 31)),
            }
            x = x.rotate_left(5) ^ fold;
        }
        fold ^ x
    })
}

pub(super) fn tree(words: &[u32], _: u32) -> Vec<u32> {
    words.chunks(LANES).map(|group| group.iter().fold(0, |sum: u32, &x| sum.wrapping_add(x))).collect()
}

pub(super) fn exchange(words: &[u32], _: u32) -> Vec<u32> {
    let in_group = |group: &[u32]| {
        let mut ring = group.to_vec();
        for round in 0..48 {
            let next = |lane: usize| {
                let (left, far) = (ring[(lane + 63) % 64], ring[(lane * 5 + round) % 64]);
                (ring[lane] ^ left.wrapping_mul(0x0100_0193)).wrapping_add(far >> 3)
            };
            ring = (0..LANES).map(next).collect();
        }
        ring
    };
    words.chunks(LANES).flat_map(in_group).collect()
}

pub(super) fn atomics(words: &[u32], _: u32) -> Vec<u32> {
    let in_group = |group: &[u32]| {
        let mut counts: Vec<u32> = (0..32).collect();
        for part in group.iter().flat_map(|word| word.to_le_bytes()) {
            counts[usize::from(part & 31)] += u32::from(part);
        }
        let largest = group.iter().copied().max().unwrap_or(0);
        let smallest = group.iter().map(|word| word.cast_signed()).min().unwrap_or(i32::MAX);
        let union = group.iter().fold(0, |bits, word| bits | 1 << (word & 31));
        let whole = largest ^ smallest.cast_unsigned() ^ union;
        (0..LANES as u32)
            .map(|lane| counts[lane as usize % 32].wrapping_add(whole.wrapping_mul(lane + 1)))
            .collect::<Vec<u32>>()
    };
    words.chunks(LANES).flat_map(in_group).collect()
}

pub(super) fn index(words: &[u32], _: u32) -> Vec<u32> {
    each(words, |at| {
        let mut table = [0x9e37_79b1, 0x85eb_ca6b, 0xc2b2_ae35, 0x27d4_eb2f, 0x1656_67b1, 1, 2, 3_u32];
        let (mut heap, mut four) = ([0_u32; 16], [0_u32; 4]);
        let mut word = words[at];
        for turn in 0..24_usize {
            let place = (word >> 5) as usize % 16;
            heap[place] = heap[place].wrapping_add(word ^ table[word as usize % 8]);
            four[(word >> 9) as usize % 4] += turn as u32;
            table[turn % 8] = table[(turn + 1) % 8].wrapping_add(place as u32);
            word = word.wrapping_mul(1_664_525).wrapping_add(heap[(place + turn) % 16]);
        }
        let sum = four[0] ^ (four[1] << 8) ^ (four[2] << 16) ^ (four[3] << 24);
        heap.iter().fold(sum, |sum, &cell| sum.wrapping_mul(31).wrapping_add(cell))
    })
}

/// Repeats of the stage that keeps state.
pub(super) const REPEATS: u32 = 3;

pub(super) fn kept(words: &[u32], _: u32) -> Vec<u32> {
    let last = words.len() - 1;
    each(words, |at| {
        let word = words[last - at];
        (0..REPEATS)
            .fold(0_u32, |kept, repeat| kept.wrapping_mul(5).wrapping_add(word ^ repeat).wrapping_add(1))
    })
}
