//! What macOS pushes about power and sleep, on one thread that sleeps in its run loop until something comes.

use std::cell::Cell;
use std::ffi::c_void;
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;

use super::frameworks::{
    CFRunLoopAddSource, CFRunLoopGetCurrent, CFRunLoopRun, CFRunLoopSourceContext, CFRunLoopSourceCreate,
    CFRunLoopSourceInvalidate, CFRunLoopSourceSignal, CFRunLoopStop, CFRunLoopWakeUp, IOAllowPowerChange,
    IODeregisterForSystemPower, IONotificationPortDestroy, IONotificationPortGetRunLoopSource,
    IOPSCopyPowerSourcesInfo, IOPSCopyPowerSourcesList, IOPSGetPowerSourceDescription,
    IOPSGetProvidingPowerSourceType, IOPSNotificationCreateRunLoopSource, IORegisterForSystemPower,
    IOServiceClose, IoObject, Look, Owned, kCFRunLoopDefaultMode,
};
use super::reading::{self, Supply};
use crate::signals::asking::end;
use crate::signals::{Change, Outlet, Power, Reading, Unknown};

// IOMessage.h.
const CAN_SYSTEM_SLEEP: u32 = 0xe000_0270;
const SYSTEM_WILL_SLEEP: u32 = 0xe000_0280;
const SYSTEM_WILL_NOT_SLEEP: u32 = 0xe000_0290;
const SYSTEM_HAS_POWERED_ON: u32 = 0xe000_0300;

/// The thread.
#[derive(Debug)]
pub(super) struct Watch {
    ending: Arc<Ending>,
    thread: JoinHandle<()>,
}

/// How the thread is told to end: by a source of its run loop. A signal is kept until the loop runs.
#[derive(Debug)]
struct Ending {
    source: Owned,
    run_loop: OnceLock<Owned>,
}

// SAFETY: CFRunLoop.h lets any thread signal a source and wake a run loop, and the counts of both are atomic.
#[expect(unsafe_code, reason = "two objects of the system's that may be used from any thread")]
unsafe impl Send for Ending {}
// SAFETY: as above.
#[expect(unsafe_code, reason = "two objects of the system's that may be used from any thread")]
unsafe impl Sync for Ending {}

/// Why nothing is told.
#[derive(Debug, thiserror::Error)]
enum DeskError {
    #[error("the run loop takes no source that ends it")]
    NoEnding,
    #[error("start a thread")]
    Thread(#[source] std::io::Error),
}

/// Starts the thread.
pub(super) fn watch(outlet: Outlet) -> Option<Watch> {
    match try_watch(outlet.clone()) {
        Ok(watch) => Some(watch),
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "power is unknown");
            outlet(Change::Power(Reading::Unknown(Unknown::Failed)));
            None
        }
    }
}

#[expect(unsafe_code, reason = "std has no run loops")]
fn try_watch(outlet: Outlet) -> Result<Watch, DeskError> {
    let mut context = CFRunLoopSourceContext {
        version: 0,
        info: std::ptr::null_mut(),
        unused: [std::ptr::null(); 7],
        perform: Some(on_end),
    };
    // SAFETY: the call copies the context and hands the source over.
    let source = unsafe { Owned::take(CFRunLoopSourceCreate(std::ptr::null(), 0, &raw mut context)) };
    let ending = Arc::new(Ending { source: source.ok_or(DeskError::NoEnding)?, run_loop: OnceLock::new() });
    let told = Arc::clone(&ending);
    let thread = std::thread::Builder::new().name("hearth-desk".to_owned()).spawn(move || run(&told, outlet));
    Ok(Watch { ending, thread: thread.map_err(DeskError::Thread)? })
}

impl Watch {
    /// Ends the thread.
    #[expect(unsafe_code, reason = "std has no run loops")]
    pub(super) fn stop(self) {
        // SAFETY: the source is alive.
        unsafe { CFRunLoopSourceSignal(self.ending.source.raw()) };
        if let Some(run_loop) = self.ending.run_loop.get() {
            // SAFETY: the run loop is alive: a share of it is ours.
            unsafe { CFRunLoopWakeUp(run_loop.raw().cast_mut()) };
        }
        end(self.thread);
    }
}

/// What the callbacks share: all of them run on the thread of the run loop.
struct Desk {
    outlet: Outlet,
    power: Cell<Option<Reading<Power>>>,
    root: Cell<IoObject>,
}

/// Tells the present state, then what is pushed, until the source that ends it is signalled.
#[expect(unsafe_code, reason = "std has no run loops")]
fn run(ending: &Ending, outlet: Outlet) {
    let desk = Desk { outlet, power: Cell::new(None), root: Cell::new(0) };
    let context = (&raw const desk).cast_mut().cast::<c_void>();
    // SAFETY: the call takes nothing; the loop lives as long as its thread, and a share of it is kept.
    let (run_loop, share) = unsafe {
        let run_loop = CFRunLoopGetCurrent();
        (run_loop, Owned::share(run_loop))
    };
    // SAFETY: loop, source and mode are alive.
    unsafe { CFRunLoopAddSource(run_loop, ending.source.raw(), kCFRunLoopDefaultMode) };
    if let Some(share) = share {
        let _ = ending.run_loop.set(share);
    }

    // SAFETY: the call hands the source over; what the callback gets outlives the run loop's run below.
    let supplies = unsafe { Owned::take(IOPSNotificationCreateRunLoopSource(on_supply, context)) };
    match &supplies {
        // SAFETY: loop, source and mode are alive.
        Some(source) => unsafe { CFRunLoopAddSource(run_loop, source.raw(), kCFRunLoopDefaultMode) },
        None => tracing::warn!("a change of the power supply will not be told"),
    }
    let (mut port, mut notifier) = (std::ptr::null_mut(), 0);
    // SAFETY: the call writes only to the locals; what the callback gets outlives the run loop's run below.
    let root = unsafe { IORegisterForSystemPower(context, &raw mut port, on_power, &raw mut notifier) };
    desk.root.set(root);
    if root == 0 {
        tracing::warn!("sleep will not be told");
    } else {
        // SAFETY: the port comes from the call above, and its source is the port's.
        unsafe {
            CFRunLoopAddSource(run_loop, IONotificationPortGetRunLoopSource(port), kCFRunLoopDefaultMode)
        };
    }

    desk.tell_power();
    // SAFETY: the call takes nothing. It returns when the source that ends it is performed.
    unsafe { CFRunLoopRun() };

    if root != 0 {
        // SAFETY: all three come from the registration and are given back once, in the order of IOPMLib.h.
        unsafe {
            IODeregisterForSystemPower(&raw mut notifier);
            IOServiceClose(root);
            IONotificationPortDestroy(port);
        }
    }
    for source in supplies.iter().chain([&ending.source]) {
        // SAFETY: the source is alive; it calls nothing after this.
        unsafe { CFRunLoopSourceInvalidate(source.raw()) };
    }
}

#[expect(unsafe_code, reason = "the system calls it")]
unsafe extern "C" fn on_end(_context: *mut c_void) {
    // SAFETY: the current loop is the one that has called.
    unsafe { CFRunLoopStop(CFRunLoopGetCurrent()) };
}

#[expect(unsafe_code, reason = "the system calls it")]
unsafe extern "C" fn on_supply(context: *mut c_void) {
    // SAFETY: this is what the source was made with; it outlives the run loop's run.
    let desk = unsafe { &*context.cast_const().cast::<Desk>() };
    desk.tell_power();
}

#[expect(unsafe_code, reason = "the system calls it")]
unsafe extern "C" fn on_power(context: *mut c_void, _service: IoObject, message: u32, detail: *mut c_void) {
    // SAFETY: this is what the registration was made with; it outlives the run loop's run.
    let desk = unsafe { &*context.cast_const().cast::<Desk>() };
    match message {
        SYSTEM_WILL_SLEEP => (desk.outlet)(Change::FallingAsleep(true)),
        SYSTEM_WILL_NOT_SLEEP | SYSTEM_HAS_POWERED_ON => {
            (desk.outlet)(Change::FallingAsleep(false));
            desk.tell_power();
        }
        _ => {}
    }
    if matches!(message, CAN_SYSTEM_SLEEP | SYSTEM_WILL_SLEEP) {
        // Without an answer the system waits for half a minute.
        // SAFETY: both messages carry the number that their answer must name.
        unsafe { IOAllowPowerChange(desk.root.get(), detail.addr().cast_signed()) };
    }
}

impl Desk {
    fn tell_power(&self) {
        let power = power();
        if self.power.replace(Some(power)) != Some(power) {
            (self.outlet)(Change::Power(power));
        }
    }
}

#[expect(unsafe_code, reason = "std does not tell of power")]
fn power() -> Reading<Power> {
    // SAFETY: the call hands the object over.
    let Some(info) = (unsafe { Owned::take(IOPSCopyPowerSourcesInfo()) }) else {
        return Reading::Unknown(Unknown::Failed);
    };
    // SAFETY: the object is alive; the word is lent by it or by the system for good.
    let word = unsafe { Look::lent(IOPSGetProvidingPowerSourceType(info.raw()), &info) };
    let says = |text| word.is_some_and(|word| Owned::text(text).is_some_and(|text| word.equals(&text)));
    let supply = if says(c"AC Power") {
        Supply::Wall
    } else if says(c"Battery Power") {
        Supply::Battery
    } else if says(c"UPS Power") {
        Supply::Ups
    } else {
        Supply::Other
    };
    reading::power(supply, charge(&info))
}

/// Present and full capacity of the battery within.
#[expect(unsafe_code, reason = "std does not tell of power")]
fn charge(info: &Owned) -> Option<(i64, i64)> {
    // SAFETY: the object is alive, and the call hands the list over.
    let list = unsafe { Owned::take(IOPSCopyPowerSourcesList(info.raw())) }?;
    let internal = Owned::text(c"InternalBattery")?;
    list.look().items().find_map(|source| {
        // SAFETY: both objects are alive; what is lent lives as long as the first.
        let source = unsafe { Look::lent(IOPSGetPowerSourceDescription(info.raw(), source.raw()), info) }?;
        if !source.named(c"Type")?.equals(&internal) {
            return None;
        }
        Some((source.named(c"Current Capacity")?.number()?, source.named(c"Max Capacity")?.number()?))
    })
}
