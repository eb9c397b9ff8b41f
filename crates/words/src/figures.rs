//! Amounts and byte counts as text. Money is decimal text and is cut digit by digit, never as a float.

/// True minus, as wide as a plus.
const MINUS: char = '\u{2212}';

/// Four decimals and the unit, cut towards zero: `0.1840 EMBER`. A zero has no sign. Text that is no number comes back
/// as it is.
pub fn amount(decimal: &str, unit: &str) -> String {
    with_unit(cut(decimal, false), decimal, unit)
}

/// The same with a plus before a gain, for sums after electricity: `+0.1840 EMBER`.
pub fn net_amount(decimal: &str, unit: &str) -> String {
    with_unit(cut(decimal, true), decimal, unit)
}

/// All digits, at least four decimals, for what must be exact before it is confirmed.
pub fn exact_amount(decimal: &str, unit: &str) -> String {
    let text = parts(decimal).map(|(negative, whole, fraction)| {
        let fraction = fraction.trim_end_matches('0');
        let sign = if negative { String::from(MINUS) } else { String::new() };
        format!("{sign}{}.{fraction:0<4}", grouped(whole))
    });
    with_unit(text, decimal, unit)
}

/// Decimal units with at most three figures that matter: `1.84 GB`.
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
    let mut unit = 0;
    let mut scale = 1_u64;
    while unit + 1 < UNITS.len() && count / scale >= 1000 {
        scale *= 1000;
        unit += 1;
    }
    if unit == 0 {
        return format!("{count} B");
    }
    let decimals: u32 = if count / scale < 10 { 2 } else { 1 };
    let hundredths = u128::from(count) * 10_u128.pow(decimals) / u128::from(scale);
    let (whole, rest) = (hundredths / 10_u128.pow(decimals), hundredths % 10_u128.pow(decimals));
    format!("{whole}.{rest:0width$} {}", UNITS[unit], width = decimals as usize)
}

fn with_unit(text: Option<String>, decimal: &str, unit: &str) -> String {
    let text = text.unwrap_or_else(|| decimal.to_owned());
    if unit.is_empty() { text } else { format!("{text} {unit}") }
}

fn cut(decimal: &str, signed: bool) -> Option<String> {
    let (negative, whole, fraction) = parts(decimal)?;
    let kept = &fraction[..fraction.len().min(4)];
    let zero = whole.bytes().chain(kept.bytes()).all(|digit| digit == b'0');
    let sign = match (zero, negative) {
        (true, _) => String::new(),
        (false, true) => String::from(MINUS),
        (false, false) if signed => String::from("+"),
        (false, false) => String::new(),
    };
    Some(format!("{sign}{}.{kept:0<4}", grouped(whole)))
}

/// Sign, whole digits without leading zeros, fraction digits.
fn parts(decimal: &str) -> Option<(bool, &str, &str)> {
    let (negative, digits) = match decimal.strip_prefix(['-', MINUS]) {
        Some(rest) => (true, rest),
        None => (false, decimal),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !plain(whole) || !plain(fraction) {
        return None;
    }
    let trimmed = whole.trim_start_matches('0');
    let whole = if trimmed.is_empty() { "0" } else { trimmed };
    Some((negative, whole, fraction))
}

/// Groups of three, as both languages write them.
fn grouped(whole: &str) -> String {
    let mut text = String::with_capacity(whole.len() + whole.len() / 3);
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_cut_never_rounded_up() {
        assert_eq!(amount("0.18409999", "EMBER"), "0.1840 EMBER", "an amount shown must be there");
        assert_eq!(amount("1234567", "EMBER"), "1,234,567.0000 EMBER");
        assert_eq!(amount("-0.5", ""), "−0.5000", "a minus is as wide as a plus");
        assert_eq!(amount("-0.00001", ""), "0.0000", "zero has no sign");
        assert_eq!(amount("one", "EMBER"), "one EMBER", "what is no number is shown as it came");
    }

    #[test]
    fn gains_carry_a_plus_and_zero_does_not() {
        assert_eq!(net_amount("0.184", "EMBER"), "+0.1840 EMBER");
        assert_eq!(net_amount("0", "EMBER"), "0.0000 EMBER");
    }

    #[test]
    fn exact_amounts_lose_no_digit() {
        assert_eq!(exact_amount("4.996900000000000001", "EMBER"), "4.996900000000000001 EMBER");
        assert_eq!(exact_amount("5", "EMBER"), "5.0000 EMBER");
    }

    #[test]
    fn bytes_use_decimal_units() {
        assert_eq!(bytes(999), "999 B");
        assert_eq!(bytes(1_839_294_621), "1.83 GB");
        assert_eq!(bytes(21_306_448), "21.3 MB");
        assert_eq!(bytes(u64::MAX), "18446744.0 TB", "the largest count does not overflow");
    }
}
