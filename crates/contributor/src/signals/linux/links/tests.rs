use std::os::unix::fs::symlink;
use std::process::Command;
use std::sync::mpsc;

use super::*;

const HEAD: &str = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT";

/// A machine in a folder.
struct Machine {
    folder: tempfile::TempDir,
}

impl Machine {
    fn new(routes: &[(&str, &str, &str, u32)]) -> Self {
        let machine = Self { folder: tempfile::tempdir().unwrap() };
        machine.route(routes);
        for (name, files) in [
            ("eth0", vec![("type", "1")]),
            ("wlan0", vec![("type", "1"), ("uevent", "DEVTYPE=wlan\nINTERFACE=wlan0")]),
            ("wwan0", vec![("type", "65534"), ("uevent", "DEVTYPE=wwan")]),
            ("rmnet_data0", vec![("type", "519")]),
            ("bnep0", vec![("type", "1"), ("uevent", "DEVTYPE=bluetooth")]),
            ("usb0", vec![("type", "1")]),
            ("ppp0", vec![("type", "512")]),
            ("office", vec![("type", "65534"), ("tun_flags", "0x1001")]),
            ("home", vec![("type", "65534"), ("uevent", "DEVTYPE=wireguard")]),
            ("br0", vec![("type", "1"), ("uevent", "DEVTYPE=bridge")]),
            ("br1", vec![("type", "1"), ("uevent", "DEVTYPE=bridge")]),
            ("ib0", vec![("type", "32")]),
        ] {
            let root = machine.folder.path().join("net").join(name);
            fs::create_dir_all(&root).unwrap();
            for (file, text) in files {
                fs::write(root.join(file), format!("{text}\n")).unwrap();
            }
        }
        let net = machine.folder.path().join("net");
        fs::create_dir(net.join("usb0/device")).unwrap();
        symlink("../../../../bus/usb/drivers/rndis_host", net.join("usb0/device/driver")).unwrap();
        symlink("../eth0", net.join("br0/lower_eth0")).unwrap();
        symlink("../office", net.join("br0/lower_office")).unwrap();
        symlink("../usb0", net.join("br1/lower_usb0")).unwrap();
        machine
    }

    fn roots(&self) -> Roots {
        Roots {
            route: self.folder.path().join("route"),
            ipv6_route: self.folder.path().join("ipv6_route"),
            interfaces: self.folder.path().join("net"),
        }
    }

    fn route(&self, routes: &[(&str, &str, &str, u32)]) {
        let line = |(interface, destination, mask, metric): &(&str, &str, &str, u32)| {
            format!("{interface}\t{destination}\t0101A8C0\t0003\t0\t0\t{metric}\t{mask}\t0\t0\t0")
        };
        let lines: Vec<String> = routes.iter().map(line).collect();
        fs::write(self.folder.path().join("route"), format!("{HEAD}\n{}\n", lines.join("\n"))).unwrap();
    }
}

const ALL: &str = "00000000";
const HALF: &str = "00000080";
const YES: Reading<bool> = Reading::Known(true);
const NO: Reading<bool> = Reading::Known(false);
const NONE: Reading<bool> = Reading::Unknown(Unknown::NoSource);

#[test]
fn the_interface_of_the_default_route_tells_what_data_costs() {
    let net = ("eth0", "0001A8C0", "00FFFFFF", 100);
    for (routes, metered, vpn) in [
        (vec![], NO, NO),
        (vec![net], NO, NO),
        (vec![("eth0", ALL, ALL, 100), net], NO, NO),
        (vec![("wlan0", ALL, ALL, 600)], NONE, NO),
        (vec![("eth0", ALL, ALL, 100), ("wlan0", ALL, ALL, 600)], NO, NO),
        (vec![("eth0", ALL, ALL, 700), ("wlan0", ALL, ALL, 600)], NONE, NO),
        (vec![("wwan0", ALL, ALL, 0)], YES, NO),
        (vec![("rmnet_data0", ALL, ALL, 0)], YES, NO),
        (vec![("bnep0", ALL, ALL, 0)], YES, NO),
        (vec![("usb0", ALL, ALL, 0)], YES, NO),
        (vec![("ppp0", ALL, ALL, 0)], YES, NO),
        (vec![("br0", ALL, ALL, 0)], NO, NO),
        (vec![("br1", ALL, ALL, 0)], YES, NO),
        (vec![("ib0", ALL, ALL, 0)], NONE, NO),
        (vec![("gone0", ALL, ALL, 0)], NONE, NO),
        (vec![("ppp0", ALL, ALL, 0), ("eth0", ALL, ALL, 100)], YES, YES),
        (vec![("office", ALL, ALL, 50), ("eth0", ALL, ALL, 100)], NO, YES),
        (vec![("office", ALL, ALL, 50), ("wwan0", ALL, ALL, 100)], YES, YES),
        (vec![("home", ALL, ALL, 50)], NONE, YES),
        (vec![("eth0", ALL, ALL, 0), ("tun7", ALL, HALF, 0), ("tun7", HALF, HALF, 0)], NO, YES),
        (vec![("eth0", ALL, ALL, 0), ("office", "0000000A", "000000FF", 0)], NO, NO),
    ] {
        let machine = Machine::new(&routes);
        assert_eq!(read(&machine.roots()), Links { metered, vpn }, "{routes:?}");
    }
}

#[test]
fn a_route_of_either_family_of_addresses_counts() {
    let zero = "0".repeat(32);
    let gateway = "fe80000000000000000000000000000f";
    let two_thousand = format!("2{}", "0".repeat(31));
    for (destination, length, flags, interface, metered, vpn) in [
        (&zero, "00", "00000003", "wwan0", YES, NO),
        (&zero, "00", "00000003", "home", NONE, YES),
        (&two_thousand, "03", "00000003", "home", NONE, YES),
        // What every kernel has without IPv6 on its links.
        (&zero, "00", "00200200", "lo", NO, NO),
        (&zero, "00", "00000203", "wwan0", NO, NO),
        (&two_thousand, "40", "00000003", "wwan0", NO, NO),
    ] {
        let machine = Machine::new(&[("eth0", ALL, ALL, 100)]);
        let line = format!(
            "{destination} {length} {zero} 00 {gateway} 00000400 00000001 00000000 {flags} {interface:>8}\n"
        );
        fs::write(machine.roots().ipv6_route, &line).unwrap();
        assert_eq!(read(&machine.roots()), Links { metered, vpn }, "{line}");
    }
}

#[test]
fn a_table_that_cannot_be_read_leaves_the_network_unknown() {
    let machine = Machine::new(&[]);
    fs::remove_file(machine.roots().route).unwrap();
    fs::create_dir(machine.roots().route).unwrap();
    let failed = Reading::Unknown(Unknown::Failed);
    assert_eq!(read(&machine.roots()), Links { metered: failed, vpn: failed });
}

#[test]
fn this_kernel_is_read_and_lends_its_ear() {
    let links = read(&Roots::system());
    assert!(links.vpn.known().is_some(), "{links:?}");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (send, told) = mpsc::channel();
    runtime.block_on(async {
        assert!(listen().is_ok(), "a netlink socket needs no privilege");
        let roots = Roots::system();
        let once = follow(&roots, |links| send.send(links).unwrap());
        // It tells at once and then waits for the kernel.
        assert!(tokio::time::timeout(Duration::from_millis(1), once).await.is_err());
    });
    assert_eq!(told.try_recv().unwrap(), links);
}

/// Set for the copy of this program that has a network of its own.
const INSIDE: &str = "HEARTH_TEST_OWN_NETWORK";

#[test]
fn a_changed_route_is_pushed_by_the_kernel() {
    if std::env::var_os(INSIDE).is_some() {
        return change_a_route();
    }
    let own = || {
        let mut command = Command::new("unshare");
        command.args(["--map-root-user", "--net"]);
        command
    };
    let ip = Command::new("ip").arg("-V").output();
    if ip.is_err() || !own().arg("true").output().is_ok_and(|output| output.status.success()) {
        crate::leave_out("a network of one's own: ip is not installed, or none is allowed here");
        return;
    }
    let this = "signals::linux::links::tests::a_changed_route_is_pushed_by_the_kernel";
    let program = std::env::current_exe().unwrap();
    let output = own().arg(program).args(["--exact", this]).env(INSIDE, "1").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

fn change_a_route() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let roots = Roots::system();
    let step = std::cell::Cell::new(0);
    let follow = follow(&roots, |links| {
        let run = |line: &str| {
            let status = Command::new("ip").args(line.split(' ')).status().unwrap();
            assert!(status.success(), "ip {line}");
        };
        match (step.get(), links.metered) {
            (0, NO) => {
                run("link add wwan7 type veth peer name far7");
                run("link set wwan7 up");
                run("addr add 192.0.2.1/24 dev wwan7");
                run("route add default via 192.0.2.2");
                step.set(1);
            }
            (1, YES) => {
                run("route del default");
                step.set(2);
            }
            (2, NO) => step.set(3),
            _ => {}
        }
    });
    let all = async {
        tokio::pin!(follow);
        // Polled again after each of its wake-ups, until the last step.
        std::future::poll_fn(|cx| {
            let _: std::task::Poll<()> = follow.as_mut().poll(cx);
            if step.get() == 3 { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
        })
        .await;
    };
    // Sooner than it would ask by itself.
    runtime.block_on(async { tokio::time::timeout(Duration::from_secs(20), all).await.unwrap() });
}
