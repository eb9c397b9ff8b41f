//! The main window: the page, and the few commands that it may call.
//!
//! A command reads like a line of a table of contents: it passes a typed command to the agent, or does the one thing
//! that a web view cannot. What only the vault may ask is refused here already, before the agent refuses it too.

use std::io::BufRead;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use protocol::local::{Answer, Command, ErrorCode, LocalError, Picture, Role, Status};
use tauri::webview::NewWindowResponse;
use tauri::{AppHandle, Emitter as _, Manager as _, State, WebviewUrl, WebviewWindowBuilder};
use tokio::sync::Notify;

use crate::RunError;
use crate::downloads;
use crate::link::{Connection, Link, News};

/// A page that is not painted by then will not be.
const PAINT_WITHIN: Duration = Duration::from_secs(30);

/// The latest of each kind of news, for a page that was not listening yet.
#[derive(Debug)]
struct Latest {
    connection: Connection,
    status: Option<Box<Status>>,
    picture: Option<Box<Picture>>,
}

#[derive(Debug)]
struct Known(Mutex<Latest>);

#[derive(Debug, Default)]
struct Painted(Notify);

/// Shows the window until it is closed.
pub(crate) fn run() -> Result<(), RunError> {
    tauri::Builder::default()
        .manage(Known(Mutex::new(Latest { connection: Connection::Connecting, status: None, picture: None })))
        .manage(Painted::default())
        .invoke_handler(tauri::generate_handler![request, watch, save_text, painted, locale])
        .setup(|app| {
            let handle = app.handle().clone();
            app.manage(Link::open(Role::Window, move |news| tell(&handle, news)));
            WebviewWindowBuilder::new(app, "main", WebviewUrl::App("index.html".into()))
                .title("Hearth")
                .inner_size(1040.0, 720.0)
                .min_inner_size(640.0, 480.0)
                .on_navigation(|url| is_own(url.scheme(), url.host_str()))
                .on_new_window(|_, _| NewWindowResponse::Deny)
                .build()?;
            tauri::async_runtime::spawn(watch_for_paint(app.handle().clone()));
            let handle = app.handle().clone();
            std::thread::spawn(move || obey(&handle, std::io::stdin().lock()));
            Ok(())
        })
        .run(crate::context())?;
    Ok(())
}

/// Asks the agent.
#[tauri::command]
async fn request(link: State<'_, Link>, command: Command) -> Result<Answer, LocalError> {
    if !for_the_page(&command) {
        return Err(LocalError {
            code: ErrorCode::NotAllowed,
            detail: "only the vault may ask this".to_owned(),
        });
    }
    link.ask(command).await
}

/// Says the latest news again, to a page that listens only now.
#[tauri::command]
fn watch(app: AppHandle, known: State<'_, Known>) -> Result<(), LocalError> {
    let latest = known.0.lock().map_err(|_| internal("an earlier failure left the news unreadable"))?;
    if let Some(status) = &latest.status {
        emit(&app, "status", status);
    }
    if let Some(picture) = &latest.picture {
        emit(&app, "picture", picture);
    }
    emit(&app, "connection", &latest.connection);
    Ok(())
}

/// Saves into the owner's downloads and returns the path as a person would write it.
#[tauri::command]
async fn save_text(app: AppHandle, file_name: String, text: String) -> Result<String, LocalError> {
    let home = app.path().home_dir().map_err(|error| internal(&error.to_string()))?;
    let folder = app.path().download_dir().unwrap_or_else(|_| home.join("Downloads"));
    let path = downloads::save(&folder, &file_name, &text)?;
    Ok(match path.strip_prefix(&home) {
        Ok(inside) => Path::new("~").join(inside).display().to_string(),
        Err(_) => path.display().to_string(),
    })
}

/// The page stands on the screen.
#[tauri::command]
fn painted(painted: State<'_, Painted>) {
    painted.0.notify_one();
}

/// The language of the system.
#[tauri::command]
fn locale() -> String {
    ["LC_ALL", "LC_MESSAGES", "LANG"]
        .into_iter()
        .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
        .map(|value| tag(&value))
        .unwrap_or_else(|| "en".to_owned())
}

/// `ja_JP.UTF-8` as `ja-JP`; the locales C and POSIX are English.
fn tag(posix: &str) -> String {
    let name = posix.split(['.', '@']).next().unwrap_or_default();
    if matches!(name, "" | "C" | "POSIX") { "en".to_owned() } else { name.replace('_', "-") }
}

fn for_the_page(command: &Command) -> bool {
    !matches!(
        command,
        Command::VaultView | Command::VaultDecide { .. } | Command::Quit | Command::JoinNetwork { .. }
    )
}

/// The page's own address, on every system; everything else is somebody else's.
fn is_own(scheme: &str, host: Option<&str>) -> bool {
    matches!((scheme, host), ("tauri", Some("localhost")) | ("http" | "https", Some("tauri.localhost")))
}

fn tell(app: &AppHandle, news: News) {
    let known = app.state::<Known>();
    let Ok(mut latest) = known.0.lock() else { return };
    match news {
        News::Connection(connection) => {
            latest.connection = connection;
            emit(app, "connection", &connection);
        }
        News::Status(status) => {
            emit(app, "status", &status);
            latest.status = Some(status);
        }
        News::Picture(picture) => {
            emit(app, "picture", &picture);
            latest.picture = Some(picture);
        }
    }
}

fn emit<T: serde::Serialize + Clone>(app: &AppHandle, event: &str, payload: &T) {
    if let Err(error) = app.emit(event, payload.clone()) {
        tracing::warn!("the page did not hear {event}: {error}");
    }
}

/// The agent writes `raise` when somebody asks for the window that is open already.
fn obey(app: &AppHandle, orders: impl BufRead) {
    for order in orders.lines().map_while(Result::ok) {
        let raised = match app.get_webview_window("main") {
            Some(window) if order.trim() == "raise" => {
                window.unminimize().and_then(|()| window.show()).and_then(|()| window.set_focus())
            }
            _ => Ok(()),
        };
        if let Err(error) = raised {
            tracing::warn!("the window cannot be raised: {error}");
        }
    }
}

async fn watch_for_paint(app: AppHandle) {
    if tokio::time::timeout(PAINT_WITHIN, app.state::<Painted>().0.notified()).await.is_err() {
        // A white window is a driver's trouble most of the time; the log is where a person is sent to look.
        tracing::error!(
            "the page was not painted within {PAINT_WITHIN:?}; WEBKIT_DISABLE_COMPOSITING_MODE=1 helps on some drivers"
        );
    }
}

fn internal(detail: &str) -> LocalError {
    LocalError { code: ErrorCode::Internal, detail: detail.to_owned() }
}

#[cfg(test)]
mod tests {
    use protocol::local::{SecretText, VaultDecision};

    use super::*;

    #[test]
    fn the_page_cannot_ask_what_only_the_vault_may() {
        let passphrase = SecretText::new("correct horse".to_owned());
        let decision = VaultDecision::ShowWords { passphrase };
        assert!(!for_the_page(&Command::VaultDecide { decision }), "secrets never cross the page");
        assert!(!for_the_page(&Command::VaultView), "the page has no view of the vault");
        assert!(for_the_page(&Command::WatchStatus));
    }

    #[test]
    fn only_the_own_page_can_be_navigated_to() {
        assert!(is_own("tauri", Some("localhost")));
        for (scheme, host) in
            [("https", Some("example.com")), ("file", None), ("http", Some("localhost")), ("data", None)]
        {
            assert!(!is_own(scheme, host), "{scheme} {host:?} is not the page");
        }
    }

    #[test]
    fn posix_locales_become_language_tags() {
        assert_eq!(tag("ja_JP.UTF-8"), "ja-JP");
        assert_eq!(tag("C.UTF-8"), "en", "the C locale is no language that Intl knows");
        assert_eq!(tag("de_DE@euro"), "de-DE");
    }
}
