//! The calls of macOS that the sensors need, by hand: a few from many frameworks, each under the header that
//! declares it.
//!
//! Nothing is decided here. Objects of Core Foundation that are ours are [`Owned`]; all that borrows from
//! them is looked into with its type checked first.

#![expect(unsafe_code, reason = "the system's calls")]

use std::ffi::{CStr, c_char, c_void};

/// Any object of Core Foundation.
pub(super) type CFTypeRef = *const c_void;
/// An object of the kernel's, and a connection to one.
pub(super) type IoObject = u32;

/// CGGeometry.h: origin and size.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct CGRect {
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) width: f64,
    pub(super) height: f64,
}

/// AudioHardwareBase.h and CMIOHardwareObject.h: which property of an object is meant.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(super) struct PropertyAddress {
    pub(super) selector: u32,
    pub(super) scope: u32,
    pub(super) element: u32,
}

/// CFRunLoop.h, version 0.
#[repr(C)]
pub(super) struct CFRunLoopSourceContext {
    pub(super) version: isize,
    pub(super) info: *mut c_void,
    /// Retain, release, copyDescription, equal, hash, schedule, cancel: all may be missing.
    pub(super) unused: [*const c_void; 7],
    pub(super) perform: Option<unsafe extern "C" fn(*mut c_void)>,
}

/// IOKitLib.h.
pub(super) type InterestCallback = unsafe extern "C" fn(*mut c_void, IoObject, u32, *mut c_void);

// CFBase.h, CFArray.h, CFDictionary.h, CFNumber.h, CFString.h, CFRunLoop.h.
#[link(name = "CoreFoundation", kind = "framework")]
unsafe extern "C" {
    pub(super) static kCFRunLoopDefaultMode: CFTypeRef;
    fn CFRelease(object: CFTypeRef);
    fn CFRetain(object: CFTypeRef) -> CFTypeRef;
    fn CFEqual(one: CFTypeRef, other: CFTypeRef) -> u8;
    fn CFGetTypeID(object: CFTypeRef) -> usize;
    fn CFArrayGetTypeID() -> usize;
    fn CFArrayGetCount(array: CFTypeRef) -> isize;
    fn CFArrayGetValueAtIndex(array: CFTypeRef, index: isize) -> CFTypeRef;
    fn CFBooleanGetTypeID() -> usize;
    fn CFBooleanGetValue(boolean: CFTypeRef) -> u8;
    fn CFDictionaryGetTypeID() -> usize;
    fn CFDictionaryGetValue(dictionary: CFTypeRef, key: CFTypeRef) -> CFTypeRef;
    fn CFNumberGetTypeID() -> usize;
    fn CFNumberGetValue(number: CFTypeRef, kind: isize, value: *mut c_void) -> u8;
    fn CFStringCreateWithCString(allocator: CFTypeRef, text: *const c_char, encoding: u32) -> CFTypeRef;
    pub(super) fn CFRunLoopGetCurrent() -> *mut c_void;
    pub(super) fn CFRunLoopRun();
    pub(super) fn CFRunLoopStop(run_loop: *mut c_void);
    pub(super) fn CFRunLoopWakeUp(run_loop: *mut c_void);
    pub(super) fn CFRunLoopAddSource(run_loop: *mut c_void, source: CFTypeRef, mode: CFTypeRef);
    pub(super) fn CFRunLoopSourceCreate(
        allocator: CFTypeRef,
        order: isize,
        context: *mut CFRunLoopSourceContext,
    ) -> CFTypeRef;
    pub(super) fn CFRunLoopSourceInvalidate(source: CFTypeRef);
    pub(super) fn CFRunLoopSourceSignal(source: CFTypeRef);
}

// CGEventSource.h, CGSession.h, CGWindow.h, CGDirectDisplay.h, CGGeometry.h.
#[link(name = "CoreGraphics", kind = "framework")]
unsafe extern "C" {
    pub(super) static kCGWindowBounds: CFTypeRef;
    pub(super) static kCGWindowLayer: CFTypeRef;
    pub(super) fn CGEventSourceSecondsSinceLastEventType(state: i32, event: u32) -> f64;
    pub(super) fn CGSessionCopyCurrentDictionary() -> CFTypeRef;
    pub(super) fn CGWindowListCopyWindowInfo(option: u32, relative_to: u32) -> CFTypeRef;
    pub(super) fn CGRectMakeWithDictionaryRepresentation(dictionary: CFTypeRef, rect: *mut CGRect) -> bool;
    pub(super) fn CGGetActiveDisplayList(most: u32, displays: *mut u32, count: *mut u32) -> i32;
    pub(super) fn CGDisplayBounds(display: u32) -> CGRect;
}

// ps/IOPowerSources.h, pwr_mgt/IOPMLib.h, IOKitLib.h.
#[link(name = "IOKit", kind = "framework")]
unsafe extern "C" {
    pub(super) fn IOPSCopyPowerSourcesInfo() -> CFTypeRef;
    pub(super) fn IOPSCopyPowerSourcesList(info: CFTypeRef) -> CFTypeRef;
    pub(super) fn IOPSGetPowerSourceDescription(info: CFTypeRef, source: CFTypeRef) -> CFTypeRef;
    pub(super) fn IOPSGetProvidingPowerSourceType(info: CFTypeRef) -> CFTypeRef;
    pub(super) fn IOPSNotificationCreateRunLoopSource(
        callback: unsafe extern "C" fn(*mut c_void),
        context: *mut c_void,
    ) -> CFTypeRef;
    pub(super) fn IORegisterForSystemPower(
        context: *mut c_void,
        port: *mut *mut c_void,
        callback: InterestCallback,
        notifier: *mut IoObject,
    ) -> IoObject;
    pub(super) fn IODeregisterForSystemPower(notifier: *mut IoObject) -> i32;
    pub(super) fn IOAllowPowerChange(root: IoObject, notification: isize) -> i32;
    pub(super) fn IOPMCopyAssertionsStatus(status: *mut CFTypeRef) -> i32;
    pub(super) fn IOServiceClose(connection: IoObject) -> i32;
    pub(super) fn IONotificationPortGetRunLoopSource(port: *mut c_void) -> CFTypeRef;
    pub(super) fn IONotificationPortDestroy(port: *mut c_void);
}

// AudioHardware.h.
#[link(name = "CoreAudio", kind = "framework")]
unsafe extern "C" {
    pub(super) fn AudioObjectGetPropertyData(
        object: u32,
        address: *const PropertyAddress,
        qualifier_size: u32,
        qualifier: *const c_void,
        size: *mut u32,
        data: *mut c_void,
    ) -> i32;
}

// CMIOHardwareObject.h.
#[link(name = "CoreMediaIO", kind = "framework")]
unsafe extern "C" {
    pub(super) fn CMIOObjectGetPropertyDataSize(
        object: u32,
        address: *const PropertyAddress,
        qualifier_size: u32,
        qualifier: *const c_void,
        size: *mut u32,
    ) -> i32;
    pub(super) fn CMIOObjectGetPropertyData(
        object: u32,
        address: *const PropertyAddress,
        qualifier_size: u32,
        qualifier: *const c_void,
        size: u32,
        used: *mut u32,
        data: *mut c_void,
    ) -> i32;
}

// path_monitor.h, path.h, nw_object.h.
#[link(name = "Network", kind = "framework")]
unsafe extern "C" {
    pub(super) fn nw_path_monitor_create() -> *mut c_void;
    pub(super) fn nw_path_monitor_set_queue(monitor: *mut c_void, queue: *mut c_void);
    pub(super) fn nw_path_monitor_set_update_handler(monitor: *mut c_void, block: *const c_void);
    pub(super) fn nw_path_monitor_start(monitor: *mut c_void);
    pub(super) fn nw_path_monitor_cancel(monitor: *mut c_void);
    pub(super) fn nw_path_get_status(path: *mut c_void) -> i32;
    pub(super) fn nw_path_is_expensive(path: *mut c_void) -> bool;
    pub(super) fn nw_path_is_constrained(path: *mut c_void) -> bool;
    pub(super) fn nw_path_uses_interface_type(path: *mut c_void, kind: i32) -> bool;
    pub(super) fn nw_release(object: *mut c_void);
}

// dispatch/queue.h, dispatch/object.h and Block.h, all in libSystem, which every program links.
unsafe extern "C" {
    pub(super) static _NSConcreteStackBlock: [*const c_void; 32];
    pub(super) fn dispatch_queue_create(label: *const c_char, attributes: *const c_void) -> *mut c_void;
    pub(super) fn dispatch_release(object: *mut c_void);
}

// objc/runtime.h, objc/message.h; Foundation has the class that is asked.
#[link(name = "Foundation", kind = "framework")]
unsafe extern "C" {}
#[link(name = "objc")]
unsafe extern "C" {
    pub(super) fn objc_getClass(name: *const c_char) -> *mut c_void;
    pub(super) fn sel_registerName(name: *const c_char) -> *const c_void;
    /// To be cast to the type of the message that is sent.
    pub(super) fn objc_msgSend();
}

/// An object of Core Foundation that a call named Create or Copy has given us.
#[derive(Debug)]
pub(super) struct Owned(CFTypeRef);

impl Owned {
    /// Takes it; `None` where the call gave none.
    ///
    /// # Safety
    /// The object comes from a call that hands it over, and nobody else releases it for us.
    pub(super) unsafe fn take(object: CFTypeRef) -> Option<Self> {
        (!object.is_null()).then_some(Self(object))
    }

    /// A share of an object that is somebody else's; `None` where there is none.
    ///
    /// # Safety
    /// The object is null or alive.
    pub(super) unsafe fn share(object: CFTypeRef) -> Option<Self> {
        if object.is_null() {
            return None;
        }
        // SAFETY: the caller's duty; what is retained is ours.
        unsafe { Self::take(CFRetain(object)) }
    }

    /// The object, for a call that only looks at it.
    pub(super) fn raw(&self) -> CFTypeRef {
        self.0
    }

    /// Text, to be looked up in a dictionary or compared with.
    pub(super) fn text(text: &CStr) -> Option<Self> {
        const UTF_8: u32 = 0x0800_0100;
        // SAFETY: the text ends with NUL; the object is ours.
        unsafe { Self::take(CFStringCreateWithCString(std::ptr::null(), text.as_ptr(), UTF_8)) }
    }

    pub(super) fn look(&self) -> Look<'_> {
        Look { object: self.0, _within: std::marker::PhantomData }
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        // SAFETY: the object is ours and is released once.
        unsafe { CFRelease(self.0) };
    }
}

/// An object that lies within another.
#[derive(Debug, Clone, Copy)]
pub(super) struct Look<'a> {
    object: CFTypeRef,
    _within: std::marker::PhantomData<&'a Owned>,
}

impl<'a> Look<'a> {
    /// Something that the system lends as long as `within` lives; `None` where it lends nothing.
    ///
    /// # Safety
    /// The object is null or lies within `_within`.
    pub(super) unsafe fn lent(object: CFTypeRef, _within: &'a Owned) -> Option<Self> {
        (!object.is_null()).then_some(Self { object, _within: std::marker::PhantomData })
    }

    pub(super) fn raw(self) -> CFTypeRef {
        self.object
    }

    fn is(self, kind: usize) -> bool {
        // SAFETY: the object is alive.
        unsafe { CFGetTypeID(self.object) == kind }
    }

    /// Whether both say the same.
    pub(super) fn equals(self, other: &Owned) -> bool {
        // SAFETY: both objects are alive.
        unsafe { CFEqual(self.object, other.0) != 0 }
    }

    /// What a dictionary has under the key.
    pub(super) fn get(self, key: CFTypeRef) -> Option<Self> {
        // SAFETY: the call takes nothing.
        if !self.is(unsafe { CFDictionaryGetTypeID() }) {
            return None;
        }
        // SAFETY: it is a dictionary, the key is alive, and what lies within lives as long as it.
        let object = unsafe { CFDictionaryGetValue(self.object, key) };
        (!object.is_null()).then_some(Self { object, ..self })
    }

    /// What a dictionary has under the name.
    pub(super) fn named(self, name: &CStr) -> Option<Self> {
        Owned::text(name).and_then(|key| self.get(key.raw()))
    }

    /// What an array has.
    pub(super) fn items(self) -> impl Iterator<Item = Self> {
        // SAFETY: the call takes nothing.
        let is_array = self.is(unsafe { CFArrayGetTypeID() });
        // SAFETY: it is an array.
        let count = if is_array { unsafe { CFArrayGetCount(self.object) } } else { 0 };
        (0..count).filter_map(move |index| {
            // SAFETY: it is an array of at least so many, and what lies within lives as long as it.
            let object = unsafe { CFArrayGetValueAtIndex(self.object, index) };
            (!object.is_null()).then_some(Self { object, ..self })
        })
    }

    /// A truth value, or a number that stands for one.
    pub(super) fn boolean(self) -> Option<bool> {
        // SAFETY: the call takes nothing.
        if self.is(unsafe { CFBooleanGetTypeID() }) {
            // SAFETY: it is a truth value.
            return Some(unsafe { CFBooleanGetValue(self.object) } != 0);
        }
        self.number().map(|number| number != 0)
    }

    /// A whole number.
    pub(super) fn number(self) -> Option<i64> {
        const SINT_64: isize = 4;
        let mut value = 0_i64;
        // SAFETY: the call takes nothing.
        if !self.is(unsafe { CFNumberGetTypeID() }) {
            return None;
        }
        // SAFETY: it is a number, and the call writes 64 bits to the local whose address it gets.
        let exact = unsafe { CFNumberGetValue(self.object, SINT_64, (&raw mut value).cast()) };
        (exact != 0).then_some(value)
    }
}
