//! One gamepad: whether a device is one, and whether what it says means that somebody holds it.
//!
//! A stick that lies on the table trembles. How far an axis reaches is known only to a call that Rust has no safe form of,
//! so it is judged from the values seen: the smallest usual range that holds them all. A move counts when it is a
//! sixteenth of that range away from where the axis last counted.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

/// The buttons of joysticks and gamepads, as the kernel numbers keys (BTN_JOYSTICK to the end of BTN_GAMEPAD).
const BUTTONS: std::ops::RangeInclusive<usize> = 0x120..=0x13f;
/// Kinds of events.
const EV_KEY: u16 = 1;
const EV_ABS: u16 = 3;
/// The axes of direction pads, which are switches: each change of theirs is a press.
const HATS: std::ops::RangeInclusive<u16> = 0x10..=0x17;
/// The part of its range that an axis must move to count.
const PART: u32 = 16;
/// The largest value of the ranges that gamepads have. Whatever is outside all but the last, or negative, is of the last.
const RANGES: [u32; 4] = [255, 1023, 4095, 65_535];
/// An event: its time in two machine words, its kind and code in two bytes each, its value in four.
const TIME: usize = 2 * size_of::<usize>();
const EVENT: usize = TIME + 8;
/// How many events are read at once, and how often at most without looking at anything else.
const EVENTS: usize = 64;
const READS: usize = 64;

/// What a gamepad has said, the most telling last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Touch {
    /// Nothing.
    Nothing,
    /// Nothing that takes a hand.
    Noise,
    /// Something that takes one.
    Somebody,
}

/// A gamepad that is open.
#[derive(Debug)]
pub(super) struct Pad {
    file: OwnedFd,
    axes: HashMap<u16, Axis>,
}

/// An axis that has been seen to move.
#[derive(Debug)]
struct Axis {
    range: u32,
    counted: i32,
}

/// Whether the keys of a device, as `capabilities/key` lists them, are those of a gamepad or joystick: hexadecimal words of
/// the machine's size, the highest first. A text of another form lists none.
pub(super) fn is_gamepad(keys: &str) -> bool {
    let words: Result<Vec<usize>, _> =
        keys.split_whitespace().rev().map(|word| usize::from_str_radix(word, 16)).collect();
    let Ok(words) = words else { return false };
    let bits = usize::BITS as usize;
    BUTTONS.into_iter().any(|key| words.get(key / bits).is_some_and(|word| word >> (key % bits) & 1 == 1))
}

impl Pad {
    pub(super) fn open(node: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
        let file = rustix::fs::open(node, flags, Mode::empty())?;
        Ok(Self { file, axes: HashMap::new() })
    }

    pub(super) fn file(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// Takes away what the gamepad has said. An error when it has been pulled out.
    pub(super) fn read(&mut self) -> io::Result<Touch> {
        let mut touch = Touch::Nothing;
        let mut room = [0; EVENTS * EVENT];
        for _ in 0..READS {
            let length = match rustix::io::read(&self.file, &mut room) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(length) => length,
                Err(Errno::WOULDBLOCK) => break,
                Err(Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            };
            for event in room[..length].chunks_exact(EVENT) {
                let event = &event[TIME..];
                let kind = u16::from_ne_bytes([event[0], event[1]]);
                let code = u16::from_ne_bytes([event[2], event[3]]);
                let value = i32::from_ne_bytes([event[4], event[5], event[6], event[7]]);
                touch = touch.max(self.judge(kind, code, value));
            }
        }
        Ok(touch)
    }

    fn judge(&mut self, kind: u16, code: u16, value: i32) -> Touch {
        match kind {
            EV_KEY => Touch::Somebody,
            EV_ABS if HATS.contains(&code) => Touch::Somebody,
            EV_ABS => {
                // Where an axis rests is not known before it speaks, so its first word never counts; a hand's second
                // comes within milliseconds.
                let axis = self.axes.entry(code).or_insert(Axis { range: RANGES[0], counted: value });
                let least =
                    RANGES.into_iter().find(|range| u32::try_from(value).is_ok_and(|it| it <= *range));
                axis.range = axis.range.max(least.unwrap_or(RANGES[3]));
                if value.abs_diff(axis.counted) >= axis.range / PART {
                    axis.counted = value;
                    Touch::Somebody
                } else {
                    Touch::Noise
                }
            }
            _ => Touch::Noise,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lying() -> Pad {
        let file = rustix::fs::open("/dev/null", OFlags::RDONLY, Mode::empty()).unwrap();
        Pad { file, axes: HashMap::new() }
    }

    #[test]
    fn gamepads_and_joysticks_are_told_from_mice_and_keyboards() {
        // As the kernel lists them on 64 bits: an Xbox pad, a flight stick, a mouse, a keyboard.
        if usize::BITS == 64 {
            assert!(is_gamepad("7cdb000000000000 0 0 0 0\n"));
            assert!(is_gamepad("fff00000000 0 0 0 0\n"));
        }
        assert!(!is_gamepad("1f0000 0 0 0 0\n"));
        assert!(!is_gamepad("1000000000007 ff9f207ac14057ff febeffdfffefffff fffffffffffffffe\n"));
    }

    #[test]
    fn hostile_lists_of_keys_are_nobodys() {
        for text in
            ["", "\n", "zz", "7cdb000000000000 0 0 0 nonsense", "ffffffffffffffffff 0 0 0 0", "-1 0 0 0 0"]
        {
            assert!(!is_gamepad(text), "{text}");
        }
    }

    #[test]
    fn a_stick_that_trembles_is_nobody_and_one_that_is_moved_is_somebody() {
        // Of 8 bits, resting in the middle.
        let mut pad = lying();
        for value in [127, 129, 127, 124, 130, 127] {
            assert_eq!(pad.judge(EV_ABS, 0, value), Touch::Noise);
        }
        assert_eq!(pad.judge(EV_ABS, 0, 150), Touch::Somebody);
        // Of 16 bits with a sign, resting anywhere.
        let mut pad = lying();
        for value in [-900, -700, 300, -1200, 800, 2400] {
            assert_eq!(pad.judge(EV_ABS, 1, value), Touch::Noise, "{value}");
        }
        assert_eq!(pad.judge(EV_ABS, 1, -9000), Touch::Somebody);
        assert_eq!(pad.judge(EV_ABS, 1, i32::MIN), Touch::Somebody);
        assert_eq!(pad.judge(EV_ABS, 1, i32::MAX), Touch::Somebody);
    }

    #[test]
    fn a_button_and_a_direction_count_each_time() {
        let mut pad = lying();
        assert_eq!(pad.judge(EV_KEY, 0x130, 1), Touch::Somebody);
        assert_eq!(pad.judge(EV_ABS, 0x10, -1), Touch::Somebody);
        // The mark at the end of each report, and a lamp.
        assert_eq!(pad.judge(0, 0, 0), Touch::Noise);
        assert_eq!(pad.judge(0x11, 1, 1), Touch::Noise);
    }
}
