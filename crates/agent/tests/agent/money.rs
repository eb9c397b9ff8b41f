//! A joined network, and decisions about money from the terminal and from a vault connection.

use protocol::local::{
    Answer, Command, ErrorCode, Role, SecretText, Snooze, VaultDecision, VaultPurpose, VaultView,
    WalletBrief, WalletView,
};

use crate::scene::{Agent, Client, Scene};

const PASSPHRASE: &str = "correct horse battery";

/// An agent that has joined a network nobody serves.
fn joined() -> (Scene, Agent) {
    let scene = Scene::new();
    let agent = scene.headless();
    let profile = scene.profile();
    let join = scene.terminal(&["join", profile.to_str().unwrap()]);
    assert!(join.status.success(), "{join:?}");
    (scene, agent)
}

fn create(scene: &Scene) {
    let made = scene.terminal_with(&["wallet", "create", "--passphrase-fd", "0"], PASSPHRASE);
    assert!(made.status.success(), "{made:?}");
    let said = String::from_utf8(made.stdout).unwrap();
    assert!(said.contains("on a terminal only"), "no words go into a pipe: {said}");
}

fn token(scene: &Scene, purpose: VaultPurpose) -> String {
    let mut terminal = scene.client(Role::Terminal).unwrap();
    match terminal.ask(Command::OpenVault { purpose }) {
        Ok(Answer::Text { text, .. }) => text,
        other => panic!("no token: {other:?}"),
    }
}

fn vault(scene: &Scene, purpose: VaultPurpose) -> Client {
    scene.client(Role::Vault { token: token(scene, purpose) }).unwrap()
}

fn secret(text: &str) -> SecretText {
    SecretText::new(text.to_owned())
}

#[test]
fn joining_starts_the_engine_and_outlives_a_restart() {
    let (scene, mut agent) = joined();
    let welcome = scene.terminal(&["welcome", "--agree"]);
    assert!(welcome.status.success(), "{welcome:?}");
    let snooze = scene.terminal(&["snooze", "resume"]);
    assert!(snooze.status.success(), "{snooze:?}");
    let limits = scene.terminal(&["limits", "card_percent=50"]);
    assert!(limits.status.success(), "{limits:?}");
    assert!(scene.terminal(&["quit"]).status.success());
    assert_eq!(agent.ended(), Some(0), "the engine ends with the agent");

    let _again = scene.headless();
    let mut client = scene.client(Role::Window).unwrap();
    let Ok(Answer::Status { status }) = client.ask(Command::Status) else { panic!("no status") };
    assert_eq!(status.network, "Test", "the joined network is kept");
    assert!(status.welcomed, "agreeing is remembered");
    assert!(status.snooze.is_some(), "a snooze outlives a restart");
    let Ok(Answer::Preferences { preferences }) = client.ask(Command::Preferences) else { panic!("none") };
    assert_eq!(preferences.card_percent, 50);
    assert!(client.ask(Command::Snooze { span: Snooze::Hour1 }).is_ok());
    assert!(client.ask(Command::Resume).is_ok());
}

#[test]
fn a_wallet_is_made_once_and_shown_with_what_is_missing() {
    let (scene, _agent) = joined();
    let none = scene.terminal(&["wallet", "withdraw", "--to", "0x0", "--passphrase-fd", "0"]);
    assert!(String::from_utf8_lossy(&none.stderr).contains("wallet_missing"), "{none:?}");
    let weak = scene.terminal_with(&["wallet", "create", "--passphrase-fd", "0"], "short");
    assert!(String::from_utf8_lossy(&weak.stderr).contains("weak_passphrase"), "{weak:?}");
    create(&scene);
    let again = scene.terminal_with(&["wallet", "create", "--passphrase-fd", "0"], PASSPHRASE);
    assert!(String::from_utf8_lossy(&again.stderr).contains("wallet_exists"), "{again:?}");

    let balance = scene.terminal(&["wallet", "balance", "--json"]);
    let view: WalletView = serde_json::from_slice(&balance.stdout).unwrap();
    assert_eq!(view.brief, WalletBrief::NotBackedUp);
    assert!(view.address.is_some_and(|address| address.starts_with("0x")));
    assert_eq!(view.balance, None, "a balance that was not read is absent");
    let code = view.error.map(|error| error.code);
    assert!(
        matches!(code, Some(ErrorCode::CoordinatorUnreachable | ErrorCode::ChainUnreachable)),
        "the page says why: {code:?}"
    );

    let copy = scene.path("copy.vault");
    let export = scene.terminal(&["wallet", "export", copy.to_str().unwrap()]);
    assert!(export.status.success(), "{export:?}");
    assert!(!std::fs::read(&copy).unwrap().is_empty());
    let over = scene.terminal(&["wallet", "export", copy.to_str().unwrap()]);
    assert!(!over.status.success(), "an existing file is never overwritten");
}

#[test]
fn words_are_shown_and_checked_on_one_granted_connection() {
    let (scene, _agent) = joined();
    create(&scene);
    let mut vault = vault(&scene, VaultPurpose::Backup);
    let Ok(Answer::Vault { view: VaultView::Backup { ask, .. } }) = vault.ask(Command::VaultView) else {
        panic!("no backup view")
    };
    let decide = |vault: &mut Client, decision| vault.ask(Command::VaultDecide { decision });
    let early = VaultDecision::CheckWords { answers: [secret("a"), secret("b"), secret("c")] };
    assert_eq!(decide(&mut vault, early).unwrap_err(), ErrorCode::QuizFailed, "nothing was shown yet");
    let wrong = VaultDecision::ShowWords { passphrase: secret("not the passphrase") };
    assert_eq!(decide(&mut vault, wrong).unwrap_err(), ErrorCode::WrongPassphrase);
    let create = VaultDecision::Create { passphrase: secret(PASSPHRASE), words: 12 };
    assert_eq!(decide(&mut vault, create).unwrap_err(), ErrorCode::NotAllowed, "that was not granted");
    let show = VaultDecision::ShowWords { passphrase: secret(PASSPHRASE) };
    let Ok(Answer::Words { words }) = decide(&mut vault, show) else { panic!("no words") };
    let words: Vec<&str> = words.reveal().split(' ').collect();
    assert_eq!(words.len(), 12);
    let answers = ask.map(|number| secret(words[usize::from(number) - 1]));
    let check = VaultDecision::CheckWords { answers };
    assert!(matches!(decide(&mut vault, check), Ok(Answer::Done)));
    let after = VaultDecision::ShowWords { passphrase: secret(PASSPHRASE) };
    assert_eq!(decide(&mut vault, after).unwrap_err(), ErrorCode::BadToken, "the decision is over");
    let mut window = scene.client(Role::Window).unwrap();
    let Ok(Answer::Status { status }) = window.ask(Command::Status) else { panic!("no status") };
    assert_eq!(status.wallet, WalletBrief::Ready, "the words were checked");
}

#[test]
fn a_token_opens_one_connection_and_ends_with_it() {
    let (scene, _agent) = joined();
    let token = token(&scene, VaultPurpose::Create);
    let first = scene.client(Role::Vault { token: token.clone() }).unwrap();
    assert_eq!(scene.client(Role::Vault { token: token.clone() }).err(), Some(ErrorCode::BadToken));
    drop(first);
    assert_eq!(scene.client(Role::Vault { token }).err(), Some(ErrorCode::BadToken));
}

#[test]
fn a_quote_that_does_not_exist_cannot_be_shown_or_signed() {
    let (scene, _agent) = joined();
    create(&scene);
    let quote = "ab".repeat(32);
    let mut vault = vault(&scene, VaultPurpose::Withdraw { quote: quote.clone() });
    assert_eq!(vault.ask(Command::VaultView).unwrap_err(), ErrorCode::QuoteExpired);
    let decision = VaultDecision::Withdraw { quote, passphrase: secret(PASSPHRASE) };
    assert_eq!(vault.ask(Command::VaultDecide { decision }).unwrap_err(), ErrorCode::QuoteExpired);
}

#[test]
fn without_a_display_the_vault_window_is_refused_with_its_reason() {
    let (scene, _agent) = joined();
    let mut window = scene.client(Role::Window).unwrap();
    let purpose = VaultPurpose::Create;
    assert_eq!(window.ask(Command::OpenVault { purpose }).unwrap_err(), ErrorCode::NoDisplay);
}
