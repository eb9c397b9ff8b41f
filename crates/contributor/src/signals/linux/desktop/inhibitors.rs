//! Whether a program asks the system to keep the screen on. Which one, and why, is not asked.
//!
//! This file says who is asked: logind on the system bus, the desktop on the session bus. The parent watches
//! them.

use super::bus::Place;
use super::facts::INHIBITOR_LOGIND;
use super::flag::{Flag, Question};
use super::login;
use crate::signals::{Reading, Unknown};

/// GNOME's bit for "the session must not count as idle".
const GNOME_IDLE: u32 = 8;

const NO_SOURCE: Reading<bool> = Reading::Unknown(Unknown::NoSource);

/// On the system bus.
pub(super) const LOGIND: Flag = Flag {
    name: login::NAME,
    place: login::MANAGER,
    signals: &[],
    question: Question::Word("BlockInhibited", |what| what.split(':').any(|kind| kind == "idle")),
    absent: NO_SOURCE,
    put: |facts, reading| facts.inhibitors[INHIBITOR_LOGIND] = reading,
};

/// On the session bus.
pub(super) const DESKTOPS: [Flag; 2] = [
    Flag {
        name: "org.gnome.SessionManager",
        place: Place { path: "/org/gnome/SessionManager", interface: "org.gnome.SessionManager" },
        signals: &["InhibitorAdded", "InhibitorRemoved"],
        question: Question::Bits("InhibitedActions", |actions| actions & GNOME_IDLE != 0),
        absent: NO_SOURCE,
        put: |facts, reading| facts.inhibitors[1] = reading,
    },
    // KDE and XFCE.
    Flag {
        name: "org.freedesktop.PowerManagement",
        place: Place {
            path: "/org/freedesktop/PowerManagement/Inhibit",
            interface: "org.freedesktop.PowerManagement.Inhibit",
        },
        signals: &["HasInhibitChanged"],
        question: Question::Method("HasInhibit"),
        absent: NO_SOURCE,
        put: |facts, reading| facts.inhibitors[2] = reading,
    },
];
