//! PRIVACY.md lists every purpose for which a byte may leave: its table is made from the code's own table, so it cannot
//! drift. `HEARTH_UPDATE_GOLDEN=1 cargo test -p hearth-tests --test privacy_page` writes it anew.
//!
//! And what the report says of a whole job, on a real machine: the kernel counted the same, each message of the device is
//! named by job and publisher, and the window's page can connect nowhere.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;
use world::World;

const BEGIN: &str = "<!-- made from network::PURPOSES -->\n";
const END: &str = "<!-- end -->\n";

fn table() -> String {
    let mut text = String::from("| code | to | what is sent |\n|---|---|---|\n");
    for entry in network::PURPOSES {
        text.push_str(&format!("| `{}` | {} | {} |\n", entry.code, entry.receiver, entry.sends));
    }
    text
}

#[test]
fn the_page_names_every_purpose_of_the_code() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../PRIVACY.md");
    let page = std::fs::read_to_string(&path).expect("PRIVACY.md");
    let (head, rest) = page.split_once(BEGIN).expect("the mark before the table");
    let (committed, tail) = rest.split_once(END).expect("the mark after the table");
    if std::env::var_os("HEARTH_UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, format!("{head}{BEGIN}{}{END}{tail}", table())).expect("write PRIVACY.md");
        return;
    }
    assert_eq!(committed, table(), "a purpose that PRIVACY.md does not name would leave the machine unsaid");
}

fn journal(home: &world::Contributor) -> Vec<Value> {
    let text = home.tell(&["privacy", "--json"], None);
    let journal: Value = serde_json::from_str(&text).expect("the journal is JSON");
    journal["sendings"].as_array().expect("a list of sendings").clone()
}

/// Purposes of the rows, each with whether a job and its publisher are named.
fn named(rows: &[Value]) -> BTreeSet<(String, bool)> {
    let row = |row: &Value| {
        let is_named = row["job_title"].is_string() && row["publisher"].is_string();
        (row["purpose"].as_str().expect("a purpose").to_owned(), is_named)
    };
    rows.iter().map(row).collect()
}

#[test]
fn a_whole_job_is_counted_alike_by_hearth_and_by_the_kernel() {
    let world = World::start();
    let (recording, _) = world.recording(8_192, 11);
    let publication = world.publish(&recording);
    let mut home = world.contributor("home");
    publication.lines().wait(|line| line["hits"].is_array()).expect("the publisher gets its hits");

    let rows = journal(&home);
    let ended: Vec<&Value> =
        rows.iter().filter(|row| row["outcome"].is_string() && row["peer"].is_string()).collect();
    assert!(ended.len() >= 5, "enrolment, heartbeats, inputs, commit and result: {rows:?}");
    for row in &ended {
        for direction in ["sent", "received"] {
            let (ours, system) =
                (&row[format!("{direction}_bytes")], &row[format!("system_{direction}_bytes")]);
            assert_eq!(ours, system, "Hearth and the kernel count the same {direction} bytes: {row}");
        }
    }
    let sent: u64 = ended.iter().filter_map(|row| row["system_sent_bytes"].as_u64()).sum();
    assert!(sent > 10_000, "the kernel saw a job's worth of bytes, {sent}");
    let named = named(&rows);
    for purpose in ["work_input", "result"] {
        assert!(named.contains(&(purpose.to_owned(), true)), "{purpose} names its job: {named:?}");
        assert!(!named.contains(&(purpose.to_owned(), false)), "every {purpose} names its job: {named:?}");
    }

    // A kill leaves at most open rows behind: they count their ceiling and have no count of the kernel.
    home.kill();
    home.restart();
    home.tell(&["status"], None);
    let after = journal(&home);
    assert!(after.len() >= rows.len(), "a kill loses no row");
    for row in after.iter().filter(|row| row["estimated"] == true) {
        assert!(
            row["system_sent_bytes"].is_null(),
            "what the kernel counted is lost with the process: {row}"
        );
    }
}

/// The part of `policy` that stands after `name`.
fn directive<'a>(policy: &'a str, name: &str) -> Option<Vec<&'a str>> {
    policy.split(';').find_map(|part| {
        let mut words = part.split_whitespace();
        (words.next() == Some(name)).then(|| words.collect())
    })
}

#[test]
fn the_windows_page_can_connect_nowhere() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../src-tauri/tauri.conf.json");
    let text = std::fs::read_to_string(path).expect("the window's configuration");
    let config: Value = serde_json::from_str(&text).expect("it is JSON");
    let policy = config["app"]["security"]["csp"].as_str().expect("a content policy");
    assert_eq!(directive(policy, "default-src"), Some(vec!["'none'"]), "what is not named is not allowed");
    // The window's own files, and the bridge to the window's Rust: `ipc.localhost` is that bridge on Windows, no host.
    let connect = directive(policy, "connect-src").expect("connections are named");
    for source in &connect {
        assert!(
            ["'self'", "ipc:", "http://ipc.localhost"].contains(source),
            "{source} is another destination"
        );
    }
    for name in ["form-action", "base-uri", "frame-ancestors", "object-src"] {
        assert_eq!(directive(policy, name), Some(vec!["'none'"]), "{name} is a way out");
    }
    for part in policy.split(';') {
        for source in part.split_whitespace().skip(1) {
            let remote = source.starts_with("https:") || source.starts_with("ws") || source == "*";
            let remote = remote || (source.starts_with("http:") && source != "http://ipc.localhost");
            assert!(!remote && !source.contains("unsafe"), "{source} in {part}");
        }
    }
}
