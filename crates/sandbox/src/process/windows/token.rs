//! Who the worker is to Windows: a token without privileges at low integrity, and the container around it.

use std::io;
use std::os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle};

use windows_sys::Win32::Foundation::HANDLE;
use windows_sys::Win32::Security::{
    CreateRestrictedToken, CreateWellKnownSid, DISABLE_MAX_PRIVILEGE, FreeSid, PSID, SECURITY_CAPABILITIES,
    SECURITY_MAX_SID_SIZE, SID_AND_ATTRIBUTES, SetTokenInformation, TOKEN_ADJUST_DEFAULT,
    TOKEN_ASSIGN_PRIMARY, TOKEN_DUPLICATE, TOKEN_MANDATORY_LABEL, TOKEN_QUERY, TokenIntegrityLevel,
    WinLowLabelSid,
};
use windows_sys::Win32::System::LibraryLoader::{
    GetProcAddress, LOAD_LIBRARY_SEARCH_SYSTEM32, LoadLibraryExW,
};
use windows_sys::Win32::System::SystemServices::SE_GROUP_INTEGRITY;
use windows_sys::Win32::System::Threading::{GetCurrentProcess, OpenProcessToken};
use windows_sys::core::{HRESULT, PCWSTR, s, w};

use super::done;

/// This process's token without its privileges (but the one to pass through folders) and at low integrity: whatever
/// the owner's programs made refuses its writes. It may be given to a process without any privilege, because it is a
/// restricted form of our own.
#[expect(unsafe_code, reason = "std offers no tokens")]
pub(super) fn restricted() -> io::Result<OwnedHandle> {
    let access = TOKEN_DUPLICATE | TOKEN_QUERY | TOKEN_ASSIGN_PRIMARY | TOKEN_ADJUST_DEFAULT;
    // SAFETY: the call writes only to the local whose address it gets.
    let own = given(|token| unsafe { OpenProcessToken(GetCurrentProcess(), access, token) })?;
    // SAFETY: the handle is open, all lists are empty, and the call writes only to the local whose address it gets.
    let token = given(|token| unsafe {
        CreateRestrictedToken(
            own.as_raw_handle(),
            DISABLE_MAX_PRIVILEGE,
            0,
            std::ptr::null(),
            0,
            std::ptr::null(),
            0,
            std::ptr::null(),
            token,
        )
    })?;
    // In words: a SID is read by its 32-bit fields.
    let mut sid = [0_u32; SECURITY_MAX_SID_SIZE as usize / 4];
    let mut bytes = SECURITY_MAX_SID_SIZE;
    // SAFETY: the call writes at most as many bytes as the length says.
    done(unsafe {
        CreateWellKnownSid(WinLowLabelSid, std::ptr::null_mut(), sid.as_mut_ptr().cast(), &raw mut bytes)
    })?;
    let label = TOKEN_MANDATORY_LABEL {
        Label: SID_AND_ATTRIBUTES {
            Sid: sid.as_mut_ptr().cast(),
            Attributes: SE_GROUP_INTEGRITY.cast_unsigned(),
        },
    };
    let size = size_of::<TOKEN_MANDATORY_LABEL>() as u32 + bytes;
    // SAFETY: the call reads the label and the SID that it points to; both live until it returns.
    done(unsafe {
        SetTokenInformation(token.as_raw_handle(), TokenIntegrityLevel, (&raw const label).cast(), size)
    })?;
    Ok(token)
}

/// The handle that a call writes to the address it gets.
#[expect(unsafe_code, reason = "a raw handle is taken into ownership")]
fn given(call: impl FnOnce(*mut HANDLE) -> i32) -> io::Result<OwnedHandle> {
    let mut handle = std::ptr::null_mut();
    done(call(&raw mut handle))?;
    // SAFETY: the call succeeded, so the handle is open, and nobody else has it.
    Ok(unsafe { OwnedHandle::from_raw_handle(handle) })
}

/// The identity of the worker's AppContainer. It is computed from a name; nothing is registered, so the container has no
/// folder of its own to write to.
#[derive(Debug)]
pub(super) struct Container(PSID);

/// `DeriveAppContainerSidFromAppContainerName` of userenv.h.
type Derive = unsafe extern "system" fn(PCWSTR, *mut PSID) -> HRESULT;

impl Container {
    /// `None` where the system has no containers.
    #[expect(unsafe_code, reason = "std offers no containers")]
    pub(super) fn derive() -> Option<Self> {
        let Some(derive) = derivation() else {
            tracing::warn!("this system has no containers");
            return None;
        };
        let mut sid = std::ptr::null_mut();
        // SAFETY: the name ends with NUL, and the call writes only to the local whose address it gets.
        let answer = unsafe { derive(w!("Hearth.Worker"), &raw mut sid) };
        if answer < 0 || sid.is_null() {
            tracing::warn!(answer, "this system gives no container");
            return None;
        }
        Some(Self(sid))
    }

    /// No capability at all. It points to the identity and must not outlive it.
    pub(super) fn capabilities(&self) -> SECURITY_CAPABILITIES {
        SECURITY_CAPABILITIES { AppContainerSid: self.0, ..Default::default() }
    }
}

/// The call, looked up: linked, it would keep the whole program from starting where it is missing (wine 8).
#[expect(unsafe_code, reason = "a library is searched for a call")]
fn derivation() -> Option<Derive> {
    // SAFETY: the name ends with NUL, and only the system's folder is searched, whose libraries are sound to load.
    let library =
        unsafe { LoadLibraryExW(w!("userenv.dll"), std::ptr::null_mut(), LOAD_LIBRARY_SEARCH_SYSTEM32) };
    if library.is_null() {
        return None;
    }
    // SAFETY: the library is loaded and stays so, and the name ends with NUL.
    let call = unsafe { GetProcAddress(library, s!("DeriveAppContainerSidFromAppContainerName")) }?;
    // SAFETY: userenv.h declares the call of this name so.
    Some(unsafe { std::mem::transmute::<unsafe extern "system" fn() -> isize, Derive>(call) })
}

impl Drop for Container {
    #[expect(unsafe_code, reason = "the system's allocation is given back")]
    fn drop(&mut self) {
        // SAFETY: the SID came from the derivation, whose documentation names this call to free it.
        unsafe { FreeSid(self.0) };
    }
}
