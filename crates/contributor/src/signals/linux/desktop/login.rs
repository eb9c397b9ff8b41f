//! Our session, by logind: locked, used from afar, on the screen; and its idle hint as the last resort for
//! input.
//!
//! It is the session named in the environment; a program that the user's systemd starts has none and takes
//! the user's graphical one. A signal to lock is only a request: whatever comes, the hint is read anew, so
//! that a request that nobody heeds locks nothing.

use std::convert::Infallible;
use std::future::pending;

use protocol::units::UnixMillis;
use zbus::Connection;
use zbus::zvariant::{OwnedObjectPath, Structure};

use super::bus::{self, News, Peer, Place, Trouble};
use super::facts::{Board, Login};
use crate::signals::{Input, Reading, Unknown};

pub(super) const NAME: &str = "org.freedesktop.login1";
pub(super) const MANAGER: Place<'static> =
    Place { path: "/org/freedesktop/login1", interface: "org.freedesktop.login1.Manager" };
/// The user who asks.
const SELF: Place<'static> =
    Place { path: "/org/freedesktop/login1/user/self", interface: "org.freedesktop.login1.User" };
const SESSION: &str = "org.freedesktop.login1.Session";

/// Tells our session on the board until the bus goes.
pub(super) async fn watch(connection: &Connection, board: &Board, session_id: Option<&str>) {
    let unknown = |why| {
        board.update(|facts| {
            facts.login = Reading::Unknown(why);
            facts.idle_hint = Reading::Unknown(why);
        });
    };
    let present = async |peer: &Peer| {
        let mut sessions = News::of(peer);
        sessions.hear(MANAGER, "SessionNew").await?;
        sessions.hear(MANAGER, "SessionRemoved").await?;
        loop {
            let Some(path) = our_session(peer, session_id).await? else {
                unknown(Unknown::NoSource);
                sessions.wake().await;
                continue;
            };
            let place = Place { path: path.as_str(), interface: SESSION };
            tokio::select! {
                end = follow(peer, place, board) => match end? {},
                // Ours may have ended, or another of ours have come.
                () = sessions.wake() => {}
            }
        }
    };
    let absent = async || {
        unknown(Unknown::NoSource);
        pending().await
    };
    bus::follow(connection, NAME, unknown, present, absent).await;
}

async fn our_session(peer: &Peer, id: Option<&str>) -> Result<Option<OwnedObjectPath>, Trouble> {
    if let Some(id) = id {
        match peer.call(MANAGER, "GetSession", &id).await {
            Ok(path) => return Ok(Some(path)),
            // The environment may be that of a session that has ended.
            Err(trouble) if trouble.is_answer() => {}
            Err(trouble) => return Err(trouble),
        }
    }
    match peer.property::<Structure<'static>>(SELF, "Display").await {
        Ok(display) => Ok(session_path(display)),
        // A user who is not logged in.
        Err(trouble) if trouble.is_answer() => Ok(None),
        Err(trouble) => Err(trouble),
    }
}

/// The path in a pair of id and path; without an id there is no session.
fn session_path(display: Structure<'static>) -> Option<OwnedObjectPath> {
    let [id, path] = <[_; 2]>::try_from(display.into_fields()).ok()?;
    let id = String::try_from(id).ok()?;
    OwnedObjectPath::try_from(path).ok().filter(|_| !id.is_empty())
}

async fn follow(peer: &Peer, session: Place<'_>, board: &Board) -> Result<Infallible, Trouble> {
    let mut news = News::of(peer);
    news.changes(session).await?;
    news.hear(session, "Lock").await?;
    news.hear(session, "Unlock").await?;
    loop {
        let login = Login {
            locked: peer.property(session, "LockedHint").await?,
            remote: peer.property(session, "Remote").await?,
            active: peer.property(session, "Active").await?,
        };
        let idle = if board.read(|facts| facts.idle) {
            let hint = peer.property::<bool>(session, "IdleHint").await?;
            let since_micros = peer.property::<u64>(session, "IdleSinceHint").await?;
            let since = Input::IdleSince(UnixMillis(since_micros / 1000));
            Reading::Known(if hint { since } else { Input::Active })
        } else {
            Reading::Unknown(Unknown::NoSource)
        };
        board.update(|facts| {
            facts.login = Reading::Known(login);
            facts.idle_hint = idle;
        });
        news.wake().await;
    }
}
