//! Use of the card by others on Windows, by the system's own counters of every graphics engine (WDDM 2.0 and
//! newer), for cards whose driver does not tell it. They name processes by number only.

use std::collections::BTreeSet;

use windows_sys::Win32::System::Performance::{
    PDH_CSTATUS_NEW_DATA, PDH_CSTATUS_VALID_DATA, PDH_FMT_COUNTERVALUE_ITEM_W, PDH_FMT_DOUBLE, PDH_HCOUNTER,
    PDH_HQUERY, PDH_MORE_DATA, PdhAddEnglishCounterW, PdhCloseQuery, PdhCollectQueryData,
    PdhGetFormattedCounterArrayW, PdhOpenQueryW,
};
use windows_sys::core::w;

use super::engines;

/// The counters. They tell what happened between two readings.
#[derive(Debug)]
pub(super) struct Engines {
    query: PDH_HQUERY,
    counter: PDH_HCOUNTER,
}

// SAFETY: a query may be used from any thread, and this is the only one that has it.
#[expect(unsafe_code, reason = "an object of the system's that may be used from any thread")]
unsafe impl Send for Engines {}

fn done(code: u32) -> Result<(), u32> {
    if code == 0 { Ok(()) } else { Err(code) }
}

impl Engines {
    /// Begins to count; `None` where the system has no such counters.
    pub(super) fn open() -> Option<Self> {
        // A Windows without a card that counts is a fact, not a fault.
        let told = |code| tracing::info!(code = format_args!("{code:#x}"), "no counters of graphics engines");
        Self::try_open().inspect_err(|&code| told(code)).ok()
    }

    /// Use by processes that are not ours since the last reading, in percent.
    pub(super) fn others_percent(&self, own: &BTreeSet<u32>) -> Option<u8> {
        let told = |code| tracing::warn!(code = format_args!("{code:#x}"), "graphics engines do not count");
        self.read(own).inspect_err(|&code| told(code)).ok()
    }

    #[expect(unsafe_code, reason = "std does not read counters")]
    fn try_open() -> Result<Self, u32> {
        let mut query = Self { query: std::ptr::null_mut(), counter: std::ptr::null_mut() };
        // SAFETY: no name means the present; the call writes only to the field whose address it gets.
        done(unsafe { PdhOpenQueryW(std::ptr::null(), 0, &raw mut query.query) })?;
        let path = w!("\\GPU Engine(*)\\Utilization Percentage");
        // SAFETY: the query is open, the path ends with NUL, and the call writes only to the field.
        done(unsafe { PdhAddEnglishCounterW(query.query, path, 0, &raw mut query.counter) })?;
        // Without this reading the first one that is asked for has nothing to compare with.
        // SAFETY: the query is open.
        done(unsafe { PdhCollectQueryData(query.query) })?;
        Ok(query)
    }

    #[expect(unsafe_code, reason = "std does not read counters")]
    fn read(&self, own: &BTreeSet<u32>) -> Result<u8, u32> {
        // SAFETY: the query is open.
        done(unsafe { PdhCollectQueryData(self.query) })?;
        let (mut bytes, mut count) = (0, 0);
        // SAFETY: the counter is the query's; with no room the call writes only to the two locals.
        let code = unsafe {
            PdhGetFormattedCounterArrayW(
                self.counter,
                PDH_FMT_DOUBLE,
                &raw mut bytes,
                &raw mut count,
                std::ptr::null_mut(),
            )
        };
        if code == 0 {
            // Nobody uses any card.
            return Ok(0);
        }
        if code != PDH_MORE_DATA {
            return Err(code);
        }
        let mut room = vec![0_u64; (bytes as usize).div_ceil(size_of::<u64>())];
        let items = room.as_mut_ptr().cast::<PDH_FMT_COUNTERVALUE_ITEM_W>();
        // SAFETY: as above, with as much room as the call has asked for, aligned for its structures.
        done(unsafe {
            PdhGetFormattedCounterArrayW(self.counter, PDH_FMT_DOUBLE, &raw mut bytes, &raw mut count, items)
        })?;
        // SAFETY: the call has written so many items to the room, which lives until the end of this function.
        let items = unsafe { std::slice::from_raw_parts(items, count as usize) };
        let valid = |status| status == PDH_CSTATUS_VALID_DATA || status == PDH_CSTATUS_NEW_DATA;
        let named: Vec<(String, f64)> = items
            .iter()
            .filter(|item| valid(item.FmtValue.CStatus) && !item.szName.is_null())
            // SAFETY: the name lies in the room and ends with NUL, and the value was asked for as a double.
            .map(|item| unsafe { (text(item.szName), item.FmtValue.Anonymous.doubleValue) })
            .collect();
        Ok(engines::others_percent(named.iter().map(|(name, percent)| (name.as_str(), *percent)), own))
    }
}

/// # Safety
/// `text` ends with NUL.
#[expect(unsafe_code, reason = "text of the system's")]
unsafe fn text(text: *const u16) -> String {
    let mut length = 0;
    // SAFETY: the caller's duty: no character behind the NUL is looked at.
    while unsafe { *text.add(length) } != 0 {
        length += 1;
    }
    // SAFETY: so many characters have just been looked at.
    String::from_utf16_lossy(unsafe { std::slice::from_raw_parts(text, length) })
}

impl Drop for Engines {
    #[expect(unsafe_code, reason = "std does not read counters")]
    fn drop(&mut self) {
        if !self.query.is_null() {
            // SAFETY: the query is open and is closed once, with its counter.
            unsafe { PdhCloseQuery(self.query) };
        }
    }
}
