//! What a compositor has said so far: its seats with their idle notifications, and the states of its windows.

use std::collections::{BTreeMap, HashMap};

use network::Clock;
use protocol::units::UnixMillis;
use wayland_client::backend::ObjectId;
use wayland_client::protocol::wl_callback::{self, WlCallback};
use wayland_client::protocol::wl_registry::{self, WlRegistry};
use wayland_client::protocol::wl_seat::{self, WlSeat};
use wayland_client::{Connection, Dispatch, Proxy as _, QueueHandle, delegate_noop, event_created_child};
use wayland_protocols::ext::idle_notify::v1::client::ext_idle_notification_v1::{
    self, ExtIdleNotificationV1,
};
use wayland_protocols::ext::idle_notify::v1::client::ext_idle_notifier_v1::{self, ExtIdleNotifierV1};
use wayland_protocols_wlr::foreign_toplevel::v1::client::zwlr_foreign_toplevel_handle_v1::{
    self, ZwlrForeignToplevelHandleV1,
};
use wayland_protocols_wlr::foreign_toplevel::v1::client::zwlr_foreign_toplevel_manager_v1::{
    self, ZwlrForeignToplevelManagerV1,
};

use super::QUIET_MILLIS;
use crate::signals::{Change, Input, Outlet, Reading, Unknown};

/// The states of a window that matter here, as the protocol numbers them.
const MINIMIZED: u32 = 1;
const FULLSCREEN: u32 = 3;

/// How much of the compositor's offer has been heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Heard {
    /// Nothing yet.
    Nothing,
    /// What it offers.
    Offer,
    /// The state of what it offers.
    State,
}

/// A seat, and whether nobody uses it.
#[derive(Debug)]
struct Seat {
    seat: WlSeat,
    notification: Option<ExtIdleNotificationV1>,
    /// A fresh notification counts as used until the compositor says otherwise, as its protocol has it.
    idle: bool,
}

/// A window: what holds, and what will hold when the compositor says that it is done.
#[derive(Debug, Default)]
struct Top {
    fullscreen: bool,
    pending: bool,
}

/// Everything that has been said.
#[derive(Debug)]
pub(super) struct Seen {
    heard: Heard,
    notifier: Option<ExtIdleNotifierV1>,
    seats: BTreeMap<u32, Seat>,
    tops: Option<HashMap<ObjectId, Top>>,
    told_idle: Option<Option<bool>>,
    told_fullscreen: Option<Reading<bool>>,
}

impl Seen {
    /// Asks the compositor what it offers.
    pub(super) fn ask(connection: &Connection, queue: &QueueHandle<Self>) -> Self {
        let display = connection.display();
        display.get_registry(queue, ());
        display.sync(queue, Heard::Offer);
        Self {
            heard: Heard::Nothing,
            notifier: None,
            seats: BTreeMap::new(),
            tops: None,
            told_idle: None,
            told_fullscreen: None,
        }
    }

    /// Whether the compositor tells of input; nothing before it has said what it offers.
    pub(super) fn offered(&self) -> Option<bool> {
        (self.heard >= Heard::Offer).then_some(self.notifier.is_some())
    }

    /// Tells what has changed since the last time. False while the compositor has not told its state yet.
    pub(super) fn tell_changes(&mut self, tell: &Outlet, clock: &Clock) -> bool {
        if self.heard < Heard::State {
            return false;
        }
        let mut watched = self.seats.values().filter(|seat| seat.notification.is_some()).peekable();
        let idle = watched.peek().is_some().then(|| watched.all(|seat| seat.idle));
        if self.told_idle.replace(idle) != Some(idle) {
            tell(Change::Input(match idle {
                None => Reading::Unknown(Unknown::NoSource),
                Some(false) => Reading::Known(Input::Active),
                Some(true) => {
                    let quiet = QUIET_MILLIS.into();
                    Reading::Known(Input::IdleSince(UnixMillis(clock().0.saturating_sub(quiet))))
                }
            }));
        }
        let fullscreen = self.tops.as_ref().map_or(Reading::Unknown(Unknown::NoSource), |tops| {
            Reading::Known(tops.values().any(|top| top.fullscreen))
        });
        if self.told_fullscreen.replace(fullscreen) != Some(fullscreen) {
            tell(Change::Fullscreen(fullscreen));
        }
        true
    }

    /// Has each seat watched that is not yet, as soon as it and the notifier are known.
    fn watch_seats(&mut self, queue: &QueueHandle<Self>) {
        let Some(notifier) = &self.notifier else { return };
        for (name, seat) in &mut self.seats {
            if seat.notification.is_some() {
                continue;
            }
            let (wl_seat, quiet) = (&seat.seat, QUIET_MILLIS);
            seat.notification =
                Some(if notifier.version() >= ext_idle_notifier_v1::REQ_GET_INPUT_IDLE_NOTIFICATION_SINCE {
                    notifier.get_input_idle_notification(quiet, wl_seat, queue, *name)
                } else {
                    notifier.get_idle_notification(quiet, wl_seat, queue, *name)
                });
        }
    }
}

impl Dispatch<WlRegistry, ()> for Seen {
    fn event(
        seen: &mut Self,
        registry: &WlRegistry,
        event: wl_registry::Event,
        (): &(),
        _: &Connection,
        queue: &QueueHandle<Self>,
    ) {
        match event {
            wl_registry::Event::Global { name, interface, version } => {
                if interface == ExtIdleNotifierV1::interface().name && seen.notifier.is_none() {
                    seen.notifier = Some(registry.bind(name, version.min(2), queue, ()));
                } else if interface == WlSeat::interface().name {
                    let version = version.min(wl_seat::REQ_RELEASE_SINCE);
                    let seat = registry.bind(name, version, queue, ());
                    seen.seats.insert(name, Seat { seat, notification: None, idle: false });
                } else if interface == ZwlrForeignToplevelManagerV1::interface().name
                    // The first version does not know the state.
                    && version >= 2
                    && seen.tops.is_none()
                {
                    let _: ZwlrForeignToplevelManagerV1 = registry.bind(name, version.min(3), queue, ());
                    seen.tops = Some(HashMap::new());
                }
                seen.watch_seats(queue);
            }
            wl_registry::Event::GlobalRemove { name } => {
                let Some(gone) = seen.seats.remove(&name) else { return };
                if let Some(notification) = gone.notification {
                    notification.destroy();
                }
                if gone.seat.version() >= wl_seat::REQ_RELEASE_SINCE {
                    gone.seat.release();
                }
            }
            _ => {}
        }
    }
}

impl Dispatch<WlCallback, Heard> for Seen {
    fn event(
        seen: &mut Self,
        _: &WlCallback,
        event: wl_callback::Event,
        heard: &Heard,
        connection: &Connection,
        queue: &QueueHandle<Self>,
    ) {
        if let wl_callback::Event::Done { .. } = event {
            seen.heard = *heard;
            if *heard == Heard::Offer {
                // The windows come only after they have been asked for, so the state is complete one round later.
                connection.display().sync(queue, Heard::State);
            }
        }
    }
}

impl Dispatch<ExtIdleNotificationV1, u32> for Seen {
    fn event(
        seen: &mut Self,
        _: &ExtIdleNotificationV1,
        event: ext_idle_notification_v1::Event,
        seat: &u32,
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
        let Some(seat) = seen.seats.get_mut(seat) else { return };
        match event {
            ext_idle_notification_v1::Event::Idled => seat.idle = true,
            ext_idle_notification_v1::Event::Resumed => seat.idle = false,
            _ => {}
        }
    }
}

impl Dispatch<ZwlrForeignToplevelManagerV1, ()> for Seen {
    fn event(
        seen: &mut Self,
        _: &ZwlrForeignToplevelManagerV1,
        event: zwlr_foreign_toplevel_manager_v1::Event,
        (): &(),
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
        match event {
            zwlr_foreign_toplevel_manager_v1::Event::Toplevel { toplevel } => {
                if let Some(tops) = &mut seen.tops {
                    tops.insert(toplevel.id(), Top::default());
                }
            }
            zwlr_foreign_toplevel_manager_v1::Event::Finished => seen.tops = None,
            _ => {}
        }
    }

    event_created_child!(Seen, ZwlrForeignToplevelManagerV1, [
        zwlr_foreign_toplevel_manager_v1::EVT_TOPLEVEL_OPCODE => (ZwlrForeignToplevelHandleV1, ()),
    ]);
}

impl Dispatch<ZwlrForeignToplevelHandleV1, ()> for Seen {
    fn event(
        seen: &mut Self,
        window: &ZwlrForeignToplevelHandleV1,
        event: zwlr_foreign_toplevel_handle_v1::Event,
        (): &(),
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
        let Some(tops) = &mut seen.tops else { return };
        match event {
            zwlr_foreign_toplevel_handle_v1::Event::State { state } => {
                let has = |wanted: u32| {
                    state.chunks_exact(4).any(|number| number == wanted.to_ne_bytes().as_slice())
                };
                if let Some(top) = tops.get_mut(&window.id()) {
                    top.pending = has(FULLSCREEN) && !has(MINIMIZED);
                }
            }
            zwlr_foreign_toplevel_handle_v1::Event::Done => {
                if let Some(top) = tops.get_mut(&window.id()) {
                    top.fullscreen = top.pending;
                }
            }
            zwlr_foreign_toplevel_handle_v1::Event::Closed => {
                tops.remove(&window.id());
                window.destroy();
            }
            _ => {}
        }
    }
}

delegate_noop!(Seen: ignore WlSeat);
delegate_noop!(Seen: ignore ExtIdleNotifierV1);
