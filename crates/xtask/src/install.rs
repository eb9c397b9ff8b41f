//! What a bare machine lacks: checked, named, and installed where the project may install it.
//!
//! Rust, a C compiler, Node and git are the owner's to install: a missing one is named with the line that installs it.
//! System packages are listed before anything is changed, and installed with apt on Debian and Ubuntu. npm packages
//! come by lockfile, anvil among them.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::process::{must, output, say, succeeds};
use crate::workspace;

/// Needed to build and run every program. procps brings `kill`, with which a run asks its parts to end: a minimal Debian
/// lacks it.
const BUILD_PACKAGES: &[&str] =
    &["pkg-config", "libwebkit2gtk-4.1-dev", "librsvg2-dev", "libvulkan1", "mesa-vulkan-drivers", "procps"];

/// Needed by tests only: a display without a screen, its input, its tray, and the web view's driver.
const TEST_PACKAGES: &[&str] = &[
    "xvfb",
    "xauth",
    "x11-utils",
    "xdotool",
    "wmctrl",
    "xfwm4",
    "xfce4-panel",
    "imagemagick",
    "dbus",
    "dbus-x11",
    "webkit2gtk-driver",
    "adwaita-icon-theme",
    "fonts-dejavu-core",
    "fonts-inter",
    "fonts-noto-cjk",
    "desktop-file-utils",
];

/// The peer of the figure `gpu-peak`, and OpenCL on a processor for it.
const CLPEAK_PACKAGES: &[&str] = &["clpeak", "pocl-opencl-icd"];

/// A compositor that runs without a screen and tells when nobody is there.
const COMPOSITOR_PACKAGES: &[&str] = &["kwin-wayland"];

/// The peer of the figure `footprint`.
const BOINC_PACKAGES: &[&str] = &["boinc-client"];

/// For what the machine is prepared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Building and running.
    Run,
    /// Also testing.
    Test,
}

/// Checks the owner's tools, installs the rest, and builds the page.
pub(crate) fn install(purpose: Purpose) -> Result<()> {
    tools()?;
    let packages = match purpose {
        Purpose::Run => BUILD_PACKAGES.to_vec(),
        Purpose::Test => [BUILD_PACKAGES, TEST_PACKAGES].concat(),
    };
    if is_debian() {
        system_packages(&packages)?;
    } else {
        say(
            "system packages: only Debian and Ubuntu are prepared by this tool; elsewhere see CONTRIBUTING.md",
        );
    }
    if purpose == Purpose::Test {
        swiftshader()?;
    }
    npm(&workspace::ui())?;
    npm(&workspace::contracts())?;
    if !workspace::anvil().exists() {
        bail!("anvil is missing after npm ci: {} does not exist", workspace::anvil().display());
    }
    page()
}

fn tools() -> Result<()> {
    let mut missing = Vec::new();
    if !["cc", "gcc", "clang"].iter().any(|cc| succeeds(Command::new(cc).arg("--version"))) {
        missing.push("a C compiler: sudo apt-get install build-essential");
    }
    if !succeeds(Command::new("git").arg("--version")) {
        missing.push("git: sudo apt-get install git");
    }
    let node = output(Command::new("node").arg("--version")).and_then(|text| node_version(&text));
    if node.is_none_or(|version| version < (20, 19)) {
        missing.push(
            "Node 20.19 or later: see nodejs.org, or your system's package `nodejs` where it is new enough",
        );
    }
    if missing.is_empty() {
        return Ok(());
    }
    bail!("this machine lacks what Hearth cannot install itself:\n  {}", missing.join("\n  "))
}

/// Major and minor of `v20.19.4`.
fn node_version(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.trim().trim_start_matches('v').split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// Installs clpeak, against which one figure is held.
pub(crate) fn clpeak() -> Result<()> {
    if is_debian() { system_packages(CLPEAK_PACKAGES) } else { Ok(()) }
}

/// Installs a Wayland compositor, for the tests of the long tier that need a real one.
pub(crate) fn compositor() -> Result<()> {
    if is_debian() { system_packages(COMPOSITOR_PACKAGES) } else { Ok(()) }
}

/// Installs BOINC's client, against whose footprint ours is held. Debian's package starts a service of its own; the
/// measurement starts another in a folder of its own.
pub(crate) fn boinc() -> Result<()> {
    if is_debian() { system_packages(BOINC_PACKAGES) } else { Ok(()) }
}

/// Whether this system's packages are Debian's or Ubuntu's.
pub(crate) fn is_debian() -> bool {
    std::env::consts::OS == "linux" && Path::new("/usr/bin/apt-get").exists()
}

/// Names the packages among `wanted` that are missing, then installs them with apt.
pub(crate) fn system_packages(wanted: &[&str]) -> Result<()> {
    let missing: Vec<&str> = wanted.iter().copied().filter(|package| !installed(package)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    say(&format!("system packages to install: {}", missing.join(" ")));
    let root = output(Command::new("id").arg("-u")).is_some_and(|id| id.trim() == "0");
    let apt = || {
        let mut command = if root { Command::new("env") } else { Command::new("sudo") };
        if !root {
            command.arg("env");
        }
        command.args(["DEBIAN_FRONTEND=noninteractive", "apt-get", "-o", "DPkg::Lock::Timeout=600", "-q"]);
        command
    };
    must(apt().arg("update"))?;
    must(apt().args(["install", "-y", "--no-install-recommends"]).args(&missing))
}

/// Whether a package of the system is installed.
pub(crate) fn installed(package: &str) -> bool {
    output(Command::new("dpkg-query").args(["-W", "-f=${db:Status-Status}", package]))
        .is_some_and(|status| status == "installed")
}

/// The package that holds the second software driver, and what of it is kept.
const SWIFTSHADER_PACKAGE: &str = "chromium-common";
const SWIFTSHADER_FILES: [&str; 2] = ["libvk_swiftshader.so", "vk_swiftshader_icd.json"];

/// Unpacks SwiftShader below the target directory, out of Debian's package and without installing that. It stands in for
/// a second vendor: results must agree bit by bit between two drivers that share no code. Where the package is not to be
/// had, the tests that need it say that they were left out.
fn swiftshader() -> Result<()> {
    let description = workspace::swiftshader();
    if description.exists() || !is_debian() {
        return Ok(());
    }
    let folder = description.parent().context("a folder of the driver")?.to_path_buf();
    let unpacked = folder.with_extension("unpacked");
    fs::create_dir_all(&unpacked).with_context(|| format!("make {}", unpacked.display()))?;
    say(&format!(
        "the second software driver: {SWIFTSHADER_PACKAGE} is downloaded and unpacked, not installed"
    ));
    let mut download = Command::new("apt-get");
    download.args(["-q", "download", SWIFTSHADER_PACKAGE]).current_dir(&unpacked);
    let fetched = match must(&mut download) {
        // A machine whose package lists were never fetched.
        Err(_) if package_lists_are_ours() => {
            must(Command::new("apt-get").args(["-q", "update"])).and_then(|()| must(&mut download))
        }
        fetched => fetched,
    };
    if let Err(error) = fetched {
        say(&format!("without the second software driver: {error:#}"));
        return Ok(());
    }
    let package = fs::read_dir(&unpacked)
        .with_context(|| format!("list {}", unpacked.display()))?
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|extension| extension == "deb"))
        .context("apt-get download left no package")?;
    must(Command::new("dpkg-deb").arg("-x").arg(&package).arg(&unpacked))?;
    fs::create_dir_all(&folder).with_context(|| format!("make {}", folder.display()))?;
    // The description comes last: where it is, the driver beside it is whole.
    for name in SWIFTSHADER_FILES {
        let from = unpacked.join("usr/lib/chromium").join(name);
        fs::copy(&from, folder.join(name)).with_context(|| format!("copy {}", from.display()))?;
    }
    fs::remove_dir_all(&unpacked).with_context(|| format!("remove {}", unpacked.display()))
}

/// Whether this user may fetch the lists of packages.
fn package_lists_are_ours() -> bool {
    output(Command::new("id").arg("-u")).is_some_and(|id| id.trim() == "0")
}

/// `npm ci`, unless the folder already holds what the lockfile names.
fn npm(folder: &Path) -> Result<()> {
    let lockfile = folder.join("package-lock.json");
    let lock = fs::read(&lockfile).with_context(|| format!("read {}", lockfile.display()))?;
    let stamp = folder.join("node_modules/.hearth-lock");
    let wanted = blake3::hash(&lock).to_hex().to_string();
    if fs::read_to_string(&stamp).is_ok_and(|have| have == wanted) {
        return Ok(());
    }
    must(
        Command::new(npm_program())
            .args(["ci", "--ignore-scripts", "--no-fund", "--no-audit"])
            .current_dir(folder),
    )?;
    fs::write(&stamp, wanted).with_context(|| format!("write {}", stamp.display()))
}

fn npm_program() -> &'static str {
    if cfg!(windows) { "npm.cmd" } else { "npm" }
}

/// Builds the page when a source of it is newer than the build.
fn page() -> Result<()> {
    let ui = workspace::ui();
    let mut sources = Vec::new();
    for part in ["src", "public", "index.html", "package-lock.json", "svelte.config.js", "vite.config.ts"] {
        collect(&ui.join(part), &mut sources)?;
    }
    sources.sort();
    let mut hasher = blake3::Hasher::new();
    for path in &sources {
        hasher.update(path.to_string_lossy().as_bytes());
        hasher.update(&fs::read(path).with_context(|| format!("read {}", path.display()))?);
    }
    let wanted = hasher.finalize().to_hex().to_string();
    let stamp = ui.join("dist/.hearth-sources");
    if fs::read_to_string(&stamp).is_ok_and(|have| have == wanted) {
        return Ok(());
    }
    must(Command::new(npm_program()).args(["run", "build"]).current_dir(&ui))?;
    fs::write(&stamp, wanted).with_context(|| format!("write {}", stamp.display()))
}

fn collect(path: &Path, into: &mut Vec<std::path::PathBuf>) -> Result<()> {
    if path.is_dir() {
        for entry in fs::read_dir(path).with_context(|| format!("list {}", path.display()))? {
            collect(&entry?.path(), into)?;
        }
    } else if path.exists() {
        into.push(path.to_path_buf());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::node_version;

    #[test]
    fn node_versions_are_compared_as_numbers() {
        assert_eq!(node_version("v20.19.4\n"), Some((20, 19)), "the form that node prints");
        assert!(node_version("v9.9.9") < Some((20, 19)), "9 is older than 20");
        assert_eq!(node_version("nonsense"), None, "anything else is no version");
    }
}
