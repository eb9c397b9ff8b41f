//! Where things are: the checkout, the target directory, built programs, npm's folders.

use std::path::{Path, PathBuf};

/// The root of the checkout.
pub(crate) fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.ancestors().nth(2).unwrap_or(manifest).to_path_buf()
}

/// Cargo's target directory.
pub(crate) fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// A program built by `cargo build`.
pub(crate) fn program(name: &str) -> PathBuf {
    target().join("debug").join(format!("{name}{}", std::env::consts::EXE_SUFFIX))
}

/// The page's npm folder.
pub(crate) fn ui() -> PathBuf {
    root().join("ui")
}

/// The contracts' npm folder, which also holds anvil and forge.
pub(crate) fn contracts() -> PathBuf {
    root().join("crates/settlement/contracts")
}

/// The description of the second software driver, once it is unpacked.
pub(crate) fn swiftshader() -> PathBuf {
    target().join("swiftshader/vk_swiftshader_icd.json")
}

/// anvil from npm: the platform's own program, not the node wrapper, so that its process id is ours to end.
pub(crate) fn anvil() -> PathBuf {
    let arch = match std::env::consts::ARCH {
        "aarch64" => "arm64",
        _ => "amd64",
    };
    let os = match std::env::consts::OS {
        "macos" => "darwin",
        "windows" => "win32",
        other => other,
    };
    contracts()
        .join(format!("node_modules/@foundry-rs/anvil-{os}-{arch}/bin/anvil{}", std::env::consts::EXE_SUFFIX))
}
