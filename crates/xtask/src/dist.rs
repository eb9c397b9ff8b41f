//! `cargo xtask dist`: the package that people install. On Debian and Ubuntu a .deb, put together by dpkg-deb from the
//! release programs and the files in `installers/debian`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, bail};

use crate::install::{self, Purpose};
use crate::process::{cargo, must, output, print};
use crate::workspace;

/// Largest package that promise 10 allows.
const MAX_PACKAGE_BYTES: u64 = 15 * 1024 * 1024;

/// Builds the package and prints its path and size.
pub(crate) fn dist() -> Result<ExitCode> {
    if output(Command::new("dpkg-deb").arg("--version")).is_none() {
        bail!("packages are built on Debian or Ubuntu so far: dpkg-deb is not here");
    }
    install::install(Purpose::Run)?;
    must(cargo().args(["build", "--release", "--locked"]).args([
        "--package",
        "agent",
        "--package",
        "worker",
        "--package",
        "hearth-window",
    ]))?;
    let package = debian()?;
    let bytes = fs::metadata(&package).with_context(|| format!("read {}", package.display()))?.len();
    print(&format!("{} {bytes} bytes", package.display()));
    if bytes > MAX_PACKAGE_BYTES {
        bail!("the package has {bytes} bytes, promised are at most {MAX_PACKAGE_BYTES}");
    }
    Ok(ExitCode::SUCCESS)
}

fn debian() -> Result<PathBuf> {
    let dist = workspace::target().join("dist");
    let stage = dist.join("stage");
    if stage.exists() {
        fs::remove_dir_all(&stage).with_context(|| format!("clear {}", stage.display()))?;
    }
    let installers = workspace::root().join("installers/debian");
    let release = workspace::target().join("release");
    for program in ["hearth", "hearth-window", "worker"] {
        place(&release.join(program), &stage.join("usr/lib/hearth").join(program), 0o755)?;
    }
    fs::create_dir_all(stage.join("usr/bin")).context("make usr/bin")?;
    link(Path::new("../lib/hearth/hearth"), &stage.join("usr/bin/hearth"))?;
    place(&installers.join("hearth.desktop"), &stage.join("usr/share/applications/hearth.desktop"), 0o644)?;
    let doc = stage.join("usr/share/doc/hearth");
    place(&installers.join("copyright"), &doc.join("copyright"), 0o644)?;
    for text in ["README.md", "PRIVACY.md", "CHANGELOG.md", "LICENSE-MIT"] {
        place(&workspace::root().join(text), &doc.join(text), 0o644)?;
    }
    let icons = workspace::root().join("icons");
    let hicolor = stage.join("usr/share/icons/hicolor");
    place(&icons.join("icon.svg"), &hicolor.join("scalable/apps/hearth.svg"), 0o644)?;
    for size in [32, 128, 256, 512] {
        let folder = hicolor.join(format!("{size}x{size}/apps/hearth.png"));
        place(&icons.join(format!("{size}x{size}.png")), &folder, 0o644)?;
    }
    let architecture =
        output(Command::new("dpkg").arg("--print-architecture")).context("ask dpkg for its architecture")?;
    let version = env!("CARGO_PKG_VERSION");
    let template = fs::read_to_string(installers.join("control.in")).context("read control.in")?;
    let control = template
        .replace("@VERSION@", version)
        .replace("@ARCHITECTURE@", architecture.trim())
        .replace("@INSTALLED_SIZE@", &(size_of(&stage)? / 1024).to_string());
    let debian = stage.join("DEBIAN");
    fs::create_dir_all(&debian).context("make DEBIAN")?;
    fs::write(debian.join("control"), control).context("write control")?;
    // Menus and icon caches need no script: their packages' triggers watch the folders.
    for script in ["prerm", "postrm"] {
        place(&installers.join(script), &debian.join(script), 0o755)?;
    }
    let package = dist.join(format!("hearth_{version}_{}.deb", architecture.trim()));
    must(Command::new("dpkg-deb").args(["--build", "--root-owner-group", "-Zxz"]).arg(&stage).arg(&package))?;
    Ok(package)
}

fn place(from: &Path, to: &Path, mode: u32) -> Result<()> {
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent).with_context(|| format!("make {}", parent.display()))?;
    }
    fs::copy(from, to).with_context(|| format!("copy {} to {}", from.display(), to.display()))?;
    set_mode(to, mode).with_context(|| format!("set mode of {}", to.display()))
}

#[cfg(unix)]
fn set_mode(path: &Path, mode: u32) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
}

#[cfg(unix)]
fn link(to: &Path, at: &Path) -> Result<()> {
    std::os::unix::fs::symlink(to, at).with_context(|| format!("link {}", at.display()))
}

/// `dist` ends before, for want of dpkg-deb; a package without modes must not come about even so.
#[cfg(not(unix))]
fn set_mode(_path: &Path, _mode: u32) -> std::io::Result<()> {
    Err(std::io::ErrorKind::Unsupported.into())
}

#[cfg(not(unix))]
fn link(_to: &Path, at: &Path) -> Result<()> {
    bail!("cannot link {} on this system", at.display())
}

fn size_of(path: &Path) -> Result<u64> {
    let meta = fs::symlink_metadata(path).with_context(|| format!("read {}", path.display()))?;
    if !meta.is_dir() {
        return Ok(meta.len());
    }
    let mut sum = 0;
    for entry in fs::read_dir(path).with_context(|| format!("list {}", path.display()))? {
        sum += size_of(&entry?.path())?;
    }
    Ok(sum)
}
