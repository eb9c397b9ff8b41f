//! Where the electricity comes from, by the kernel's list of power supplies. Nothing pushes here: it is asked for.

use std::fs;
use std::io;
use std::path::Path;

use crate::signals::{Power, Reading, Unknown};

/// Where the kernel lists the supplies.
pub(super) const SUPPLIES: &str = "/sys/class/power_supply";

/// Where the electricity comes from, by the kernel's list of supplies in `root`. A computer without a system battery
/// runs from the wall.
pub(super) fn power_supply(root: &Path) -> Reading<Power> {
    let entries = match fs::read_dir(root) {
        Ok(entries) => entries,
        // A kernel without this class of devices knows of no battery.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Reading::Known(Power::Mains),
        Err(_) => return Reading::Unknown(Unknown::Failed),
    };
    let mut adapters = Vec::new();
    let mut batteries = Vec::new();
    for entry in entries {
        let Ok(entry) = entry else { return Reading::Unknown(Unknown::Failed) };
        let read =
            |name: &str| fs::read_to_string(entry.path().join(name)).map(|text| text.trim().to_owned());
        // Mice and headsets have batteries too; the kernel marks them.
        if read("scope").is_ok_and(|scope| scope == "Device") {
            continue;
        }
        match read("type").as_deref() {
            Ok("Battery") => batteries.push((read("status").ok(), read("capacity").ok())),
            Ok("Mains" | "USB" | "Wireless") => adapters.extend(read("online").ok()),
            Ok(_) => {}
            Err(_) => return Reading::Unknown(Unknown::Failed),
        }
    }
    if batteries.is_empty() {
        return Reading::Known(Power::Mains);
    }
    let percent = batteries.iter().find_map(|(_, capacity)| capacity.as_ref()?.parse().ok());
    let says = |word: &str| batteries.iter().any(|(status, _)| status.as_deref() == Some(word));
    let plugged = adapters.iter().any(|online| online == "1");
    if says("Discharging") {
        Reading::Known(Power::Battery { percent })
    } else if plugged || says("Charging") || says("Full") || says("Not charging") {
        Reading::Known(Power::Mains)
    } else if adapters.is_empty() {
        Reading::Unknown(Unknown::Failed)
    } else {
        Reading::Known(Power::Battery { percent })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn supply(root: &Path, name: &str, files: &[(&str, &str)]) {
        let dir = root.join(name);
        fs::create_dir_all(&dir).unwrap();
        for (file, text) in files {
            fs::write(dir.join(file), format!("{text}\n")).unwrap();
        }
    }

    #[test]
    fn a_desktop_without_battery_runs_from_the_wall() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(power_supply(root.path()), Reading::Known(Power::Mains));
        assert_eq!(power_supply(&root.path().join("none")), Reading::Known(Power::Mains));
        supply(
            root.path(),
            "hidpp_battery_0",
            &[("type", "Battery"), ("scope", "Device"), ("status", "Discharging")],
        );
        assert_eq!(power_supply(root.path()), Reading::Known(Power::Mains), "that is the mouse's battery");
    }

    #[test]
    fn a_laptop_is_on_battery_when_it_discharges() {
        let root = tempfile::tempdir().unwrap();
        supply(root.path(), "AC", &[("type", "Mains"), ("online", "0")]);
        supply(root.path(), "BAT0", &[("type", "Battery"), ("status", "Discharging"), ("capacity", "71")]);
        assert_eq!(power_supply(root.path()), Reading::Known(Power::Battery { percent: Some(71) }));
        supply(root.path(), "AC", &[("online", "1")]);
        supply(root.path(), "BAT0", &[("status", "Not charging")]);
        assert_eq!(power_supply(root.path()), Reading::Known(Power::Mains), "a full battery that is spared");
        supply(root.path(), "AC", &[("online", "0")]);
        supply(root.path(), "BAT0", &[("status", "Unknown")]);
        assert_eq!(power_supply(root.path()), Reading::Known(Power::Battery { percent: Some(71) }));
    }

    #[test]
    fn a_battery_that_says_nothing_is_unknown() {
        let root = tempfile::tempdir().unwrap();
        supply(root.path(), "BAT0", &[("type", "Battery"), ("status", "Unknown")]);
        assert_eq!(power_supply(root.path()), Reading::Unknown(Unknown::Failed));
    }
}
