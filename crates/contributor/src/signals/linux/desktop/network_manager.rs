//! Whether data costs money and whether a VPN is up, by NetworkManager, and where that does not know, by the
//! kernel.
//!
//! NetworkManager knows what its owner has said of a wireless network; the kernel does not. So the kernel is
//! asked only where NetworkManager was never seen, or says itself that it does not know. One that has gone
//! leaves the values unknown: its owner may have said "metered" of what looks like any cable. Names of
//! networks are not read.

use std::future::pending;

use zbus::Connection;
use zbus::zvariant::OwnedObjectPath;

use super::bus::{self, News, Peer, Place, Trouble};
use super::facts::Board;
use crate::signals::linux::links::{self, Links};
use crate::signals::{Reading, Unknown};

const NAME: &str = "org.freedesktop.NetworkManager";
const NETWORK: Place<'static> =
    Place { path: "/org/freedesktop/NetworkManager", interface: "org.freedesktop.NetworkManager" };
const ACTIVE: &str = "org.freedesktop.NetworkManager.Connection.Active";
/// Connections that are looked at; a machine with more is left at these.
const CONNECTIONS: usize = 32;

/// Tells the network on the board until the bus goes.
pub(super) async fn watch(connection: &Connection, board: &Board, roots: &links::Roots) {
    let failed = |why| {
        board.update(|facts| {
            facts.metered = Reading::Unknown(why);
            facts.vpn = Reading::Unknown(why);
        });
    };
    let present = async |peer: &Peer| {
        board.update(|facts| facts.network_manager_seen = true);
        let mut news = News::of(peer);
        news.changes(NETWORK).await?;
        loop {
            let metered = match peer.property::<u32>(NETWORK, "Metered").await? {
                1 | 3 => Some(true),
                2 | 4 => Some(false),
                _ => None,
            };
            let vpn = Reading::Known(vpn(peer).await?);
            board.update(|facts| {
                facts.vpn = vpn;
                if let Some(metered) = metered {
                    facts.metered = Reading::Known(metered);
                }
            });
            let kernel = async {
                if metered.is_none() {
                    links::follow(roots, |links| board.update(|facts| facts.metered = links.metered)).await;
                }
                pending().await
            };
            tokio::select! {
                () = news.wake() => {}
                () = kernel => {}
            }
        }
    };
    bus::follow(connection, NAME, failed, present, async || ask_kernel(board, roots).await).await;
}

/// Tells the network as the kernel sees it, unless NetworkManager has known better.
pub(super) async fn ask_kernel(board: &Board, roots: &links::Roots) {
    if board.read(|facts| facts.network_manager_seen) {
        board.update(|facts| {
            facts.metered = Reading::Unknown(Unknown::Failed);
            facts.vpn = Reading::Unknown(Unknown::Failed);
        });
        return pending().await;
    }
    let put = |Links { metered, vpn }| {
        board.update(|facts| {
            facts.metered = metered;
            facts.vpn = vpn;
        });
    };
    links::follow(roots, put).await;
}

async fn vpn(peer: &Peer) -> Result<bool, Trouble> {
    let connections: Vec<OwnedObjectPath> = peer.property(NETWORK, "ActiveConnections").await?;
    for path in connections.iter().take(CONNECTIONS) {
        let place = Place { path: path.as_str(), interface: ACTIVE };
        match is_vpn(peer, place).await {
            Ok(true) => return Ok(true),
            Ok(false) => {}
            // It has gone meanwhile; a change of the list is on its way.
            Err(trouble) if trouble.is_answer() => {}
            Err(trouble) => return Err(trouble),
        }
    }
    Ok(false)
}

async fn is_vpn(peer: &Peer, connection: Place<'_>) -> Result<bool, Trouble> {
    if peer.property(connection, "Vpn").await? {
        return Ok(true);
    }
    let kind: String = peer.property(connection, "Type").await?;
    Ok(matches!(kind.as_str(), "vpn" | "wireguard" | "tun"))
}
