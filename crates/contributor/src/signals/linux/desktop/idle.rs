//! Input by push from GNOME's shell, which has no protocol for it on Wayland but this.
//!
//! Two watches do what the two alarms of the X server do: one fires after a second without input, the other,
//! which fires only once and is set anew each time, when input comes again.

use std::future::pending;

use network::Clock;
use protocol::units::UnixMillis;
use zbus::Connection;

use super::bus::{self, News, Peer, Place};
use super::facts::Board;
use crate::signals::{Input, Reading, Unknown};

const NAME: &str = "org.gnome.Mutter.IdleMonitor";
const CORE: Place<'static> =
    Place { path: "/org/gnome/Mutter/IdleMonitor/Core", interface: "org.gnome.Mutter.IdleMonitor" };
/// Without input for this long nobody counts as present at this moment; how long is long enough is the
/// policy's.
const QUIET_MILLIS: u64 = 1000;

/// Tells input on the board until the bus goes.
pub(super) async fn watch(connection: &Connection, board: &Board, clock: &Clock) {
    let put = |input| board.update(|facts| facts.mutter = input);
    let present = async |peer: &Peer| {
        let mut news = News::of(peer);
        news.hear(CORE, "WatchFired").await?;
        let left: u32 = peer.call(CORE, "AddIdleWatch", &QUIET_MILLIS).await?;
        let mut came: Option<u32> = None;
        let mut look = true;
        loop {
            if look {
                // The watch comes before the look, so that input between the two is not lost.
                if came.is_none() {
                    came = Some(peer.call(CORE, "AddUserActiveWatch", &()).await?);
                }
                let idle_millis: u64 = peer.call(CORE, "GetIdletime", &()).await?;
                put(Reading::Known(input(idle_millis, clock)));
            }
            let Ok(fired) = news.next().await.body().deserialize::<u32>() else { continue };
            look = fired == left;
            if Some(fired) == came {
                came = None;
                put(Reading::Known(Input::Active));
            }
        }
    };
    let absent = async || {
        put(Reading::Unknown(Unknown::NoSource));
        pending().await
    };
    bus::follow(connection, NAME, |why| put(Reading::Unknown(why)), present, absent).await;
}

fn input(idle_millis: u64, clock: &Clock) -> Input {
    if idle_millis < QUIET_MILLIS {
        Input::Active
    } else {
        Input::IdleSince(UnixMillis(clock().0.saturating_sub(idle_millis)))
    }
}
