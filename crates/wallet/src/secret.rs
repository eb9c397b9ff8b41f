//! Recovery words and passphrases: kept in memory that is wiped, never printed, never serialised.
//!
//! It owns the rule for a passphrase, the drawing of words and passphrases, and the check of a written backup. It never
//! stores anything; the vault does.

use std::fmt;

use bip39::{Language, Mnemonic};
use protocol::local::ErrorCode;
use unicode_normalization::UnicodeNormalization as _;
use zeroize::{Zeroize as _, Zeroizing};

/// The shortest passphrase on a network where money is real.
pub const PASSPHRASE_CHARACTERS: usize = 12;
/// The shortest passphrase on a network that lives on one machine.
pub const LOCAL_PASSPHRASE_CHARACTERS: usize = 8;
/// A passphrase of fewer different characters is a pattern, however long.
const DIFFERENT_CHARACTERS: usize = 5;

/// How many recovery words: 12 carry 128 bits, 24 carry 256.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WordCount {
    /// Adequate, and easier to write down.
    Twelve,
    /// For those who want them.
    TwentyFour,
}

impl WordCount {
    /// 12 or 24.
    pub const fn words(self) -> u8 {
        match self {
            Self::Twelve => 12,
            Self::TwentyFour => 24,
        }
    }

    /// The count with this many words, if there is one.
    pub const fn of(words: u8) -> Option<Self> {
        match words {
            12 => Some(Self::Twelve),
            24 => Some(Self::TwentyFour),
            _ => None,
        }
    }

    /// Bytes of entropy in them.
    pub(crate) const fn entropy_bytes(self) -> usize {
        match self {
            Self::Twelve => 16,
            Self::TwentyFour => 32,
        }
    }
}

/// Why words or a passphrase are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SecretError {
    /// Not 12 or 24 words.
    #[error("recovery words are 12 or 24, these are {found}")]
    WordCount {
        /// How many there are.
        found: usize,
    },
    /// A word is not in the list.
    #[error("word {position} is not in the list of recovery words")]
    UnknownWord {
        /// Which, from 1.
        position: usize,
    },
    /// All words are known, but they do not belong together: one is wrong or two changed places.
    #[error("the recovery words do not belong together")]
    Checksum,
    /// The passphrase is too short.
    #[error("a passphrase has at least {least} characters, this one has {found}")]
    TooShort {
        /// Needed.
        least: usize,
        /// Found.
        found: usize,
    },
    /// The passphrase repeats a few characters.
    #[error("the passphrase repeats too few characters")]
    TooSimple,
    /// The operating system gives no randomness.
    #[error("the operating system gives no random bytes")]
    NoRandomness,
}

impl SecretError {
    /// What the window says.
    pub const fn code(self) -> ErrorCode {
        match self {
            Self::WordCount { .. } | Self::UnknownWord { .. } | Self::Checksum => ErrorCode::BadWords,
            Self::TooShort { .. } | Self::TooSimple => ErrorCode::WeakPassphrase,
            Self::NoRandomness => ErrorCode::Internal,
        }
    }
}

/// BIP-39 recovery words in English. Wiped when dropped.
pub struct Words(Mnemonic);

impl Words {
    /// Fresh words from the operating system's randomness.
    ///
    /// # Errors
    /// `NoRandomness`.
    pub fn draw(count: WordCount) -> Result<Self, SecretError> {
        let mut entropy = Zeroizing::new([0_u8; 32]);
        let entropy = &mut entropy[..count.entropy_bytes()];
        getrandom::fill(entropy).map_err(|_| SecretError::NoRandomness)?;
        Self::from_entropy(entropy)
    }

    /// Reads words that a person typed: any white space between them, any case.
    ///
    /// # Errors
    /// `WordCount`, `UnknownWord`, or `Checksum`.
    pub fn parse(text: &str) -> Result<Self, SecretError> {
        let words: Vec<Zeroizing<String>> = text
            .split_whitespace()
            .map(|word| Zeroizing::new(word.nfkd().collect::<String>().to_lowercase()))
            .collect();
        if words.len() != 12 && words.len() != 24 {
            return Err(SecretError::WordCount { found: words.len() });
        }
        for (index, word) in words.iter().enumerate() {
            if Language::English.find_word(word).is_none() {
                return Err(SecretError::UnknownWord { position: index + 1 });
            }
        }
        let mut phrase = Zeroizing::new(String::with_capacity(24 * 9));
        for word in &words {
            if !phrase.is_empty() {
                phrase.push(' ');
            }
            phrase.push_str(word);
        }
        Mnemonic::parse_in_normalized(Language::English, &phrase).map(Self).map_err(|_| SecretError::Checksum)
    }

    pub(crate) fn from_entropy(entropy: &[u8]) -> Result<Self, SecretError> {
        Mnemonic::from_entropy(entropy).map(Self).map_err(|_| SecretError::Checksum)
    }

    /// How many there are.
    pub fn count(&self) -> WordCount {
        if self.0.word_count() == 24 { WordCount::TwentyFour } else { WordCount::Twelve }
    }

    /// The words in order, to show them to their owner.
    pub fn iter(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.0.words()
    }

    /// Whether the answers are the words at the positions `ask` (from 1).
    pub fn check(&self, ask: &[u8], answers: &[&str]) -> bool {
        let words: Vec<&str> = self.0.words().collect();
        ask.len() == answers.len()
            && ask.iter().zip(answers).all(|(&position, answer)| {
                let word = usize::from(position).checked_sub(1).and_then(|index| words.get(index));
                word.is_some_and(|word| answer.trim().to_lowercase() == **word)
            })
    }

    /// The entropy behind the words: the first [`WordCount::entropy_bytes`] of the array.
    pub(crate) fn entropy(&self) -> Zeroizing<[u8; 32]> {
        let (mut wide, bytes) = self.0.to_entropy_array();
        let mut entropy = Zeroizing::new([0_u8; 32]);
        entropy[..bytes].copy_from_slice(&wide[..bytes]);
        wide.zeroize();
        entropy
    }

    /// The BIP-39 seed, without the optional extra passphrase of that standard.
    pub(crate) fn seed(&self) -> Zeroizing<[u8; 64]> {
        Zeroizing::new(self.0.to_seed_normalized(""))
    }
}

impl fmt::Debug for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Words(..)")
    }
}

/// Three different positions (from 1, rising) to ask back after `count` words were written down.
///
/// # Errors
/// `NoRandomness`.
pub fn draw_quiz(count: WordCount) -> Result<[u8; 3], SecretError> {
    let mut positions: Vec<u8> = (1..=count.words()).collect();
    let mut ask = [0; 3];
    for slot in &mut ask {
        let index = draw_below(positions.len())?;
        *slot = positions.remove(index);
    }
    ask.sort_unstable();
    Ok(ask)
}

/// A passphrase of six words drawn from a list of 2,048 (66 bits), separated by spaces.
///
/// # Errors
/// `NoRandomness`.
pub fn suggest_passphrase() -> Result<Zeroizing<String>, SecretError> {
    let list = Language::English.word_list();
    let mut passphrase = Zeroizing::new(String::with_capacity(6 * 9));
    for index in 0..6 {
        if index > 0 {
            passphrase.push(' ');
        }
        passphrase.push_str(list[draw_below(list.len())?]);
    }
    Ok(passphrase)
}

/// Whether a passphrase may protect a wallet. `local`: on a network that lives on one machine.
///
/// # Errors
/// `TooShort` or `TooSimple`.
pub fn check_passphrase(passphrase: &str, local: bool) -> Result<(), SecretError> {
    let least = if local { LOCAL_PASSPHRASE_CHARACTERS } else { PASSPHRASE_CHARACTERS };
    let found = passphrase.chars().count();
    if found < least {
        return Err(SecretError::TooShort { least, found });
    }
    let mut different: Vec<char> = passphrase.chars().collect();
    different.sort_unstable();
    different.dedup();
    let simple = different.len() < DIFFERENT_CHARACTERS;
    different.zeroize();
    if simple { Err(SecretError::TooSimple) } else { Ok(()) }
}

/// The form of a passphrase that keys are derived from: the same on every keyboard and operating system.
pub(crate) fn normalized(passphrase: &str) -> Zeroizing<String> {
    Zeroizing::new(passphrase.nfkd().collect())
}

/// A number below `bound` (at most 2^16), each equally likely.
fn draw_below(bound: usize) -> Result<usize, SecretError> {
    let limit = 65_536 / bound * bound;
    loop {
        let mut bytes = [0_u8; 2];
        getrandom::fill(&mut bytes).map_err(|_| SecretError::NoRandomness)?;
        let drawn = usize::from(u16::from_le_bytes(bytes));
        if drawn < limit {
            return Ok(drawn % bound);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PHRASE: &str = "test test test test test test test test test test test junk";

    #[test]
    fn words_with_a_typing_error_say_which_word() {
        assert!(Words::parse(PHRASE).is_ok());
        assert!(Words::parse(&format!("  {}\n", PHRASE.to_uppercase().replace(' ', "\t "))).is_ok());
        assert_eq!(Words::parse("test junk").unwrap_err(), SecretError::WordCount { found: 2 });
        let typo = PHRASE.replacen("test", "tset", 1);
        assert_eq!(Words::parse(&typo).unwrap_err(), SecretError::UnknownWord { position: 1 });
        let swapped = "test test test test test test test test test test junk test";
        assert_eq!(Words::parse(swapped).unwrap_err(), SecretError::Checksum);
    }

    #[test]
    fn drawn_words_differ_and_survive_being_written_down() {
        for count in [WordCount::Twelve, WordCount::TwentyFour] {
            let words = Words::draw(count).unwrap();
            let written: Vec<&str> = words.iter().collect();
            assert_eq!(written.len(), usize::from(count.words()));
            let again = Words::parse(&written.join(" ")).unwrap();
            assert_eq!(again.entropy(), words.entropy());
            assert_ne!(Words::draw(count).unwrap().entropy(), words.entropy());
        }
    }

    #[test]
    fn quiz_takes_the_right_words_and_only_those() {
        let words = Words::parse(PHRASE).unwrap();
        assert!(words.check(&[1, 5, 12], &["test", " Test ", "junk"]));
        assert!(!words.check(&[1, 5, 12], &["test", "test", "test"]));
        assert!(!words.check(&[1, 5, 12], &["test", "test"]), "a missing answer is no answer");
        assert!(!words.check(&[0, 1, 2], &["test", "test", "test"]));
        assert!(!words.check(&[13, 1, 2], &["test", "test", "test"]));
        for _ in 0..200 {
            let ask = draw_quiz(WordCount::Twelve).unwrap();
            assert!(ask[0] >= 1 && ask[0] < ask[1] && ask[1] < ask[2] && ask[2] <= 12, "{ask:?}");
        }
    }

    #[test]
    fn short_and_repetitive_passphrases_are_refused() {
        assert_eq!(
            check_passphrase("elevenchars", false),
            Err(SecretError::TooShort { least: 12, found: 11 })
        );
        assert_eq!(check_passphrase("elevenchars", true), Ok(()));
        assert_eq!(check_passphrase("aaaabbbbccccdddd", false), Err(SecretError::TooSimple));
        assert_eq!(check_passphrase("炉火は家を暖める夜の灯", true), Ok(()), "characters count, not bytes");
        let suggested = suggest_passphrase().unwrap();
        assert_eq!(suggested.split(' ').count(), 6);
        assert_eq!(check_passphrase(&suggested, false), Ok(()));
    }

    #[test]
    fn secrets_do_not_show_in_debug_output() {
        assert_eq!(format!("{:?}", Words::parse(PHRASE).unwrap()), "Words(..)");
    }
}
