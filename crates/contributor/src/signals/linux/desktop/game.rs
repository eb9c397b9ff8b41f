//! Whether a game has told GameMode that it runs. Which one is not asked.
//!
//! This file says who is asked; the parent watches it.

use super::bus::Place;
use super::flag::{Flag, Question};
use crate::signals::Reading;

/// GameMode starts when a game calls it, so that without it no game has told anything: that is a "no".
pub(super) const GAME_MODE: Flag = Flag {
    name: "com.feralinteractive.GameMode",
    place: Place { path: "/com/feralinteractive/GameMode", interface: "com.feralinteractive.GameMode" },
    signals: &["GameRegistered", "GameUnregistered"],
    question: Question::Count("ClientCount", |clients| clients > 0),
    absent: Reading::Known(false),
    put: |facts, reading| facts.game = reading,
};
