//! Sleep and shutdown, announced by logind, and the moment that we ask it for.
//!
//! While the system is awake this sensor holds a delay lock. Once it has told that the system falls asleep it
//! leaves the engine a moment to hand the card back and to keep the work, then lets go; after waking it takes
//! the lock again. A system that refuses the lock sleeps at once, and everything else works all the same.

use std::os::fd::OwnedFd;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use zbus::Connection;
use zbus::zvariant;

use super::bus::{self, News, Peer, Trouble};
use super::facts::Board;
use super::login::{MANAGER, NAME};

/// How long the engine has at most; systemd itself waits for 5 s.
const MOMENT: Duration = Duration::from_millis(300);

/// Tells sleep on the board until the bus goes.
pub(super) async fn watch(connection: &Connection, board: &Board) {
    let present = async |peer: &Peer| {
        let mut news = News::of(peer);
        news.hear(MANAGER, "PrepareForSleep").await?;
        news.hear(MANAGER, "PrepareForShutdown").await?;
        let mut sleeps = at_the_start(peer.property(MANAGER, "PreparingForSleep").await)?;
        let mut ends = at_the_start(peer.property(MANAGER, "PreparingForShutdown").await)?;
        tell(board, sleeps || ends);
        let mut lock = if sleeps || ends { None } else { delay(peer).await };
        let mut release_at = None;
        loop {
            let message = tokio::select! {
                message = news.next() => message,
                () = until(release_at) => {
                    // Dropping the lock is what lets the system sleep.
                    lock = None;
                    release_at = None;
                    continue;
                }
            };
            let Ok(begins) = message.body().deserialize::<bool>() else { continue };
            match message.header().member().map(|member| member.as_str()) {
                Some("PrepareForSleep") => sleeps = begins,
                Some("PrepareForShutdown") => ends = begins,
                _ => continue,
            }
            tell(board, sleeps || ends);
            if sleeps || ends {
                release_at = release_at.or(lock.as_ref().map(|_| Instant::now() + MOMENT));
            } else {
                release_at = None;
                if lock.is_none() {
                    lock = delay(peer).await;
                }
            }
        }
    };
    // What was announced stays: a machine that shuts down stops logind too.
    bus::follow(connection, NAME, |_| {}, present, async || {}).await;
}

/// An old logind does not tell at the start; it still announces.
fn at_the_start(preparing: Result<bool, Trouble>) -> Result<bool, Trouble> {
    match preparing {
        Err(trouble) if trouble.is_answer() => Ok(false),
        preparing => preparing,
    }
}

/// Who has never been told of sleep is not told of waking.
fn tell(board: &Board, falling_asleep: bool) {
    board.update(|facts| {
        if falling_asleep || facts.falling_asleep.is_some() {
            facts.falling_asleep = Some(falling_asleep);
        }
    });
}

async fn until(instant: Option<Instant>) {
    match instant {
        Some(instant) => sleep_until(instant).await,
        None => std::future::pending().await,
    }
}

async fn delay(peer: &Peer) -> Option<OwnedFd> {
    let why = "Hands the graphics card back";
    match peer.call(MANAGER, "Inhibit", &("sleep:shutdown", "Hearth", why, "delay")).await {
        Ok(lock) => Some(zvariant::OwnedFd::into(lock)),
        Err(trouble) => {
            bus::warn(NAME, &trouble);
            None
        }
    }
}
