//! The page of the real window, driven by WebDriver: WebKitWebDriver starts `hearth-window` and speaks for the test.
//!
//! Only the page can be driven so. The vault is a process that refuses it, and is left to [`Desktop`]'s keyboard.

use std::time::{Duration, Instant};

use fantoccini::error::CmdError;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::{DESKTOP_PATIENCE, Daemon, Desktop, LOOK_AGAIN, descendants};
use crate::PATIENCE;
use crate::program::binary;
use crate::text;

/// A window under WebDriver. Dropping it kills the window and its driver.
#[derive(Debug)]
pub struct Page {
    runtime: Runtime,
    client: Client,
    driver: Daemon,
}

impl Page {
    /// Opens the window.
    pub fn open(desktop: &Desktop) -> Self {
        Self::try_open(desktop, &[]).expect("the window opens under WebDriver")
    }

    /// Starts `hearth-window` with these arguments under WebDriver; the error is WebDriver's.
    ///
    /// # Errors
    /// When the program does not let itself be driven.
    pub fn try_open(desktop: &Desktop, arguments: &[&str]) -> Result<Self, String> {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("its address").port();
        drop(listener);
        let mut command = desktop.command("WebKitWebDriver", &[&format!("--port={port}")]);
        command.env("TAURI_WEBVIEW_AUTOMATION", "true").stdout(std::process::Stdio::null());
        let driver = Daemon(command.spawn().expect("WebKitWebDriver starts"));
        let address = format!("127.0.0.1:{port}");
        desktop.until("WebKitWebDriver", || std::net::TcpStream::connect(&address).is_ok());
        let capabilities = json!({
            "browserName": "wry",
            "webkitgtk:browserOptions": { "binary": text(&binary("hearth-window")), "args": arguments },
        });
        let Value::Object(capabilities) = capabilities else { unreachable!("it is an object") };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let mut builder = ClientBuilder::new(HttpConnector::new());
        let server = format!("http://{address}");
        let connecting = builder.capabilities(capabilities).connect(&server);
        let connected = runtime.block_on(async { tokio::time::timeout(DESKTOP_PATIENCE, connecting).await });
        match connected {
            Ok(Ok(client)) => Ok(Self { runtime, client, driver }),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("WebDriver did not answer".to_owned()),
        }
    }

    /// Process id of the window.
    pub fn window_pid(&self) -> u32 {
        let window = descendants(self.driver.0.id()).into_iter().find(|pid| {
            std::fs::read_to_string(format!("/proc/{pid}/comm"))
                .is_ok_and(|name| name.trim() == "hearth-window")
        });
        window.expect("the driver started the window")
    }

    /// Waits for an element to be visible and returns its text.
    pub fn see(&self, testid: &str) -> String {
        self.see_until(testid, |_| true)
    }

    /// Waits until an element is visible and its text is as wanted.
    pub fn see_until(&self, testid: &str, wanted: impl Fn(&str) -> bool) -> String {
        self.see_within(DESKTOP_PATIENCE, testid, wanted)
    }

    /// The same for what the work brings up, sooner or later.
    pub fn see_at_last(&self, testid: &str, wanted: impl Fn(&str) -> bool) -> String {
        self.see_within(PATIENCE, testid, wanted)
    }

    fn see_within(&self, patience: Duration, testid: &str, wanted: impl Fn(&str) -> bool) -> String {
        self.attempt_within(patience, &format!("{testid} to show"), async |page| {
            let element = page.find(Locator::Css(&selector(testid))).await?;
            let shown = if element.is_displayed().await? { Some(element.text().await?) } else { None };
            Ok(shown.filter(|text| wanted(text)))
        })
    }

    /// Whether an element is on the page now.
    pub fn has(&self, testid: &str) -> bool {
        let found = self.bounded(self.client.find_all(Locator::Css(&selector(testid))));
        found.is_ok_and(|found| !found.is_empty())
    }

    /// Clicks an element once it can be clicked.
    pub fn click(&self, testid: &str) {
        self.attempt(&format!("a click on {testid}"), async |page| {
            page.find(Locator::Css(&selector(testid))).await?.click().await?;
            Ok(Some(()))
        });
    }

    /// Replaces the text of a field.
    pub fn fill(&self, testid: &str, value: &str) {
        self.attempt(&format!("{testid} to be filled"), async |page| {
            let field = page.find(Locator::Css(&selector(testid))).await?;
            field.clear().await?;
            field.send_keys(value).await?;
            Ok((field.prop("value").await?.as_deref() == Some(value)).then_some(()))
        });
    }

    /// Chooses in a list.
    pub fn choose(&self, testid: &str, value: &str) {
        self.attempt(&format!("{value} of {testid}"), async |page| {
            page.find(Locator::Css(&selector(testid))).await?.select_by_value(value).await?;
            Ok(Some(()))
        });
    }

    /// Chooses a language in Settings and waits until the page speaks it.
    pub fn speak(&self, language: &str) {
        self.click("nav-settings");
        self.choose("set-language", language);
        self.attempt(&format!("the page to speak {language}"), async |page| {
            let spoken = page.execute("return document.documentElement.lang", Vec::new()).await?;
            Ok((spoken == language).then_some(()))
        });
    }

    /// What a script in the page returns.
    pub fn script(&self, script: &str) -> Value {
        self.bounded(self.client.execute(script, Vec::new())).expect("the script ends")
    }

    /// What a script in the page gives to its last argument, a callback.
    pub fn script_async(&self, script: &str, arguments: Vec<Value>) -> Value {
        self.bounded(self.client.execute_async(script, arguments)).expect("the script answers")
    }

    /// Waits until everything that the page has decided to show is on the screen.
    pub fn drawn(&self) {
        let script = "const [done] = arguments;
            document.fonts.ready.then(() => setTimeout(() => done(true), 300));";
        self.script_async(script, Vec::new());
    }

    /// An answer of the driver; one that never comes is an error as well.
    fn bounded<T>(&self, answer: impl Future<Output = Result<T, CmdError>>) -> Result<T, CmdError> {
        let bounded = async { tokio::time::timeout(DESKTOP_PATIENCE, answer).await };
        self.runtime.block_on(bounded).unwrap_or(Err(CmdError::WaitTimeout))
    }

    /// Tries again until it works: the page draws itself anew while it is looked at.
    fn attempt<T>(&self, what: &str, step: impl AsyncFn(&Client) -> Result<Option<T>, CmdError>) -> T {
        self.attempt_within(DESKTOP_PATIENCE, what, step)
    }

    fn attempt_within<T>(
        &self,
        patience: Duration,
        what: &str,
        step: impl AsyncFn(&Client) -> Result<Option<T>, CmdError>,
    ) -> T {
        let deadline = Instant::now() + patience;
        loop {
            let complaint = match self.bounded(step(&self.client)) {
                Ok(Some(done)) => return done,
                Ok(None) => None,
                Err(error) => Some(error.to_string()),
            };
            if Instant::now() >= deadline {
                let shown = self.script("return document.body.innerText");
                panic!("waited in vain for {what} ({complaint:?}); the page says: {shown}");
            }
            std::thread::sleep(LOOK_AGAIN);
        }
    }
}

fn selector(testid: &str) -> String {
    format!("[data-testid=\"{testid}\"]")
}
