//! The network that this device has joined: one verified profile, kept as the bytes that were signed.
//!
//! Every profile, from a file or from our own disk, passes `protocol::profile::accept`; a stored one is verified again at
//! each start. Joining another network than the joined one is refused by the counter rule of `accept`. It opens no
//! connection; the daemon does with what it returns.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::path::Path;

use protocol::id::NetworkId;
use protocol::local::{ErrorCode, LocalError};
use protocol::profile::{AcceptError, Profile, accept};
use protocol::sign::{Envelope, Signed};
use protocol::units::UnixMillis;

/// Largest profile file that is read: the message's bound and its envelope.
const MAX_FILE_BYTES: u64 = 65 * 1024;

/// A verified profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joined {
    /// Its network.
    pub network: NetworkId,
    /// The profile with the bytes that prove it.
    pub profile: Signed<Profile>,
}

/// Why a profile is not joined.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JoinError {
    /// The file cannot be read.
    #[error("cannot read the profile file")]
    Read(#[source] io::Error),
    /// The file is no profile.
    #[error("the file is not a network profile")]
    NotAProfile,
    /// The profile is refused.
    #[error(transparent)]
    Refused(#[from] AcceptError),
    /// The profile cannot be kept.
    #[error("cannot store the profile")]
    Store(#[source] io::Error),
}

impl From<&JoinError> for LocalError {
    fn from(error: &JoinError) -> Self {
        let code = match error {
            JoinError::Read(_) | JoinError::NotAProfile => ErrorCode::ProfileUnreadable,
            JoinError::Refused(AcceptError::Counter { .. }) => ErrorCode::ProfileCounter,
            JoinError::Refused(AcceptError::Expired) => ErrorCode::ProfileExpired,
            JoinError::Refused(_) => ErrorCode::ProfileSignature,
            JoinError::Store(source) if source.kind() == io::ErrorKind::StorageFull => ErrorCode::DiskFull,
            JoinError::Store(_) => ErrorCode::Internal,
        };
        Self { code, detail: error.to_string() }
    }
}

/// Reads and verifies the profile stored at `path`; `None` when this device has not joined a network.
///
/// # Errors
/// [`JoinError`]; the file is left as it is.
pub fn load(path: &Path, now: UnixMillis) -> Result<Option<Joined>, JoinError> {
    match read(path) {
        Ok(bytes) => verify(&bytes, None, now).map(Some),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(JoinError::Read(error)),
    }
}

/// Verifies the profile in `file` and stores it at `path`. The same profile again is no error: it is already joined.
///
/// # Errors
/// [`JoinError`]; what was stored before stays.
pub fn join(
    file: &Path,
    path: &Path,
    present: Option<&Joined>,
    now: UnixMillis,
) -> Result<Joined, JoinError> {
    let bytes = read(file).map_err(JoinError::Read)?;
    if let Some(present) = present
        && present.profile.envelope().to_bytes() == bytes
    {
        return Ok(present.clone());
    }
    let known = present.map(|joined| (joined.network, joined.profile.message().counter));
    let joined = verify(&bytes, known, now)?;
    store(path, &bytes).map_err(JoinError::Store)?;
    Ok(joined)
}

/// The machine's clock, against which expiries are held.
pub fn now() -> UnixMillis {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    UnixMillis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

fn verify(bytes: &[u8], known: Option<(NetworkId, u64)>, now: UnixMillis) -> Result<Joined, JoinError> {
    let envelope = Envelope::from_bytes::<Profile>(bytes).map_err(|error| {
        tracing::debug!(%error, "not a profile");
        JoinError::NotAProfile
    })?;
    let (network, profile) = accept(envelope, known, now)?;
    Ok(Joined { network, profile })
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Written beside and renamed: a crash leaves the old profile or the new one.
fn store(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let beside = path.with_extension("new");
    let mut file = fs::File::create(&beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    if let Some(directory) = path.parent().filter(|_| cfg!(unix)) {
        fs::File::open(directory)?.sync_all()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use protocol::profile::{ChainProfile, Parameters};
    use protocol::sign::Key;
    use protocol::units::BaseUnits;
    use zeroize::Zeroizing;

    use super::*;

    const NOW: UnixMillis = UnixMillis(1_000_000);

    fn signed(seed: u8, counter: u64, expires_at: UnixMillis) -> Vec<u8> {
        let key = Key::from_seed(&Zeroizing::new([seed; 32]));
        let profile = Profile {
            name: "Local".into(),
            counter,
            expires_at,
            coordinators: Vec::new(),
            chain: ChainProfile {
                chain_id: 31_337,
                rpc: Vec::new(),
                token: String::new(),
                token_symbol: "EMBER".into(),
                token_decimals: 18,
                distributor: String::new(),
            },
            publishers: BTreeMap::new(),
            parameters: Parameters {
                maturity_millis: 1,
                epoch_millis: 1,
                lease_millis: 1,
                audits_per_unit: [1, 1, 1],
                trusted_permille: 1,
                fee_permille: 1,
                withdrawal_fee: BaseUnits(1),
                delivery_price: BaseUnits::ZERO,
            },
            relays: Vec::new(),
            local: true,
        };
        key.sign(&NetworkId::of_root_key(&key.public()), profile).envelope().to_bytes()
    }

    #[test]
    fn each_bad_profile_has_its_own_code_and_changes_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let stored = directory.path().join("profile.cbor");
        let file = directory.path().join("offered.cbor");
        let offer = |bytes: &[u8]| {
            fs::write(&file, bytes).unwrap();
            let present = load(&stored, NOW).unwrap();
            join(&file, &stored, present.as_ref(), NOW).map_err(|error| LocalError::from(&error).code)
        };
        assert_eq!(offer(b"no profile"), Err(ErrorCode::ProfileUnreadable));
        let later = UnixMillis(NOW.0 + 1);
        let good = signed(1, 5, later);
        let mut forged = good.clone();
        let middle = forged.len() - 3;
        forged[middle] ^= 1;
        assert!(matches!(offer(&forged), Err(ErrorCode::ProfileSignature | ErrorCode::ProfileUnreadable)));
        assert_eq!(offer(&signed(1, 5, NOW)), Err(ErrorCode::ProfileExpired));
        assert_eq!(load(&stored, NOW).unwrap(), None, "nothing bad was stored");

        let joined = offer(&good).expect("a good profile is joined");
        assert_eq!(offer(&good), Ok(joined.clone()), "the same file again changes nothing");
        assert_eq!(offer(&signed(1, 4, later)), Err(ErrorCode::ProfileCounter));
        assert_eq!(
            offer(&signed(2, 9, later)),
            Err(ErrorCode::ProfileSignature),
            "another root key is another network"
        );
        assert_eq!(load(&stored, NOW).unwrap(), Some(joined), "what was joined stays");
        assert_eq!(offer(&signed(1, 6, later)).map(|joined| joined.profile.message().counter), Ok(6));
        assert!(matches!(load(&stored, later), Err(JoinError::Refused(AcceptError::Expired))));
    }

    #[test]
    fn a_missing_or_endless_file_is_an_error_not_a_crash() {
        let directory = tempfile::tempdir().unwrap();
        let stored = directory.path().join("profile.cbor");
        let missing = join(&directory.path().join("none"), &stored, None, NOW).unwrap_err();
        assert_eq!(LocalError::from(&missing).code, ErrorCode::ProfileUnreadable);
        let huge = directory.path().join("huge");
        fs::write(&huge, vec![0; 1 << 20]).unwrap();
        assert!(matches!(join(&huge, &stored, None, NOW), Err(JoinError::NotAProfile)));
    }
}
