//! Reads a secret line from the terminal without echo, or from an inherited descriptor.
//!
//! The terminal's settings are put back however the reading ends. What was read is wiped when it is dropped.

use std::io::{self, Read};

use zeroize::Zeroizing;

/// Longest secret in bytes: 24 words and then some.
const MAX_BYTES: usize = 1024;

/// The whole of the inherited descriptor `fd`, up to its first line break.
pub(super) fn from_descriptor(fd: u32) -> io::Result<Zeroizing<String>> {
    if fd == 0 {
        return first_line(&mut io::stdin().lock());
    }
    if !cfg!(unix) {
        return Err(io::ErrorKind::Unsupported.into());
    }
    first_line(&mut std::fs::File::open(format!("/dev/fd/{fd}"))?)
}

/// Asks on the terminal; `None` when the owner gives up with Ctrl-C, Ctrl-D or an empty line.
#[cfg(unix)]
pub(super) fn from_terminal(prompt: &str) -> io::Result<Option<Zeroizing<String>>> {
    use std::io::Write as _;

    let mut terminal = std::fs::OpenOptions::new().read(true).write(true).open("/dev/tty")?;
    terminal.write_all(prompt.as_bytes())?;
    terminal.flush()?;
    let secret = {
        let _quiet = Quiet::begin(&terminal)?;
        read_keys(&mut &terminal)
    };
    terminal.write_all(b"\n")?;
    secret
}

/// There is no reading without echo on this system yet.
#[cfg(not(unix))]
pub(super) fn from_terminal(_prompt: &str) -> io::Result<Option<Zeroizing<String>>> {
    Err(io::ErrorKind::Unsupported.into())
}

/// The terminal without echo, line editing and signal keys, until dropped. Signal keys are read as keys, so that Ctrl-C
/// does not leave a terminal behind that shows nothing.
#[cfg(unix)]
struct Quiet<'a> {
    terminal: &'a std::fs::File,
    before: rustix::termios::Termios,
}

#[cfg(unix)]
impl<'a> Quiet<'a> {
    fn begin(terminal: &'a std::fs::File) -> io::Result<Self> {
        use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
        let before = tcgetattr(terminal)?;
        let mut quiet = before.clone();
        quiet.local_modes.remove(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG);
        tcsetattr(terminal, OptionalActions::Flush, &quiet)?;
        Ok(Self { terminal, before })
    }
}

#[cfg(unix)]
impl Drop for Quiet<'_> {
    fn drop(&mut self) {
        use rustix::termios::{OptionalActions, tcsetattr};
        if let Err(error) = tcsetattr(self.terminal, OptionalActions::Flush, &self.before) {
            tracing::warn!(%error, "cannot put the terminal back");
        }
    }
}

/// Keys up to Enter, with Backspace and Ctrl-U.
fn read_keys(keys: &mut impl Read) -> io::Result<Option<Zeroizing<String>>> {
    const INTERRUPT: u8 = 3;
    const END: u8 = 4;
    const BACKSPACE: u8 = 8;
    const CLEAR: u8 = 21;
    const DELETE: u8 = 127;
    let mut typed = Zeroizing::new(Vec::with_capacity(MAX_BYTES));
    loop {
        let mut key = [0];
        if keys.read(&mut key)? == 0 {
            return Ok(None);
        }
        match key[0] {
            b'\r' | b'\n' => break,
            INTERRUPT | END => return Ok(None),
            BACKSPACE | DELETE => {
                // A letter beyond ASCII is several bytes; the first of them has its top bits unlike 10.
                while typed.pop().is_some_and(|byte| byte & 0xc0 == 0x80) {}
            }
            CLEAR => typed.clear(),
            _ if typed.len() == MAX_BYTES => return Err(io::ErrorKind::InvalidInput.into()),
            byte => typed.push(byte),
        }
    }
    let text = to_text(&typed)?;
    Ok(if text.is_empty() { None } else { Some(text) })
}

fn first_line(source: &mut impl Read) -> io::Result<Zeroizing<String>> {
    let mut bytes = Zeroizing::new(vec![0; MAX_BYTES + 1]);
    let mut filled = 0;
    let end = loop {
        if let Some(end) = bytes[..filled].iter().position(|byte| *byte == b'\n') {
            break end;
        }
        if filled > MAX_BYTES {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        match source.read(&mut bytes[filled..])? {
            0 => break filled,
            read => filled += read,
        }
    };
    to_text(bytes[..end].strip_suffix(b"\r").unwrap_or(&bytes[..end]))
}

fn to_text(bytes: &[u8]) -> io::Result<Zeroizing<String>> {
    let text = std::str::from_utf8(bytes).map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
    Ok(Zeroizing::new(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(keys: &[u8]) -> Option<String> {
        read_keys(&mut &keys[..]).unwrap().map(|text| text.to_string())
    }

    #[test]
    fn keys_edit_the_line() {
        assert_eq!(typed(b"horse\x7f\x7fe stapl\r").as_deref(), Some("hore stapl"));
        assert_eq!(typed("炉é\x7f!\n".as_bytes()).as_deref(), Some("炉!"), "one key takes one letter back");
        assert_eq!(typed(b"wrong\x15right\n").as_deref(), Some("right"));
        assert_eq!(typed(b"half\x03"), None, "Ctrl-C gives up");
        assert_eq!(typed(b"\n"), None, "an empty line gives up");
        assert!(read_keys(&mut &vec![b'x'; MAX_BYTES + 1][..]).is_err(), "a cat on the keyboard is refused");
    }

    #[test]
    fn a_descriptor_gives_its_first_line() {
        let line = |bytes: &[u8]| first_line(&mut &bytes[..]).map(|text| text.to_string());
        assert_eq!(line(b"pass phrase\r\nrest").unwrap(), "pass phrase");
        assert_eq!(line(b"no end").unwrap(), "no end");
        assert!(line(&[b'x'; MAX_BYTES + 2]).is_err());
        assert!(line(&[0xff, b'\n']).is_err(), "a passphrase is text");
    }

    #[cfg(unix)]
    #[test]
    fn an_inherited_descriptor_is_read_by_its_number() {
        use std::io::Write as _;
        use std::os::fd::AsRawFd as _;
        let (reader, mut writer) = io::pipe().unwrap();
        writer.write_all(b"secret\n").unwrap();
        drop(writer);
        let fd = u32::try_from(reader.as_raw_fd()).unwrap();
        assert_eq!(*from_descriptor(fd).unwrap(), "secret");
    }
}
