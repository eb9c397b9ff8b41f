//! The vault window: one decision about money in a process of its own, with no code of npm's.
//!
//! Page, style and script come from `ui/vault/` straight into this binary and are served under a scheme of their own;
//! the sentences come from `words`. The one-time token arrives on an inherited pipe. Secrets pass through to the agent
//! and are kept nowhere.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::sync::Arc;

use protocol::local::{
    Answer, Appearance, Command, ErrorCode, LocalError, Role, SecretText, VaultDecision, VaultView,
};
use serde::Serialize;
use tauri::http::{Response, StatusCode, header};
use tauri::webview::NewWindowResponse;
use tauri::{AppHandle, State, Url, WebviewUrl, WebviewWindowBuilder};
use words::Catalogue;

use crate::RunError;
use crate::link::Link;

const SCHEME: &str = "vault";

/// Same rules as the page's, without pictures and fonts.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src ipc: http://ipc.localhost; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'";

const FILES: [(&str, &str, &str); 4] = [
    ("/vault.html", "text/html; charset=utf-8", include_str!("../../ui/vault/vault.html")),
    ("/vault.css", "text/css; charset=utf-8", include_str!("../../ui/vault/vault.css")),
    ("/vault.js", "text/javascript; charset=utf-8", include_str!("../../ui/vault/vault.js")),
    ("/tokens.css", "text/css; charset=utf-8", include_str!("../../ui/public/tokens.css")),
];

/// A token is 64 hex digits; more than this is none.
const MAX_TOKEN_BYTES: u64 = 256;

/// Everything that the vault page shows.
#[derive(Debug, Serialize)]
struct Scene {
    language: &'static str,
    appearance: Appearance,
    view: VaultView,
    /// Sentences by key, values filled in.
    sentences: BTreeMap<String, String>,
}

/// What became of a decision.
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case", tag = "reply")]
enum Reply {
    /// Done; nothing to show.
    Done,
    /// Words to write down.
    Words {
        /// 12 or 24 words.
        words: SecretText,
    },
}

/// A failure with its sentence.
#[derive(Debug, Serialize)]
struct Failure {
    code: ErrorCode,
    sentence: String,
}

/// Language and sentences of this window, known once the agent told the view.
#[derive(Debug, Default)]
struct Speech(tokio::sync::OnceCell<Arc<Catalogue>>);

/// Shows the one decision and ends with it.
pub(crate) fn run() -> Result<(), RunError> {
    let token = token().map_err(RunError::Token)?;
    tauri::Builder::default()
        .manage(Speech::default())
        .register_uri_scheme_protocol(SCHEME, |_, request| serve(request.uri().path()))
        .invoke_handler(tauri::generate_handler![vault_scene, vault_decide, vault_close])
        .setup(move |app| {
            use tauri::Manager as _;

            app.manage(Link::open(Role::Vault { token }, |news| tracing::debug!("vault: {news:?}")));
            WebviewWindowBuilder::new(app, "vault", WebviewUrl::CustomProtocol(address()?))
                .title("Hearth vault")
                .inner_size(520.0, 660.0)
                .min_inner_size(480.0, 560.0)
                .max_inner_size(640.0, 860.0)
                .maximizable(false)
                .content_protected(true)
                .focused(true)
                .on_navigation(is_own)
                .on_new_window(|_, _| NewWindowResponse::Deny)
                .build()?;
            Ok(())
        })
        .run(crate::context())?;
    Ok(())
}

/// The decision to show, in the owner's language.
#[tauri::command]
async fn vault_scene(link: State<'_, Link>, speech: State<'_, Speech>) -> Result<Scene, Failure> {
    let view = match link.ask(Command::VaultView).await {
        Ok(Answer::Vault { view }) => view,
        Ok(_) => return Err(failure(&speech, unexpected("the view"))),
        Err(error) => return Err(failure(&speech, error)),
    };
    let (language, appearance) = dress(&view);
    let catalogue = speech.0.get_or_init(|| async { Arc::new(Catalogue::new(language)) }).await;
    let values = match &view {
        VaultView::Withdraw { quote, .. } => vec![
            ("amount", words::exact_amount(&quote.total, &quote.unit).into()),
            ("address", quote.to.as_str().into()),
        ],
        VaultView::Create { .. } | VaultView::Restore { .. } | VaultView::Backup { .. } => Vec::new(),
    };
    let mut sentences: BTreeMap<String, String> =
        catalogue.keys("vault-").map(|key| (key.to_owned(), catalogue.text(key, &values))).collect();
    match &view {
        VaultView::Withdraw { quote, .. } => {
            for (key, amount) in [("total", &quote.total), ("fee", &quote.fee), ("arrives", &quote.arrives)] {
                sentences.insert(key.to_owned(), words::exact_amount(amount, &quote.unit));
            }
            if quote.unchecked_address {
                sentences.insert("unchecked".to_owned(), catalogue.text("withdraw-unchecked", &[]));
            }
        }
        VaultView::Backup { ask, .. } => {
            for (index, number) in ask.iter().enumerate() {
                let values = [("number", u32::from(*number).into())];
                sentences.insert(format!("ask-{index}"), catalogue.text("vault-quiz-word", &values));
            }
        }
        VaultView::Create { .. } | VaultView::Restore { .. } => {}
    }
    Ok(Scene { language: catalogue.language(), appearance, view, sentences })
}

/// Hands the decision to the agent.
#[tauri::command]
async fn vault_decide(
    link: State<'_, Link>,
    speech: State<'_, Speech>,
    decision: VaultDecision,
) -> Result<Reply, Failure> {
    match link.ask(Command::VaultDecide { decision }).await {
        Ok(Answer::Done) => Ok(Reply::Done),
        Ok(Answer::Words { words }) => Ok(Reply::Words { words }),
        Ok(_) => Err(failure(&speech, unexpected("the decision"))),
        Err(error) => Err(failure(&speech, error)),
    }
}

/// Ends this process; the agent takes a vault that is gone for a cancelled one.
#[tauri::command]
fn vault_close(app: AppHandle) {
    app.exit(0);
}

fn dress(view: &VaultView) -> (&str, Appearance) {
    match view {
        VaultView::Create { language, appearance, .. }
        | VaultView::Restore { language, appearance }
        | VaultView::Withdraw { language, appearance, .. }
        | VaultView::Backup { language, appearance, .. } => (language, *appearance),
    }
}

fn failure(speech: &Speech, error: LocalError) -> Failure {
    tracing::warn!("the vault's request failed: {:?} {}", error.code, error.detail);
    let sentence = match speech.0.get() {
        Some(catalogue) => catalogue.error(error.code),
        None => Catalogue::new("en").error(error.code),
    };
    Failure { code: error.code, sentence }
}

fn unexpected(what: &str) -> LocalError {
    LocalError { code: ErrorCode::Internal, detail: format!("the agent answered {what} with something else") }
}

/// The one-time token: from the descriptor that HEARTH_VAULT_FD names, else from standard input.
fn token() -> io::Result<String> {
    let mut text = String::new();
    match std::env::var("HEARTH_VAULT_FD") {
        Ok(number) => {
            let number: u32 = number.parse().map_err(io::Error::other)?;
            File::open(format!("/dev/fd/{number}"))?.take(MAX_TOKEN_BYTES).read_to_string(&mut text)?;
        }
        Err(_) => {
            io::stdin().take(MAX_TOKEN_BYTES).read_to_string(&mut text)?;
        }
    }
    let token = text.trim();
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the pipe holds no token"));
    }
    Ok(token.to_owned())
}

fn address() -> Result<Url, io::Error> {
    // Windows has no schemes of its own in a web view: they are hosts there.
    let address = if cfg!(windows) {
        format!("http://{SCHEME}.localhost/vault.html")
    } else {
        format!("{SCHEME}://localhost/vault.html")
    };
    Url::parse(&address).map_err(io::Error::other)
}

fn is_own(url: &Url) -> bool {
    address().is_ok_and(|own| own == *url)
}

fn serve(path: &str) -> Response<Vec<u8>> {
    let file = FILES.into_iter().find(|(name, ..)| *name == path);
    let (status, kind, body) = match file {
        Some((_, kind, body)) => (StatusCode::OK, kind, body),
        None => (StatusCode::NOT_FOUND, "text/plain", ""),
    };
    let mut response = Response::new(body.as_bytes().to_vec());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static(kind));
    headers.insert(header::CONTENT_SECURITY_POLICY, header::HeaderValue::from_static(POLICY));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, header::HeaderValue::from_static("nosniff"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vault_serves_its_own_files_and_no_other() {
        for (path, kind, _) in FILES {
            let response = serve(path);
            assert_eq!(response.status(), StatusCode::OK, "{path} is part of the vault");
            assert_eq!(response.headers()[header::CONTENT_TYPE], kind);
            assert_eq!(
                response.headers()[header::CONTENT_SECURITY_POLICY],
                POLICY,
                "{path} is under the policy"
            );
        }
        assert_eq!(serve("/../vault.rs").status(), StatusCode::NOT_FOUND);
        assert_eq!(serve("/").status(), StatusCode::NOT_FOUND);
    }

    #[test]
    fn the_vault_has_no_inline_script_or_style() {
        let html = FILES[0].2;
        assert!(!html.contains("<style") && !html.contains(" style="), "the policy blocks inline style");
        assert!(!html.contains("<script>") && !html.contains(" onclick"), "the policy blocks inline script");
    }

    #[test]
    fn every_sentence_of_the_vault_page_is_in_the_catalogue() {
        let catalogue = Catalogue::new("en");
        let script = FILES[2].2;
        let mut found = 0;
        for (at, _) in script.match_indices("say('vault-") {
            let key = &script[at + 5..];
            let key = &key[..key.find('\'').unwrap()];
            assert!(catalogue.keys("vault-").any(|known| known == key), "{key} is not in the catalogue");
            found += 1;
        }
        assert!(found > 20, "the vault speaks through say(), or this test looks for the wrong thing");
    }
}
