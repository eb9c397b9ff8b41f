//! The real app on a real display: Welcome, the first unit, a wallet made in the vault, a withdrawal.
//!
//! The page is driven by WebDriver and the vault by keys, as a person would; that money arrived is the chain's word.
//! With `HEARTH_PICTURES=FOLDER` every page is photographed on the way, in English and Japanese.

use serde_json::{Value, json};
use world::{Album, Desktop, Installed, Page, Window, World, signal};

const PASSPHRASE: &str = "correct horse battery staple lantern";
const OUTSIDE: &str = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8";
const DRIVER: (&str, &str) = ("WebKitWebDriver", "webkit2gtk-driver");
const VAULT: &str = "Hearth vault";

fn units(text: &str) -> u128 {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    format!("{whole}{part:0<18}").parse().unwrap_or_else(|_| panic!("{text:?} is an amount"))
}

/// Whether there is something to withdraw and nothing on its way.
fn is_payable(wallet: &Value) -> bool {
    let part = |name: &str| wallet["balance"][name].as_str().map(units);
    part("balance") > Some(0) && part("pending") == Some(0)
}

#[test]
fn a_person_goes_from_welcome_to_money_in_an_outside_address() {
    let Some(desktop) = Desktop::start(&[DRIVER]) else { return };
    let album = Album::from_environment(&desktop);
    let world = World::start();
    // The session's environment invites automation; the vault must not take it up.
    let invitation = [("TAURI_WEBVIEW_AUTOMATION", "true")];
    let arguments = ["--hidden", "--profile", world.founded("profile")];
    let hearth = Installed::start(&desktop, &arguments, &invitation);
    let page = Page::open(&desktop);

    welcome(&desktop, &album, &hearth, &page);
    let vault = desktop.window(VAULT);
    no_driver_is_invited(&hearth);
    create_a_wallet(&desktop, &album, &hearth, &page, vault);
    the_pointer_holds_the_card(&desktop, &album, &hearth, &page);

    let (recording, tones) = world.recording(if album.is_open() { 1_048_576 } else { 524_288 }, 21);
    let publication = world.publish(&recording);
    page.see("picture");
    // Five lines lie in a thousand slices, which are dealt in a secret order: whole bundles have none.
    page.see_at_last("hits", |text| text.contains("MHz"));
    in_the_middle(&album, &hearth);
    album.page_in_both(&page, "home-sharing", "home", "hits");
    page.click("nav-work");
    page.see("lines");
    in_the_middle(&album, &hearth);
    album.page_in_both(&page, "work", "work", "lines");
    let page = work_outlives_its_window(&desktop, &hearth, page);
    let answer =
        publication.lines().wait(|line| line["hits"].is_array()).expect("the publisher gets its hits");
    let wanted = tones["tones"].as_array().map(Vec::len);
    assert_eq!(
        answer["hits"].as_array().map(Vec::len),
        wanted,
        "every tone is found, nothing else: {answer}"
    );
    hearth.wallet_until("credit that can be withdrawn", is_payable);
    withdraw(&desktop, &album, &hearth, &page, &world);
    for (name, shown) in [("earnings", "receipts"), ("privacy", "purposes"), ("settings", "set-idle")] {
        page.click(&format!("nav-{name}"));
        page.see(shown);
        album.page_in_both(&page, name, name, shown);
    }
    assert_eq!(
        world.coordinator_status()["books_agree"],
        true,
        "a recount of the coordinator's ledger agrees"
    );

    let started = hearth.started();
    hearth.tell(&["quit"]);
    page.see("no-agent");
    let (code, left) = hearth.ended(&started);
    assert_eq!((code, left), (Some(0), Vec::new()), "quit ends everything that it started, cleanly");
}

#[test]
fn the_page_can_do_no_more_than_it_must() {
    let Some(desktop) = Desktop::start(&[DRIVER]) else { return };
    let hearth = Installed::start(&desktop, &["--hidden"], &[]);
    let page = Page::open(&desktop);
    page.see("page-welcome-1");

    let eval = page.script("try { return eval('6 * 7') } catch (error) { return error.name }");
    assert_eq!(eval, "EvalError", "text never becomes code");

    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.set_nonblocking(true).expect("a listener that does not wait");
    let somewhere = format!("http://{}/", listener.local_addr().expect("its address"));
    let refused = page.script_async(
        "const [address, done] = arguments;
         const refused = new Promise((seen) => document.addEventListener('securitypolicyviolation',
           (event) => seen(event.effectiveDirective), { once: true }));
         fetch(address).then(() => done('it went out'), () => refused.then(done));",
        vec![json!(somewhere)],
    );
    assert_eq!(refused, "connect-src", "the page reaches no network");
    let reached = listener.accept().map(|_| ()).map_err(|error| error.kind());
    assert_eq!(reached, Err(std::io::ErrorKind::WouldBlock), "and nothing arrived");

    let invoke = |command: &str, values: Value| {
        page.script_async(
            "const [command, values, done] = arguments;
             window.__TAURI_INTERNALS__.invoke(command, values).then(
               (value) => done({ allowed: value }), (error) => done({ refused: error.code ?? String(error) }));",
            vec![json!(command), values],
        )
    };
    let allowed = invoke("request", json!({ "command": { "command": "status" } }));
    assert!(allowed["allowed"].is_object(), "this is how the page asks: {allowed}");
    for (command, values) in [
        ("secret", json!({})),
        ("vault_scene", json!({})),
        ("vault_decide", json!({ "decision": { "decision": "cancel" } })),
        ("plugin:event|emit", json!({ "event": "status", "payload": 1 })),
        ("plugin:fs|read_text_file", json!({ "path": "/etc/passwd" })),
        (
            "plugin:webview|create_webview_window",
            json!({ "options": { "label": "vault", "url": "index.html" } }),
        ),
    ] {
        let answer = invoke(command, values);
        let refused = answer["refused"].as_str().unwrap_or_default();
        assert!(refused.contains("not allowed"), "{command} is not the page's: {answer}");
    }
    for command in [
        json!({ "command": "vault_view" }),
        json!({ "command": "vault_decide", "decision": { "decision": "show_words", "passphrase": PASSPHRASE } }),
        json!({ "command": "join_network", "path": "/tmp/other.profile" }),
        json!({ "command": "quit" }),
    ] {
        let answer = invoke("request", json!({ "command": command }));
        assert_eq!(answer["refused"], "not_allowed", "{command} is not the page's");
    }
    let address = page.script("location.href = 'https://example.com/'; return location.host");
    page.see("page-welcome-1");
    assert_eq!(address, page.script("return location.host"), "the window stays on its own page");
    assert!(hearth.status()["at"].is_u64(), "and the agent is there as before");
}

/// Waits, for pictures, until something is earned and found, and a bundle half done.
fn in_the_middle(album: &Album<'_>, hearth: &Installed<'_>) {
    if album.is_open() {
        hearth.status_until("something to photograph", |status| {
            let half = status["work"]["slices_done"].as_u64().is_some_and(|done| (24..48).contains(&done));
            let found = status["work"]["hits"][0].is_object();
            half && found && status["today"]["paid"].as_str().map(units) > Some(0)
        });
    }
}

/// Three steps, a measurement, and a wallet at once.
fn welcome(desktop: &Desktop, album: &Album<'_>, hearth: &Installed<'_>, page: &Page) {
    let english = page.see("page-welcome-1");
    page.choose("welcome-language", "ja");
    page.see_until("page-welcome-1", |text| text != english);
    album.page(page, "welcome-1.ja");
    page.click("welcome-continue");
    page.see("page-welcome-2");
    let measured = |status: &Value| status["benchmark"]["finished_at"].is_u64();
    let status = hearth.status_until("the measurement", measured);
    assert!(status["benchmark"]["float"]["best"].as_f64() > Some(0.0), "the card was measured: {status}");
    assert!(status["benchmark"]["up_bits_per_s"].as_u64() > Some(0), "and so was the line: {status}");
    assert_ne!(status["state"], "sharing", "nothing is shared before Welcome is done");
    page.see("measure-start");
    album.page(page, "welcome-2.ja");
    page.click("welcome-continue");
    page.see("page-welcome-3");
    album.page(page, "welcome-3.ja");

    page.click("welcome-back");
    page.see("page-welcome-2");
    page.click("welcome-back");
    page.see("page-welcome-1");
    page.choose("welcome-language", "en");
    page.see_until("page-welcome-1", |text| text == english);
    for step in 1..3 {
        page.see(&format!("page-welcome-{step}"));
        album.page(page, &format!("welcome-{step}.en"));
        page.click("welcome-continue");
    }
    page.see("page-welcome-3");
    page.click("wallet-now");
    album.page(page, "welcome-3.en");
    page.click("welcome-finish");
    page.see("wallet-create");
    let entries = desktop.home().join(".config/autostart").read_dir();
    assert_eq!(entries.map(Iterator::count).ok(), Some(1), "Welcome's switch starts it with the session");
}

/// The vault's process has nothing in its environment by which a program could drive it, whatever the agent inherited.
fn no_driver_is_invited(hearth: &Installed<'_>) {
    let vaults = hearth.windows();
    assert_eq!(vaults.len(), 1, "the agent opened the vault and nothing else");
    let environment =
        std::fs::read(format!("/proc/{}/environ", vaults[0])).expect("a process of the same user");
    let environment = String::from_utf8_lossy(&environment);
    assert!(environment.contains("DISPLAY="), "this is its environment");
    for name in ["TAURI_WEBVIEW_AUTOMATION", "TAURI_AUTOMATION", "WEBKIT_INSPECTOR_SERVER"] {
        assert!(!environment.contains(name), "{name} is not passed on to the vault");
    }
}

/// A passphrase typed twice, and the words that appear.
fn create_a_wallet(desktop: &Desktop, album: &Album<'_>, hearth: &Installed<'_>, page: &Page, vault: Window) {
    desktop.settled(vault);
    album.window(vault, "vault-create.en");
    album.in_japanese(page, || {
        let vault = another_vault(desktop, vault, || {
            page.click("nav-wallet");
            page.click("wallet-create");
        });
        album.window(vault, "vault-create.ja");
    });
    let vault = match album.is_open() {
        false => vault,
        true => another_vault(desktop, desktop.window(VAULT), || {
            page.click("nav-wallet");
            page.click("wallet-create");
        }),
    };
    desktop.focus(vault);
    desktop.keys(PASSPHRASE);
    desktop.key("Tab");
    desktop.keys("correct horse battery staple lentil");
    desktop.key("Return");
    desktop.complains(vault);
    assert_eq!(hearth.wallet()["brief"], "none", "two passphrases that differ make no wallet");
    // The form puts the keyboard back into its first field.
    for next in ["Tab", "Return"] {
        desktop.key("ctrl+a");
        desktop.keys(PASSPHRASE);
        desktop.key(next);
    }
    hearth.wallet_until("the wallet to be kept", |wallet| wallet["brief"] == "not_backed_up");
    // Its words are shown next, and their one button has the keyboard; until then the key does nothing.
    desktop.until("the words to be confirmed", || {
        desktop.key("Return");
        desktop.closes(VAULT)
    });
    page.see("identity");
}

/// Ends the open vault with its own key, opens the next one, and waits until it can be read.
fn another_vault(desktop: &Desktop, open: Window, ask: impl FnOnce()) -> Window {
    desktop.focus(open);
    desktop.key("Escape");
    desktop.no_window(VAULT);
    ask();
    let vault = desktop.window(VAULT);
    desktop.settled(vault);
    vault
}

/// A moved pointer pauses, and the page says so.
fn the_pointer_holds_the_card(desktop: &Desktop, album: &Album<'_>, hearth: &Installed<'_>, page: &Page) {
    hearth.tell(&["limits", "max_other_cpu_percent=100", "idle_after_seconds=120"]);
    desktop.point((640, 500));
    let touched = |status: &Value| status["reasons"][0]["code"] == "user_active";
    hearth.status_until("the pointer to hold the card", touched);
    page.click("nav-home");
    page.see("reasons");
    album.page_in_both(page, "home-paused", "home", "reasons");
    // From now on a desk that is quiet for a second is nobody's.
    hearth.tell(&["limits", "idle_after_seconds=1"]);
    hearth.status_until("the desk to be quiet", |status| !touched(status));
}

/// Kills the window in the middle of the work, opens and closes another, and returns a third.
fn work_outlives_its_window(desktop: &Desktop, hearth: &Installed<'_>, page: Page) -> Page {
    let done = |status: &Value| status["card"]["slices_today"].as_u64();
    let working = hearth.status();
    signal("-KILL", page.window_pid());
    drop(page);
    desktop.no_window("Hearth");
    let alone = hearth.status_until("slices without a window", |status| done(status) > done(&working));

    hearth.tell(&["window"]);
    let window = desktop.window("Hearth");
    hearth.tell(&["window"]);
    desktop.settled(window);
    assert_eq!(hearth.windows().len(), 1, "a window that is open is raised, not opened again");
    desktop.close(window);
    desktop.no_window("Hearth");
    hearth
        .status_until("the work to go on after its window was closed", |status| done(status) > done(&alone));
    Page::open(desktop)
}

/// Prices in the page, confirms in the vault, and sees exactly the amount arrive.
fn withdraw(desktop: &Desktop, album: &Album<'_>, hearth: &Installed<'_>, page: &Page, world: &World) {
    assert_eq!(world.tokens_of(OUTSIDE), 0, "the outside address starts empty");
    let review = || {
        page.click("nav-wallet");
        page.fill("withdraw-to", OUTSIDE);
        page.fill("withdraw-amount", "0.01");
        page.click("withdraw-price");
        let arrives = page.see("arrives");
        page.click("withdraw-review");
        arrives
    };
    album.in_japanese(page, || {
        review();
        let vault = desktop.window(VAULT);
        desktop.settled(vault);
        album.window(vault, "vault-withdraw.ja");
        desktop.focus(vault);
        desktop.key("Escape");
        desktop.no_window(VAULT);
    });
    let arrives = review();
    let arrives = units(arrives.split_whitespace().next().unwrap_or_default());
    let vault = desktop.window(VAULT);
    desktop.settled(vault);
    album.window(vault, "vault-withdraw.en");

    desktop.focus(vault);
    desktop.keys("not the passphrase at all");
    desktop.key("Return");
    desktop.complains(vault);
    assert_eq!(hearth.wallet()["withdrawals"], json!([]), "and signs nothing");
    desktop.key("ctrl+a");
    desktop.keys(PASSPHRASE);
    desktop.key("Return");
    desktop.no_window(VAULT);

    page.see("withdrawal-final");
    assert!(arrives > 0, "the page said what arrives");
    assert_eq!(world.tokens_of(OUTSIDE), arrives, "exactly what the page and the vault said arrives");
    album.page_in_both(page, "wallet", "wallet", "withdrawal-final");
}
