use super::*;

const PASS: &str = "correct horse battery staple";
const NETWORK: NetworkId = NetworkId([9; 32]);

fn words() -> Words {
    Words::parse("test test test test test test test test test test test junk").unwrap()
}

fn made(dir: &Path) -> (PathBuf, Vault) {
    let path = dir.join("wallet.vault");
    let vault = Vault::create(&path, &NETWORK, &words(), PASS, Strength::LEAST).unwrap();
    (path, vault)
}

fn listing(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn words_come_back_with_the_passphrase_and_only_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let (path, vault) = made(dir.path());
    let reread = Vault::open(&path, &NETWORK).unwrap();
    assert_eq!(reread.address(), vault.address());
    assert_eq!(reread.words(PASS).unwrap().entropy(), words().entropy());
    for wrong in
        ["", "correct horse battery stapl", "Correct horse battery staple", "correct horse battery staple "]
    {
        assert!(
            matches!(reread.words(wrong), Err(VaultError::WrongPassphrase)),
            "{wrong:?} opened the vault"
        );
    }
    let bytes = std::fs::read(&path).unwrap();
    let entropy = words().entropy();
    assert!(!bytes.windows(16).any(|window| window == &entropy[..16]), "the entropy lies in the clear");
}

#[test]
fn passphrase_is_the_same_from_every_keyboard() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("wallet.vault");
    // A composed and a decomposed e with acute accent, and a full-width letter.
    Vault::create(&path, &NETWORK, &words(), "caf\u{e9} hearth \u{ff21}", Strength::LEAST).unwrap();
    let vault = Vault::open(&path, &NETWORK).unwrap();
    assert!(vault.words("cafe\u{301} hearth A").is_ok());
}

#[test]
fn creating_refuses_over_anything_that_is_there_and_leaves_it_alone() {
    let dir = tempfile::tempdir().unwrap();
    let (path, vault) = made(dir.path());
    let create = |path: &Path| Vault::create(path, &NETWORK, &words(), "another passphrase", Strength::LEAST);
    let good = std::fs::read(&path).unwrap();
    assert!(matches!(create(&path), Err(VaultError::Exists { .. })));
    assert_eq!(std::fs::read(&path).unwrap(), good);

    let mut damaged = good.clone();
    damaged[200] ^= 1;
    let cases: [(&str, Vec<u8>); 5] = [
        ("damaged", damaged),
        ("cut", good[..100].to_vec()),
        ("empty", Vec::new()),
        ("foreign", b"some other program's file".to_vec()),
        ("huge", vec![0; 100_000]),
    ];
    for (name, bytes) in cases {
        let path = dir.path().join(name);
        std::fs::write(&path, &bytes).unwrap();
        let error = create(&path).unwrap_err();
        assert!(
            matches!(error, VaultError::Corrupt { .. } | VaultError::Foreign { .. }),
            "{name}: {error:?}"
        );
        assert_eq!(error.code(), ErrorCode::WalletUnreadable);
        assert_eq!(std::fs::read(&path).unwrap(), bytes, "{name}: the file was changed");
    }

    let folder = dir.path().join("folder");
    std::fs::create_dir(&folder).unwrap();
    assert!(matches!(create(&folder), Err(VaultError::Unreadable { .. })));

    // The file is gone but its previous version is there: a lost wallet, not a new one.
    let lost = dir.path().join("lost");
    std::fs::write(previous(&lost), vault.backup_bytes()).unwrap();
    assert!(matches!(create(&lost), Err(VaultError::Exists { .. })));
    assert!(!lost.exists());
}

#[cfg(unix)]
#[test]
fn dangling_link_is_not_a_free_place() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("wallet.vault");
    std::os::unix::fs::symlink("/mnt/not-mounted/wallet.vault", &path).unwrap();
    let error = Vault::create(&path, &NETWORK, &words(), PASS, Strength::LEAST).unwrap_err();
    assert!(matches!(error, VaultError::Exists { .. }), "{error:?}");
}

#[test]
fn flipped_bit_with_a_repaired_checksum_still_does_not_open() {
    let dir = tempfile::tempdir().unwrap();
    let (path, vault) = made(dir.path());
    let good = vault.backup_bytes();
    // One bit in each field after the key derivation's parameters, and in both sealed parts; the checksum is made to
    // fit again, as an attacker would.
    for at in [24, 40, 64, 88, 120, 139, 140, 187, 188, 235] {
        let mut bytes = good.clone();
        bytes[at] ^= 0x10;
        let hash = protocol::id::Hash::of(&bytes[..236]);
        bytes[236..].copy_from_slice(hash.as_bytes());
        std::fs::write(&path, &bytes).unwrap();
        let opened = Vault::open(&path, &NETWORK).and_then(|vault| vault.words(PASS));
        let error = opened.err().unwrap_or_else(|| panic!("byte {at} went unnoticed"));
        assert!(
            matches!(
                error,
                VaultError::WrongPassphrase | VaultError::OtherNetwork { .. } | VaultError::Corrupt { .. }
            ),
            "byte {at}: {error:?}"
        );
    }
}

#[test]
fn vault_of_another_network_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (path, _) = made(dir.path());
    let error = Vault::open(&path, &NetworkId([8; 32])).unwrap_err();
    assert!(matches!(error, VaultError::OtherNetwork { found: NETWORK, .. }), "{error:?}");
}

#[test]
fn new_passphrase_opens_the_file_and_the_old_version_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let (path, vault) = made(dir.path());
    let before = std::fs::read(&path).unwrap();
    assert!(matches!(
        vault.change_passphrase("wrong", "new passphrase", Strength::LEAST),
        Err(VaultError::WrongPassphrase)
    ));
    assert_eq!(std::fs::read(&path).unwrap(), before);
    let changed = vault.change_passphrase(PASS, "new passphrase", Strength::LEAST).unwrap();
    assert!(changed.words("new passphrase").is_ok());
    assert!(matches!(changed.words(PASS), Err(VaultError::WrongPassphrase)));
    assert_eq!(std::fs::read(previous(&path)).unwrap(), before);
    assert_eq!(listing(dir.path()), ["wallet.vault", "wallet.vault.previous"], "no temporary file may stay");
}

#[test]
fn failed_change_of_the_passphrase_leaves_the_wallet_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let (path, vault) = made(dir.path());
    // The place of the previous version is taken by something that cannot be replaced.
    std::fs::create_dir(previous(&path)).unwrap();
    std::fs::write(previous(&path).join("inner"), b"kept").unwrap();
    let error = vault.change_passphrase(PASS, "new passphrase", Strength::LEAST).unwrap_err();
    assert!(matches!(error, VaultError::Write { .. }), "{error:?}");
    assert!(Vault::open(&path, &NETWORK).unwrap().words(PASS).is_ok());
    assert_eq!(listing(dir.path()), ["wallet.vault", "wallet.vault.previous"]);
}

#[test]
fn vault_signs_only_for_its_own_account() {
    let dir = tempfile::tempdir().unwrap();
    let (_, vault) = made(dir.path());
    let contracts = Contracts::with_ember(31337, Address::from_bytes([1; 20]), Address::from_bytes([2; 20]));
    let mut bind = BindNode {
        node_id: settlement::Hash32([3; 32]),
        payout: vault.address(),
        issued_at: 1,
        expires_at: 2,
        nonce: 1,
    };
    let signature = vault.sign_bind(PASS, &contracts, &bind).unwrap();
    bind.verify(&contracts, &signature).unwrap();
    bind.payout = Address::from_bytes([7; 20]);
    assert!(matches!(vault.sign_bind(PASS, &contracts, &bind), Err(VaultError::OtherWords { .. })));
}

#[test]
fn secrets_do_not_show_in_debug_output() {
    let dir = tempfile::tempdir().unwrap();
    let (_, vault) = made(dir.path());
    let shown = format!("{vault:?}");
    assert!(shown.contains("0x") && !shown.contains("sealed"), "{shown}");
}
