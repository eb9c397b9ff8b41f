//! Amounts: one strict form in, exact text out, and nothing cut off on the way.

use proptest::prelude::*;
use settlement::{Amount, AmountError};

fn units(text: &str) -> Amount {
    Amount::parse_base_units(text).expect("valid base units")
}

#[test]
fn what_a_person_may_write() {
    for (text, expected) in [
        ("0", "0"),
        ("1", "1000000000000000000"),
        ("007", "7000000000000000000"),
        ("1.5", "1500000000000000000"),
        ("0.000000000000000001", "1"),
        ("1.000000000000000000", "1000000000000000000"),
        (
            "999999999999999999999999999999.999999999999999999",
            "999999999999999999999999999999999999999999999999",
        ),
    ] {
        assert_eq!(Amount::parse_tokens(text), Ok(units(expected)), "{text}");
    }
}

#[test]
fn what_is_refused_and_why() {
    use AmountError::*;
    for (text, why) in [
        ("", Empty),
        ("-1", Negative),
        ("-", Negative),
        ("+1", Character),
        (" 1", Character),
        ("1 ", Character),
        ("1,5", Character),
        ("1_000", Character),
        ("1e3", Character),
        ("0x10", Character),
        ("١", Character),
        ("1.2.3", Character),
        (".", NoFractionDigits),
        ("1.", NoFractionDigits),
        (".5", NoWholeDigits),
        ("1.0000000000000000001", TooManyFractionDigits),
        ("1000000000000000000000000000000", TooManyWholeDigits),
        ("0000000000000000000000000000001", TooManyWholeDigits),
    ] {
        assert_eq!(Amount::parse_tokens(text), Err(why), "{text:?}");
    }
    assert_eq!(Amount::parse_base_units("1.5"), Err(Character));
    assert_eq!(Amount::parse_base_units(&"9".repeat(78)), Err(Overflow), "10^78 - 1 exceeds 2^256");
}

#[test]
fn what_is_shown_is_never_more_than_there_is() {
    assert_eq!(units("1999999999999999999").to_tokens_rounded_down(4), "1.9999");
    assert_eq!(units("99999999999999").to_tokens_rounded_down(4), "0.0000");
    assert_eq!(units("100000000000000").to_tokens_rounded_down(4), "0.0001");
    assert_eq!(units("1999999999999999999").to_tokens_rounded_down(0), "1");
    assert_eq!(units("1999999999999999999").to_tokens_rounded_down(30), "1.999999999999999999");
    assert_eq!(units("1500000000000000000").to_string(), "1.5");
    assert_eq!(Amount::ZERO.to_string(), "0");
}

#[test]
fn arithmetic_never_wraps() {
    let one = Amount::from_base_units(1);
    assert_eq!(Amount::MAX.checked_add(one), None);
    assert_eq!(Amount::ZERO.checked_sub(one), None);
    assert_eq!(Amount::ZERO.saturating_sub(one), Amount::ZERO);
    assert_eq!(Amount::MAX.checked_mul_div(2, 1), None);
    assert_eq!(one.checked_mul_div(1, 0), None);
    assert_eq!(units("10").checked_mul_div(1, 3), Some(units("3")), "rounded down");
    assert_eq!(Amount::checked_sum([Amount::MAX, one]), None);
}

#[test]
fn files_and_frames_hold_base_units_as_text() {
    let json = serde_json::to_string(&units("1500000000000000000")).expect("serialises");
    assert_eq!(json, "\"1500000000000000000\"", "a JSON number would lose digits above 2^53");
    assert!(serde_json::from_str::<Amount>("1500").is_err(), "numbers are refused");
    assert!(serde_json::from_str::<Amount>("\"-1\"").is_err());
}

proptest! {
    #[test]
    fn text_and_amount_go_round_without_loss(bytes in any::<[u8; 32]>()) {
        let amount = Amount::from_be_bytes(bytes);
        prop_assert_eq!(amount.to_be_bytes(), bytes);
        prop_assert_eq!(Amount::parse_base_units(&amount.to_base_units()), Ok(amount));
        let json = serde_json::to_string(&amount).expect("serialises");
        prop_assert_eq!(serde_json::from_str::<Amount>(&json).expect("reads back"), amount);
    }

    #[test]
    fn exact_text_reads_back(whole in 0u128..1_000_000_000_000_000_000_000_000_000_000, fraction in 0u64..1_000_000_000_000_000_000) {
        let text = format!("{whole}.{fraction:018}");
        let amount = Amount::parse_tokens(&text).expect("within the digits");
        prop_assert_eq!(Amount::parse_tokens(&amount.to_string()), Ok(amount));
        let down = Amount::parse_tokens(&amount.to_tokens_rounded_down(4)).expect("is a token text");
        let lost = amount.checked_sub(down).expect("rounded down");
        prop_assert!(lost < Amount::from_base_units(100_000_000_000_000));
    }

    #[test]
    fn the_parser_takes_exactly_the_documented_form(text in "[0-9.,eE+_x -]{0,52}") {
        let (whole, fraction) = text.split_once('.').map_or((text.as_str(), None), |(w, f)| (w, Some(f)));
        let digits = |part: &str, most: usize| {
            !part.is_empty() && part.len() <= most && part.bytes().all(|b| b.is_ascii_digit())
        };
        let documented = digits(whole, 30) && fraction.is_none_or(|f| digits(f, 18));
        prop_assert_eq!(Amount::parse_tokens(&text).is_ok(), documented, "{:?}", text);
    }
}
