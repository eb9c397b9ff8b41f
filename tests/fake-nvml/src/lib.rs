//! A stand-in for `libnvidia-ml.so.1` with cards whose readings a test scripts. Loaded by tests only.
//!
//! It exports the calls that Hearth makes, with the types of NVIDIA's header, and answers each one from the file
//! `cards.txt` in its own folder, read anew at every call: a test copies the library into a folder of its own, writes the
//! script, and may change it while the library is loaded. What the script does not tell is answered with "not supported".
//! `script` has the form of the file. On systems without `dladdr` the library is empty.
#![cfg(unix)]
#![expect(unsafe_code, reason = "the interface of a C library is made of raw pointers and exported names")]

mod script;

use std::ffi::{CStr, OsStr, c_char, c_uint, c_ulonglong, c_void};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use nvml_wrapper_sys::bindings::{
    nvmlDevice_t, nvmlMemory_v2_t, nvmlPciInfo_t, nvmlProcessUtilizationSample_t,
    nvmlReturn_enum_NVML_ERROR_INSUFFICIENT_SIZE as INSUFFICIENT_SIZE,
    nvmlReturn_enum_NVML_ERROR_INVALID_ARGUMENT as INVALID_ARGUMENT,
    nvmlReturn_enum_NVML_ERROR_NOT_FOUND as NOT_FOUND,
    nvmlReturn_enum_NVML_ERROR_NOT_SUPPORTED as NOT_SUPPORTED, nvmlReturn_enum_NVML_SUCCESS as SUCCESS,
    nvmlReturn_t, nvmlTemperatureSensors_t,
};

use script::{Card, Script};

/// The script beside this library.
fn script() -> Result<Script, nvmlReturn_t> {
    // SAFETY: all fields of a Dl_info are pointers, for which null is a value.
    let mut info: libc::Dl_info = unsafe { std::mem::zeroed() };
    // SAFETY: any address may be asked for; this one lies in this library and has no exported name that a test could hide; `info` is valid for writing.
    let found = unsafe { libc::dladdr(card as *const c_void, &raw mut info) };
    if found == 0 || info.dli_fname.is_null() {
        return Err(INVALID_ARGUMENT);
    }
    // SAFETY: dladdr gave a path that lives as long as the library is loaded.
    let path = Path::new(OsStr::from_bytes(unsafe { CStr::from_ptr(info.dli_fname) }.to_bytes()));
    let text = std::fs::read_to_string(path.with_file_name("cards.txt")).map_err(|_| INVALID_ARGUMENT)?;
    Ok(Script::read(&text))
}

/// A handle is the index of a card plus one, so that it is never null.
fn card(device: nvmlDevice_t) -> Result<Card, nvmlReturn_t> {
    let index = (device as usize).checked_sub(1).ok_or(INVALID_ARGUMENT)?;
    // A card that is gone from the script has been taken out of the computer.
    script()?
        .cards
        .into_iter()
        .nth(index)
        .ok_or(nvml_wrapper_sys::bindings::nvmlReturn_enum_NVML_ERROR_GPU_IS_LOST)
}

fn code(outcome: Result<(), nvmlReturn_t>) -> nvmlReturn_t {
    outcome.err().unwrap_or(SUCCESS)
}

/// Writes through a pointer of the caller.
fn write<T>(to: *mut T, value: T) -> Result<(), nvmlReturn_t> {
    if to.is_null() {
        return Err(INVALID_ARGUMENT);
    }
    // SAFETY: the caller of NVML owns what a non-null pointer points to, and nobody else uses it during the call.
    unsafe { to.write(value) };
    Ok(())
}

/// Writes a text with its final zero.
fn write_text(to: *mut c_char, capacity: usize, text: &str) -> Result<(), nvmlReturn_t> {
    if to.is_null() || text.len() >= capacity {
        return Err(INSUFFICIENT_SIZE);
    }
    for (at, byte) in text.bytes().chain([0]).enumerate() {
        // SAFETY: the caller gave room for `capacity` bytes, and the text with its zero is not longer.
        unsafe { to.add(at).write(byte.cast_signed()) };
    }
    Ok(())
}

/// A figure of a card: as scripted, with the code that the script gives for this call, or not supported.
fn figure(device: nvmlDevice_t, call: &str) -> Result<u64, nvmlReturn_t> {
    let card = card(device)?;
    card.fault(call)?;
    card.figures.get(call).copied().ok_or(NOT_SUPPORTED)
}

fn narrow(value: u64) -> Result<c_uint, nvmlReturn_t> {
    c_uint::try_from(value).map_err(|_| INVALID_ARGUMENT)
}

/// `nvmlInit_v2`.
#[unsafe(no_mangle)]
pub extern "C" fn nvmlInit_v2() -> nvmlReturn_t {
    code(script().and_then(|script| script.fault("init")))
}

/// `nvmlShutdown`.
#[unsafe(no_mangle)]
pub extern "C" fn nvmlShutdown() -> nvmlReturn_t {
    SUCCESS
}

/// `nvmlSystemGetDriverVersion`.
#[unsafe(no_mangle)]
pub extern "C" fn nvmlSystemGetDriverVersion(version: *mut c_char, length: c_uint) -> nvmlReturn_t {
    code(write_text(version, length as usize, "570.86"))
}

/// `nvmlDeviceGetCount_v2`.
#[unsafe(no_mangle)]
pub extern "C" fn nvmlDeviceGetCount_v2(count: *mut c_uint) -> nvmlReturn_t {
    code(script().and_then(|script| {
        script.fault("count")?;
        write(count, narrow(script.cards.len() as u64)?)
    }))
}

/// `nvmlDeviceGetHandleByIndex_v2`.
#[unsafe(no_mangle)]
pub extern "C" fn nvmlDeviceGetHandleByIndex_v2(index: c_uint, device: *mut nvmlDevice_t) -> nvmlReturn_t {
    code(script().and_then(|script| {
        let card = script.cards.get(index as usize).ok_or(NOT_FOUND)?;
        card.fault("handle")?;
        write(device, std::ptr::without_provenance_mut(index as usize + 1))
    }))
}

/// `nvmlDeviceGetName`.
#[unsafe(no_mangle)]
pub extern "C" fn nvmlDeviceGetName(device: nvmlDevice_t, name: *mut c_char, length: c_uint) -> nvmlReturn_t {
    code(card(device).and_then(|card| {
        card.fault("name")?;
        write_text(name, length as usize, &card.name)
    }))
}

/// `nvmlDeviceGetPciInfo_v3`.
#[unsafe(no_mangle)]
pub extern "C" fn nvmlDeviceGetPciInfo_v3(device: nvmlDevice_t, pci: *mut nvmlPciInfo_t) -> nvmlReturn_t {
    code(figure(device, "pci").and_then(|id| {
        // SAFETY: all fields of the structure are integers, for which zero is a value.
        let mut info: nvmlPciInfo_t = unsafe { std::mem::zeroed() };
        info.pciDeviceId = narrow(id)?;
        write(pci, info)
    }))
}

/// `nvmlDeviceGetTemperature`.
#[unsafe(no_mangle)]
pub extern "C" fn nvmlDeviceGetTemperature(
    device: nvmlDevice_t,
    _sensor: nvmlTemperatureSensors_t,
    celsius: *mut c_uint,
) -> nvmlReturn_t {
    code(figure(device, "celsius").and_then(|found| write(celsius, narrow(found)?)))
}

/// `nvmlDeviceGetPowerUsage`.
#[unsafe(no_mangle)]
pub extern "C" fn nvmlDeviceGetPowerUsage(device: nvmlDevice_t, milliwatts: *mut c_uint) -> nvmlReturn_t {
    code(figure(device, "milliwatts").and_then(|found| write(milliwatts, narrow(found)?)))
}

/// `nvmlDeviceGetMemoryInfo_v2`.
#[unsafe(no_mangle)]
pub extern "C" fn nvmlDeviceGetMemoryInfo_v2(
    device: nvmlDevice_t,
    memory: *mut nvmlMemory_v2_t,
) -> nvmlReturn_t {
    code(figure(device, "memory").and_then(|total| {
        let used = figure(device, "used").unwrap_or(0);
        let free = total.saturating_sub(used);
        write(memory, nvmlMemory_v2_t { version: 2, total, reserved: 0, free, used })
    }))
}

/// `nvmlDeviceGetCurrentClocksThrottleReasons`.
#[unsafe(no_mangle)]
pub extern "C" fn nvmlDeviceGetCurrentClocksThrottleReasons(
    device: nvmlDevice_t,
    reasons: *mut c_ulonglong,
) -> nvmlReturn_t {
    code(figure(device, "throttle").and_then(|found| write(reasons, found)))
}

/// `nvmlDeviceGetProcessUtilization`: asked with a null pointer it tells how many samples there are.
#[unsafe(no_mangle)]
pub extern "C" fn nvmlDeviceGetProcessUtilization(
    device: nvmlDevice_t,
    samples: *mut nvmlProcessUtilizationSample_t,
    count: *mut c_uint,
    since: c_ulonglong,
) -> nvmlReturn_t {
    code(card(device).and_then(|card| {
        card.fault("use")?;
        let newer: Vec<_> = card.uses.iter().filter(|sample| sample.at > since).collect();
        if newer.is_empty() {
            return Err(NOT_FOUND);
        }
        write(count, narrow(newer.len() as u64)?)?;
        if samples.is_null() {
            return Err(INSUFFICIENT_SIZE);
        }
        // The caller made room for as many samples as it was told of in the call before.
        for (at, sample) in newer.into_iter().enumerate() {
            let told = nvmlProcessUtilizationSample_t {
                pid: sample.pid,
                timeStamp: sample.at,
                smUtil: sample.percent,
                memUtil: 0,
                encUtil: 0,
                decUtil: 0,
            };
            write(samples.wrapping_add(at), told)?;
        }
        Ok(())
    }))
}
