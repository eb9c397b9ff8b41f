//! Whether the line to the internet costs money or goes through a VPN, pushed by the system's path monitor on
//! a queue of its own. Nothing is sent, and no name or address is read.

use std::ffi::c_void;
use std::sync::{Arc, Mutex, PoisonError};

use super::frameworks::{
    _NSConcreteStackBlock, dispatch_queue_create, dispatch_release, nw_path_get_status,
    nw_path_is_constrained, nw_path_is_expensive, nw_path_monitor_cancel, nw_path_monitor_create,
    nw_path_monitor_set_queue, nw_path_monitor_set_update_handler, nw_path_monitor_start,
    nw_path_uses_interface_type, nw_release,
};
use super::reading::{self, Way};
use crate::signals::{Change, Outlet, Reading, Unknown};

/// nw_path_status_satisfied.
const SATISFIED: i32 = 1;
/// nw_interface_type_other: neither radio nor wire nor loopback. Tunnels are of this type.
const OTHER: i32 = 0;

/// The monitor.
#[derive(Debug)]
pub(super) struct Watch {
    monitor: *mut c_void,
    queue: *mut c_void,
    line: Arc<Line>,
}

// SAFETY: a path monitor and a queue may be used from any thread.
#[expect(unsafe_code, reason = "two objects of the system's that may be used from any thread")]
unsafe impl Send for Watch {}

/// What was told last, and where to tell; nowhere once the source has ended.
struct Line {
    state: Mutex<Option<State>>,
}

struct State {
    outlet: Outlet,
    metered: Option<Reading<bool>>,
    vpn: Option<Reading<bool>>,
}

impl std::fmt::Debug for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Line")
    }
}

/// Block.h's layout of a block that captures one address and needs no help to be copied.
#[repr(C)]
struct Block {
    isa: *const c_void,
    flags: i32,
    reserved: i32,
    invoke: unsafe extern "C" fn(*const Block, *mut c_void),
    descriptor: *const Descriptor,
    line: *const Line,
}

#[repr(C)]
struct Descriptor {
    reserved: usize,
    size: usize,
}

static DESCRIPTOR: Descriptor = Descriptor { reserved: 0, size: size_of::<Block>() };

/// Starts the monitor.
#[expect(unsafe_code, reason = "std tells nothing of the line")]
pub(super) fn watch(outlet: Outlet) -> Option<Watch> {
    // SAFETY: the label ends with NUL and no attributes are given; the other call takes nothing.
    let (queue, monitor) = unsafe {
        (dispatch_queue_create(c"hearth-line".as_ptr(), std::ptr::null()), nw_path_monitor_create())
    };
    if queue.is_null() || monitor.is_null() {
        tracing::error!("the system gives no path monitor");
        outlet(Change::Metered(Reading::Unknown(Unknown::Failed)));
        outlet(Change::Vpn(Reading::Unknown(Unknown::Failed)));
        return None;
    }
    let state = State { outlet, metered: None, vpn: None };
    let line = Arc::new(Line { state: Mutex::new(Some(state)) });
    let block = Block {
        isa: (&raw const _NSConcreteStackBlock).cast(),
        flags: 0,
        reserved: 0,
        invoke: on_path,
        descriptor: &raw const DESCRIPTOR,
        // The block keeps this share for ever: the monitor may call once more after it was cancelled. What is
        // left behind is empty then.
        line: Arc::into_raw(Arc::clone(&line)),
    };
    // SAFETY: both objects are alive; the monitor copies the block, whose layout is Block.h's, before the
    // call returns.
    unsafe {
        nw_path_monitor_set_queue(monitor, queue);
        nw_path_monitor_set_update_handler(monitor, (&raw const block).cast());
        nw_path_monitor_start(monitor);
    }
    Some(Watch { monitor, queue, line })
}

impl Watch {
    /// Ends the monitor.
    #[expect(unsafe_code, reason = "std tells nothing of the line")]
    pub(super) fn stop(self) {
        *self.line.state.lock().unwrap_or_else(PoisonError::into_inner) = None;
        // SAFETY: both objects are ours and are not used after this; the system keeps them as long as it
        // needs them.
        unsafe {
            nw_path_monitor_cancel(self.monitor);
            nw_release(self.monitor);
            dispatch_release(self.queue);
        }
    }
}

#[expect(unsafe_code, reason = "the system calls it")]
unsafe extern "C" fn on_path(block: *const Block, path: *mut c_void) {
    // SAFETY: the system calls with a copy of the block that it was given, and the share in it is never given
    // back.
    let line = unsafe { &*(*block).line };
    // SAFETY: the path is alive during the call.
    let way = unsafe {
        Way {
            open: nw_path_get_status(path) == SATISFIED,
            expensive: nw_path_is_expensive(path),
            constrained: nw_path_is_constrained(path),
            tunnelled: nw_path_uses_interface_type(path, OTHER),
        }
    };
    line.tell(reading::metered(way), reading::vpn(way));
}

impl Line {
    fn tell(&self, metered: Reading<bool>, vpn: Reading<bool>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(state) = state.as_mut() else { return };
        if state.metered.replace(metered) != Some(metered) {
            (state.outlet)(Change::Metered(metered));
        }
        if state.vpn.replace(vpn) != Some(vpn) {
            (state.outlet)(Change::Vpn(vpn));
        }
    }
}
