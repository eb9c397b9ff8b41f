//! The wallet's commands: shows the terms, asks for the passphrase, redeems the one-time token as the vault.
//!
//! Giving the passphrase after the terms are printed is the confirmation; nothing is confirmed without it.

use std::fs;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::Path;
use std::time::Duration;

use protocol::local::{
    Answer, Command, ErrorCode, Quote, Role, SecretText, VaultDecision, VaultPurpose, VaultView, WalletView,
    WithdrawalState,
};
use words::Catalogue;
use zeroize::Zeroizing;

use super::{CommandError, PassphraseSource, WalletCommand, secret, show, to_json, unexpected};
use crate::client::{Client, ClientError};
use crate::home::Home;
use crate::joined;
use crate::server::failure;

/// How often `--wait` looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Carries out a wallet command.
pub(super) async fn wallet(
    command: WalletCommand,
    home: &Home,
    words: &Catalogue,
    mut client: Client,
) -> Result<(), CommandError> {
    match command {
        WalletCommand::Create { words: count, passphrase } => {
            let (mut vault, view) = open(home, &mut client, VaultPurpose::Create).await?;
            let VaultView::Create { suggestion, .. } = view else { return unexpected() };
            if passphrase.passphrase_fd.is_none() {
                print(&format!("{}: ", words.text("vault-suggestion", &[])))?;
                print(suggestion.reveal())?;
                print("\n")?;
            }
            let passphrase = new_passphrase(passphrase, words)?;
            let answer = decide(&mut vault, VaultDecision::Create { passphrase, words: count }).await?;
            let Answer::Words { words: recovery } = answer else { return unexpected() };
            hand_over(&recovery, words)
        }
        WalletCommand::Restore { words_fd, passphrase } => {
            let (mut vault, _) = open(home, &mut client, VaultPurpose::Restore).await?;
            let recovery = match words_fd {
                Some(fd) => from_descriptor(fd, "words")?,
                None => from_terminal(&words.text("vault-restore-words", &[]), "words")?,
            };
            let passphrase = new_passphrase(passphrase, words)?;
            done(decide(&mut vault, VaultDecision::Restore { words: recovery, passphrase }).await?)?;
            print(&format!("{}\n", words.text("vault-restored", &[])))
        }
        WalletCommand::Balance { json } => {
            let view = view(&mut client).await?;
            if json { print(&format!("{}\n", to_json(&view))) } else { print(&show::wallet(&view, words)) }
        }
        WalletCommand::Withdraw { to, amount, wait, passphrase } => {
            withdraw(home, words, &mut client, to, amount, passphrase).await?;
            if wait { until_final(&mut client, words).await } else { Ok(()) }
        }
        WalletCommand::Export { file } => export(home, &file),
        WalletCommand::Backup { passphrase } => {
            let (mut vault, view) = open(home, &mut client, VaultPurpose::Backup).await?;
            let VaultView::Backup { ask, .. } = view else { return unexpected() };
            let passphrase = known_passphrase(passphrase, words)?;
            let Answer::Words { words: recovery } =
                decide(&mut vault, VaultDecision::ShowWords { passphrase }).await?
            else {
                return unexpected();
            };
            hand_over(&recovery, words)?;
            quiz(&mut vault, ask, words).await
        }
    }
}

async fn withdraw(
    home: &Home,
    words: &Catalogue,
    client: &mut Client,
    to: String,
    amount: String,
    passphrase: PassphraseSource,
) -> Result<(), CommandError> {
    let Answer::Quote { quote } = client.ask(Command::Quote { to, amount }).await? else {
        return unexpected();
    };
    let purpose = VaultPurpose::Withdraw { quote: quote.id.clone() };
    let (mut vault, view) = open(home, client, purpose).await?;
    let VaultView::Withdraw { quote: shown, chain, .. } = view else { return unexpected() };
    // What is signed is what the vault shows; a quote that differs from the one asked for must not slip in between.
    if !same_terms(&quote, &shown) {
        return unexpected();
    }
    print(&show::terms(&shown, &chain, words))?;
    let passphrase = known_passphrase(passphrase, words)?;
    done(decide(&mut vault, VaultDecision::Withdraw { quote: shown.id, passphrase }).await?)?;
    print(&format!("{}\n", words.text("vault-withdrawn", &[])))
}

fn same_terms(asked: &Quote, shown: &Quote) -> bool {
    asked == shown
}

/// Follows the latest withdrawal until it cannot change any more.
async fn until_final(client: &mut Client, words: &Catalogue) -> Result<(), CommandError> {
    let mut last = None;
    loop {
        let view = view(client).await?;
        let Some(latest) = view.withdrawals.first() else { return unexpected() };
        if last != Some(latest.state) {
            print(&show::wallet(&WalletView { withdrawals: vec![latest.clone()], ..view.clone() }, words))?;
            last = Some(latest.state);
        }
        match latest.state {
            WithdrawalState::Final => return Ok(()),
            WithdrawalState::Expired | WithdrawalState::Dropped => return Err(CommandError::Cancelled),
            WithdrawalState::Signed | WithdrawalState::Sent | WithdrawalState::Included => {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        }
    }
}

/// Gets a token for `purpose` and redeems it on a connection of its own.
async fn open(
    home: &Home,
    client: &mut Client,
    purpose: VaultPurpose,
) -> Result<(Client, VaultView), CommandError> {
    let Answer::Text { text, .. } = client.ask(Command::OpenVault { purpose }).await? else {
        return unexpected();
    };
    let mut vault = Client::connect(home, Role::Vault { token: text }).await?;
    match vault.ask(Command::VaultView).await? {
        Answer::Vault { view } => Ok((vault, view)),
        _ => unexpected(),
    }
}

async fn decide(vault: &mut Client, decision: VaultDecision) -> Result<Answer, CommandError> {
    Ok(vault.ask(Command::VaultDecide { decision }).await?)
}

fn done(answer: Answer) -> Result<(), CommandError> {
    match answer {
        Answer::Done => Ok(()),
        _ => unexpected(),
    }
}

async fn view(client: &mut Client) -> Result<WalletView, CommandError> {
    match client.ask(Command::Wallet).await? {
        Answer::Wallet { wallet } => Ok(wallet),
        _ => unexpected(),
    }
}

/// Prints the words to a terminal; into a pipe or file they are not written, because nobody would wipe it.
fn hand_over(recovery: &SecretText, words: &Catalogue) -> Result<(), CommandError> {
    if !io::stdout().is_terminal() {
        return print("Recovery words are shown on a terminal only: hearth wallet backup\n");
    }
    print(&format!("{}\n", words.text("vault-words", &[])))?;
    print(&show::recovery_words(recovery.reveal()))
}

async fn quiz(vault: &mut Client, ask: [u8; 3], words: &Catalogue) -> Result<(), CommandError> {
    print(&format!("{}\n", words.text("vault-quiz", &[])))?;
    let mut answers = Vec::with_capacity(3);
    for number in ask {
        let prompt = words.text("vault-quiz-word", &[("number", u32::from(number).into())]);
        answers.push(from_terminal(&prompt, "words")?);
    }
    let Ok(answers) = <[SecretText; 3]>::try_from(answers) else { return unexpected() };
    done(decide(vault, VaultDecision::CheckWords { answers }).await?)?;
    print(&format!("{}\n", words.text("vault-backed-up", &[])))
}

fn known_passphrase(source: PassphraseSource, words: &Catalogue) -> Result<SecretText, CommandError> {
    match source.passphrase_fd {
        Some(fd) => from_descriptor(fd, "passphrase"),
        None => from_terminal(&words.text("vault-passphrase", &[]), "passphrase"),
    }
}

fn new_passphrase(source: PassphraseSource, words: &Catalogue) -> Result<SecretText, CommandError> {
    if let Some(fd) = source.passphrase_fd {
        return from_descriptor(fd, "passphrase");
    }
    let first = from_terminal(&words.text("vault-passphrase-new", &[]), "passphrase")?;
    let second = from_terminal(&words.text("vault-passphrase-again", &[]), "passphrase")?;
    if first == second { Ok(first) } else { Err(CommandError::Differ) }
}

fn from_descriptor(fd: u32, what: &'static str) -> Result<SecretText, CommandError> {
    let text = secret::from_descriptor(fd).map_err(|source| CommandError::Secret { what, source })?;
    Ok(to_secret(&text))
}

fn from_terminal(prompt: &str, what: &'static str) -> Result<SecretText, CommandError> {
    let typed = secret::from_terminal(&format!("{prompt}: "))
        .map_err(|source| CommandError::Secret { what, source })?;
    Ok(to_secret(&typed.ok_or(CommandError::Cancelled)?))
}

fn to_secret(text: &Zeroizing<String>) -> SecretText {
    SecretText::new(text.as_str().to_owned())
}

/// Copies the encrypted file of the joined network's wallet; the agent never writes to it while it only signs.
fn export(home: &Home, file: &Path) -> Result<(), CommandError> {
    let missing =
        |detail: String| CommandError::Client(ClientError::Failed(failure(ErrorCode::WalletMissing, detail)));
    let failed = |path: &Path| {
        let path = path.to_path_buf();
        move |source| CommandError::File { path, source }
    };
    let joined = joined::load(&home.profile(), joined::now())
        .map_err(|error| CommandError::Client(ClientError::Failed((&error).into())))?
        .ok_or_else(|| missing("no network is joined".to_owned()))?;
    let from = home.vault(&joined.network);
    let bytes = match fs::read(&from) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(missing(from.display().to_string()));
        }
        Err(error) => return Err(failed(&from)(error)),
    };
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut copy = options.open(file).map_err(failed(file))?;
    copy.write_all(&bytes).and_then(|()| copy.sync_all()).map_err(failed(file))
}

fn print(text: &str) -> Result<(), CommandError> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()?;
    Ok(())
}
