//! The terminal's commands: what can be typed after `hearth`, and how each speaks to the running agent.
//!
//! Without a command `hearth` is the agent itself; the daemon does that. Decisions about money work here as they do in
//! the vault window: the agent is asked for a one-time token for exactly one decision, and a second connection redeems
//! it as the vault. A token is given to any program of the same user that asks as a terminal. That is a deliberate
//! limit: such a program could as well type into this terminal, and the passphrase is still needed for every decision
//! (`docs/threats.md`). A passphrase comes from the terminal without echo or from an inherited descriptor, never from
//! arguments or the environment, where other programs could read it.

mod decide;
mod secret;
mod show;

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};
use jiff::tz::TimeZone;
use protocol::local::{Answer, Command as Ask, ExportFormat, Preferences, Role, Snooze, build};
use protocol::units::UnixMillis;
use words::Catalogue;

use crate::client::{Client, ClientError};
use crate::home::Home;

/// Exit code when no agent is running.
pub const EXIT_NO_AGENT: u8 = 3;

/// Hearth shares this computer's graphics card while nobody uses it, and pays for it.
#[derive(Debug, Parser)]
#[command(name = "hearth", version = build(), args_conflicts_with_subcommands = true)]
pub struct Arguments {
    /// How the agent starts when no command is given.
    #[command(flatten)]
    pub start: StartArguments,
    /// What to tell the running agent; without a command the agent starts and opens its window.
    #[command(subcommand)]
    pub command: Option<TerminalCommand>,
}

/// How the agent starts.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct StartArguments {
    /// Run without tray and window, with plain progress lines.
    #[arg(long)]
    pub headless: bool,
    /// With --headless: print events as JSON lines.
    #[arg(long, requires = "headless")]
    pub json: bool,
    /// Start in the tray, without opening the window.
    #[arg(long, conflicts_with = "headless")]
    pub hidden: bool,
    /// Join the network of this profile file before anything else.
    #[arg(long, value_name = "FILE")]
    pub profile: Option<PathBuf>,
}

/// What the running agent can be told.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum TerminalCommand {
    /// Show what Hearth is doing, and why.
    Status {
        /// Print all of it as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show every rule that is looked at before the card is shared, and how each stands now.
    Why {
        /// Print all of it as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Pause sharing for a while.
    Snooze {
        /// For how long.
        #[arg(value_enum)]
        span: Span,
    },
    /// End a pause.
    Resume,
    /// Share for a few minutes although somebody is here.
    ShareNow,
    /// Show the limits, or change some of them: KEY=VALUE.
    Limits {
        /// Changes, for example card_percent=50.
        changes: Vec<String>,
    },
    /// Open the window.
    Window,
    /// Join the network of a profile file.
    Join {
        /// The file.
        file: PathBuf,
    },
    /// Print a signed statement of all receipts.
    Statement,
    /// Show what left this machine, to whom and why.
    Privacy {
        /// Print the whole journal as comma-separated values.
        #[arg(long)]
        csv: bool,
        /// Print the whole journal as JSON.
        #[arg(long, conflicts_with = "csv")]
        json: bool,
        /// How many days back.
        #[arg(long, default_value_t = 1)]
        days: u32,
    },
    /// Finish Welcome from the terminal: sharing begins only after somebody agreed to it.
    Welcome {
        /// You agree to share as the limits say; see them with `hearth limits`.
        #[arg(long, required = true)]
        agree: bool,
        /// Start Hearth with every session.
        #[arg(long)]
        autostart: bool,
    },
    /// Measure the graphics card and the line.
    Measure,
    /// The wallet.
    Wallet {
        /// What to do with it.
        #[command(subcommand)]
        command: WalletCommand,
    },
    /// End the agent.
    Quit,
}

/// What can be done with the wallet.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum WalletCommand {
    /// Make a new wallet.
    Create {
        /// Number of recovery words.
        #[arg(long, default_value_t = 12, value_parser = parse_word_count)]
        words: u8,
        /// Where the passphrase comes from.
        #[command(flatten)]
        passphrase: PassphraseSource,
    },
    /// Restore a wallet from its recovery words.
    Restore {
        /// Read the recovery words from this inherited descriptor.
        #[arg(long, value_name = "N")]
        words_fd: Option<u32>,
        /// Where the new passphrase comes from.
        #[command(flatten)]
        passphrase: PassphraseSource,
    },
    /// Show what is there: earned, ready to withdraw, withdrawn, fees, pending.
    Balance {
        /// Print all of it as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Send earnings to an outside address.
    Withdraw {
        /// The recipient's address.
        #[arg(long)]
        to: String,
        /// Amount in tokens; everything when left out.
        #[arg(long, default_value = "")]
        amount: String,
        /// Wait until the withdrawal cannot be undone any more.
        #[arg(long)]
        wait: bool,
        /// Where the passphrase comes from.
        #[command(flatten)]
        passphrase: PassphraseSource,
    },
    /// Copy the encrypted wallet file to a new place.
    Export {
        /// The file to write; it must not exist.
        file: PathBuf,
    },
    /// Show the recovery words and check that they were written down.
    Backup {
        /// Where the passphrase comes from.
        #[command(flatten)]
        passphrase: PassphraseSource,
    },
}

/// Where a passphrase comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::Args)]
pub struct PassphraseSource {
    /// Read the passphrase from this inherited descriptor; otherwise the terminal asks.
    #[arg(long, value_name = "N")]
    pub passphrase_fd: Option<u32>,
}

/// Spans of a pause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Span {
    /// 15 minutes.
    #[value(name = "15m")]
    Minutes15,
    /// One hour.
    #[value(name = "1h")]
    Hour1,
    /// Four hours.
    #[value(name = "4h")]
    Hours4,
    /// Until six in the morning.
    #[value(name = "tomorrow")]
    Tomorrow,
    /// Until `hearth resume`.
    #[value(name = "resume")]
    Resume,
}

impl From<Span> for Snooze {
    fn from(span: Span) -> Self {
        match span {
            Span::Minutes15 => Self::Minutes15,
            Span::Hour1 => Self::Hour1,
            Span::Hours4 => Self::Hours4,
            Span::Tomorrow => Self::UntilTomorrow,
            Span::Resume => Self::UntilResume,
        }
    }
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CommandError {
    /// The agent does not answer, or answers no.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// A change of the limits cannot be read.
    #[error("{0}")]
    Change(String),
    /// The terminal or an inherited descriptor does not give a secret.
    #[error("cannot read the {what}")]
    Secret {
        /// Passphrase or words.
        what: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The passphrase typed the second time differs.
    #[error("the two passphrases differ")]
    Differ,
    /// The owner said no.
    #[error("nothing was done")]
    Cancelled,
    /// A file cannot be read or written.
    #[error("cannot use {path}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The answer cannot be printed.
    #[error("cannot print")]
    Print(#[from] io::Error),
}

/// Carries out `command` against the agent of `home` and prints what comes of it.
pub async fn run(command: TerminalCommand, home: &Home, words: &Catalogue, now: UnixMillis) -> ExitCode {
    match carry_out(command, home, words, now).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(CommandError::Print(error)) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            let none = matches!(error, CommandError::Client(ClientError::NoAgent(_)));
            complain(&show::complaint(&error, words));
            if none { ExitCode::from(EXIT_NO_AGENT) } else { ExitCode::FAILURE }
        }
    }
}

/// Writes a line to standard error, where it is lost without harm when nobody reads it.
pub fn complain(line: &str) {
    if writeln!(io::stderr(), "{line}").is_err() {
        tracing::debug!("standard error is closed");
    }
}

async fn carry_out(
    command: TerminalCommand,
    home: &Home,
    words: &Catalogue,
    now: UnixMillis,
) -> Result<(), CommandError> {
    let mut client = Client::connect(home, Role::Terminal).await?;
    let mut out = io::stdout().lock();
    match command {
        TerminalCommand::Status { json } => {
            let Answer::Status { status } = client.ask(Ask::Status).await? else { return unexpected() };
            if json {
                writeln!(out, "{}", to_json(&*status))?;
            } else {
                out.write_all(show::status(&status, words, now, &TimeZone::system()).as_bytes())?;
            }
        }
        TerminalCommand::Why { json } => {
            let Answer::Checks { checks } = client.ask(Ask::Checks).await? else { return unexpected() };
            if json {
                writeln!(out, "{}", to_json(&checks))?;
            } else {
                out.write_all(show::checks(&checks, words, now, &TimeZone::system()).as_bytes())?;
            }
        }
        TerminalCommand::Snooze { span } => client.order(Ask::Snooze { span: span.into() }).await?,
        TerminalCommand::Resume => client.order(Ask::Resume).await?,
        TerminalCommand::ShareNow => client.order(Ask::ShareNow).await?,
        TerminalCommand::Window => client.order(Ask::OpenWindow).await?,
        TerminalCommand::Welcome { agree: _, autostart } => {
            client.order(Ask::FinishWelcome { autostart }).await?;
        }
        TerminalCommand::Measure => client.order(Ask::Measure).await?,
        TerminalCommand::Quit => client.order(Ask::Quit).await?,
        TerminalCommand::Join { file } => {
            let path = std::path::absolute(&file)
                .ok()
                .and_then(|path| path.to_str().map(str::to_owned))
                .ok_or_else(|| CommandError::File {
                    path: file,
                    source: io::ErrorKind::InvalidFilename.into(),
                })?;
            client.order(Ask::JoinNetwork { path }).await?;
        }
        TerminalCommand::Limits { changes } => {
            let Answer::Preferences { preferences } = client.ask(Ask::Preferences).await? else {
                return unexpected();
            };
            if changes.is_empty() {
                out.write_all(show::limits(&preferences).as_bytes())?;
            } else {
                let preferences = change(&preferences, &changes).map_err(CommandError::Change)?;
                client.order(Ask::SetPreferences { preferences }).await?;
            }
        }
        TerminalCommand::Statement => {
            let Answer::Text { text, .. } = client.ask(Ask::Statement).await? else { return unexpected() };
            out.write_all(text.as_bytes())?;
        }
        TerminalCommand::Privacy { csv, json, days } => {
            if csv || json {
                let format = if csv { ExportFormat::Csv } else { ExportFormat::Json };
                let Answer::Text { text, .. } = client.ask(Ask::Journal { format }).await? else {
                    return unexpected();
                };
                out.write_all(text.as_bytes())?;
            } else {
                let from_at = UnixMillis(now.0.saturating_sub(u64::from(days) * 86_400_000));
                let Answer::Privacy { privacy } =
                    client.ask(Ask::Privacy { from_at, until_at: None }).await?
                else {
                    return unexpected();
                };
                out.write_all(show::privacy(&privacy, words).as_bytes())?;
            }
        }
        TerminalCommand::Wallet { command } => {
            drop(out);
            return decide::wallet(command, home, words, client).await;
        }
    }
    out.flush()?;
    Ok(())
}

fn unexpected<T>() -> Result<T, CommandError> {
    Err(ClientError::Unexpected.into())
}

fn to_json<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("the local conversation's types have a JSON form")
}

/// `preferences` with each `KEY=VALUE` applied. The keys are the fields of [`Preferences`]; the agent checks the ranges.
fn change(preferences: &Preferences, changes: &[String]) -> Result<Preferences, String> {
    let mut fields = match serde_json::to_value(preferences) {
        Ok(serde_json::Value::Object(fields)) => fields,
        _ => return Err("the limits have no JSON form".to_owned()),
    };
    for change in changes {
        let (key, text) = change.split_once('=').ok_or_else(|| format!("{change} is not KEY=VALUE"))?;
        let field = fields.get_mut(key).ok_or_else(|| format!("there is no limit named {key}"))?;
        *field = match field {
            serde_json::Value::String(_) => serde_json::Value::String(text.to_owned()),
            _ => serde_json::from_str(text).map_err(|_| format!("{text} is no value for {key}"))?,
        };
    }
    serde_json::from_value(fields.into()).map_err(|error| format!("a value does not fit: {error}"))
}

fn parse_word_count(text: &str) -> Result<u8, String> {
    match text {
        "12" => Ok(12),
        "24" => Ok(24),
        _ => Err("recovery words are 12 or 24".to_owned()),
    }
}

/// The language of the terminal: the first of the locale variables that is set.
pub fn language() -> String {
    ["LC_ALL", "LC_MESSAGES", "LANG"]
        .iter()
        .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;
    use protocol::local::Appearance;

    use super::*;

    fn parse(line: &str) -> Result<Arguments, clap::error::ErrorKind> {
        Arguments::try_parse_from(line.split(' ')).map_err(|error| error.kind())
    }

    pub(super) fn preferences() -> Preferences {
        Preferences {
            enabled: true,
            idle_after_seconds: 300,
            light_percent: 0,
            card_percent: 100,
            card_memory_percent: 80,
            max_celsius: 80,
            max_cpu_celsius: 90,
            max_other_cpu_percent: 40,
            on_battery: false,
            with_power_saver: false,
            in_calls: false,
            with_media: false,
            on_metered: false,
            on_vpn: false,
            exclusive_programs: Vec::new(),
            hours: [0xff_ffff; 7],
            upload_kbits: 0,
            month_mbytes: 0,
            min_free_disk_mbytes: 2048,
            electricity_milli_per_kwh: None,
            token_milli: None,
            watts: None,
            language: String::new(),
            appearance: Appearance::System,
            autostart: false,
        }
    }

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn commands_are_read_as_documented() {
        assert!(parse("hearth").unwrap().command.is_none());
        let headless = parse("hearth --headless --json").unwrap().start;
        assert!(headless.headless && headless.json);
        assert_eq!(parse("hearth why").unwrap().command, Some(TerminalCommand::Why { json: false }));
        assert_eq!(
            parse("hearth snooze 4h").unwrap().command,
            Some(TerminalCommand::Snooze { span: Span::Hours4 })
        );
        let withdraw =
            parse("hearth wallet withdraw --to 0xabc --amount 1.5 --passphrase-fd 3").unwrap().command;
        assert_eq!(
            withdraw,
            Some(TerminalCommand::Wallet {
                command: WalletCommand::Withdraw {
                    to: "0xabc".into(),
                    amount: "1.5".into(),
                    wait: false,
                    passphrase: PassphraseSource { passphrase_fd: Some(3) },
                }
            })
        );
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_a_reason() {
        use clap::error::ErrorKind;
        assert_eq!(parse("hearth --verbose").unwrap_err(), ErrorKind::UnknownArgument);
        assert_eq!(parse("hearth --json").unwrap_err(), ErrorKind::MissingRequiredArgument);
        assert_eq!(parse("hearth snooze forever").unwrap_err(), ErrorKind::InvalidValue);
        assert_eq!(parse("hearth wallet create --words 13").unwrap_err(), ErrorKind::ValueValidation);
        assert_eq!(parse("hearth --headless --hidden").unwrap_err(), ErrorKind::ArgumentConflict);
        assert!(parse("hearth welcome").is_err(), "agreeing is said, not assumed");
        assert!(parse("hearth wallet create --passphrase secret").is_err(), "no secret on a command line");
    }

    #[test]
    fn limits_change_by_key_and_keep_their_type() {
        let changed = change(
            &preferences(),
            &["card_percent=50".into(), "language=ja".into(), "watts=120".into(), "on_battery=true".into()],
        )
        .unwrap();
        assert_eq!((changed.card_percent, changed.language.as_str(), changed.watts), (50, "ja", Some(120)));
        assert!(changed.on_battery);
        for bad in ["card_percent", "nosuch=1", "card_percent=high", "card_percent=500"] {
            assert!(change(&preferences(), &[bad.into()]).is_err(), "{bad} must be refused");
        }
    }
}
