//! From recovery words to the one key that signs, and back to nothing: BIP-39 seed, BIP-32 path
//! `m/44'/60'/account'/0/0`, where the hardened account number is the first 31 bits of the network's id.
//!
//! So each network has an account of its own, and two networks cannot see that they pay the same person. The vault
//! calls it for the length of one signature; it never stores a key.

use bip32::{ChildNumber, DerivationPath, XPrv};
use protocol::id::NetworkId;
use settlement::{Signer, SignerError};
use zeroize::Zeroizing;

use crate::secret::Words;

/// Why words give no key. With a valid network id this does not happen but for one seed in 2^127.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The derivation hit a number outside the curve.
    #[error("the recovery words give no key on this path: {0}")]
    Derivation(bip32::Error),
    /// The key is outside the curve.
    #[error("the derived key cannot sign")]
    Signer(#[from] SignerError),
}

/// The hardened account number of a network: the first 31 bits of its id, big-endian.
pub fn account_number(network: &NetworkId) -> u32 {
    let [a, b, c, d, ..] = *network.as_bytes();
    u32::from_be_bytes([a, b, c, d]) >> 1
}

/// The key of `words` on the path of `network`.
pub(crate) fn signer(words: &Words, network: &NetworkId) -> Result<Signer, KeyError> {
    signer_of_account(words, account_number(network))
}

fn signer_of_account(words: &Words, account: u32) -> Result<Signer, KeyError> {
    let mut path = DerivationPath::default();
    for (index, hardened) in [(44, true), (60, true), (account, true), (0, false), (0, false)] {
        path.push(ChildNumber::new(index, hardened).map_err(KeyError::Derivation)?);
    }
    let seed = words.seed();
    let key = XPrv::derive_from_path(seed.as_slice(), &path).map_err(KeyError::Derivation)?;
    let bytes = Zeroizing::new(key.to_bytes());
    Ok(Signer::from_key(bytes)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn account_zero_of_the_published_test_words_is_the_published_address() {
        // The words and first address that anvil, hardhat and their documentation use.
        let words = Words::parse("test test test test test test test test test test test junk").unwrap();
        let signer = signer_of_account(&words, 0).unwrap();
        assert_eq!(signer.address().to_string(), "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266");
    }

    #[test]
    fn each_network_has_its_own_account() {
        let one = NetworkId([0xFF; 32]);
        let other = NetworkId([0x01; 32]);
        assert_eq!(account_number(&one), 0x7FFF_FFFF, "31 bits, so that the number can be hardened");
        assert_eq!(account_number(&other), 0x0080_8080);
        let words = Words::parse("test test test test test test test test test test test junk").unwrap();
        let first = signer(&words, &one).unwrap().address();
        assert_ne!(first, signer(&words, &other).unwrap().address());
        assert_eq!(first, signer(&words, &one).unwrap().address(), "the same words restore the same account");
    }
}
