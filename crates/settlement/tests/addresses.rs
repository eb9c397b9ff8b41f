//! Addresses: a mistyped one must not get through where the checksum can tell.

use proptest::prelude::*;
use settlement::{Address, AddressError};

/// The examples of EIP-55.
const EIP_55: [&str; 8] = [
    "0x52908400098527886E0F7030069857D2E4169EE7",
    "0x8617E340B3D01FA5F11F306F4090FD50E238070D",
    "0xde709f2102306220921060314715629080e2fb77",
    "0x27b1fdb04752bbc536007a920d24acb045561c26",
    "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
    "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
    "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB",
    "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
];

#[test]
fn the_examples_of_eip_55_read_and_write_the_same() {
    for text in EIP_55 {
        let parsed = Address::parse_checksummed(text).expect(text);
        assert_eq!(parsed.address.to_string(), text);
        assert!(parsed.checksummed, "{text} carries its checksum");
    }
}

#[test]
fn one_letter_in_the_wrong_case_is_refused() {
    for text in &EIP_55[4..] {
        for (i, c) in text.char_indices().skip(2).filter(|(_, c)| c.is_ascii_alphabetic()) {
            let flipped =
                if c.is_ascii_lowercase() { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() };
            let mut wrong = (*text).to_owned();
            wrong.replace_range(i..=i, &flipped.to_string());
            assert_eq!(Address::parse_checksummed(&wrong), Err(AddressError::Checksum), "{wrong}");
        }
    }
}

#[test]
fn an_address_without_checksum_is_read_and_marked() {
    let lower = EIP_55[4].to_ascii_lowercase();
    let parsed = Address::parse_checksummed(&lower).expect("all lower case");
    assert!(!parsed.checksummed, "nothing in {lower} can reveal a typing mistake");
    let upper = format!("0x{}", EIP_55[4][2..].to_ascii_uppercase());
    assert!(!Address::parse_checksummed(&upper).expect("all upper case").checksummed);
}

#[test]
fn what_is_no_address() {
    use AddressError::*;
    let good = EIP_55[4];
    for (text, why) in [
        (String::new(), Empty),
        (good[2..].to_owned(), Prefix),
        (format!("0X{}", &good[2..]), Prefix),
        (format!(" {good}"), Prefix),
        (format!("{good} "), Digit),
        (good[..41].to_owned(), Length { found: 39 }),
        (format!("{good}0"), Length { found: 41 }),
        ("0x".to_owned(), Length { found: 0 }),
        (good.replace('F', "G"), Digit),
        (good.replace('5', "５"), Digit),
        ("vitalik.eth".to_owned(), Prefix),
    ] {
        assert_eq!(Address::parse_checksummed(&text), Err(why), "{text:?}");
    }
}

#[test]
fn groups_of_four_join_to_the_whole() {
    let address: Address = EIP_55[4].parse().expect("valid");
    let groups = address.grouped();
    assert_eq!(groups.len(), 11, "0x and ten groups");
    assert!(groups[1..].iter().all(|g| g.len() == 4));
    assert_eq!(groups.concat(), EIP_55[4]);
}

proptest! {
    #[test]
    fn any_address_goes_round_through_text_and_serde(bytes in any::<[u8; 20]>()) {
        let address = Address::from_bytes(bytes);
        prop_assert_eq!(address.to_string().parse::<Address>(), Ok(address));
        let json = serde_json::to_string(&address).expect("serialises");
        prop_assert_eq!(serde_json::from_str::<Address>(&json).expect("reads back"), address);
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in "\\PC{0,50}") {
        if let Ok(parsed) = Address::parse_checksummed(&text) {
            prop_assert!(parsed.address.to_string().eq_ignore_ascii_case(&text));
        }
    }
}
