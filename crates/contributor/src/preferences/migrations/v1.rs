//! Version 1 of the preferences file: its frozen shape, and how it becomes today's preferences.
//!
//! A later version gets a file of its own; this one is never edited again, so that files of every age can be read.

use protocol::local::{Appearance, Preferences};
use serde::Deserialize;

use crate::preferences::defaults;

/// The only line that all versions share.
#[derive(Debug, Deserialize)]
pub(in crate::preferences) struct Version {
    pub(in crate::preferences) version: u32,
}

/// The file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::preferences) struct File {
    #[serde(rename = "version")]
    _version: u32,
    enabled: bool,
    idle_after_seconds: u32,
    card_percent: u8,
    max_celsius: u8,
    max_other_cpu_percent: u8,
    on_battery: bool,
    exclusive_programs: Vec<String>,
    hours: [u32; 7],
    upload_kbits: u32,
    month_mbytes: u32,
    min_free_disk_mbytes: u32,
    electricity_milli_per_kwh: Option<u32>,
    token_milli: Option<u32>,
    watts: Option<u32>,
    language: String,
    appearance: Appearance,
    autostart: bool,
}

/// Reads a version 1 file.
pub(in crate::preferences) fn read(text: &str) -> Result<Preferences, toml::de::Error> {
    let f: File = toml::from_str(text)?;
    Ok(Preferences {
        enabled: f.enabled,
        idle_after_seconds: f.idle_after_seconds,
        card_percent: f.card_percent,
        max_celsius: f.max_celsius,
        max_other_cpu_percent: f.max_other_cpu_percent,
        on_battery: f.on_battery,
        exclusive_programs: f.exclusive_programs,
        hours: f.hours,
        upload_kbits: f.upload_kbits,
        month_mbytes: f.month_mbytes,
        min_free_disk_mbytes: f.min_free_disk_mbytes,
        electricity_milli_per_kwh: f.electricity_milli_per_kwh,
        token_milli: f.token_milli,
        watts: f.watts,
        language: f.language,
        appearance: f.appearance,
        autostart: f.autostart,
        ..defaults()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_1_file_of_the_first_release_is_still_read() {
        let text = "version = 1\nenabled = true\nidle_after_seconds = 120\ncard_percent = 60\nmax_celsius = 75\n\
                    max_other_cpu_percent = 20\non_battery = false\nexclusive_programs = [\"obs\"]\n\
                    hours = [16777215, 16777215, 16777215, 16777215, 16777215, 0, 0]\nupload_kbits = 0\n\
                    month_mbytes = 0\nmin_free_disk_mbytes = 5000\nwatts = 90\nlanguage = \"ja\"\n\
                    appearance = \"dark\"\nautostart = true\n";
        let read = read(text).unwrap();
        assert_eq!((read.idle_after_seconds, read.card_percent, read.hours[5]), (120, 60, 0));
        assert_eq!((read.watts, read.token_milli), (Some(90), None), "a line left out means not said");
        assert_eq!(read.appearance, Appearance::Dark);
        assert_eq!(
            (read.light_percent, read.on_metered),
            (0, false),
            "rules that are new are as for new owners"
        );
    }
}
