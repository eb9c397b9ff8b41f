//! Where the electricity comes from, by UPower, and where that is not there, by the kernel.
//!
//! The kernel pushes nothing that an unprivileged program may hear simply, so that without UPower a machine
//! with a battery is asked every few seconds and one without a battery once. A driver that hangs while it
//! reads its battery holds up only a thread of its own.

use std::fs;
use std::future::pending;
use std::path::Path;
use std::time::Duration;

use zbus::Connection;

use super::bus::{self, ANSWER_WITHIN, News, Peer, Place, Trouble};
use super::facts::Board;
use crate::signals::linux::supply::power_supply;
use crate::signals::{Power, Reading, Unknown};

const NAME: &str = "org.freedesktop.UPower";
const UPOWER: Place<'static> = Place { path: "/org/freedesktop/UPower", interface: "org.freedesktop.UPower" };
/// All batteries together.
const DISPLAY_DEVICE: Place<'static> = Place {
    path: "/org/freedesktop/UPower/devices/DisplayDevice",
    interface: "org.freedesktop.UPower.Device",
};
const ASK_KERNEL_EVERY: Duration = Duration::from_secs(5);

/// Tells the power supply on the board until the bus goes.
pub(super) async fn watch(connection: &Connection, board: &Board, supplies: &Path) {
    let present = async |peer: &Peer| {
        let mut news = News::of(peer);
        news.changes(UPOWER).await?;
        news.changes(DISPLAY_DEVICE).await?;
        loop {
            let battery = peer.property(UPOWER, "OnBattery").await?;
            let power = if battery { Power::Battery { percent: percent(peer).await? } } else { Power::Mains };
            put(board, Reading::Known(power));
            news.wake().await;
        }
    };
    let absent = async || ask_kernel(board, supplies).await;
    bus::follow(connection, NAME, |why| put(board, Reading::Unknown(why)), present, absent).await;
}

async fn percent(peer: &Peer) -> Result<Option<u8>, Trouble> {
    let read = async {
        if !peer.property::<bool>(DISPLAY_DEVICE, "IsPresent").await? {
            return Ok(None);
        }
        let percent: f64 = peer.property(DISPLAY_DEVICE, "Percentage").await?;
        // The cast saturates.
        Ok(Some(percent.round().clamp(0.0, 100.0) as u8))
    };
    match read.await {
        // An old UPower has no such device; the charge is a courtesy.
        Err(trouble @ Trouble::TimedOut { .. }) => Err(trouble),
        Err(_) => Ok(None),
        percent => percent,
    }
}

fn put(board: &Board, power: Reading<Power>) {
    board.update(|facts| facts.power = power);
}

/// Tells the power supply as the kernel lists it.
pub(super) async fn ask_kernel(board: &Board, supplies: &Path) {
    loop {
        let root = supplies.to_owned();
        let mut asked = tokio::task::spawn_blocking(move || read(&root));
        let answer = match tokio::time::timeout(ANSWER_WITHIN, &mut asked).await {
            Ok(answer) => answer,
            Err(_) => {
                put(board, Reading::Unknown(Unknown::TimedOut));
                // One thread may hang, not one every five seconds.
                asked.await
            }
        };
        let (power, has_battery) = answer.unwrap_or((Reading::Unknown(Unknown::Failed), true));
        put(board, power);
        if !has_battery && power.known().is_some() {
            return pending().await;
        }
        tokio::time::sleep(ASK_KERNEL_EVERY).await;
    }
}

fn read(supplies: &Path) -> (Reading<Power>, bool) {
    (power_supply(supplies), has_battery(supplies))
}

/// Whether the machine itself has a battery; those of mice are marked.
fn has_battery(supplies: &Path) -> bool {
    let Ok(entries) = fs::read_dir(supplies) else { return false };
    entries.flatten().any(|entry| {
        let says = |file: &str, word: &str| {
            fs::read_to_string(entry.path().join(file)).is_ok_and(|text| text.trim() == word)
        };
        says("type", "Battery") && !says("scope", "Device")
    })
}
