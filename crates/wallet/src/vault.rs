//! The vault: one encrypted file with the entropy of the recovery words, bound to one network.
//!
//! It owns the file, the passphrase's way to the key, and every signature. It never creates a file where anything is
//! already, never keeps a key longer than one signature, and never signs bytes of somebody else's choosing: its
//! signatures are typed intents of the settlement room. [`crate::Wallet`] and the agent's vault connection call it. All
//! calls with a passphrase take about two seconds of one core and 256 MiB: run them beside the loop, not in it.
//!
//! Encryption: argon2id(passphrase in NFKD) -> BLAKE3 key derivation -> key that wraps a random data key -> data key
//! encrypts the entropy, both by XChaCha20-Poly1305 with the file's header as associated data.

mod header;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use argon2::{Algorithm, Argon2, Block, Params, Version};
use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use protocol::id::NetworkId;
use protocol::local::ErrorCode;
use settlement::{Address, BindNode, Contracts, Signature, Signer, Withdraw};
use zeroize::{Zeroize as _, Zeroizing};

use crate::file;
use crate::key::{self, KeyError};
use crate::secret::{SecretError, WordCount, Words, normalized};

pub use header::Strength;
use header::{Header, ParseError, Parsed, SEALED_BYTES};

/// Derivation context of BLAKE3: never changes with version 1 of the file.
const KEK_CONTEXT: &str = "hearth 2026-11 vault v1 key that wraps the data key";
/// A file that is longer is foreign.
const READ_AT_MOST_BYTES: u64 = 64 * 1024;

/// Why the vault cannot be made, read or used. In no case is an existing file changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VaultError {
    /// There is no vault file.
    #[error("there is no wallet file at {path}")]
    Missing {
        /// Where it should be.
        path: PathBuf,
    },
    /// The file is there and the operating system does not let it be read.
    #[error("the wallet file {path} cannot be read")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The file is no vault of Hearth.
    #[error("{path} is not a wallet file of Hearth")]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// The file is a vault of a later Hearth.
    #[error("the wallet file {path} has version {version}, this Hearth reads version 1")]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: u16,
    },
    /// The file is damaged.
    #[error("the wallet file {path} is damaged: {what}")]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// How it was noticed.
        what: &'static str,
    },
    /// The vault belongs to another network.
    #[error("the wallet file {path} belongs to network {found}")]
    OtherNetwork {
        /// The file.
        path: PathBuf,
        /// Its network.
        found: NetworkId,
    },
    /// There is a vault already.
    #[error("there is a wallet file at {path} already")]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The words belong to another account than the one expected.
    #[error("these words give account {found}, this wallet is {expected}")]
    OtherWords {
        /// Whose words were expected.
        expected: Address,
        /// Whose words they are.
        found: Address,
    },
    /// The passphrase does not open the vault.
    #[error("the passphrase does not open the wallet")]
    WrongPassphrase,
    /// The words or the new passphrase are refused.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The file cannot be written.
    #[error("the wallet file {path} cannot be written")]
    Write {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The words give no key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The machine has too little memory for the key derivation.
    #[error("not enough memory to derive the key")]
    Memory,
}

impl VaultError {
    /// What the window says.
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::Missing { .. } => ErrorCode::WalletMissing,
            Self::Exists { .. } => ErrorCode::WalletExists,
            Self::WrongPassphrase => ErrorCode::WrongPassphrase,
            Self::OtherWords { .. } => ErrorCode::BadWords,
            Self::Secret(error) => error.code(),
            Self::Unreadable { .. }
            | Self::Foreign { .. }
            | Self::Newer { .. }
            | Self::Corrupt { .. }
            | Self::OtherNetwork { .. } => ErrorCode::WalletUnreadable,
            Self::Write { .. } | Self::Key(_) | Self::Memory => ErrorCode::Internal,
        }
    }
}

/// A vault file that could be read, locked. Cheap to clone; holds no secret.
#[derive(Clone)]
pub struct Vault {
    path: PathBuf,
    network: NetworkId,
    parsed: Parsed,
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vault")
            .field("path", &self.path)
            .field("address", &self.address())
            .finish_non_exhaustive()
    }
}

impl Vault {
    /// Reads the vault of `network` at `path`.
    ///
    /// # Errors
    /// [`VaultError`]: missing, unreadable, foreign, of a later version, damaged, or of another network.
    pub fn open(path: &Path, network: &NetworkId) -> Result<Self, VaultError> {
        let bytes = match file::read(path, READ_AT_MOST_BYTES) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(VaultError::Missing { path: path.to_owned() });
            }
            Err(error) if error.kind() == io::ErrorKind::FileTooLarge => {
                return Err(VaultError::Foreign { path: path.to_owned() });
            }
            Err(source) => return Err(VaultError::Unreadable { path: path.to_owned(), source }),
        };
        let parsed = header::parse(&bytes).map_err(|error| match error {
            ParseError::Foreign => VaultError::Foreign { path: path.to_owned() },
            ParseError::Version(version) => VaultError::Newer { path: path.to_owned(), version },
            ParseError::Corrupt(what) => VaultError::Corrupt { path: path.to_owned(), what },
        })?;
        if parsed.header.network != *network {
            return Err(VaultError::OtherNetwork { path: path.to_owned(), found: parsed.header.network });
        }
        Ok(Self { path: path.to_owned(), network: *network, parsed })
    }

    /// Makes a vault for `words`. There must be nothing at `path`, nor a previous version beside it; whether the
    /// passphrase is good enough is the caller's question ([`crate::check_passphrase`]).
    ///
    /// # Errors
    /// [`VaultError`]: `Exists` for a vault that can be read, the reason for one that cannot, `Write`.
    pub fn create(
        path: &Path,
        network: &NetworkId,
        words: &Words,
        passphrase: &str,
        strength: Strength,
    ) -> Result<Self, VaultError> {
        refuse_anything_at(path, network)?;
        // A previous version without a current one is a wallet that lost its file, not a place for a new wallet.
        refuse_anything_at(&previous(path), network)?;
        Self::write_new(path, network, words, passphrase, strength)
    }

    /// Like [`Self::create`], for words that their owner wrote down: a previous version of the same account may lie
    /// beside the file that is gone.
    ///
    /// # Errors
    /// [`VaultError`]: as [`Self::create`], and `OtherWords` where the previous version is of another account.
    pub fn restore(
        path: &Path,
        network: &NetworkId,
        words: &Words,
        passphrase: &str,
        strength: Strength,
    ) -> Result<Self, VaultError> {
        refuse_anything_at(path, network)?;
        match Self::open(&previous(path), network) {
            Ok(kept) => {
                let found = key::signer(words, network)?.address();
                if found != kept.address() {
                    return Err(VaultError::OtherWords { expected: kept.address(), found });
                }
            }
            Err(VaultError::Missing { .. }) => refuse_anything_at(&previous(path), network)?,
            Err(error) => return Err(error),
        }
        Self::write_new(path, network, words, passphrase, strength)
    }

    fn write_new(
        path: &Path,
        network: &NetworkId,
        words: &Words,
        passphrase: &str,
        strength: Strength,
    ) -> Result<Self, VaultError> {
        let parsed = seal(words, network, passphrase, strength)?;
        let bytes = header::assemble(&parsed.header_bytes, &parsed.sealed_key, &parsed.sealed_entropy);
        file::create_new(path, &bytes).map_err(|source| match source.kind() {
            io::ErrorKind::AlreadyExists => VaultError::Exists { path: path.to_owned() },
            _ => VaultError::Write { path: path.to_owned(), source },
        })?;
        Self::open(path, network)
    }

    /// The account, readable without the passphrase.
    pub fn address(&self) -> Address {
        self.parsed.header.address
    }

    /// How many recovery words there are.
    pub fn word_count(&self) -> WordCount {
        self.parsed.header.words
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The recovery words, to show them to their owner in the vault window.
    ///
    /// # Errors
    /// `WrongPassphrase`, `Corrupt`, `Memory`.
    pub fn words(&self, passphrase: &str) -> Result<Words, VaultError> {
        let kek = derive(passphrase, &self.parsed.header)?;
        let data_key =
            open_sealed(&kek, &self.parsed.header.key_nonce, &self.parsed, &self.parsed.sealed_key)
                .ok_or(VaultError::WrongPassphrase)?;
        let data_key =
            Zeroizing::new(data_key.as_slice().try_into().map_err(|_| self.corrupt("its key is short"))?);
        let sealed = &self.parsed.sealed_entropy;
        let entropy = open_sealed(&data_key, &self.parsed.header.entropy_nonce, &self.parsed, sealed)
            .ok_or_else(|| self.corrupt("its content is not authentic"))?;
        let words = Words::from_entropy(&entropy[..self.parsed.header.words.entropy_bytes()])?;
        Ok(words)
    }

    /// Signs exactly one withdrawal of this vault's account.
    ///
    /// # Errors
    /// `WrongPassphrase`, `Corrupt`, `Memory`, `Key`.
    pub fn sign_withdraw(
        &self,
        passphrase: &str,
        contracts: &Contracts,
        order: &Withdraw,
    ) -> Result<Signature, VaultError> {
        let signer = self.unlock_for_one_signature(passphrase)?;
        if order.account != signer.address() {
            return Err(VaultError::OtherWords { expected: order.account, found: signer.address() });
        }
        Ok(order.sign(contracts, &signer).map_err(KeyError::from)?)
    }

    /// Signs that this device's earnings go to this vault's account.
    ///
    /// # Errors
    /// `WrongPassphrase`, `Corrupt`, `Memory`, `Key`.
    pub fn sign_bind(
        &self,
        passphrase: &str,
        contracts: &Contracts,
        bind: &BindNode,
    ) -> Result<Signature, VaultError> {
        let signer = self.unlock_for_one_signature(passphrase)?;
        if bind.payout != signer.address() {
            return Err(VaultError::OtherWords { expected: bind.payout, found: signer.address() });
        }
        Ok(bind.sign(contracts, &signer).map_err(KeyError::from)?)
    }

    /// Encrypts the same words under a new passphrase. The version before is kept beside the file as `*.previous`.
    ///
    /// # Errors
    /// [`VaultError`]; the file is unchanged then.
    pub fn change_passphrase(&self, old: &str, new: &str, strength: Strength) -> Result<Self, VaultError> {
        let words = self.words(old)?;
        let write = |source| VaultError::Write { path: self.path.clone(), source };
        // What lies on the disk is kept, not what was read some time ago, and only if it is still this wallet.
        let current = Self::open(&self.path, &self.network)?;
        if current.address() != self.address() {
            return Err(VaultError::OtherWords { expected: self.address(), found: current.address() });
        }
        let parsed = seal(&words, &self.network, new, strength)?;
        let kept = header::assemble(
            &current.parsed.header_bytes,
            &current.parsed.sealed_key,
            &current.parsed.sealed_entropy,
        );
        file::replace(&previous(&self.path), &kept).map_err(write)?;
        let bytes = header::assemble(&parsed.header_bytes, &parsed.sealed_key, &parsed.sealed_entropy);
        file::replace(&self.path, &bytes).map_err(write)?;
        Self::open(&self.path, &self.network)
    }

    /// The file's bytes, to save a copy elsewhere. They are encrypted.
    pub fn backup_bytes(&self) -> Vec<u8> {
        header::assemble(&self.parsed.header_bytes, &self.parsed.sealed_key, &self.parsed.sealed_entropy)
    }

    fn unlock_for_one_signature(&self, passphrase: &str) -> Result<Signer, VaultError> {
        let signer = key::signer(&self.words(passphrase)?, &self.network)?;
        if signer.address() != self.address() {
            return Err(self.corrupt("its address is not that of its words"));
        }
        Ok(signer)
    }

    fn corrupt(&self, what: &'static str) -> VaultError {
        VaultError::Corrupt { path: self.path.clone(), what }
    }
}

/// Where the version before a change of the passphrase is kept.
fn previous(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".previous");
    PathBuf::from(name)
}

/// Succeeds only where there is nothing at all, not even a dangling link.
fn refuse_anything_at(path: &Path, network: &NetworkId) -> Result<(), VaultError> {
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(VaultError::Unreadable { path: path.to_owned(), source }),
        Ok(_) => match Vault::open(path, network) {
            Ok(_) | Err(VaultError::Missing { .. }) => Err(VaultError::Exists { path: path.to_owned() }),
            Err(error) => Err(error),
        },
    }
}

/// Encrypts words under fresh random keys.
fn seal(
    words: &Words,
    network: &NetworkId,
    passphrase: &str,
    strength: Strength,
) -> Result<Parsed, VaultError> {
    let address = key::signer(words, network)?.address();
    let mut header = Header {
        words: words.count(),
        strength,
        salt: [0; 16],
        key_nonce: [0; 24],
        entropy_nonce: [0; 24],
        network: *network,
        address,
    };
    let mut data_key = Zeroizing::new([0_u8; 32]);
    for bytes in
        [&mut header.salt[..], &mut header.key_nonce, &mut header.entropy_nonce, data_key.as_mut_slice()]
    {
        getrandom::fill(bytes).map_err(|_| SecretError::NoRandomness)?;
    }
    let header_bytes = header.to_bytes();
    let kek = derive(passphrase, &header)?;
    let entropy = words.entropy();
    let sealed_key = encrypt(&kek, &header.key_nonce, &header_bytes, data_key.as_slice());
    let sealed_entropy = encrypt(&data_key, &header.entropy_nonce, &header_bytes, entropy.as_slice());
    Ok(Parsed { header, header_bytes, sealed_key, sealed_entropy })
}

fn encrypt(key: &[u8; 32], nonce: &[u8; 24], header: &[u8], plain: &[u8]) -> [u8; SEALED_BYTES] {
    let cipher = XChaCha20Poly1305::new(Key::from_slice(key));
    let sealed = cipher
        .encrypt(XNonce::from_slice(nonce), Payload { msg: plain, aad: header })
        .expect("32 bytes are far below the cipher's limit of 256 GiB");
    sealed.try_into().expect("32 bytes and a 16-byte tag")
}

fn open_sealed(
    key: &[u8; 32],
    nonce: &[u8; 24],
    parsed: &Parsed,
    sealed: &[u8; SEALED_BYTES],
) -> Option<Zeroizing<Vec<u8>>> {
    let cipher = XChaCha20Poly1305::new(Key::from_slice(key));
    let payload = Payload { msg: sealed, aad: &parsed.header_bytes };
    cipher.decrypt(XNonce::from_slice(nonce), payload).ok().map(Zeroizing::new)
}

/// The key that wraps the data key.
fn derive(passphrase: &str, header: &Header) -> Result<Zeroizing<[u8; 32]>, VaultError> {
    let Strength { memory_kib, passes, lanes } = header.strength;
    let params = Params::new(memory_kib, passes, lanes, Some(32)).map_err(|_| VaultError::Memory)?;
    let mut blocks: Vec<Block> = Vec::new();
    blocks.try_reserve_exact(params.block_count()).map_err(|_| VaultError::Memory)?;
    blocks.resize(params.block_count(), Block::default());
    let mut derived = Zeroizing::new([0_u8; 32]);
    let passphrase = normalized(passphrase);
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let done = argon2.hash_password_into_with_memory(
        passphrase.as_bytes(),
        &header.salt,
        derived.as_mut_slice(),
        &mut blocks,
    );
    blocks.iter_mut().for_each(|block| block.zeroize());
    done.map_err(|_| VaultError::Memory)?;
    Ok(Zeroizing::new(blake3::derive_key(KEK_CONTEXT, derived.as_slice())))
}

#[cfg(test)]
mod tests;
