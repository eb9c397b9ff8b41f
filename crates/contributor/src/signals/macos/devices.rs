//! Whether a program uses the microphone or a camera. The system tells that a device runs, not for whom;
//! nothing more is asked, so no leave is needed.

use std::ffi::c_void;

use super::frameworks::{
    AudioObjectGetPropertyData, CMIOObjectGetPropertyData, CMIOObjectGetPropertyDataSize, PropertyAddress,
};
use crate::signals::{Reading, Unknown};

/// kAudioObjectSystemObject and kCMIOObjectSystemObject.
const SYSTEM: u32 = 1;
/// kAudioHardwarePropertyDefaultInputDevice.
const DEFAULT_INPUT: u32 = u32::from_be_bytes(*b"dIn ");
/// kCMIOHardwarePropertyDevices.
const DEVICES: u32 = u32::from_be_bytes(*b"dev#");
/// kAudioDevicePropertyDeviceIsRunningSomewhere and kCMIODevicePropertyDeviceIsRunningSomewhere.
const RUNS_SOMEWHERE: u32 = u32::from_be_bytes(*b"gone");
/// More cameras nobody has.
const CAMERAS: usize = 32;

fn address(selector: u32) -> PropertyAddress {
    // kAudioObjectPropertyScopeGlobal and ...ElementMain; Core Media IO has the same.
    PropertyAddress { selector, scope: u32::from_be_bytes(*b"glob"), element: 0 }
}

/// Whether a program uses the microphone that programs get when they ask for none in particular. A headset is
/// one device: music in it counts too.
pub(super) fn microphone() -> Reading<bool> {
    match audio(SYSTEM, DEFAULT_INPUT) {
        // kAudioObjectUnknown: this computer has none.
        Some(0) => Reading::Unknown(Unknown::NoSource),
        Some(device) => match audio(device, RUNS_SOMEWHERE) {
            Some(runs) => Reading::Known(runs != 0),
            None => Reading::Unknown(Unknown::Failed),
        },
        None => Reading::Unknown(Unknown::Failed),
    }
}

#[expect(unsafe_code, reason = "std does not tell of devices")]
fn audio(object: u32, selector: u32) -> Option<u32> {
    let (mut value, mut size) = (0_u32, size_of::<u32>() as u32);
    let address = address(selector);
    // SAFETY: the address is a local, no qualifier is given, and the call writes no more than the size of the
    // local.
    let code = unsafe {
        AudioObjectGetPropertyData(
            object,
            &raw const address,
            0,
            std::ptr::null(),
            &raw mut size,
            (&raw mut value).cast(),
        )
    };
    (code == 0 && size as usize == size_of::<u32>()).then_some(value)
}

/// Whether a program has a camera open.
pub(super) fn camera() -> Reading<bool> {
    let Some(bytes) = camera_list_bytes() else { return Reading::Unknown(Unknown::Failed) };
    let mut devices = [0_u32; CAMERAS];
    let room = bytes.min(size_of_val(&devices) as u32);
    let Some(used) = camera_property(SYSTEM, DEVICES, room, devices.as_mut_ptr().cast()) else {
        return Reading::Unknown(Unknown::Failed);
    };
    let count = used as usize / size_of::<u32>();
    if count == 0 {
        return Reading::Unknown(Unknown::NoSource);
    }
    let runs = devices.iter().take(count).filter_map(|device| {
        let mut runs = 0_u32;
        let used = camera_property(*device, RUNS_SOMEWHERE, size_of::<u32>() as u32, (&raw mut runs).cast())?;
        (used as usize == size_of::<u32>()).then_some(runs != 0)
    });
    // A device that does not tell was taken out at this moment.
    runs.reduce(|one, other| one || other).map_or(Reading::Unknown(Unknown::Failed), Reading::Known)
}

#[expect(unsafe_code, reason = "std does not tell of devices")]
fn camera_list_bytes() -> Option<u32> {
    let mut size = 0;
    let address = address(DEVICES);
    // SAFETY: the address is a local, no qualifier is given, and the call writes only to the local.
    let code = unsafe {
        CMIOObjectGetPropertyDataSize(SYSTEM, &raw const address, 0, std::ptr::null(), &raw mut size)
    };
    (code == 0).then_some(size)
}

/// Reads a property into `data`, which has room for `size` bytes; says how many were written.
#[expect(unsafe_code, reason = "std does not tell of devices")]
fn camera_property(object: u32, selector: u32, size: u32, data: *mut c_void) -> Option<u32> {
    let mut used = 0;
    let address = address(selector);
    // SAFETY: the address is a local, no qualifier is given, and the call writes no more than `size` bytes to
    // `data`, which both callers have room for.
    let code = unsafe {
        CMIOObjectGetPropertyData(object, &raw const address, 0, std::ptr::null(), size, &raw mut used, data)
    };
    (code == 0).then_some(used)
}
