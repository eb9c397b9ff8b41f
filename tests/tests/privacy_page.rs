//! PRIVACY.md lists every purpose for which a byte may leave: its table is made from the code's own table, so it cannot
//! drift. `HEARTH_UPDATE_GOLDEN=1 cargo test -p hearth-tests --test privacy_page` writes it anew.

use std::path::Path;

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
