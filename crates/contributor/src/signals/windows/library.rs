//! Calls that not every Windows has: looked for when they are needed, in the system's own folder only.

use windows_sys::Win32::Foundation::{FARPROC, FreeLibrary, HMODULE};
use windows_sys::Win32::System::LibraryLoader::{
    GetProcAddress, LOAD_LIBRARY_SEARCH_SYSTEM32, LoadLibraryExW,
};
use windows_sys::core::{PCSTR, PCWSTR};

/// A library of the system's. It stays loaded as long as this lives, and what is called of it with it.
#[derive(Debug)]
pub(super) struct Library {
    module: HMODULE,
}

impl Library {
    /// Loads it; `None` where the system has none of this name. The name comes from `w!`, so it ends with NUL.
    #[expect(unsafe_code, reason = "std loads no libraries")]
    pub(super) fn open(name: PCWSTR) -> Option<Self> {
        // SAFETY: the name ends with NUL, and a library of the system's folder runs nothing of others' when it is loaded.
        let module = unsafe { LoadLibraryExW(name, std::ptr::null_mut(), LOAD_LIBRARY_SEARCH_SYSTEM32) };
        (!module.is_null()).then_some(Self { module })
    }

    /// A call of it, to be cast to its type by whoever knows its header. The name comes from `s!`, so it ends with NUL.
    #[expect(unsafe_code, reason = "std asks libraries for nothing")]
    pub(super) fn call(&self, name: PCSTR) -> FARPROC {
        // SAFETY: the library is loaded and the name ends with NUL.
        unsafe { GetProcAddress(self.module, name) }
    }
}

impl Drop for Library {
    #[expect(unsafe_code, reason = "std loads no libraries")]
    fn drop(&mut self) {
        // SAFETY: this holds the library's only count of ours, and nothing of it is called any more.
        unsafe { FreeLibrary(self.module) };
    }
}
