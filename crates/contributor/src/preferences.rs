//! The owner's rules as a file: TOML, versioned, written whole or not at all.
//!
//! It owns the file's shape, the ranges of every value and the defaults. An unreadable file is kept aside under a new
//! name and reported, never overwritten. The engine reads it once and writes it on the store's thread.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use protocol::local::{Appearance, Preferences};
use protocol::units::UnixMillis;

mod migrations {
    pub(super) mod v1;
    pub(super) mod v2;
}
use migrations::{v1, v2};

/// Name of the file in the data folder.
pub const FILE_NAME: &str = "preferences.toml";

/// What new owners begin with.
pub fn defaults() -> Preferences {
    Preferences {
        enabled: true,
        idle_after_seconds: 300,
        light_percent: 0,
        card_percent: 100,
        card_memory_percent: 80,
        max_celsius: 80,
        max_cpu_celsius: 90,
        max_other_cpu_percent: 25,
        on_battery: false,
        with_power_saver: false,
        in_calls: false,
        with_media: false,
        on_metered: false,
        on_vpn: false,
        exclusive_programs: Vec::new(),
        hours: [0x00ff_ffff; 7],
        upload_kbits: 0,
        month_mbytes: 0,
        min_free_disk_mbytes: 2000,
        electricity_milli_per_kwh: None,
        token_milli: None,
        watts: None,
        language: String::new(),
        appearance: Appearance::System,
        autostart: false,
    }
}

/// A value outside its range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} is {found}, allowed are {min} to {max}")]
pub struct InvalidPreferences {
    /// Name of the field.
    pub field: &'static str,
    /// What was found; for texts and lists their length.
    pub found: u64,
    /// Smallest allowed value.
    pub min: u64,
    /// Largest allowed value.
    pub max: u64,
}

/// Checks every range.
///
/// # Errors
/// The first value that is outside its range.
pub fn check(p: &Preferences) -> Result<(), InvalidPreferences> {
    let within = |field, found: u64, min: u64, max: u64| {
        let fits = (min..=max).contains(&found);
        if fits { Ok(()) } else { Err(InvalidPreferences { field, found, min, max }) }
    };
    within("idle_after_seconds", p.idle_after_seconds.into(), 0, 7200)?;
    within("light_percent", p.light_percent.into(), 0, 50)?;
    within("card_percent", p.card_percent.into(), 10, 100)?;
    within("card_memory_percent", p.card_memory_percent.into(), 10, 100)?;
    within("max_celsius", p.max_celsius.into(), 50, 95)?;
    within("max_cpu_celsius", p.max_cpu_celsius.into(), 50, 105)?;
    within("max_other_cpu_percent", p.max_other_cpu_percent.into(), 5, 100)?;
    within("exclusive_programs", p.exclusive_programs.len() as u64, 0, 64)?;
    for name in &p.exclusive_programs {
        within("length of a program's name", name.len() as u64, 1, 128)?;
    }
    for mask in p.hours {
        within("hours", mask.into(), 0, 0x00ff_ffff)?;
    }
    within("upload_kbits", p.upload_kbits.into(), 0, 100_000_000)?;
    within("month_mbytes", p.month_mbytes.into(), 0, 1_000_000_000)?;
    within("min_free_disk_mbytes", p.min_free_disk_mbytes.into(), 0, 100_000_000)?;
    within("electricity_milli_per_kwh", p.electricity_milli_per_kwh.unwrap_or(0).into(), 0, 100_000_000)?;
    within("token_milli", p.token_milli.unwrap_or(1).into(), 1, 1_000_000_000)?;
    within("watts", p.watts.unwrap_or(1).into(), 1, 5000)?;
    within("length of language", p.language.len() as u64, 0, 35)?;
    Ok(())
}

/// Why the file cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The system refused.
    #[error("read {path}")]
    Read {
        /// Which file.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: std::io::Error,
    },
    /// A damaged file could not be moved aside.
    #[error("keep the unreadable file {path} aside")]
    KeepAside {
        /// Which file.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: std::io::Error,
    },
}

/// What is wrong with a file's contents.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ParseError {
    /// Not TOML of the expected shape.
    #[error("the preferences are malformed")]
    Malformed(#[from] toml::de::Error),
    /// Written by a later version of Hearth.
    #[error("the preferences have version {found}, this program knows up to 2")]
    Version {
        /// The number found.
        found: u32,
    },
    /// A value is out of its range.
    #[error("the preferences are not valid")]
    Invalid(#[from] InvalidPreferences),
}

/// Why the file cannot be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SaveError {
    /// The system refused.
    #[error("write {path}")]
    Write {
        /// Which file.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: std::io::Error,
    },
    /// A value has no TOML form.
    #[error("write the preferences as TOML")]
    Encode(#[from] toml::ser::Error),
}

impl SaveError {
    /// Whether the disk is full.
    pub fn is_disk_full(&self) -> bool {
        matches!(self, Self::Write { source, .. } if source.kind() == std::io::ErrorKind::StorageFull)
    }
}

/// Outcome of [`load`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// What was read, or the defaults.
    pub preferences: Preferences,
    /// Where an unreadable file was kept, and why it is unreadable.
    pub kept_aside: Option<(PathBuf, String)>,
}

/// Reads the preferences of `data_dir`; a missing file gives the defaults, an unreadable one too, after it was moved to
/// `preferences.toml.unreadable-<milliseconds>`.
///
/// # Errors
/// [`LoadError`] when the system refuses to read or to move: then nothing was changed.
pub fn load(data_dir: &Path, now: UnixMillis) -> Result<Loaded, LoadError> {
    let path = data_dir.join(FILE_NAME);
    let bytes = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Ok(Loaded { preferences: defaults(), kept_aside: None });
        }
        Err(source) => return Err(LoadError::Read { path, source }),
    };
    let parsed = match String::from_utf8(bytes) {
        Ok(text) => parse(&text).map_err(|error| match std::error::Error::source(&error) {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        }),
        Err(error) => Err(error.to_string()),
    };
    match parsed {
        Ok(preferences) => Ok(Loaded { preferences, kept_aside: None }),
        Err(why) => {
            let aside = data_dir.join(format!("{FILE_NAME}.unreadable-{}", now.0));
            std::fs::rename(&path, &aside).map_err(|source| LoadError::KeepAside { path, source })?;
            Ok(Loaded { preferences: defaults(), kept_aside: Some((aside, why)) })
        }
    }
}

/// Reads a file's text, of any version that was ever written.
///
/// # Errors
/// [`ParseError`]: malformed, of a later version, or out of range.
pub fn parse(text: &str) -> Result<Preferences, ParseError> {
    let version: v1::Version = toml::from_str(text)?;
    let preferences = match version.version {
        1 => v1::read(text)?,
        2 => v2::read(text)?,
        found => return Err(ParseError::Version { found }),
    };
    check(&preferences)?;
    Ok(preferences)
}

/// The text of a file.
///
/// # Errors
/// [`SaveError::Encode`] when a value has no TOML form.
pub fn render(preferences: &Preferences) -> Result<String, SaveError> {
    Ok(toml::to_string(&v2::File::from(preferences))?)
}

/// Writes the file whole or not at all: a new file beside it, synchronised, then renamed over it.
///
/// # Errors
/// [`SaveError`]; the old file is then untouched.
pub fn save(data_dir: &Path, preferences: &Preferences) -> Result<(), SaveError> {
    let text = render(preferences)?;
    let path = data_dir.join(FILE_NAME);
    let fresh = data_dir.join(format!("{FILE_NAME}.new"));
    let write = || {
        let mut file = std::fs::File::create(&fresh)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&fresh, &path)
    };
    write().map_err(|source| SaveError::Write { path: path.clone(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_saved_is_read_again_unchanged() {
        let dir = tempfile::tempdir().unwrap();
        let mut written = defaults();
        written.exclusive_programs = vec!["blender".to_owned()];
        written.watts = Some(120);
        written.hours[6] = 0b1010;
        save(dir.path(), &written).unwrap();
        let read = load(dir.path(), UnixMillis(1)).unwrap();
        assert_eq!(read, Loaded { preferences: written, kept_aside: None });
    }

    #[test]
    fn an_unreadable_file_is_kept_aside_and_never_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        for broken in ["version = 1\nidle_after_seconds = \"soon\"\n", "version = 9\n", "\u{0}"] {
            std::fs::write(dir.path().join(FILE_NAME), broken).unwrap();
            let now = UnixMillis(7000 + broken.len() as u64);
            let loaded = load(dir.path(), now).unwrap();
            assert_eq!(loaded.preferences, defaults(), "a damaged file must not half apply");
            let (aside, why) = loaded.kept_aside.expect("the damage must be reported");
            assert_eq!(std::fs::read_to_string(aside).unwrap(), broken, "the owner's file must survive");
            assert!(!why.is_empty());
            assert!(!dir.path().join(FILE_NAME).exists());
        }
    }

    #[test]
    fn values_out_of_range_name_their_field() {
        let check = |change: fn(&mut Preferences), field: &str| {
            let mut preferences = defaults();
            change(&mut preferences);
            assert_eq!(super::check(&preferences).unwrap_err().field, field);
        };
        check(|p| p.idle_after_seconds = 7201, "idle_after_seconds");
        check(|p| p.card_percent = 9, "card_percent");
        check(|p| p.light_percent = 51, "light_percent");
        check(|p| p.card_memory_percent = 101, "card_memory_percent");
        check(|p| p.max_cpu_celsius = 49, "max_cpu_celsius");
        check(|p| p.max_celsius = 96, "max_celsius");
        check(|p| p.max_other_cpu_percent = 4, "max_other_cpu_percent");
        check(|p| p.hours[2] = 1 << 24, "hours");
        check(|p| p.token_milli = Some(0), "token_milli");
        check(|p| p.watts = Some(0), "watts");
        check(|p| p.exclusive_programs = vec![String::new()], "length of a program's name");
        assert_eq!(super::check(&defaults()), Ok(()), "the defaults must be valid");
    }
}
