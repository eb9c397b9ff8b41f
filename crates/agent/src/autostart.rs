//! Whether Hearth starts with the session.
//!
//! On Linux it owns one file, `autostart/hearth.desktop` in the user's configuration directory (Desktop Application
//! Autostart Specification). The entry names its program in `TryExec`, so that it does nothing once the package is gone.
//! Windows and macOS are not written yet and say so.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// Why the entry cannot be written or removed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AutostartError {
    /// The file system refused.
    #[error("cannot change {path}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The program's path has a character that a desktop entry cannot hold.
    #[error("the program's path cannot be written into a desktop entry")]
    Path,
    /// Not written for this system yet.
    #[error("starting with the session is not there on this system yet")]
    NotOnThisSystem,
}

/// Writes or removes the entry in the configuration directory `config`, for the program `exe`. Repeating it changes
/// nothing.
///
/// # Errors
/// [`AutostartError`].
pub fn set(config: &Path, exe: &Path, enabled: bool) -> Result<(), AutostartError> {
    if !cfg!(target_os = "linux") {
        return if enabled { Err(AutostartError::NotOnThisSystem) } else { Ok(()) };
    }
    let path = entry_path(config);
    let failed = |source| AutostartError::Io { path: path.clone(), source };
    if !enabled {
        return match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(error)),
            _ => Ok(()),
        };
    }
    let text = entry(exe).ok_or(AutostartError::Path)?;
    let directory = config.join("autostart");
    fs::create_dir_all(&directory).map_err(failed)?;
    // Written beside and renamed, so that a full disk never leaves half an entry.
    let beside = directory.join(".hearth.desktop.new");
    let mut file = fs::File::create(&beside).map_err(failed)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)?;
    fs::rename(&beside, &path).map_err(failed)
}

/// Where the entry is.
pub fn entry_path(config: &Path) -> PathBuf {
    config.join("autostart/hearth.desktop")
}

/// The desktop entry that starts `exe` without a window, or `None` when its path is not UTF-8 or has a line break.
pub fn entry(exe: &Path) -> Option<String> {
    let path = exe.to_str().filter(|path| !path.contains(['\n', '\r', '\0']))?;
    let exec = escape_string(&quote_argument(path));
    let try_exec = escape_string(path);
    Some(format!(
        "[Desktop Entry]\n\
         Type=Application\n\
         Name=Hearth\n\
         Comment=Shares this computer's graphics card while nobody uses it\n\
         Comment[ja]=使っていない間、グラフィックスカードを共有します\n\
         Exec={exec} --hidden\n\
         TryExec={try_exec}\n\
         Icon=hearth\n\
         Terminal=false\n\
         X-GNOME-Autostart-enabled=true\n"
    ))
}

/// Quotes one argument of an Exec key (Desktop Entry Specification, "The Exec key"): quotation mark, backtick, dollar and backslash are escaped inside
/// double quotes, and a per cent sign is doubled because it would start a field code.
fn quote_argument(argument: &str) -> String {
    let mut quoted = String::from("\"");
    for letter in argument.chars() {
        match letter {
            '"' | '`' | '$' | '\\' => {
                quoted.push('\\');
                quoted.push(letter);
            }
            '%' => quoted.push_str("%%"),
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

/// Escapes a value of type string: the backslash rule of the file format comes on top of the quoting above.
fn escape_string(value: &str) -> String {
    value.replace('\\', "\\\\").replace('\t', "\\t")
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;

    fn key<'a>(entry: &'a str, name: &str) -> &'a str {
        entry.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('=')).unwrap()
    }

    #[test]
    fn a_path_with_spaces_and_odd_letters_is_quoted() {
        let plain = entry(Path::new("/usr/bin/hearth")).unwrap();
        assert_eq!(key(&plain, "Exec"), "\"/usr/bin/hearth\" --hidden");
        assert_eq!(key(&plain, "TryExec"), "/usr/bin/hearth");
        assert!(plain.ends_with('\n'), "an entry ends its last line");
        let odd = entry(Path::new("/opt/My $100 % \"app\"/hearth\\x")).unwrap();
        assert_eq!(key(&odd, "Exec"), r#""/opt/My \\$100 %% \\"app\\"/hearth\\\\x" --hidden"#);
        assert_eq!(key(&odd, "TryExec"), r#"/opt/My $100 % "app"/hearth\\x"#);
        assert_eq!(entry(Path::new("/opt/line\nbreak")), None, "a line break would start another key");
    }

    #[test]
    fn the_entry_comes_and_goes_and_both_can_be_repeated() {
        let config = tempfile::tempdir().unwrap();
        let exe = Path::new("/usr/bin/hearth");
        set(config.path(), exe, false).expect("nothing to remove is fine");
        for _ in 0..2 {
            set(config.path(), exe, true).unwrap();
            assert_eq!(fs::read_to_string(entry_path(config.path())).unwrap(), entry(exe).unwrap());
        }
        set(config.path(), exe, false).unwrap();
        assert!(!entry_path(config.path()).exists());
        assert_eq!(
            fs::read_dir(config.path().join("autostart")).unwrap().count(),
            0,
            "nothing is left beside it"
        );
    }
}
