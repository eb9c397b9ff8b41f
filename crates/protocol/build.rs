//! Writes the commit into the build, so that agent, window and worker can tell whether they belong together.

use std::process::Command;

fn main() {
    let commit = std::env::var("HEARTH_COMMIT").ok().or_else(|| {
        let output = Command::new("git").args(["rev-parse", "--short=12", "HEAD"]).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    });
    println!("cargo:rustc-env=HEARTH_COMMIT={}", commit.as_deref().unwrap_or("unknown"));
    println!("cargo:rerun-if-env-changed=HEARTH_COMMIT");
    // The commit is read once per clean build of this crate: a rebuild after every commit would rebuild every room.
    println!("cargo:rerun-if-changed=build.rs");
}
