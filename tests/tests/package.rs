//! Long tier: the life of the installed Debian package — installed, started, started with the session, removed, installed
//! again over the same home, purged. Wallets stay, and nothing else does.
//!
//! It changes the system it runs on and takes the package away again, so it runs only as root, only where Hearth is not
//! installed, and only when `cargo xtask dist` has built a package. The agent under test is the installed one, in a home
//! of its own, on a local network.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use tempfile::TempDir;
use world::{PATIENCE, Program, World, descendants, is_alive, leave_out, software_driver, text};

const PASSPHRASE: &str = "correct horse battery staple lantern";
/// The installed program. Tests start programs by a path relative to their folder; an absolute one stands for itself.
const HEARTH: &str = "/usr/bin/hearth";
/// Exit code of a `hearth` command that finds no agent.
const NO_AGENT: i32 = 3;

#[test]
fn the_package_installs_starts_and_goes_without_a_trace_but_the_wallet() {
    let Some(package) = package() else { return };
    let fresh: Vec<PathBuf> =
        contents(&package).into_iter().filter(|path| path.symlink_metadata().is_err()).collect();
    assert!(fresh.iter().any(|path| path == Path::new(HEARTH)), "the package brings {HEARTH}: {fresh:?}");
    let installation = Installation::install(&package);

    let entry = "/usr/share/applications/hearth.desktop";
    assert_valid(Path::new(entry));
    let (starts, version, complaint) = run(Command::new(HEARTH).arg("--version"));
    assert!(starts && version.starts_with("hearth "), "it says its version: {version}{complaint}");

    let world = World::start();
    let owner = Owner::new();
    let agent = owner.start(&["--profile", world.founded("profile")]);
    assert_eq!(
        std::fs::read_link(format!("/proc/{}/exe", agent.pid())).expect("the agent runs"),
        Path::new("/usr/lib/hearth/hearth"),
        "the installed program runs, not one from the target directory"
    );
    owner.tell(&["welcome", "--agree", "--autostart"], None);
    let autostart = owner.home().join(".config/autostart/hearth.desktop");
    let text = std::fs::read_to_string(&autostart).expect("starting with the session was chosen");
    assert!(
        text.contains("\nTryExec=/usr/lib/hearth/hearth\n"),
        "it does nothing once the package is gone: {text}"
    );
    assert_valid(&autostart);
    owner.tell(&["welcome", "--agree"], None);
    assert!(!autostart.exists(), "and it was taken back");
    // Only the worker opens the device, so a named one means that the installed worker starts.
    owner.status_until(|status| status["card"]["adapter"]["name"].is_string());
    owner.tell(&["welcome", "--agree", "--autostart"], None);

    owner.tell(&["wallet", "create", "--passphrase-fd", "0"], Some(PASSPHRASE));
    let vault = owner.vault();
    let sealed = std::fs::read(&vault).expect("the wallet's file");
    let wallet = owner.status()["wallet"].clone();
    assert_ne!(wallet, "none", "the status shows the wallet");
    let started = descendants(agent.pid());
    owner.tell(&["quit"], None);
    ends(agent.pid(), &started);
    assert_eq!(owner.command(&["status"], None).0, NO_AGENT, "nobody answers any more");
    drop(agent);

    // Removed while an agent runs.
    let agent = owner.start(&[]);
    owner.tell(&["status"], None);
    let started = descendants(agent.pid());
    let said = installation.remove("-r");
    ends(agent.pid(), &started);
    drop(agent);
    assert!(
        said.contains("wallet") && said.contains(".local/share/hearth"),
        "it says what stays and where: {said}"
    );
    assert_eq!(std::fs::read(&vault).expect("the wallet stays"), sealed, "untouched");
    assert_gone(&fresh);
    assert!(autostart.exists(), "the owner's own file stays, and its TryExec names nothing");

    // Installed again, it finds the same wallet; then purged, again while it runs.
    let installation = Installation::install(&package);
    let agent = owner.start(&[]);
    owner.status_until(|status| status["wallet"] == wallet);
    assert_ne!(
        owner.command(&["wallet", "create", "--passphrase-fd", "0"], Some(PASSPHRASE)).0,
        0,
        "never a second wallet over the first"
    );
    let started = descendants(agent.pid());
    let said = installation.remove("--purge");
    ends(agent.pid(), &started);
    drop(agent);
    assert!(
        said.contains("never deleted") && said.contains("recovery words"),
        "it says who may delete a wallet: {said}"
    );
    assert_eq!(std::fs::read(&vault).expect("the wallet stays even now"), sealed, "untouched");
    assert_gone(&fresh);
    let (known, status, _) = run(Command::new("dpkg-query").args(["-W", "-f=${db:Status-Status}", "hearth"]));
    assert!(!known || status.trim() == "not-installed", "the package system forgot it: {status}");
    assert_eq!(processes(), Vec::<u32>::new(), "no process of the package is left");
}

/// The package to try, or says why it is left out.
fn package() -> Option<PathBuf> {
    let left_out = |why: &str| {
        leave_out(&format!("the life of the installed package, because {why}"));
        None
    };
    if std::env::var_os("HEARTH_LONG_TIER").is_none() {
        return left_out("it is in the long tier (cargo xtask test --full)");
    }
    if !run(Command::new("dpkg").arg("--version")).0 {
        return left_out("this is not a Debian system");
    }
    if run(Command::new("id").arg("-u")).1.trim() != "0" {
        return left_out("only root can install packages");
    }
    if Path::new("/usr/lib/hearth").exists() || Path::new(HEARTH).exists() {
        return left_out("Hearth is installed here and must not be taken away");
    }
    let folder = world::binary("hearth").ancestors().nth(2)?.join("dist");
    let named = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "deb");
    let newest = std::env::var_os("HEARTH_PACKAGE").map(PathBuf::from).or_else(|| {
        let entries = std::fs::read_dir(&folder).ok()?.flatten().map(|entry| entry.path()).filter(named);
        entries.max_by_key(|path| path.metadata().and_then(|meta| meta.modified()).ok())
    });
    newest.or_else(|| left_out(&format!("no package is built in {}: run cargo xtask dist", folder.display())))
}

/// Every path that a package unpacks.
fn contents(package: &Path) -> Vec<PathBuf> {
    let listing = Command::new("sh")
        .args(["-c", "dpkg-deb --fsys-tarfile \"$1\" | tar -t", "sh", text(package)])
        .output()
        .expect("sh runs");
    assert!(listing.status.success(), "{} is a package", package.display());
    let listing = String::from_utf8(listing.stdout).expect("plain text");
    let paths =
        listing.lines().map(|line| Path::new("/").join(line.trim_start_matches("./").trim_end_matches('/')));
    paths.filter(|path| path != Path::new("/")).collect()
}

fn run(command: &mut Command) -> (bool, String, String) {
    match command.output() {
        Ok(output) => {
            let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
            (output.status.success(), text(&output.stdout), text(&output.stderr))
        }
        Err(error) => (false, String::new(), error.to_string()),
    }
}

fn assert_valid(entry: &Path) {
    let (valid, said, complaint) = run(Command::new("desktop-file-validate").arg(entry));
    assert!(valid && said.is_empty(), "{} is a valid desktop entry: {said}{complaint}", entry.display());
}

fn assert_gone(paths: &[PathBuf]) {
    let left: Vec<_> = paths.iter().filter(|path| path.symlink_metadata().is_ok()).collect();
    assert!(left.is_empty(), "no file of the package is left: {left:?}");
}

/// Waits until an agent and all that it had started have ended.
fn ends(agent: u32, started: &[u32]) {
    let deadline = Instant::now() + PATIENCE;
    while let Some(alive) = std::iter::once(&agent).chain(started).find(|pid| is_alive(**pid)) {
        assert!(Instant::now() < deadline, "process {alive} did not end");
        std::thread::yield_now();
    }
}

/// Processes of the installed programs, also of files that are no longer there.
fn processes() -> Vec<u32> {
    let entries = std::fs::read_dir("/proc").expect("a Linux system").flatten();
    let ours = |entry: &std::fs::DirEntry| {
        let program = std::fs::read_link(entry.path().join("exe"));
        program.is_ok_and(|path| path.starts_with("/usr/lib/hearth"))
    };
    entries.filter(ours).filter_map(|entry| entry.file_name().to_string_lossy().parse().ok()).collect()
}

/// The installed package. Dropping it purges it, also when the test fails.
#[derive(Debug)]
struct Installation {
    removed: bool,
}

impl Installation {
    fn install(package: &Path) -> Self {
        let installation = Self { removed: false };
        let (installed, said, complaint) = run(Command::new("dpkg").arg("-i").arg(package));
        assert!(installed, "dpkg -i succeeds: {said}{complaint}");
        installation
    }

    fn remove(mut self, how: &str) -> String {
        let (removed, said, complaint) = run(Command::new("dpkg").args([how, "hearth"]));
        assert!(removed, "dpkg {how} succeeds: {said}{complaint}");
        self.removed = true;
        said
    }
}

impl Drop for Installation {
    fn drop(&mut self) {
        if !self.removed {
            run(Command::new("dpkg").args(["--purge", "hearth"]));
        }
    }
}

/// Whose home the installed agent works in.
#[derive(Debug)]
struct Owner {
    folder: TempDir,
}

impl Owner {
    fn new() -> Self {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::Builder::new().prefix("hearth-").tempdir().expect("a temporary folder");
        for name in ["home", "run"] {
            std::fs::create_dir(folder.path().join(name)).expect("a folder");
            let private = std::fs::Permissions::from_mode(0o700);
            std::fs::set_permissions(folder.path().join(name), private).expect("a private folder");
        }
        Self { folder }
    }

    fn home(&self) -> PathBuf {
        self.folder.path().join("home")
    }

    /// Variables that are set to nothing count as unset.
    fn environment(&self) -> Vec<(&'static str, String)> {
        let mut environment = vec![
            ("HOME", text(&self.home()).to_owned()),
            ("XDG_RUNTIME_DIR", text(&self.folder.path().join("run")).to_owned()),
            ("VK_ICD_FILENAMES", software_driver().to_owned()),
            ("LC_ALL", "C.UTF-8".to_owned()),
        ];
        for name in [
            "XDG_CONFIG_HOME",
            "XDG_DATA_HOME",
            "HEARTH_DATA_DIR",
            "HEARTH_SOCKET",
            "DISPLAY",
            "WAYLAND_DISPLAY",
        ] {
            environment.push((name, String::new()));
        }
        environment
    }

    /// Starts the installed agent and waits until it answers.
    fn start(&self, more: &[&str]) -> Program {
        let environment = self.environment();
        let environment: Vec<_> = environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let agent = Program::start(HEARTH, &[&["--headless", "--json"], more].concat(), &environment);
        let deadline = Instant::now() + PATIENCE;
        while self.command(&["status"], None).0 == NO_AGENT {
            assert!(Instant::now() < deadline, "the installed agent never answered");
        }
        agent
    }

    /// Runs the installed `hearth`: exit code, output, error output.
    fn command(&self, arguments: &[&str], secret: Option<&str>) -> (i32, String, String) {
        let environment = self.environment();
        let environment: Vec<_> = environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let input = secret.map(|secret| format!("{secret}\n"));
        let (status, stdout, stderr) = Program::finish(HEARTH, arguments, &environment, input.as_deref());
        (status.code().unwrap_or(-1), stdout, stderr)
    }

    fn tell(&self, arguments: &[&str], secret: Option<&str>) -> String {
        let (code, stdout, complaint) = self.command(arguments, secret);
        assert_eq!(code, 0, "hearth {arguments:?}: {complaint}");
        stdout
    }

    fn status(&self) -> serde_json::Value {
        serde_json::from_str(&self.tell(&["status", "--json"], None)).expect("status is JSON")
    }

    fn status_until(&self, wanted: impl Fn(&serde_json::Value) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let status = self.status();
            if wanted(&status) {
                return;
            }
            assert!(Instant::now() < deadline, "waited in vain; the status is {status}");
        }
    }

    /// The one wallet's file.
    fn vault(&self) -> PathBuf {
        let wallets = self.home().join(".local/share/hearth/wallet");
        let networks = std::fs::read_dir(&wallets).expect("the wallets' folder").flatten();
        let vaults: Vec<_> =
            networks.map(|entry| entry.path().join("wallet.vault")).filter(|path| path.exists()).collect();
        assert_eq!(vaults.len(), 1, "there is one wallet in {}", wallets.display());
        vaults.into_iter().next().expect("just counted")
    }
}
