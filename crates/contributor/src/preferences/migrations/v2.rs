//! Version 2 of the preferences file, which the program writes: its frozen shape, and how it becomes today's preferences.
//!
//! A later version gets a file of its own; this one is never edited again, so that files of every age can be read.

use protocol::local::{Appearance, Preferences};
use serde::{Deserialize, Serialize};

/// The file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::preferences) struct File {
    version: u32,
    enabled: bool,
    idle_after_seconds: u32,
    light_percent: u8,
    card_percent: u8,
    card_memory_percent: u8,
    max_celsius: u8,
    max_cpu_celsius: u8,
    max_other_cpu_percent: u8,
    on_battery: bool,
    with_power_saver: bool,
    in_calls: bool,
    with_media: bool,
    on_metered: bool,
    on_vpn: bool,
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

/// Reads a version 2 file.
pub(in crate::preferences) fn read(text: &str) -> Result<Preferences, toml::de::Error> {
    let f: File = toml::from_str(text)?;
    Ok(Preferences {
        enabled: f.enabled,
        idle_after_seconds: f.idle_after_seconds,
        light_percent: f.light_percent,
        card_percent: f.card_percent,
        card_memory_percent: f.card_memory_percent,
        max_celsius: f.max_celsius,
        max_cpu_celsius: f.max_cpu_celsius,
        max_other_cpu_percent: f.max_other_cpu_percent,
        on_battery: f.on_battery,
        with_power_saver: f.with_power_saver,
        in_calls: f.in_calls,
        with_media: f.with_media,
        on_metered: f.on_metered,
        on_vpn: f.on_vpn,
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
    })
}

impl From<&Preferences> for File {
    fn from(p: &Preferences) -> Self {
        Self {
            version: 2,
            enabled: p.enabled,
            idle_after_seconds: p.idle_after_seconds,
            light_percent: p.light_percent,
            card_percent: p.card_percent,
            card_memory_percent: p.card_memory_percent,
            max_celsius: p.max_celsius,
            max_cpu_celsius: p.max_cpu_celsius,
            max_other_cpu_percent: p.max_other_cpu_percent,
            on_battery: p.on_battery,
            with_power_saver: p.with_power_saver,
            in_calls: p.in_calls,
            with_media: p.with_media,
            on_metered: p.on_metered,
            on_vpn: p.on_vpn,
            exclusive_programs: p.exclusive_programs.clone(),
            hours: p.hours,
            upload_kbits: p.upload_kbits,
            month_mbytes: p.month_mbytes,
            min_free_disk_mbytes: p.min_free_disk_mbytes,
            electricity_milli_per_kwh: p.electricity_milli_per_kwh,
            token_milli: p.token_milli,
            watts: p.watts,
            language: p.language.clone(),
            appearance: p.appearance,
            autostart: p.autostart,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_2_file_is_read_and_written_again_as_it_was() {
        let text = "version = 2\nenabled = true\nidle_after_seconds = 120\nlight_percent = 15\ncard_percent = 60\n\
                    card_memory_percent = 50\nmax_celsius = 75\nmax_cpu_celsius = 85\nmax_other_cpu_percent = 20\n\
                    on_battery = false\nwith_power_saver = false\nin_calls = false\nwith_media = true\n\
                    on_metered = false\non_vpn = true\nexclusive_programs = [\"obs\"]\n\
                    hours = [16777215, 16777215, 16777215, 16777215, 16777215, 0, 0]\nupload_kbits = 0\n\
                    month_mbytes = 0\nmin_free_disk_mbytes = 5000\nwatts = 90\nlanguage = \"ja\"\n\
                    appearance = \"dark\"\nautostart = true\n";
        let read = read(text).unwrap();
        assert_eq!((read.light_percent, read.with_media, read.on_vpn), (15, true, true));
        assert_eq!(toml::to_string(&File::from(&read)).unwrap(), text);
    }
}
