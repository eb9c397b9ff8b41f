//! A compositor that shows nothing: it offers seats, idle notifications and a list of windows, and says what it is told
//! to.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use wayland_protocols::ext::idle_notify::v1::server::ext_idle_notification_v1::{
    self, ExtIdleNotificationV1,
};
use wayland_protocols::ext::idle_notify::v1::server::ext_idle_notifier_v1::{self, ExtIdleNotifierV1};
use wayland_protocols_wlr::foreign_toplevel::v1::server::zwlr_foreign_toplevel_handle_v1::{
    self, ZwlrForeignToplevelHandleV1,
};
use wayland_protocols_wlr::foreign_toplevel::v1::server::zwlr_foreign_toplevel_manager_v1::{
    self, ZwlrForeignToplevelManagerV1,
};
use wayland_server::protocol::wl_seat::{self, WlSeat};
use wayland_server::{
    Client, DataInit, Dispatch, Display, DisplayHandle, GlobalDispatch, ListeningSocket, New, Resource as _,
};

/// What it offers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Offer {
    /// The version of its idle notifier.
    pub(super) notifier: Option<u32>,
    pub(super) seats: usize,
    /// The list of windows.
    pub(super) windows: bool,
}

/// What it is told to say.
#[derive(Debug)]
pub(super) enum Say {
    /// Nobody uses this seat.
    Idle(usize),
    /// Somebody does again.
    Resume(usize),
    /// The seat is gone.
    RemoveSeat(usize),
    /// The window of this name has these states; a new one where there is none of the name.
    Window(u32, Vec<u32>),
    /// The window is closed.
    Close(u32),
}

/// The compositor; it dies when dropped, with all its connections.
pub(super) struct Compositor {
    socket: PathBuf,
    say: Option<mpsc::Sender<Say>>,
    thread: Option<JoinHandle<()>>,
    other_kind: Arc<AtomicBool>,
}

/// What its clients have made.
#[derive(Default)]
struct Stage {
    notifications: Vec<(usize, ExtIdleNotificationV1)>,
    lists: Vec<(Client, ZwlrForeignToplevelManagerV1)>,
    windows: HashMap<u32, ZwlrForeignToplevelHandleV1>,
    other_kind: Arc<AtomicBool>,
}

impl Compositor {
    pub(super) fn start(socket: &Path, offer: Offer) -> Self {
        let listening = ListeningSocket::bind_absolute(socket.to_owned()).unwrap();
        let (say, said) = mpsc::channel();
        let other_kind = Arc::new(AtomicBool::new(false));
        let stage = Stage { other_kind: Arc::clone(&other_kind), ..Stage::default() };
        let thread = std::thread::spawn(move || run(&listening, offer, stage, &said));
        Self { socket: socket.to_owned(), say: Some(say), thread: Some(thread), other_kind }
    }

    pub(super) fn socket(&self) -> &Path {
        &self.socket
    }

    pub(super) fn say(&self, say: Say) {
        self.say.as_ref().unwrap().send(say).unwrap();
    }

    /// Whether every notification was asked for by the request that leaves inhibitors out.
    pub(super) fn all_by_input_only(&self) -> bool {
        !self.other_kind.load(Ordering::Relaxed)
    }
}

impl Drop for Compositor {
    fn drop(&mut self) {
        drop(self.say.take());
        self.thread.take().unwrap().join().unwrap();
    }
}

fn run(listening: &ListeningSocket, offer: Offer, mut stage: Stage, said: &mpsc::Receiver<Say>) {
    let mut display = Display::<Stage>::new().unwrap();
    let mut handle = display.handle();
    if let Some(version) = offer.notifier {
        handle.create_global::<Stage, ExtIdleNotifierV1, ()>(version, ());
    }
    let seats: Vec<_> =
        (0..offer.seats).map(|seat| handle.create_global::<Stage, WlSeat, usize>(7, seat)).collect();
    if offer.windows {
        handle.create_global::<Stage, ZwlrForeignToplevelManagerV1, ()>(3, ());
    }
    loop {
        while let Some(stream) = listening.accept().unwrap() {
            handle.insert_client(stream, Arc::new(())).unwrap();
        }
        display.dispatch_clients(&mut stage).unwrap();
        // What it shall say comes between two rounds; a round each few milliseconds is soon enough.
        match said.recv_timeout(Duration::from_millis(2)) {
            Ok(Say::Idle(seat)) => stage.of(seat).for_each(ExtIdleNotificationV1::idled),
            Ok(Say::Resume(seat)) => stage.of(seat).for_each(ExtIdleNotificationV1::resumed),
            Ok(Say::RemoveSeat(seat)) => handle.remove_global::<Stage>(seats[seat].clone()),
            Ok(Say::Window(name, states)) => stage.window(&handle, name, &states),
            Ok(Say::Close(name)) => stage.windows.remove(&name).unwrap().closed(),
            Err(mpsc::RecvTimeoutError::Timeout) => {}
            Err(mpsc::RecvTimeoutError::Disconnected) => return,
        }
        display.flush_clients().unwrap();
    }
}

impl Stage {
    fn of(&self, seat: usize) -> impl Iterator<Item = &ExtIdleNotificationV1> {
        self.notifications.iter().filter(move |(of, _)| *of == seat).map(|(_, notification)| notification)
    }

    fn window(&mut self, handle: &DisplayHandle, name: u32, states: &[u32]) {
        let window = self.windows.entry(name).or_insert_with(|| {
            let (client, list) = self.lists.last().expect("a client asks for the windows");
            let window = client
                .create_resource::<ZwlrForeignToplevelHandleV1, (), Self>(handle, list.version(), ())
                .unwrap();
            list.toplevel(&window);
            window.title("nobody reads this".to_owned());
            window.app_id("nor.this".to_owned());
            window
        });
        window.state(states.iter().flat_map(|state| state.to_ne_bytes()).collect());
        window.done();
    }
}

impl GlobalDispatch<ExtIdleNotifierV1, ()> for Stage {
    fn bind(
        _: &mut Self,
        _: &DisplayHandle,
        _: &Client,
        notifier: New<ExtIdleNotifierV1>,
        (): &(),
        made: &mut DataInit<'_, Self>,
    ) {
        made.init(notifier, ());
    }
}

impl GlobalDispatch<WlSeat, usize> for Stage {
    fn bind(
        _: &mut Self,
        _: &DisplayHandle,
        _: &Client,
        seat: New<WlSeat>,
        number: &usize,
        made: &mut DataInit<'_, Self>,
    ) {
        made.init(seat, *number);
    }
}

impl GlobalDispatch<ZwlrForeignToplevelManagerV1, ()> for Stage {
    fn bind(
        stage: &mut Self,
        _: &DisplayHandle,
        client: &Client,
        list: New<ZwlrForeignToplevelManagerV1>,
        (): &(),
        made: &mut DataInit<'_, Self>,
    ) {
        stage.lists.push((client.clone(), made.init(list, ())));
    }
}

impl Dispatch<ExtIdleNotifierV1, ()> for Stage {
    fn request(
        stage: &mut Self,
        _: &Client,
        _: &ExtIdleNotifierV1,
        request: ext_idle_notifier_v1::Request,
        (): &(),
        _: &DisplayHandle,
        made: &mut DataInit<'_, Self>,
    ) {
        let (id, timeout, seat) = match request {
            ext_idle_notifier_v1::Request::GetIdleNotification { id, timeout, seat } => {
                stage.other_kind.store(true, Ordering::Relaxed);
                (id, timeout, seat)
            }
            ext_idle_notifier_v1::Request::GetInputIdleNotification { id, timeout, seat } => {
                (id, timeout, seat)
            }
            _ => return,
        };
        assert_eq!(timeout, 1000);
        let number = *seat.data::<usize>().expect("a seat of this compositor");
        stage.notifications.push((number, made.init(id, ())));
    }
}

/// Objects of which nothing is asked that matters here.
macro_rules! ask_nothing {
    ($($object:ty, $data:ty, $request:ty;)*) => {$(
        impl Dispatch<$object, $data> for Stage {
            fn request(
                _: &mut Self,
                _: &Client,
                _: &$object,
                _: $request,
                _: &$data,
                _: &DisplayHandle,
                _: &mut DataInit<'_, Self>,
            ) {
            }
        }
    )*};
}

ask_nothing! {
    WlSeat, usize, wl_seat::Request;
    ExtIdleNotificationV1, (), ext_idle_notification_v1::Request;
    ZwlrForeignToplevelManagerV1, (), zwlr_foreign_toplevel_manager_v1::Request;
    ZwlrForeignToplevelHandleV1, (), zwlr_foreign_toplevel_handle_v1::Request;
}
