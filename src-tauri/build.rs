//! Puts every command under Tauri's access control and makes sure that there is a page to embed.

use std::path::Path;
use std::{fs, io};

/// Every command of `src/page.rs` and `src/vault.rs`; one that is missing here cannot be called.
const COMMANDS: &[&str] =
    &["request", "watch", "save_text", "painted", "locale", "vault_scene", "vault_decide", "vault_close"];

const PAGE: &str = "../ui/dist/index.html";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    ensure_page()?;
    println!("cargo:rerun-if-changed=../ui/dist");
    println!("cargo:rerun-if-changed=../icons");
    let manifest = tauri_build::AppManifest::new().commands(COMMANDS);
    tauri_build::try_build(tauri_build::Attributes::new().app_manifest(manifest))
        .map_err(|error| format!("{error:#}"))?;
    Ok(())
}

/// A checkout in which the page has not been built still compiles: its window then says what is missing.
fn ensure_page() -> io::Result<()> {
    let page = Path::new(PAGE);
    if page.exists() {
        return Ok(());
    }
    println!(
        "cargo:warning=ui/dist is missing, so this window shows an error page: run `npm ci && npm run build` in ui/"
    );
    if let Some(folder) = page.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(
        page,
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Hearth</title>\
         <h1>This build has no page</h1><p>Run <code>npm ci && npm run build</code> in <code>ui/</code>, then build again.</p></html>\n",
    )
}
