//! Quantities that cross between programs: money in integer base units and instants in milliseconds since 1970 (UTC).
//!
//! Money is never a float and never a JSON number: it crosses as a decimal string, because a page's numbers are exact
//! only to 2^53.

use std::fmt;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An amount of the network's token in base units (10^-18 for EMBER).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BaseUnits(pub u128);

/// Why a text is not an amount in base units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an amount in base units is 1 to 39 decimal digits")]
pub struct ParseBaseUnitsError;

impl BaseUnits {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// Whether it is nothing.
    pub const fn is_zero(&self) -> bool {
        self.0 == 0
    }
    /// The sum, or `None` past 2^128.
    pub const fn checked_add(self, other: Self) -> Option<Self> {
        match self.0.checked_add(other.0) {
            Some(sum) => Some(Self(sum)),
            None => None,
        }
    }
    /// The difference, or `None` below zero.
    pub const fn checked_sub(self, other: Self) -> Option<Self> {
        match self.0.checked_sub(other.0) {
            Some(rest) => Some(Self(rest)),
            None => None,
        }
    }
    /// `self * count`, or `None` past 2^128.
    pub const fn checked_mul(self, count: u64) -> Option<Self> {
        match self.0.checked_mul(count as u128) {
            Some(product) => Some(Self(product)),
            None => None,
        }
    }
}

impl fmt::Display for BaseUnits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for BaseUnits {
    type Err = ParseBaseUnitsError;
    fn from_str(text: &str) -> Result<Self, ParseBaseUnitsError> {
        let digits = !text.is_empty() && text.len() <= 39 && text.bytes().all(|b| b.is_ascii_digit());
        let canonical = digits && (text == "0" || !text.starts_with('0'));
        if !canonical {
            return Err(ParseBaseUnitsError);
        }
        text.parse().map(Self).map_err(|_| ParseBaseUnitsError)
    }
}

impl Serialize for BaseUnits {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for BaseUnits {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// An instant: milliseconds since 1970-01-01T00:00:00Z. Fields of this type end in `_at`.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ts_rs::TS,
)]
#[ts(type = "number")]
pub struct UnixMillis(pub u64);

impl UnixMillis {
    /// The instant `span` later; saturates.
    pub const fn plus(self, span: std::time::Duration) -> Self {
        let millis = span.as_millis();
        let millis = if millis > u64::MAX as u128 { u64::MAX } else { millis as u64 };
        Self(self.0.saturating_add(millis))
    }
    /// The span from `earlier` to `self`; zero if `earlier` is later.
    pub const fn since(self, earlier: Self) -> std::time::Duration {
        std::time::Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}
