//! A line of a household on this machine: two network namespaces and between them so many bits per second, milliseconds,
//! bytes of queue and losses, in either direction.
//!
//! It exists because not every kernel has `netem`, and because a queue that is kept here can be asked how long it is. A TUN
//! device stands in each namespace; a thread reads packets from one, keeps the moment at which the emulated line has sent
//! everything it holds, and drops what the queue has no room for; another thread writes each packet to the other device when
//! its time has come. It needs root, or a user namespace that makes the caller root (`unshare --user --map-root-user`), and
//! the program `ip`. Everything ends with the value.

mod kernel;

use std::error::Error;
use std::fs::File;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::Ipv4Addr;
use std::num::NonZeroU64;
use std::os::fd::AsFd as _;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// Name of the device in both namespaces.
const DEVICE: &str = "line";
const MTU: usize = 1500;
/// How often a thread that has nothing to do looks whether it is to end.
const LOOK_UP: Duration = Duration::from_millis(200);
/// Addresses for documentation (RFC 5737): they lead nowhere, should anything escape.
const NEAR: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const FAR: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);

/// Up to this size a packet counts as a probe: a ping or a question to DNS with its headers.
pub const PROBE_BYTES: usize = 100;

/// One direction of the line.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Direction {
    /// Bits of IP packets per second.
    pub bits_per_s: u64,
    /// Way through the line without the queue.
    pub delay: Duration,
    /// What the queue holds; a packet that does not fit is dropped.
    pub queue_bytes: u64,
    /// Share of packets lost at random, 0 to 1.
    pub loss: f64,
}

/// What passed in one direction.
#[derive(Debug, Default)]
pub struct Passed {
    bytes: AtomicU64,
    dropped: AtomicU64,
    waits: Mutex<Vec<(Instant, Duration)>>,
}

impl Passed {
    /// Bytes of IP packets that the line took.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// How long packets of at most [`PROBE_BYTES`] that came between `from` and `until` had to wait in the queue. This is
    /// the line's own knowledge: no busy processor adds to it, as it does to a ping.
    pub fn waits(&self, from: Instant, until: Instant) -> Vec<Duration> {
        let waits = self.waits.lock().unwrap_or_else(PoisonError::into_inner);
        waits.iter().filter(|(at, _)| *at >= from && *at < until).map(|(_, wait)| *wait).collect()
    }

    /// Packets that found the queue full or were lost.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

/// One end: a network namespace with this address.
#[derive(Debug)]
pub struct End {
    /// Its address.
    pub address: Ipv4Addr,
    namespace: File,
}

impl End {
    /// Takes the calling thread, and what it starts from then on, to this end.
    pub fn enter(&self) -> io::Result<()> {
        Ok(move_into_link_name_space(self.namespace.as_fd(), Some(LinkNameSpaceType::Network))?)
    }
}

/// The line.
#[derive(Debug)]
pub struct Link {
    /// The household's end.
    pub near: Arc<End>,
    /// The other end.
    pub far: Arc<End>,
    /// What the household sent.
    pub up: Arc<Passed>,
    /// What the household received.
    pub down: Arc<Passed>,
    ended: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Link {
    /// Makes both ends and starts to carry packets.
    pub fn start(up: Direction, down: Direction) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let (near, near_tun) = make_end(NEAR)?;
        let (far, far_tun) = make_end(FAR)?;
        let ended = Arc::new(AtomicBool::new(false));
        let mut link = Self {
            near: Arc::new(near),
            far: Arc::new(far),
            up: Arc::default(),
            down: Arc::default(),
            ended: Arc::clone(&ended),
            threads: Vec::new(),
        };
        let ways = [
            (up, near_tun.try_clone()?, far_tun.try_clone()?, Arc::clone(&link.up)),
            (down, far_tun, near_tun, Arc::clone(&link.down)),
        ];
        for (direction, from, to, passed) in ways {
            let (queue, released) = mpsc::channel();
            let until = Arc::clone(&ended);
            let take = move || take_packets(&direction, from, &queue, &passed, &until);
            link.threads.push(thread::Builder::new().name("line-take".into()).spawn(take)?);
            link.threads.push(
                thread::Builder::new().name("line-give".into()).spawn(move || give_packets(to, &released))?,
            );
        }
        Ok(link)
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // A panic of that thread is on its standard error.
            drop(thread.join());
        }
    }
}

/// A namespace with a device and an address.
fn make_end(address: Ipv4Addr) -> Result<(End, File), Box<dyn Error + Send + Sync>> {
    // The namespace is that of a thread; the file keeps it when the thread has gone.
    let made = thread::spawn(move || -> Result<(End, File), Box<dyn Error + Send + Sync>> {
        kernel::leave_network().map_err(|error| named("make a network namespace (root is needed)", error))?;
        let tun = kernel::open_tun(DEVICE).map_err(|error| named("open /dev/net/tun", error))?;
        for arguments in [
            vec!["link", "set", "lo", "up"],
            // No router is to be looked for.
            vec!["link", "set", DEVICE, "addrgenmode", "none"],
            vec!["address", "add", &format!("{address}/24"), "dev", DEVICE],
            vec!["link", "set", DEVICE, "mtu", &MTU.to_string(), "txqueuelen", "1000", "up"],
        ] {
            let status = Command::new("ip").args(&arguments).status().map_err(|e| named("start `ip`", e))?;
            if !status.success() {
                return Err(format!("`ip {}` ended with {status}", arguments.join(" ")).into());
            }
        }
        let namespace = File::open("/proc/thread-self/ns/net")?;
        Ok((End { address, namespace }, tun))
    });
    made.join().map_err(|_| "the thread that makes a namespace panicked")?
}

fn named(what: &str, error: io::Error) -> Box<dyn Error + Send + Sync> {
    format!("cannot {what}: {error}").into()
}

/// A packet and when it leaves the line.
type Released = (Instant, Vec<u8>);

fn take_packets(
    direction: &Direction,
    mut from: File,
    queue: &mpsc::Sender<Released>,
    passed: &Passed,
    ended: &AtomicBool,
) {
    be_punctual();
    let mut idle_at = Instant::now();
    let mut random = 1_u64;
    let mut packet = [0; MTU + 1];
    while !ended.load(Ordering::Relaxed) {
        let length = match from.read(&mut packet) {
            Ok(length) => length,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                wait_readable(&from);
                continue;
            }
            Err(error) => panic!("the device of the line cannot be read: {error}"),
        };
        let now = Instant::now();
        let backlog =
            idle_at.saturating_duration_since(now).as_secs_f64() * direction.bits_per_s as f64 / 8.0;
        if backlog as u64 + length as u64 > direction.queue_bytes || chance(&mut random) < direction.loss {
            passed.dropped.fetch_add(1, Ordering::Relaxed);
            continue;
        }
        passed.bytes.fetch_add(length as u64, Ordering::Relaxed);
        if length <= PROBE_BYTES {
            let wait = idle_at.saturating_duration_since(now);
            passed.waits.lock().unwrap_or_else(PoisonError::into_inner).push((now, wait));
        }
        let takes = Duration::from_secs_f64(length as f64 * 8.0 / direction.bits_per_s as f64);
        idle_at = idle_at.max(now) + takes;
        if queue.send((idle_at + direction.delay, packet[..length].to_vec())).is_err() {
            return;
        }
    }
}

fn give_packets(mut to: File, released: &mpsc::Receiver<Released>) {
    be_punctual();
    while let Ok((at, packet)) = released.recv() {
        let wait = at.saturating_duration_since(Instant::now());
        if !wait.is_zero() {
            thread::sleep(wait);
        }
        if let Err(error) = to.write_all(&packet) {
            panic!("the device of the line cannot be written: {error}");
        }
    }
}

/// Waits until there is a packet, at most [`LOOK_UP`].
fn wait_readable(file: &File) {
    let timeout = Timespec { tv_sec: 0, tv_nsec: LOOK_UP.subsec_nanos().into() };
    let mut files = [PollFd::new(file, PollFlags::IN)];
    match poll(&mut files, Some(&timeout)) {
        Ok(_) | Err(rustix::io::Errno::INTR) => {}
        Err(error) => panic!("the device of the line cannot be waited for: {error}"),
    }
}

/// Asks that the calling thread's timers are exact and that it is preferred.
pub fn be_punctual() {
    // Both are wishes: without them a busy machine adds to the line's delay, which the ping on the idle line shows.
    let _ = rustix::thread::set_current_timer_slack(NonZeroU64::new(1));
    let _ = rustix::process::setpriority_process(None, -10);
}

/// From 0 to below 1, the same on every run (xorshift64).
fn chance(state: &mut u64) -> f64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    (*state >> 11) as f64 / (1_u64 << 53) as f64
}
