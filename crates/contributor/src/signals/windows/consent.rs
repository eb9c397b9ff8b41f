//! Whether a program uses a microphone or a camera, of the account that Windows keeps for its own privacy
//! page.
//!
//! The account has one key for each program, named after it. Names are read only as the way to the next key
//! and are forgotten at once; what leaves this file is one `bool` for each device. A driver or service that
//! records below Windows' own audio is not in the account.

use std::io;

use windows_sys::Win32::Foundation::{ERROR_FILE_NOT_FOUND, ERROR_NO_MORE_ITEMS, ERROR_SUCCESS};
use windows_sys::Win32::System::Registry::{
    HKEY, HKEY_CURRENT_USER, KEY_READ, REG_QWORD, RegCloseKey, RegEnumKeyExW, RegOpenKeyExW, RegQueryValueExW,
};
use windows_sys::core::{PCWSTR, w};

use super::reading;
use crate::signals::{Reading, Unknown};

const MICROPHONE: PCWSTR =
    w!("Software\\Microsoft\\Windows\\CurrentVersion\\CapabilityAccessManager\\ConsentStore\\microphone");
const CAMERA: PCWSTR =
    w!("Software\\Microsoft\\Windows\\CurrentVersion\\CapabilityAccessManager\\ConsentStore\\webcam");

/// The longest name that a key can have, and the NUL behind it.
const NAME_LENGTH: usize = 256;
/// Store apps lie below the device's key, all other programs one below `NonPackaged`.
const DEPTH: u8 = 2;

/// Whether a program records from a microphone.
pub(super) fn microphone() -> Reading<bool> {
    device(MICROPHONE)
}

/// Whether a program has a camera open.
pub(super) fn camera() -> Reading<bool> {
    device(CAMERA)
}

fn device(path: PCWSTR) -> Reading<bool> {
    let outcome = match Key::open(HKEY_CURRENT_USER, path) {
        Ok(Some(key)) => in_use(&key, DEPTH),
        // Windows before 10's spring of 2019 keeps no account.
        Ok(None) => return Reading::Unknown(Unknown::NoSource),
        Err(error) => Err(error),
    };
    match outcome {
        Ok(in_use) => Reading::Known(in_use),
        Err(error) => {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "whether a microphone or camera is in use is unknown");
            Reading::Unknown(Unknown::Failed)
        }
    }
}

/// Whether a program below the key uses the device.
fn in_use(key: &Key, depth: u8) -> io::Result<bool> {
    let mut index = 0;
    while let Some(name) = key.child(index)? {
        index += 1;
        // A program may be removed at this moment.
        let Some(child) = Key::open(key.handle, name.as_ptr())? else { continue };
        if reading::in_use(child.number(w!("LastUsedTimeStop"))?) {
            return Ok(true);
        }
        if depth > 1 && in_use(&child, depth - 1)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// An open key of the registry.
#[derive(Debug)]
struct Key {
    handle: HKEY,
}

impl Key {
    /// Opens the key that `path`, which ends with NUL, names below `parent`; `None` where there is none.
    #[expect(unsafe_code, reason = "std does not read the registry")]
    fn open(parent: HKEY, path: PCWSTR) -> io::Result<Option<Self>> {
        let mut handle = std::ptr::null_mut();
        // SAFETY: the parent is open, the path ends with NUL, and the call writes only to the local.
        match unsafe { RegOpenKeyExW(parent, path, 0, KEY_READ, &raw mut handle) } {
            ERROR_SUCCESS => Ok(Some(Self { handle })),
            ERROR_FILE_NOT_FOUND => Ok(None),
            code => Err(io::Error::from_raw_os_error(code.cast_signed())),
        }
    }

    /// The name of a key below this one, with the NUL behind it; `None` behind the last.
    #[expect(unsafe_code, reason = "std does not read the registry")]
    fn child(&self, index: u32) -> io::Result<Option<[u16; NAME_LENGTH]>> {
        let mut name = [0; NAME_LENGTH];
        let mut length = NAME_LENGTH as u32;
        // SAFETY: the key is open, and the call writes no more characters than the length says, a NUL among
        // them.
        let code = unsafe {
            RegEnumKeyExW(
                self.handle,
                index,
                name.as_mut_ptr(),
                &raw mut length,
                std::ptr::null(),
                std::ptr::null_mut(),
                std::ptr::null_mut(),
                std::ptr::null_mut(),
            )
        };
        match code {
            ERROR_SUCCESS => Ok(Some(name)),
            ERROR_NO_MORE_ITEMS => Ok(None),
            code => Err(io::Error::from_raw_os_error(code.cast_signed())),
        }
    }

    /// The value `name`, which ends with NUL, where there is one and it is a number of 64 bits.
    #[expect(unsafe_code, reason = "std does not read the registry")]
    fn number(&self, name: PCWSTR) -> io::Result<Option<u64>> {
        let mut bytes = [0; size_of::<u64>()];
        let (mut kind, mut length) = (0, bytes.len() as u32);
        // SAFETY: the key is open, the name ends with NUL, and the call writes no more bytes than the length
        // says.
        let code = unsafe {
            RegQueryValueExW(
                self.handle,
                name,
                std::ptr::null(),
                &raw mut kind,
                bytes.as_mut_ptr(),
                &raw mut length,
            )
        };
        match code {
            ERROR_SUCCESS if kind == REG_QWORD && length as usize == bytes.len() => {
                Ok(Some(u64::from_le_bytes(bytes)))
            }
            ERROR_SUCCESS | ERROR_FILE_NOT_FOUND => Ok(None),
            code => Err(io::Error::from_raw_os_error(code.cast_signed())),
        }
    }
}

impl Drop for Key {
    #[expect(unsafe_code, reason = "std does not read the registry")]
    fn drop(&mut self) {
        // SAFETY: the key was opened by us and is closed once.
        unsafe { RegCloseKey(self.handle) };
    }
}

#[cfg(test)]
mod tests {
    use windows_sys::Win32::System::Registry::{
        KEY_WRITE, REG_OPTION_VOLATILE, RegCreateKeyExW, RegDeleteTreeW, RegSetValueExW,
    };

    use super::*;

    const ACCOUNT: PCWSTR = w!("Software\\HearthTest\\ConsentStore\\microphone");

    /// Writes when a program has stopped, as Windows does.
    #[expect(unsafe_code, reason = "std does not write the registry")]
    fn stopped_at(program: PCWSTR, time: u64) {
        let mut key = std::ptr::null_mut();
        // SAFETY: the name ends with NUL, the call writes only to the local, and the value is eight bytes
        // long.
        unsafe {
            RegCreateKeyExW(
                HKEY_CURRENT_USER,
                program,
                0,
                std::ptr::null(),
                REG_OPTION_VOLATILE,
                KEY_WRITE,
                std::ptr::null(),
                &raw mut key,
                std::ptr::null_mut(),
            );
            let name = w!("LastUsedTimeStop");
            assert_eq!(
                RegSetValueExW(key, name, 0, REG_QWORD, time.to_le_bytes().as_ptr(), 8),
                ERROR_SUCCESS
            );
            RegCloseKey(key);
        }
    }

    #[test]
    #[expect(unsafe_code, reason = "std does not write the registry")]
    fn a_program_that_has_not_stopped_is_found_wherever_it_comes_from() {
        let store_app = w!("Software\\HearthTest\\ConsentStore\\microphone\\Some.App_1");
        let program = w!("Software\\HearthTest\\ConsentStore\\microphone\\NonPackaged\\C:#call.exe");
        assert_eq!(device(ACCOUNT), Reading::Unknown(Unknown::NoSource), "there is no account");
        stopped_at(store_app, 133_000_000_000_000_000);
        stopped_at(program, 133_000_000_000_000_001);
        assert_eq!(device(ACCOUNT), Reading::Known(false), "both have stopped");
        stopped_at(program, 0);
        assert_eq!(device(ACCOUNT), Reading::Known(true), "a program that is no store app");
        stopped_at(program, 133_000_000_000_000_002);
        stopped_at(store_app, 0);
        assert_eq!(device(ACCOUNT), Reading::Known(true), "a store app");
        // SAFETY: the name ends with NUL.
        let code = unsafe { RegDeleteTreeW(HKEY_CURRENT_USER, w!("Software\\HearthTest")) };
        assert_eq!(code, ERROR_SUCCESS, "nothing of the test stays behind");
    }
}
