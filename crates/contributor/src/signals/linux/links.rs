//! Whether data costs money and whether a VPN is up, by the kernel's routes and network interfaces.
//!
//! It looks at the interface that the default route goes over, never at addresses or names of networks, and
//! sends nothing. The kernel pushes a word when routes or interfaces change, through a netlink socket, which
//! is no way out of the machine. The sensor of NetworkManager calls this file where NetworkManager does not
//! know.
//!
//! Not seen: a VPN whose routes stand in a table of its own for IPv4 only (`wg-quick` with a full tunnel),
//! because `/proc/net/route` shows the main table alone.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use tokio::net::UnixDatagram;
use tokio::time::sleep;

use crate::signals::{Reading, Unknown};

/// Changes of interfaces and of IPv4 and IPv6 routes (`RTMGRP_*` of linux/rtnetlink.h).
const GROUPS: u32 = 0x1 | 0x40 | 0x400;
/// Changes come in bursts.
const BURST: Duration = Duration::from_millis(100);
/// How often the kernel is asked where it pushes nothing.
const ASK_EVERY: Duration = Duration::from_secs(30);

/// Where the kernel shows its routes and interfaces.
#[derive(Debug, Clone)]
pub(super) struct Roots {
    pub(super) route: PathBuf,
    pub(super) ipv6_route: PathBuf,
    pub(super) interfaces: PathBuf,
}

impl Roots {
    pub(super) fn system() -> Self {
        Self {
            route: PathBuf::from("/proc/net/route"),
            ipv6_route: PathBuf::from("/proc/net/ipv6_route"),
            interfaces: PathBuf::from("/sys/class/net"),
        }
    }
}

/// What the kernel tells of the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Links {
    pub(super) metered: Reading<bool>,
    pub(super) vpn: Reading<bool>,
}

/// Tells the links now and whenever the kernel says that something has changed.
pub(super) async fn follow(roots: &Roots, put: impl Fn(Links)) {
    let news = match listen() {
        Ok(news) => Some(news),
        Err(error) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "the kernel tells no changed routes");
            None
        }
    };
    loop {
        put(read(roots));
        match &news {
            Some(news) => changed(news).await,
            None => sleep(ASK_EVERY).await,
        }
    }
}

/// Why the kernel does not tell of changes.
#[derive(Debug, thiserror::Error)]
enum ListenError {
    #[error("open a netlink socket")]
    Open(#[source] Errno),
    #[error("join the groups of a netlink socket")]
    Join(#[source] Errno),
    #[error("wait for a netlink socket")]
    Wait(#[source] io::Error),
}

/// A socket for datagrams of the kernel. Its type is that of sockets within the machine, which tokio waits
/// for in the same way; nothing but receiving is done with it.
fn listen() -> Result<UnixDatagram, ListenError> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    // Routes are the protocol with the number zero.
    let socket = rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None)
        .map_err(ListenError::Open)?;
    rustix::net::bind(&socket, &SocketAddrNetlink::new(0, GROUPS)).map_err(ListenError::Join)?;
    UnixDatagram::from_std(socket.into()).map_err(ListenError::Wait)
}

/// Waits for a burst of changes and its end.
async fn changed(news: &UnixDatagram) {
    if news.readable().await.is_err() {
        return sleep(ASK_EVERY).await;
    }
    sleep(BURST).await;
    // What the messages say does not matter. A lost one (ENOBUFS) is a change too; only an empty queue ends
    // it.
    let mut message = [0_u8; 8192];
    loop {
        match news.try_recv(&mut message) {
            Ok(1..) => {}
            Err(error) if error.raw_os_error() == Some(Errno::NOBUFS.raw_os_error()) => {}
            Ok(_) | Err(_) => return,
        }
    }
}

/// Reads the links.
fn read(roots: &Roots) -> Links {
    let routes = match (routes(&roots.route, ipv4_route), routes(&roots.ipv6_route, ipv6_route)) {
        (Ok(four), Ok(six)) => [four, six],
        _ => {
            let failed = Reading::Unknown(Unknown::Failed);
            return Links { metered: failed, vpn: failed };
        }
    };
    let mut vpn = false;
    let mut carriers = Vec::new();
    for mut family in routes {
        family.sort_by_key(|route| (std::cmp::Reverse(route.prefix), route.metric));
        let first = family.first().map(|route| kind(&roots.interfaces, &route.interface));
        // Under a tunnel lies the link that its packets go over.
        let mut below = family.iter().map(|route| kind(&roots.interfaces, &route.interface));
        let carrier = below.find(|kind| *kind != Kind::Tunnel);
        // A dialled line is a modem's or a VPN's. Where another line lies below, it is a VPN's.
        let dialled = first == Some(Kind::Dialled)
            && family.iter().any(|route| {
                !matches!(kind(&roots.interfaces, &route.interface), Kind::Tunnel | Kind::Dialled)
            });
        vpn |= first == Some(Kind::Tunnel) || dialled;
        // A tunnel over a link that has no default route of its own.
        carriers.extend(carrier.or(first));
    }
    let metered = if carriers.iter().any(|kind| matches!(kind, Kind::Mobile | Kind::Dialled)) {
        Reading::Known(true)
    } else if carriers.iter().all(|kind| *kind == Kind::Wired) {
        // Without a default route nothing leaves this machine, and nothing costs.
        Reading::Known(false)
    } else {
        Reading::Unknown(Unknown::NoSource)
    };
    Links { metered, vpn: Reading::Known(vpn) }
}

/// A route that takes everything, or half of everything, as some VPNs have it.
#[derive(Debug)]
struct DefaultRoute {
    interface: String,
    /// The longer one wins.
    prefix: u8,
    metric: u32,
}

fn routes(table: &Path, parse: fn(&str) -> Option<DefaultRoute>) -> io::Result<Vec<DefaultRoute>> {
    match fs::read_to_string(table) {
        Ok(text) => Ok(text.lines().filter_map(parse).collect()),
        // A kernel without this family of addresses.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

const UP: u32 = 0x1;
const REJECT: u32 = 0x200;

/// A line of `/proc/net/route`: interface, destination, gateway, flags, two counters, metric, mask.
fn ipv4_route(line: &str) -> Option<DefaultRoute> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let hex = |number: usize| u32::from_str_radix(fields.get(number)?, 16).ok();
    let flags = hex(3)?;
    // The kernel prints an address as the machine keeps it.
    let prefix = u8::try_from(u32::from_be(hex(7)?).leading_ones()).ok()?;
    let whole = hex(1)? == 0 && prefix <= 1 && flags & UP != 0 && flags & REJECT == 0;
    let metric = fields.get(6)?.parse().ok()?;
    whole.then(|| DefaultRoute { interface: fields[0].to_owned(), prefix, metric })
}

/// A line of `/proc/net/ipv6_route`: destination and its length, source and its length, gateway, metric, two
/// counters, flags, interface.
fn ipv6_route(line: &str) -> Option<DefaultRoute> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let hex = |number: usize| u32::from_str_radix(fields.get(number)?, 16).ok();
    let (prefix, flags) = (u8::try_from(hex(1)?).ok()?, hex(8)?);
    // `2000::/3` is all that is handed out.
    let everything = match prefix {
        0 | 1 => fields[0].bytes().all(|digit| digit == b'0'),
        3 => fields[0].starts_with('2'),
        _ => false,
    };
    let interface = *fields.get(9)?;
    let whole = everything && flags & UP != 0 && flags & REJECT == 0 && interface != "lo";
    whole.then(|| DefaultRoute {
        interface: interface.to_owned(),
        prefix,
        metric: hex(5).unwrap_or(u32::MAX),
    })
}

/// What an interface is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Wired,
    Wireless,
    /// A modem, or a telephone that is plugged in or near.
    Mobile,
    /// PPP: a modem, an old DSL line or a VPN.
    Dialled,
    Tunnel,
    Other,
}

/// Bridges on bonds on VLANs are not deeper than this.
const DEPTH: usize = 4;

fn kind(interfaces: &Path, name: &str) -> Kind {
    kind_at(interfaces, name, DEPTH)
}

fn kind_at(interfaces: &Path, name: &str, depth: usize) -> Kind {
    /// Drivers of telephones and modems on USB. Some docks use those of class `cdc` too and count as metered
    /// here.
    const MOBILE: [&str; 10] = [
        "cdc_eem",
        "cdc_ether",
        "cdc_mbim",
        "cdc_ncm",
        "huawei_cdc_ncm",
        "ipheth",
        "qmi_wwan",
        "rndis_host",
        "sierra_net",
        "hso",
    ];
    let root = interfaces.join(name);
    let text = |file: &str| fs::read_to_string(root.join(file)).unwrap_or_default();
    let uevent = text("uevent");
    let device_type = uevent.lines().find_map(|line| line.strip_prefix("DEVTYPE=")).unwrap_or_default();
    let begins = |words: &[&str]| words.iter().any(|word| name.starts_with(word));
    let driver = fs::read_link(root.join("device/driver")).ok();
    let driver = driver.as_deref().and_then(Path::file_name).and_then(|name| name.to_str());
    if device_type == "wireguard" || root.join("tun_flags").exists() || begins(&["wg", "tun"]) {
        return Kind::Tunnel;
    }
    if device_type == "ppp" || begins(&["ppp"]) {
        return Kind::Dialled;
    }
    if matches!(device_type, "wwan" | "bluetooth")
        || begins(&["wwan", "rmnet", "bnep"])
        || driver.is_some_and(|driver| MOBILE.contains(&driver))
    {
        return Kind::Mobile;
    }
    if device_type == "wlan" || root.join("wireless").exists() || root.join("phy80211").exists() {
        return Kind::Wireless;
    }
    let lower = lower_interfaces(&root);
    if depth > 0 && !lower.is_empty() {
        let kinds: Vec<Kind> = lower.iter().map(|name| kind_at(interfaces, name, depth - 1)).collect();
        // The dearest counts; a virtual machine's end of a bridge does not.
        let dearest = [Kind::Mobile, Kind::Dialled, Kind::Wireless, Kind::Wired];
        return dearest.into_iter().find(|kind| kinds.contains(kind)).unwrap_or(Kind::Other);
    }
    if text("type").trim() == "1" { Kind::Wired } else { Kind::Other }
}

/// What a bridge, a bond or a VLAN stands on.
fn lower_interfaces(root: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(root) else { return Vec::new() };
    let name = |entry: fs::DirEntry| Some(entry.file_name().to_str()?.strip_prefix("lower_")?.to_owned());
    entries.flatten().filter_map(name).collect()
}

#[cfg(test)]
mod tests;
