//! A sensor for everything that is yes or no and that one program tells: the shape that most of them share.
//!
//! The sensor hears the program's signals, and whichever comes, reads the value anew. The files beside it say
//! which programs those are.

use std::future::pending;

use zbus::Connection;

use super::bus::{self, News, Peer, Place, Trouble};
use super::facts::{Board, Facts};
use crate::signals::Reading;

/// Something that is yes or no.
pub(super) struct Flag {
    /// The name of the program on the bus.
    pub(super) name: &'static str,
    pub(super) place: Place<'static>,
    /// Signals after which the value may be another, besides changed properties.
    pub(super) signals: &'static [&'static str],
    pub(super) question: Question,
    /// What is known where the program is not there.
    pub(super) absent: Reading<bool>,
    pub(super) put: fn(&mut Facts, Reading<bool>),
}

/// How the value is read.
pub(super) enum Question {
    /// A method that answers yes or no.
    Method(&'static str),
    /// A property that is a word.
    Word(&'static str, fn(&str) -> bool),
    /// A property that is a number without sign.
    Bits(&'static str, fn(u32) -> bool),
    /// A property that is a number.
    Count(&'static str, fn(i32) -> bool),
}

impl Question {
    async fn ask(&self, peer: &Peer, place: Place<'_>) -> Result<bool, Trouble> {
        match *self {
            Self::Method(method) => peer.call(place, method, &()).await,
            Self::Word(name, means) => Ok(means(&peer.property::<String>(place, name).await?)),
            Self::Bits(name, means) => Ok(means(peer.property(place, name).await?)),
            Self::Count(name, means) => Ok(means(peer.property(place, name).await?)),
        }
    }
}

/// Tells the flag on the board until the bus goes.
pub(super) async fn watch(connection: &Connection, board: &Board, flag: &Flag) {
    let put = |reading| board.update(|facts| (flag.put)(facts, reading));
    let present = async |peer: &Peer| {
        let mut news = News::of(peer);
        news.changes(flag.place).await?;
        for signal in flag.signals {
            news.hear(flag.place, signal).await?;
        }
        loop {
            put(Reading::Known(flag.question.ask(peer, flag.place).await?));
            news.wake().await;
        }
    };
    let absent = async || {
        put(flag.absent);
        pending().await
    };
    bus::follow(connection, flag.name, |why| put(Reading::Unknown(why)), present, absent).await;
}
