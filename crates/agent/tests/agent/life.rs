//! Start, second start, end, and what a terminal says in between.

use std::os::unix::fs::PermissionsExt as _;

use protocol::local::{Answer, Command, Role};

use crate::scene::Scene;

#[test]
fn quit_ends_the_agent_and_leaves_no_socket() {
    let scene = Scene::new();
    let mut agent = scene.headless();
    let quit = scene.terminal(&["quit"]);
    assert!(quit.status.success(), "{quit:?}");
    assert_eq!(agent.ended(), Some(0));
    assert!(!scene.socket().exists(), "the socket goes with its agent");
}

#[test]
fn a_signal_ends_the_agent_cleanly() {
    for signal in [rustix::process::Signal::TERM, rustix::process::Signal::INT] {
        let scene = Scene::new();
        let mut agent = scene.headless();
        let pid = rustix::process::Pid::from_child(&agent.child);
        rustix::process::kill_process(pid, signal).unwrap();
        assert_eq!(agent.ended(), Some(0), "{signal:?}");
        assert!(!scene.socket().exists());
    }
}

#[test]
fn a_killed_agent_leaves_nothing_that_stops_the_next_one() {
    let scene = Scene::new();
    let mut killed = scene.headless();
    killed.child.kill().unwrap();
    killed.child.wait().unwrap();
    assert!(scene.socket().exists(), "a killed agent cannot clean up");
    let _next = scene.headless();
    assert!(scene.terminal(&["status"]).status.success());
}

#[test]
fn a_second_start_opens_the_window_of_the_first_and_ends() {
    let mut scene = Scene::new();
    let script = scene.path("window.sh");
    let opened = scene.path("opened");
    std::fs::write(
        &script,
        format!("#!/bin/sh\necho \"$HEARTH_SOCKET\" >> '{}'\nread -r line\n", opened.display()),
    )
    .unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o700)).unwrap();
    scene.set("HEARTH_WINDOW", script.to_str().unwrap());
    scene.set("DISPLAY", ":99");
    let mut first = scene.listening(&["--hidden"]);
    let second = scene.command(&[]).output().unwrap();
    assert!(second.status.success(), "{second:?}");
    scene.wait_for(|| opened.exists(), "the window of the first agent opens");
    let third = scene.command(&["--headless"]).output().unwrap();
    assert!(!third.status.success(), "a headless second agent would have nothing to do");
    assert!(String::from_utf8_lossy(&third.stderr).contains("already running"));
    assert!(scene.terminal(&["quit"]).status.success());
    assert_eq!(first.ended(), Some(0));
    let text = std::fs::read_to_string(&opened).unwrap();
    assert_eq!(text.trim(), scene.socket().to_str().unwrap(), "one window, told where its agent listens");
}

#[test]
fn without_a_display_the_window_command_says_so_in_a_sentence() {
    let scene = Scene::new();
    let _agent = scene.listening(&["--hidden"]);
    let window = scene.terminal(&["window"]);
    assert_eq!(window.status.code(), Some(1));
    let said = String::from_utf8_lossy(&window.stderr).into_owned();
    assert!(said.contains("There is no display for a window.") && said.contains("no_display"), "{said}");
}

#[test]
fn without_an_agent_every_command_says_how_to_start_one() {
    let scene = Scene::new();
    for command in [&["status"][..], &["quit"], &["snooze", "1h"], &["wallet", "balance"]] {
        let output = scene.terminal(command);
        assert_eq!(output.status.code(), Some(3), "{command:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("hearth"), "{output:?}");
    }
    let unknown = scene.terminal(&["--frobnicate"]);
    assert_eq!(unknown.status.code(), Some(2), "an unknown flag is a usage error");
}

#[test]
fn status_reads_for_people_and_for_programs() {
    let scene = Scene::new();
    let _agent = scene.headless();
    let plain = scene.terminal(&["status"]);
    let text = String::from_utf8(plain.stdout).unwrap();
    assert!(text.starts_with("State: Ready"), "{text}");
    let json = scene.terminal(&["status", "--json"]);
    let status: protocol::local::Status = serde_json::from_slice(&json.stdout).unwrap();
    let mut client = scene.client(Role::Terminal).unwrap();
    let Ok(Answer::Status { status: present }) = client.ask(Command::Status) else { panic!("no status") };
    assert_eq!(status.state, present.state);
}

#[test]
fn a_bad_profile_is_refused_with_its_own_sentence() {
    let scene = Scene::new();
    let _agent = scene.headless();
    let file = scene.path("profile");
    std::fs::write(&file, b"not a profile").unwrap();
    let join = scene.terminal(&["join", file.to_str().unwrap()]);
    assert_eq!(join.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&join.stderr).contains("profile_unreadable"), "{join:?}");
    let missing = scene.terminal(&["join", "/nonexistent/profile"]);
    assert!(String::from_utf8_lossy(&missing.stderr).contains("profile_unreadable"), "{missing:?}");
}

#[test]
fn the_data_directory_is_for_its_owner_alone() {
    let scene = Scene::new();
    let _agent = scene.headless();
    for name in ["data", "data/log", "data/wallet", "run"] {
        let mode = std::fs::metadata(scene.path(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o700, "{name}");
    }
    assert!(scene.path("data/log/hearth.log").exists());
}
