//! The programs that lock the screen and say so on the session bus. Some desktops tell logind of a lock, some
//! only here.
//!
//! This file says which programs are asked; the parent watches them.

use super::bus::Place;
use super::flag::{Flag, Question};
use crate::signals::{Reading, Unknown};

const NO_SOURCE: Reading<bool> = Reading::Unknown(Unknown::NoSource);

/// One for each of the facts.
pub(super) const SCREEN_SAVERS: [Flag; 3] = [
    // KDE and others. GNOME has the name too, without the question: that counts as no source.
    Flag {
        name: "org.freedesktop.ScreenSaver",
        place: Place { path: "/org/freedesktop/ScreenSaver", interface: "org.freedesktop.ScreenSaver" },
        signals: &["ActiveChanged"],
        question: Question::Method("GetActive"),
        absent: NO_SOURCE,
        put: |facts, reading| facts.screen_savers[0] = reading,
    },
    Flag {
        name: "org.gnome.ScreenSaver",
        place: Place { path: "/org/gnome/ScreenSaver", interface: "org.gnome.ScreenSaver" },
        signals: &["ActiveChanged"],
        question: Question::Method("GetActive"),
        absent: NO_SOURCE,
        put: |facts, reading| facts.screen_savers[1] = reading,
    },
    Flag {
        name: "org.xfce.ScreenSaver",
        place: Place { path: "/org/xfce/ScreenSaver", interface: "org.xfce.ScreenSaver" },
        signals: &["ActiveChanged"],
        question: Question::Method("GetActive"),
        absent: NO_SOURCE,
        put: |facts, reading| facts.screen_savers[2] = reading,
    },
];
