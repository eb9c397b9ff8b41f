//! Whether the line to the internet is metered or goes through a VPN.
//!
//! A thread sleeps until Windows says that an interface or what the line costs has changed, and reads both
//! anew. Nothing is sent: the way to the internet is looked up in the routing table. Names and addresses of
//! adapters are not read.

use std::ffi::c_void;
use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use windows_sys::Win32::Foundation::{ERROR_BUFFER_OVERFLOW, ERROR_NO_DATA, ERROR_SUCCESS, HANDLE};
use windows_sys::Win32::NetworkManagement::IpHelper::{
    CancelMibChangeNotify2, GAA_FLAG_INCLUDE_GATEWAYS, GAA_FLAG_SKIP_ANYCAST, GAA_FLAG_SKIP_DNS_SERVER,
    GAA_FLAG_SKIP_FRIENDLY_NAME, GAA_FLAG_SKIP_MULTICAST, GAA_FLAG_SKIP_UNICAST, GetAdaptersAddresses,
    GetBestInterface, IP_ADAPTER_ADDRESSES_LH, MIB_IPINTERFACE_ROW, NotifyIpInterfaceChange,
    PNETWORK_CONNECTIVITY_HINT_CHANGE_CALLBACK,
};
use windows_sys::Win32::NetworkManagement::Ndis::IfOperStatusUp;
use windows_sys::Win32::Networking::WinSock::{AF_UNSPEC, NL_NETWORK_CONNECTIVITY_HINT};
use windows_sys::core::{s, w};

use super::library::call;
use super::reading::{self, Adapter};
use crate::signals::asking::end;
use crate::signals::{Change, Outlet, Reading, Unknown};

/// Read anew even without news: routes may change while interfaces do not.
const ANYWAY_AFTER: Duration = Duration::from_secs(60);
/// News comes in swarms.
const SWARM: Duration = Duration::from_millis(200);
/// Whose way the way to the internet is: an address of TEST-NET-1, which is nobody's.
const ANYWHERE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
/// What adapters are listed in, to begin with; Microsoft's advice.
const LIST_BYTES: u32 = 15_000;

/// The thread.
#[derive(Debug)]
pub(super) struct Watch {
    ending: Arc<AtomicBool>,
    news: mpsc::SyncSender<()>,
    thread: JoinHandle<()>,
}

/// Starts the thread.
pub(super) fn watch(outlet: Outlet) -> Option<Watch> {
    let ending = Arc::new(AtomicBool::new(false));
    let (news, heard) = mpsc::sync_channel(1);
    let (told, tell, send) = (Arc::clone(&ending), outlet.clone(), news.clone());
    let thread = std::thread::Builder::new()
        .name("hearth-line".to_owned())
        .spawn(move || run(&told, &heard, Box::new(send), &tell));
    match thread {
        Ok(thread) => Some(Watch { ending, news, thread }),
        Err(error) => {
            let error = &error as &dyn std::error::Error;
            tracing::error!(error, "no thread for the line's sensor");
            outlet(Change::Metered(Reading::Unknown(Unknown::Failed)));
            outlet(Change::Vpn(Reading::Unknown(Unknown::Failed)));
            None
        }
    }
}

impl Watch {
    /// Ends the thread.
    pub(super) fn stop(self) {
        self.ending.store(true, Ordering::SeqCst);
        // Full means that the thread is about to wake.
        let _ = self.news.try_send(());
        end(self.thread);
    }
}

fn run(ending: &AtomicBool, heard: &mpsc::Receiver<()>, news: Box<mpsc::SyncSender<()>>, outlet: &Outlet) {
    let hints = Hints::open();
    let registered = Registered::new(hints.as_ref(), news);
    let (mut told_metered, mut told_vpn) = (None, None);
    while !ending.load(Ordering::SeqCst) {
        let metered = hints.as_ref().map_or(Reading::Unknown(Unknown::NoSource), Hints::metered);
        if told_metered.replace(metered) != Some(metered) {
            outlet(Change::Metered(metered));
        }
        let vpn = vpn();
        if told_vpn.replace(vpn) != Some(vpn) {
            outlet(Change::Vpn(vpn));
        }
        if heard.recv_timeout(ANYWAY_AFTER).is_ok() && !ending.load(Ordering::SeqCst) {
            std::thread::sleep(SWARM);
            let _ = heard.try_recv();
        }
    }
    drop(registered);
}

/// `GetNetworkConnectivityHint` and `NotifyNetworkConnectivityHintChange` of netioapi.h.
type GetHint = unsafe extern "system" fn(*mut NL_NETWORK_CONNECTIVITY_HINT) -> u32;
type NotifyHintChange = unsafe extern "system" fn(
    PNETWORK_CONNECTIVITY_HINT_CHANGE_CALLBACK,
    *const c_void,
    bool,
    *mut HANDLE,
) -> u32;

/// What the line costs, which Windows tells since version 2004 of 10.
#[derive(Debug)]
struct Hints {
    get: GetHint,
    notify: NotifyHintChange,
}

impl Hints {
    #[expect(unsafe_code, reason = "calls are looked for by their names")]
    fn open() -> Option<Self> {
        type Call = unsafe extern "system" fn() -> isize;
        let library = w!("iphlpapi.dll");
        let get = call(library, s!("GetNetworkConnectivityHint"))?;
        let notify = call(library, s!("NotifyNetworkConnectivityHintChange"))?;
        // SAFETY: these are the calls' types in their header, and the library stays loaded.
        let (get, notify) = unsafe {
            (std::mem::transmute::<Call, GetHint>(get), std::mem::transmute::<Call, NotifyHintChange>(notify))
        };
        Some(Self { get, notify })
    }

    #[expect(unsafe_code, reason = "std does not tell what a line costs")]
    fn metered(&self) -> Reading<bool> {
        let mut hint = NL_NETWORK_CONNECTIVITY_HINT::default();
        // SAFETY: the call writes only to the local whose address it gets.
        match unsafe { (self.get)(&raw mut hint) } {
            ERROR_SUCCESS => reading::metered(hint.ConnectivityCost, hint.OverDataLimit, hint.Roaming),
            code => {
                let error = io::Error::from_raw_os_error(code.cast_signed());
                tracing::warn!(error = &error as &dyn std::error::Error, "what the line costs is unknown");
                Reading::Unknown(Unknown::Failed)
            }
        }
    }
}

/// What the thread is woken by. Dropping it ends that: Windows waits for calls under way.
struct Registered {
    handles: Vec<HANDLE>,
    /// The calls get its address.
    _news: Box<mpsc::SyncSender<()>>,
}

impl Registered {
    #[expect(unsafe_code, reason = "std tells nothing of interfaces")]
    fn new(hints: Option<&Hints>, news: Box<mpsc::SyncSender<()>>) -> Self {
        let context = (&raw const *news).cast();
        let mut handles = Vec::new();
        let mut handle = std::ptr::null_mut();
        // SAFETY: the context lives in its box until the registration is cancelled, and is what the callback
        // expects.
        let code = unsafe {
            NotifyIpInterfaceChange(AF_UNSPEC, Some(on_interface), context, false, &raw mut handle)
        };
        if code == ERROR_SUCCESS {
            handles.push(handle);
        }
        if let Some(hints) = hints {
            let mut handle = std::ptr::null_mut();
            // SAFETY: as above.
            let code = unsafe { (hints.notify)(Some(on_hint), context, false, &raw mut handle) };
            if code == ERROR_SUCCESS {
                handles.push(handle);
            }
        }
        if handles.is_empty() {
            tracing::warn!("changes of the line are not told: it is read every minute");
        }
        Self { handles, _news: news }
    }
}

impl Drop for Registered {
    #[expect(unsafe_code, reason = "std tells nothing of interfaces")]
    fn drop(&mut self) {
        for handle in self.handles.drain(..) {
            // SAFETY: the registration is ours and is cancelled once, from no callback.
            unsafe { CancelMibChangeNotify2(handle) };
        }
    }
}

#[expect(unsafe_code, reason = "the system calls it")]
unsafe extern "system" fn on_interface(context: *const c_void, _row: *const MIB_IPINTERFACE_ROW, _kind: i32) {
    // SAFETY: the registration gave this context, which lives until it is cancelled.
    unsafe { wake(context) };
}

#[expect(unsafe_code, reason = "the system calls it")]
unsafe extern "system" fn on_hint(context: *const c_void, _hint: NL_NETWORK_CONNECTIVITY_HINT) {
    // SAFETY: the registration gave this context, which lives until it is cancelled.
    unsafe { wake(context) };
}

/// # Safety
/// `context` points to the sender that the registration was made with.
#[expect(unsafe_code, reason = "the system hands the sender over as an address")]
unsafe fn wake(context: *const c_void) {
    // SAFETY: the caller's duty. A sender may be used from any thread.
    let news = unsafe { &*context.cast::<mpsc::SyncSender<()>>() };
    // Full means that the thread is about to wake.
    let _ = news.try_send(());
}

fn vpn() -> Reading<bool> {
    match adapters() {
        Ok(adapters) => Reading::Known(reading::vpn(&adapters)),
        Err(error) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "whether a VPN is up is unknown");
            Reading::Unknown(Unknown::Failed)
        }
    }
}

/// The adapters of this computer.
#[expect(unsafe_code, reason = "std does not list adapters")]
fn adapters() -> io::Result<Vec<Adapter>> {
    let mut best = 0;
    // SAFETY: the call writes only to the local whose address it gets.
    let code = unsafe { GetBestInterface(u32::from_ne_bytes(ANYWHERE.octets()), &raw mut best) };
    // Without a line there is no way out.
    let best = (code == ERROR_SUCCESS).then_some(best);

    let flags = GAA_FLAG_INCLUDE_GATEWAYS
        | GAA_FLAG_SKIP_UNICAST
        | GAA_FLAG_SKIP_ANYCAST
        | GAA_FLAG_SKIP_MULTICAST
        | GAA_FLAG_SKIP_DNS_SERVER
        | GAA_FLAG_SKIP_FRIENDLY_NAME;
    let mut bytes = LIST_BYTES;
    // The list may grow between two calls.
    for _ in 0..4 {
        let mut list = vec![0_u64; (bytes as usize).div_ceil(size_of::<u64>())];
        let first = list.as_mut_ptr().cast::<IP_ADAPTER_ADDRESSES_LH>();
        // SAFETY: the call writes no more bytes than the length says; a list of `u64` is aligned for its
        // structures.
        let code =
            unsafe { GetAdaptersAddresses(AF_UNSPEC.into(), flags, std::ptr::null(), first, &raw mut bytes) };
        match code {
            ERROR_SUCCESS => {
                let mut found = Vec::new();
                let mut next = first.cast_const();
                // SAFETY: the system has linked the structures within the list, which lives until the loop is
                // done.
                while let Some(adapter) = unsafe { next.as_ref() } {
                    // SAFETY: the system fills in this side of the union.
                    let index = unsafe { adapter.Anonymous1.Anonymous.IfIndex };
                    found.push(Adapter {
                        kind: adapter.IfType,
                        up: adapter.OperStatus == IfOperStatusUp,
                        has_gateway: !adapter.FirstGatewayAddress.is_null(),
                        leads_out: best == Some(index),
                    });
                    next = adapter.Next;
                }
                return Ok(found);
            }
            ERROR_NO_DATA => return Ok(Vec::new()),
            ERROR_BUFFER_OVERFLOW => {}
            code => return Err(io::Error::from_raw_os_error(code.cast_signed())),
        }
    }
    Err(io::Error::other("the list of adapters grows faster than it is read"))
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn metered_and_vpn_are_told_at_the_start_and_the_thread_ends_when_it_is_told_to() {
        let (send, changes) = mpsc::channel();
        let outlet: Outlet = Arc::new(move |change| drop(send.send(change)));
        let watch = watch(outlet).unwrap();
        let next = || changes.recv_timeout(Duration::from_secs(20)).expect("the sensor must tell");
        assert!(matches!(next(), Change::Metered(_)));
        assert!(matches!(next(), Change::Vpn(Reading::Known(_))), "every Windows lists its adapters");
        let asked = Instant::now();
        watch.stop();
        assert!(asked.elapsed() < crate::signals::STOP_WITHIN, "the thread must end when it is told to");
    }

    #[test]
    #[expect(unsafe_code, reason = "the test calls what the system would")]
    fn news_wakes_the_thread_however_often_it_comes() {
        let (news, heard) = mpsc::sync_channel::<()>(1);
        let news = Box::new(news);
        for _ in 0..3 {
            // SAFETY: the context is the sender, which outlives the call.
            unsafe { on_hint((&raw const *news).cast(), NL_NETWORK_CONNECTIVITY_HINT::default()) };
        }
        assert!(heard.try_recv().is_ok() && heard.try_recv().is_err(), "a swarm is one piece of news");
    }
}
