//! Calls that not every Windows has: looked for when they are needed, in the system's own folder only.

use windows_sys::Win32::Foundation::FARPROC;
use windows_sys::Win32::System::LibraryLoader::{
    GetProcAddress, LOAD_LIBRARY_SEARCH_SYSTEM32, LoadLibraryExW,
};
use windows_sys::core::{PCSTR, PCWSTR};

/// A call of a library of the system's, to be cast to its type by whoever knows its header; `None` where
/// either is missing. Both names come from `w!` and `s!`, so they end with NUL. The library stays loaded for
/// good: XInput, for one, has threads of its own that would run on without their code.
#[expect(unsafe_code, reason = "std loads no libraries")]
pub(super) fn call(library: PCWSTR, name: PCSTR) -> FARPROC {
    // SAFETY: the name ends with NUL, and a library of the system's folder runs nothing of others' when it is
    // loaded.
    let module = unsafe { LoadLibraryExW(library, std::ptr::null_mut(), LOAD_LIBRARY_SEARCH_SYSTEM32) };
    if module.is_null() {
        return None;
    }
    // SAFETY: the library is loaded and the name ends with NUL.
    unsafe { GetProcAddress(module, name) }
}
