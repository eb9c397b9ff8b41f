//! Whether a player plays. Which one, and what, is neither asked nor kept.
//!
//! Every player on the session bus gets a task of its own, so that one that hangs holds up no other. They are
//! known by their unique names, which say nothing of the program; of the names that they go by only a keyed
//! hash is kept, to tell when the last of them goes. Of a program with several players the bus shows one.

use std::cell::RefCell;
use std::collections::hash_map::RandomState;
use std::collections::{HashMap, HashSet};
use std::convert::Infallible;
use std::hash::BuildHasher as _;
use std::rc::Rc;

use tokio::task::{AbortHandle, JoinSet};
use tokio::time::sleep;
use zbus::Connection;
use zbus::names::OwnedUniqueName;

use super::bus::{self, Backoff, News, Peer, Place, Trouble};
use super::facts::{Board, any};
use crate::signals::{Reading, Unknown};

const NAMES: &str = "org.mpris.MediaPlayer2";
const PLAYER: Place<'static> =
    Place { path: "/org/mpris/MediaPlayer2", interface: "org.mpris.MediaPlayer2.Player" };
/// Players that are looked at; a session with more is left at these.
const PLAYERS: usize = 32;

/// Tells on the board whether a player plays, until the bus goes.
pub(super) async fn watch(connection: &Connection, board: &Rc<Board>) {
    let mut backoff = Backoff::new();
    loop {
        let Err(trouble) = follow(connection, board).await;
        bus::warn(NAMES, &trouble);
        board.update(|facts| facts.media = Reading::Unknown(trouble.why()));
        sleep(backoff.after_failure()).await;
    }
}

/// What each player does.
type Playing = Rc<RefCell<HashMap<OwnedUniqueName, Reading<bool>>>>;

fn tell(playing: &Playing, board: &Board) {
    let readings: Vec<Reading<bool>> = playing.borrow().values().copied().collect();
    // Without a player nothing plays.
    let media = if readings.is_empty() { Some(Reading::Known(false)) } else { any(&readings) };
    if let Some(media) = media {
        board.update(|facts| facts.media = media);
    }
}

/// The players that are looked at, and their tasks, which end with this value.
struct Crowd {
    connection: Connection,
    board: Rc<Board>,
    playing: Playing,
    looked: HashMap<OwnedUniqueName, Looked>,
    hasher: RandomState,
    tasks: JoinSet<()>,
    /// There are more than are looked at.
    left_out: bool,
}

/// A player's task and its names, hashed.
struct Looked {
    names: HashSet<u64>,
    task: AbortHandle,
}

async fn follow(connection: &Connection, board: &Rc<Board>) -> Result<Infallible, Trouble> {
    let bus = Peer::bus(connection)?;
    let mut news = News::of(&bus);
    news.owners_below(NAMES).await?;
    loop {
        let mut crowd = Crowd {
            connection: connection.clone(),
            board: board.clone(),
            playing: Playing::default(),
            looked: HashMap::new(),
            hasher: RandomState::new(),
            tasks: JoinSet::new(),
            left_out: false,
        };
        for name in bus.names().await?.iter().filter(|name| is_player(name)) {
            if crowd.left_out {
                break;
            }
            if let Some(owner) = bus.owner(name).await? {
                crowd.look(owner, name);
            }
        }
        tell(&crowd.playing, board);
        loop {
            let Some((name, old, new)) = bus::owner_change(&news.next().await) else { continue };
            if let Ok(old) = OwnedUniqueName::try_from(old) {
                crowd.forget(&old, &name);
                if crowd.left_out {
                    // There is room for one that was not looked at.
                    break;
                }
            }
            if let Ok(new) = OwnedUniqueName::try_from(new) {
                crowd.look(new, &name);
            }
        }
    }
}

fn is_player(name: &str) -> bool {
    name.strip_prefix(NAMES).is_some_and(|rest| rest.starts_with('.'))
}

impl Crowd {
    /// Looks at a player from now on, where there is room.
    fn look(&mut self, player: OwnedUniqueName, name: &str) {
        let name = self.hasher.hash_one(name);
        if let Some(known) = self.looked.get_mut(&player) {
            known.names.insert(name);
            return;
        }
        if self.looked.len() >= PLAYERS {
            self.left_out = true;
            return;
        }
        // Until it has answered, what was told before holds.
        self.playing.borrow_mut().insert(player.clone(), Reading::Unknown(Unknown::NotYet));
        let peer = Peer::new(&self.connection, player.clone());
        let (playing, board) = (self.playing.clone(), self.board.clone());
        let task = self.tasks.spawn_local(follow_player(peer, player.clone(), playing, board));
        self.looked.insert(player, Looked { names: HashSet::from([name]), task });
    }

    /// A player has given up a name.
    fn forget(&mut self, player: &OwnedUniqueName, name: &str) {
        let name = self.hasher.hash_one(name);
        let Some(known) = self.looked.get_mut(player) else { return };
        known.names.remove(&name);
        if known.names.is_empty() {
            known.task.abort();
            self.looked.remove(player);
            self.playing.borrow_mut().remove(player);
            tell(&self.playing, &self.board);
        }
    }
}

async fn follow_player(peer: Peer, player: OwnedUniqueName, playing: Playing, board: Rc<Board>) {
    let put = |reading| {
        playing.borrow_mut().insert(player.clone(), reading);
        tell(&playing, &board);
    };
    let mut backoff = Backoff::new();
    let follow = async || {
        let mut news = News::of(&peer);
        news.changes(PLAYER).await?;
        loop {
            let status: String = peer.property(PLAYER, "PlaybackStatus").await?;
            put(Reading::Known(status == "Playing"));
            news.wake().await;
        }
    };
    loop {
        let result: Result<Infallible, Trouble> = follow().await;
        let Err(trouble) = result;
        bus::warn(NAMES, &trouble);
        put(Reading::Unknown(trouble.why()));
        sleep(backoff.after_failure()).await;
    }
}
