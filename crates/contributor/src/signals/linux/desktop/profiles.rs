//! Whether the system saves power, by power-profiles-daemon under its new and its old name.
//!
//! This file says which programs are asked; the parent watches them.

use super::bus::Place;
use super::flag::{Flag, Question};
use crate::signals::{Reading, Unknown};

fn saves(profile: &str) -> bool {
    profile == "power-saver"
}

/// One for each of the facts. A daemon that has both names says the same under both.
pub(super) const PROFILES: [Flag; 2] = [
    Flag {
        name: "org.freedesktop.UPower.PowerProfiles",
        place: Place {
            path: "/org/freedesktop/UPower/PowerProfiles",
            interface: "org.freedesktop.UPower.PowerProfiles",
        },
        signals: &[],
        question: Question::Word("ActiveProfile", saves),
        absent: Reading::Unknown(Unknown::NoSource),
        put: |facts, reading| facts.power_savers[0] = reading,
    },
    Flag {
        name: "net.hadess.PowerProfiles",
        place: Place { path: "/net/hadess/PowerProfiles", interface: "net.hadess.PowerProfiles" },
        signals: &[],
        question: Question::Word("ActiveProfile", saves),
        absent: Reading::Unknown(Unknown::NoSource),
        put: |facts, reading| facts.power_savers[1] = reading,
    },
];
