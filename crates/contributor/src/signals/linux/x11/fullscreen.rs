//! Whether a window fills the screen, by what the window manager writes on the windows.
//!
//! Only states and desktops of windows are read (`_NET_WM_STATE`, `_NET_WM_DESKTOP`), never a title or a class. The X
//! server pushes each change of them; windows may vanish at any time, so an answer about one that is gone is no error.

use std::collections::BTreeSet;

use x11rb::cookie::Cookie;
use x11rb::errors::{ConnectionError, ReplyError};
use x11rb::protocol::Event;
use x11rb::protocol::xproto::{
    Atom, AtomEnum, ChangeWindowAttributesAux, ConnectionExt as _, EventMask, GetPropertyReply, Window,
};
use x11rb::rust_connection::RustConnection;

use crate::signals::{Reading, Unknown};

/// The desktop of a window that is on all of them.
const ALL_DESKTOPS: u32 = u32::MAX;
/// The most windows that are looked at, and the most states and names of a list that are read.
const MOST: u32 = 1024;

x11rb::atom_manager! {
    pub(super) Atoms:
    AtomsCookie {
        _NET_SUPPORTED,
        _NET_CLIENT_LIST,
        _NET_CURRENT_DESKTOP,
        _NET_WM_DESKTOP,
        _NET_WM_STATE,
        _NET_WM_STATE_FULLSCREEN,
        _NET_WM_STATE_HIDDEN,
    }
}

/// The windows of one screen.
pub(super) struct Windows<'x> {
    x: &'x RustConnection,
    root: Window,
    atoms: Atoms,
    watched: BTreeSet<Window>,
}

impl<'x> Windows<'x> {
    /// Has the server tell when the root window's properties change.
    pub(super) fn of(x: &'x RustConnection, root: Window) -> Result<Self, ReplyError> {
        let atoms = Atoms::new(x)?.reply()?;
        x.change_window_attributes(root, &watched())?.check()?;
        Ok(Self { x, root, atoms, watched: BTreeSet::new() })
    }

    /// Whether this event may change what [`Windows::fullscreen`] says.
    pub(super) fn concerned(&self, event: &Event) -> bool {
        let Event::PropertyNotify(notice) = event else { return false };
        let atoms = &self.atoms;
        let root = [atoms._NET_SUPPORTED, atoms._NET_CLIENT_LIST, atoms._NET_CURRENT_DESKTOP];
        if notice.window == self.root {
            root.contains(&notice.atom)
        } else {
            [atoms._NET_WM_STATE, atoms._NET_WM_DESKTOP].contains(&notice.atom)
        }
    }

    /// Whether a window fills the screen now. Unknown where no window manager says so.
    pub(super) fn fullscreen(&mut self) -> Result<Reading<bool>, ReplyError> {
        let atoms = self.atoms;
        let of_root = |name, kind: AtomEnum| -> Result<Vec<u32>, ReplyError> {
            Ok(numbers(&self.property(self.root, name, kind.into())?.reply()?))
        };
        let supported = of_root(atoms._NET_SUPPORTED, AtomEnum::ATOM)?;
        if ![atoms._NET_CLIENT_LIST, atoms._NET_WM_STATE_FULLSCREEN].iter().all(|a| supported.contains(a)) {
            return Ok(Reading::Unknown(Unknown::NoSource));
        }
        let desktop = of_root(atoms._NET_CURRENT_DESKTOP, AtomEnum::CARDINAL)?.first().copied();
        let windows: BTreeSet<Window> =
            of_root(atoms._NET_CLIENT_LIST, AtomEnum::WINDOW)?.into_iter().collect();
        for window in windows.difference(&self.watched) {
            // Asked for before the window is read, so that no change falls between. The error for one that is gone
            // comes as an event, which nobody is concerned with.
            self.x.change_window_attributes(*window, &watched())?;
        }
        let mut asked = Vec::new();
        for window in &windows {
            let state = self.property(*window, atoms._NET_WM_STATE, AtomEnum::ATOM.into())?;
            asked.push((state, self.property(*window, atoms._NET_WM_DESKTOP, AtomEnum::CARDINAL.into())?));
        }
        self.watched = windows;
        let mut fullscreen = false;
        for (state, place) in asked {
            let (Some(state), Some(place)) = (unless_gone(state.reply())?, unless_gone(place.reply())?)
            else {
                continue;
            };
            let state = numbers(&state);
            let here = match (numbers(&place).first(), desktop) {
                (Some(&place), Some(desktop)) => place == ALL_DESKTOPS || place == desktop,
                // A window manager without desktops has only one.
                (None, _) | (_, None) => true,
            };
            fullscreen |= here
                && state.contains(&atoms._NET_WM_STATE_FULLSCREEN)
                && !state.contains(&atoms._NET_WM_STATE_HIDDEN);
        }
        Ok(Reading::Known(fullscreen))
    }

    fn property(
        &self,
        window: Window,
        name: Atom,
        kind: Atom,
    ) -> Result<Cookie<'x, RustConnection, GetPropertyReply>, ConnectionError> {
        self.x.get_property(false, window, name, kind, 0, MOST)
    }
}

fn watched() -> ChangeWindowAttributesAux {
    ChangeWindowAttributesAux::new().event_mask(EventMask::PROPERTY_CHANGE)
}

/// The numbers of a property; none where it is missing or of another kind.
fn numbers(reply: &GetPropertyReply) -> Vec<u32> {
    reply.value32().map(Iterator::collect).unwrap_or_default()
}

/// The answer about a window, unless the window is gone.
fn unless_gone(reply: Result<GetPropertyReply, ReplyError>) -> Result<Option<GetPropertyReply>, ReplyError> {
    match reply {
        Ok(reply) => Ok(Some(reply)),
        Err(ReplyError::X11Error(_)) => Ok(None),
        Err(error) => Err(error),
    }
}
