//! The attribute list with which a process is created.

use std::io;
use std::marker::PhantomData;

use windows_sys::Win32::Foundation::{ERROR_INVALID_PARAMETER, ERROR_NOT_SUPPORTED};
use windows_sys::Win32::System::Threading::{
    DeleteProcThreadAttributeList, InitializeProcThreadAttributeList, LPPROC_THREAD_ATTRIBUTE_LIST,
    UpdateProcThreadAttribute,
};

use super::done;

/// Attributes whose values live at least as long as `'a`: the list only points to them.
#[derive(Debug)]
pub(super) struct Attributes<'a> {
    /// In words, for the alignment that the system expects.
    list: Vec<usize>,
    values: PhantomData<&'a ()>,
}

impl<'a> Attributes<'a> {
    /// An empty list with room for `count` attributes.
    #[expect(unsafe_code, reason = "std offers no attribute list")]
    pub(super) fn new(count: u32) -> io::Result<Self> {
        let mut bytes = 0;
        // Without a list the call only tells the size, and fails in doing so.
        // SAFETY: it writes only to the local whose address it gets.
        unsafe { InitializeProcThreadAttributeList(std::ptr::null_mut(), count, 0, &raw mut bytes) };
        let mut list = vec![0_usize; bytes.div_ceil(size_of::<usize>())];
        // SAFETY: the list has at least as many bytes as the system asked for.
        done(unsafe {
            InitializeProcThreadAttributeList(list.as_mut_ptr().cast(), count, 0, &raw mut bytes)
        })?;
        Ok(Self { list, values: PhantomData })
    }

    /// Sets an attribute that every supported system knows.
    #[expect(unsafe_code, reason = "std offers no attribute list")]
    pub(super) fn set<T: ?Sized>(&mut self, attribute: u32, value: &'a T) -> io::Result<()> {
        // SAFETY: the list was initialised; the value outlives it and has the size that is given.
        done(unsafe {
            UpdateProcThreadAttribute(
                self.as_raw(),
                0,
                attribute as usize,
                (&raw const *value).cast(),
                size_of_val(value),
                std::ptr::null_mut(),
                std::ptr::null(),
            )
        })
    }

    /// Sets an attribute, or leaves it out where the system does not know it: the worker reports the wall as missing.
    pub(super) fn set_where_known<T: ?Sized>(&mut self, attribute: u32, value: &'a T) -> io::Result<()> {
        let unknown = [ERROR_NOT_SUPPORTED, ERROR_INVALID_PARAMETER].map(|code| Some(code.cast_signed()));
        match self.set(attribute, value) {
            Err(error) if unknown.contains(&error.raw_os_error()) => {
                tracing::warn!(attribute, "this Windows does not know a process attribute");
                Ok(())
            }
            outcome => outcome.map_err(super::at("restrict the process")),
        }
    }

    pub(super) fn as_raw(&mut self) -> LPPROC_THREAD_ATTRIBUTE_LIST {
        self.list.as_mut_ptr().cast()
    }
}

impl Drop for Attributes<'_> {
    #[expect(unsafe_code, reason = "std offers no attribute list")]
    fn drop(&mut self) {
        // SAFETY: the list was initialised and is not used again.
        unsafe { DeleteProcThreadAttributeList(self.as_raw()) }
    }
}
