//! Amounts of the network's token: whole base units in 256 bits, 18 decimals, never a float. Text from a person passes
//! the one strict parser here; serde writes base units as a decimal string, because JSON numbers lose digits.

use std::fmt;
use std::iter::Sum;

use alloy::primitives::U256;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Digits after the point of a token.
const DECIMALS: usize = 18;
/// The most digits before the point that the parser takes.
const MAX_WHOLE_DIGITS: usize = 30;

/// An amount in base units (10^-18 token). Displays as exact decimal token text without trailing zeros.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Amount(U256);

/// Why a text is not an amount.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AmountError {
    #[error("an amount cannot be empty")]
    Empty,
    #[error("an amount cannot be negative")]
    Negative,
    #[error("an amount has only the digits 0-9 and at most one point")]
    Character,
    #[error("an amount has at least one digit before the point")]
    NoWholeDigits,
    #[error("an amount has at most {MAX_WHOLE_DIGITS} digits before the point")]
    TooManyWholeDigits,
    #[error("a point is followed by at least one digit")]
    NoFractionDigits,
    #[error("an amount has at most {DECIMALS} digits after the point")]
    TooManyFractionDigits,
    #[error("the amount does not fit")]
    Overflow,
}

impl Amount {
    pub const ZERO: Self = Self(U256::ZERO);
    pub const MAX: Self = Self(U256::MAX);
    /// One whole token.
    pub const ONE_TOKEN: Self = Self(U256::from_limbs([1_000_000_000_000_000_000, 0, 0, 0]));

    #[must_use]
    pub fn from_base_units(units: u128) -> Self {
        Self(U256::from(units))
    }

    /// Reads whole base units, e.g. `"1500000000000000000"`: what our own files and frames hold.
    ///
    /// # Errors
    /// `Empty`, `Negative`, `Character`, or `Overflow` above 2^256 - 1.
    pub fn parse_base_units(text: &str) -> Result<Self, AmountError> {
        if text.is_empty() {
            return Err(AmountError::Empty);
        }
        if text.starts_with('-') {
            return Err(AmountError::Negative);
        }
        if !text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(AmountError::Character);
        }
        U256::from_str_radix(text, 10).map(Self).map_err(|_| AmountError::Overflow)
    }

    /// Reads an amount of tokens as a person writes it: `^[0-9]{1,30}(\.[0-9]{1,18})?$` and nothing else. No sign, no
    /// grouping, no exponent, no comma, no white space; a nineteenth digit after the point is refused, not cut off.
    ///
    /// # Errors
    /// See [`AmountError`].
    pub fn parse_tokens(text: &str) -> Result<Self, AmountError> {
        if text.is_empty() {
            return Err(AmountError::Empty);
        }
        if text.starts_with('-') {
            return Err(AmountError::Negative);
        }
        if !text.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
            return Err(AmountError::Character);
        }
        let (whole, fraction) = match text.split_once('.') {
            Some((_, "")) => return Err(AmountError::NoFractionDigits),
            Some((whole, fraction)) => (whole, fraction),
            None => (text, ""),
        };
        if whole.is_empty() {
            return Err(AmountError::NoWholeDigits);
        }
        if fraction.contains('.') {
            return Err(AmountError::Character);
        }
        if whole.len() > MAX_WHOLE_DIGITS {
            return Err(AmountError::TooManyWholeDigits);
        }
        if fraction.len() > DECIMALS {
            return Err(AmountError::TooManyFractionDigits);
        }
        // At most 48 digits, so the value is below 2^160 and the parse cannot overflow.
        let digits = format!("{whole}{fraction:0<DECIMALS$}");
        U256::from_str_radix(&digits, 10).map(Self).map_err(|_| AmountError::Overflow)
    }

    #[must_use]
    pub fn is_zero(&self) -> bool {
        self.0.is_zero()
    }

    #[must_use]
    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }

    #[must_use]
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        self.0.checked_sub(other.0).map(Self)
    }

    /// `self - other`, or zero: for "what is still due", where more received than earned means nothing is due.
    #[must_use]
    pub fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// The sum of all, or `None` above 2^256 - 1.
    pub fn checked_sum(amounts: impl IntoIterator<Item = Self>) -> Option<Self> {
        amounts.into_iter().try_fold(Self::ZERO, Self::checked_add)
    }

    /// `self * numerator / denominator`, rounded down, without overflow in between.
    #[must_use]
    pub fn checked_mul_div(self, numerator: u64, denominator: u64) -> Option<Self> {
        let product = self.0.checked_mul(U256::from(numerator))?;
        product.checked_div(U256::from(denominator)).map(Self)
    }

    /// Whole base units as decimal text.
    #[must_use]
    pub fn to_base_units(&self) -> String {
        self.0.to_string()
    }

    /// Base units as a number, where they fit (they do for every amount that the distributor can hold).
    #[must_use]
    pub fn as_u128(&self) -> Option<u128> {
        u128::try_from(self.0).ok()
    }

    /// Tokens with exactly `decimals` digits after the point, rounded down: what is shown is always there to spend.
    #[must_use]
    pub fn to_tokens_rounded_down(&self, decimals: usize) -> String {
        let (whole, fraction) = self.parts();
        let kept = decimals.min(DECIMALS);
        if kept == 0 { whole } else { format!("{whole}.{}", &fraction[..kept]) }
    }

    #[must_use]
    pub fn to_be_bytes(&self) -> [u8; 32] {
        self.0.to_be_bytes()
    }

    #[must_use]
    pub fn from_be_bytes(bytes: [u8; 32]) -> Self {
        Self(U256::from_be_bytes(bytes))
    }

    pub(crate) const fn from_u256(value: U256) -> Self {
        Self(value)
    }

    pub(crate) const fn to_u256(self) -> U256 {
        self.0
    }

    /// Whole tokens, and all 18 digits after the point.
    fn parts(&self) -> (String, String) {
        let digits = format!("{:0>width$}", self.0.to_string(), width = DECIMALS + 1);
        let (whole, fraction) = digits.split_at(digits.len() - DECIMALS);
        (whole.to_owned(), fraction.to_owned())
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, fraction) = self.parts();
        let fraction = fraction.trim_end_matches('0');
        if fraction.is_empty() { f.write_str(&whole) } else { write!(f, "{whole}.{fraction}") }
    }
}

impl fmt::Debug for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Amount({self})")
    }
}

impl From<u128> for Amount {
    fn from(units: u128) -> Self {
        Self::from_base_units(units)
    }
}

/// Saturates at 2^256 - 1, which no honest sum reaches; use [`Amount::checked_sum`] where the input is hostile.
impl Sum for Amount {
    fn sum<I: Iterator<Item = Self>>(iter: I) -> Self {
        iter.fold(Self::ZERO, |a, b| Self(a.0.saturating_add(b.0)))
    }
}

impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_base_units())
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse_base_units(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}
