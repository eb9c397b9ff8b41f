//! The drivers that tests run on: lavapipe and SwiftShader, which stand in for two makers of cards, and the faulty driver
//! in front of lavapipe, which fails as it is told.

use std::ops::Deref;
use std::path::PathBuf;

use sandbox::Spawn;
use tokio::sync::MutexGuard;

use crate::common::{driver, say, turn};

/// Every software driver of this machine by name, for one test at a time.
pub(crate) struct Drivers {
    all: Vec<(&'static str, Spawn)>,
    _turn: MutexGuard<'static, ()>,
}

impl Deref for Drivers {
    type Target = [(&'static str, Spawn)];
    fn deref(&self) -> &Self::Target {
        &self.all
    }
}

/// lavapipe and SwiftShader; a line says which of them is missing.
pub(crate) async fn drivers() -> Drivers {
    let lavapipe = driver().map(|spawn| ("lavapipe", spawn));
    let swiftshader = swiftshader().map(|spawn| ("SwiftShader", spawn));
    Drivers { all: lavapipe.into_iter().chain(swiftshader).collect(), _turn: turn().await }
}

/// A worker on SwiftShader, whose description `cargo xtask test` names in `HEARTH_SWIFTSHADER`.
fn swiftshader() -> Option<Spawn> {
    let Some(description) = std::env::var_os("HEARTH_SWIFTSHADER").map(PathBuf::from) else {
        say("left out: no SwiftShader (HEARTH_SWIFTSHADER is not set; cargo xtask test sets it on Debian)");
        return None;
    };
    let mut spawn = driver()?;
    set(&mut spawn, "VK_ICD_FILENAMES", &description);
    Some(spawn)
}

/// Sets a variable of the worker's environment.
fn set(spawn: &mut Spawn, name: &str, value: impl AsRef<std::ffi::OsStr>) {
    spawn.env.retain(|(present, _)| present != name);
    spawn.env.push((name.into(), value.as_ref().to_owned()));
}
