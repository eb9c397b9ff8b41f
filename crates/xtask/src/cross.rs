//! `cargo xtask cross`: compiles for Windows and macOS, on Debian or Ubuntu, the rooms whose code differs there.
//!
//! Windows is compiled and linked, tests and the C of dependencies included; of macOS the Rust is type-checked, because
//! linking and C need Apple's SDK. Neither says that the code works there: the Windows tests are run under wine where it
//! is installed, and nothing runs for macOS. The compiler is Debian's, whose package of sources lets the standard library
//! be built for any target: no precompiled target and no SDK is downloaded. `cargo xtask test --full` calls this.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Instant;
use std::{fs, io};

use anyhow::{Context as _, Result, bail};

use crate::process::{must, output, print, say};
use crate::{install, workspace};

/// The compiler, its sources, and a linker for Windows.
const PACKAGES: &[&str] =
    &["rustc-web", "cargo-web", "rust-web-src", "gcc-mingw-w64-x86-64-win32", "g++-mingw-w64-x86-64-win32"];
/// What runs the Windows build here. Not installed for its sake: the builds prove more than wine does.
const WINE_PACKAGES: &[&str] = &["wine", "wine64", "xvfb", "xauth", "mesa-vulkan-drivers"];
/// Tests that suspend a slice so often, or measure so long, that wine takes minutes for each.
const TOO_SLOW_UNDER_WINE: &[&str] = &["suspending_and_resuming_many_times", "measuring::"];
/// Optimised in the workspace's profile for those who run the result; here nobody waits for it.
const UNOPTIMISED: &[&str] = &["gpu-allocator", "naga", "wgpu", "wgpu-core", "wgpu-hal"];
/// Where Debian installs them; another toolchain may come first in PATH.
const RUSTC: &str = "/usr/bin/rustc";
const CARGO: &str = "/usr/bin/cargo";
const SOURCES: &str = "/usr/lib/rustlib/src/rust/library";

/// The rooms that hold code for one system, and those that they need.
const ROOMS: &[&str] = &["protocol", "sandbox", "worker", "network", "jobs", "contributor"];
/// Those of them whose tests are run under wine.
const ROOMS_UNDER_WINE: &[&str] = &["protocol", "sandbox", "worker"];
/// Of `contributor` only the tests of what it asks the system: the others are the same on every system.
const CONTRIBUTOR_UNDER_WINE: &[&str] = &["card::", "signals::"];

const WINDOWS: &str = "x86_64-pc-windows-gnu";
const MACOS: &str = "aarch64-apple-darwin";

/// Compiles for both systems and says how long each took.
pub(crate) fn cross() -> Result<ExitCode> {
    if !install::is_debian() {
        bail!("cross builds need Debian's packages {}", PACKAGES.join(", "));
    }
    install::system_packages(PACKAGES)?;
    let version = output(Command::new(RUSTC).arg("-vV")).with_context(|| format!("run {RUSTC} -vV"))?;
    timed("Windows: build, tests included", || {
        let mut build = Command::new(CARGO);
        build.args(["build", "--lib", "--bins", "--tests"]);
        must(rooms(&mut build, ROOMS, WINDOWS, &sysroot(WINDOWS, &version)?))
    })?;
    timed("macOS: check, tests included", || {
        let mut check = Command::new(CARGO);
        // C needs Apple's headers, and nothing is linked: the C parts of dependencies (BLAKE3's, ring's, SQLite) are
        // left out.
        check
            .args(["check", "--lib", "--bins", "--tests"])
            .envs([("CC_aarch64_apple_darwin", "true"), ("AR_aarch64_apple_darwin", "true")]);
        must(rooms(&mut check, ROOMS, MACOS, &sysroot(MACOS, &version)?))
    })?;
    let missing: Vec<_> = WINE_PACKAGES.iter().filter(|name| !install::installed(name)).copied().collect();
    if missing.is_empty() {
        timed("Windows: tests under wine", || tests_under_wine(&sysroot(WINDOWS, &version)?))?;
    } else {
        print(&format!(
            "left out: tests of the Windows build under wine, for want of {}",
            missing.join(", ")
        ));
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs the tests of the Windows build. Wine has no containers and enforces few limits: what passes shows that processes
/// start, talk, compute on the software driver and end, not that the walls hold.
fn tests_under_wine(sysroot: &Path) -> Result<()> {
    let prefix = folder().join("wine");
    let library = prefix.join("drive_c/windows/system32/bcryptprimitives.dll");
    if !library.exists() {
        must(under_wine(&mut Command::new("timeout"), &prefix).args(["180", "wine", "wineboot", "--init"]))?;
        must(
            Command::new("x86_64-w64-mingw32-gcc")
                .args(["-shared", "-O2", "-o"])
                .arg(&library)
                .arg(workspace::root().join("crates/xtask/src/cross/bcryptprimitives.c"))
                .arg("-ladvapi32"),
        )?;
    }
    print(&format!("left out: too slow under wine: {}", TOO_SLOW_UNDER_WINE.join(", ")));
    // Wine reaches Vulkan and input through its driver for a display.
    let test = || {
        let mut test = Command::new("xvfb-run");
        test.args(["--auto-servernum", CARGO, "test", "--lib"]);
        test.env("CARGO_TARGET_X86_64_PC_WINDOWS_GNU_RUNNER", "timeout 1200 wine");
        test
    };
    let mut all = test();
    all.args(["--bins", "--tests"]);
    rooms(under_wine(&mut all, &prefix), ROOMS_UNDER_WINE, WINDOWS, sysroot);
    must(all.arg("--").args(TOO_SLOW_UNDER_WINE.iter().flat_map(|name| ["--skip", name])))?;
    let mut sensors = test();
    rooms(under_wine(&mut sensors, &prefix), &["contributor"], WINDOWS, sysroot);
    must(sensors.arg("--").args(CONTRIBUTOR_UNDER_WINE))
}

fn under_wine<'a>(command: &'a mut Command, prefix: &Path) -> &'a mut Command {
    // A program that crashes must end; wine's debugger would wait for somebody.
    command.env("WINEPREFIX", prefix).env("WINEDEBUG", "-all").env("WINEDLLOVERRIDES", "winedbg.exe=d")
}

fn timed(what: &str, step: impl FnOnce() -> Result<()>) -> Result<()> {
    let start = Instant::now();
    step().with_context(|| what.to_owned())?;
    print(&format!("ok    {what}  {:.1} s", start.elapsed().as_secs_f32()));
    Ok(())
}

/// Completes a command of Debian's cargo: `rooms`, for `target`, with a target directory of their own.
fn rooms<'a>(command: &'a mut Command, rooms: &[&str], target: &str, sysroot: &Path) -> &'a mut Command {
    let variable = target.to_uppercase().replace('-', "_");
    if target == WINDOWS {
        command.env(format!("CARGO_TARGET_{variable}_LINKER"), "x86_64-w64-mingw32-gcc");
    }
    command
        .arg("--locked")
        .args(rooms.iter().flat_map(|room| ["--package", room]))
        .args(UNOPTIMISED.iter().flat_map(|name| ["--config".to_owned(), quick(name)]))
        .current_dir(workspace::root())
        .env("RUSTC", RUSTC)
        .env("CARGO_BUILD_TARGET", target)
        .env("CARGO_TARGET_DIR", folder().join(target))
        .env("CARGO_INCREMENTAL", "0")
        .env(format!("CARGO_TARGET_{variable}_RUSTFLAGS"), format!("--sysroot={}", sysroot.display()))
        // The cargo that runs xtask points them at its own toolchain.
        .env_remove("LD_LIBRARY_PATH")
        .env_remove("RUSTUP_TOOLCHAIN")
}

fn quick(package: &str) -> String {
    format!("profile.dev.package.{package}.opt-level=0")
}

fn folder() -> PathBuf {
    workspace::target().join("cross")
}

/// A sysroot with the standard library for `target`, built once for each compiler.
fn sysroot(target: &str, version: &str) -> Result<PathBuf> {
    let release = release(version).with_context(|| format!("{RUSTC} -vV names no release"))?;
    let sysroot = folder().join(format!("sysroot-{release}-{target}"));
    let stamp = sysroot.join("rustc-version");
    if fs::read_to_string(&stamp).is_ok_and(|have| have == version) {
        return Ok(sysroot);
    }
    say(&format!("the standard library for {target} is built once, in about two minutes"));
    let library = sysroot.join("lib/rustlib").join(target).join("lib");
    match fs::remove_dir_all(&sysroot) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("empty {}", sysroot.display()));
        }
        _ => {}
    }
    fs::create_dir_all(&library).with_context(|| format!("make {}", library.display()))?;
    build_std(target, &library)?;
    fs::write(&stamp, version).with_context(|| format!("write {}", stamp.display()))?;
    Ok(sysroot)
}

/// `1.96.0` of what `rustc -vV` prints.
fn release(version: &str) -> Option<&str> {
    version.lines().find_map(|line| line.strip_prefix("release: "))
}

/// Builds an empty crate, the standard library with it, and copies that into `library`.
fn build_std(target: &str, library: &Path) -> Result<()> {
    // Outside of the checkout: inside it, cargo would look for the crate among the workspace's members.
    let folder = tempfile::tempdir().context("make a folder for the standard library")?;
    let manifest = "[package]\nname = \"empty\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\
                    [profile.release]\nopt-level = 2\n";
    let write = |name: &str, text: &str| {
        fs::write(folder.path().join(name), text).with_context(|| format!("write {name}"))
    };
    fs::create_dir(folder.path().join("src")).context("make src")?;
    write("Cargo.toml", manifest)?;
    write("src/lib.rs", "")?;
    must(
        unstable(CARGO)
            .args(["build", "--release", "--quiet", "--target", target])
            .arg("-Zbuild-std=std,panic_abort,panic_unwind,proc_macro,test")
            .env("RUSTC", RUSTC)
            .env("CARGO_TARGET_DIR", folder.path().join("target"))
            .current_dir(folder.path()),
    )?;
    let built = folder.path().join("target").join(target).join("release/deps");
    for entry in fs::read_dir(&built).with_context(|| format!("list {}", built.display()))? {
        let path = entry.with_context(|| format!("list {}", built.display()))?.path();
        let Some(name) = path.file_name() else { continue };
        if path.extension().is_some_and(|e| e == "rlib") && !name.to_string_lossy().starts_with("libempty-") {
            fs::copy(&path, library.join(name)).with_context(|| format!("copy {}", path.display()))?;
        }
    }
    if target == WINDOWS {
        // The first and last object of every program; cargo builds crates only.
        for object in ["rsbegin", "rsend"] {
            must(
                unstable(RUSTC)
                    .args(["--target", target, "--emit=obj", "-o"])
                    .arg(library.join(object).with_extension("o"))
                    .arg(Path::new(SOURCES).join("rtstartup").join(object).with_extension("rs")),
            )?;
        }
    }
    Ok(())
}

/// Debian's stable compiler allowed to build the standard library, which only unstable options do. Nothing of the
/// workspace is built so: crates would take the compiler for a nightly one.
fn unstable(program: &str) -> Command {
    let mut command = Command::new(program);
    command.env("RUSTC_BOOTSTRAP", "1").env_remove("LD_LIBRARY_PATH").env_remove("RUSTUP_TOOLCHAIN");
    command
}

#[cfg(test)]
mod tests {
    use super::release;

    #[test]
    fn the_release_is_found_among_what_the_compiler_says() {
        let version = "rustc 1.96.0 (abc 2026-05-25)\nbinary: rustc\nrelease: 1.96.0\nLLVM version: 22.1.2\n";
        assert_eq!(release(version), Some("1.96.0"), "it names the folder of the standard library");
        assert_eq!(release("command not found"), None, "without it nothing is built into a nameless folder");
    }
}
