//! What the socket lets in, and what it refuses.

use protocol::local::{
    AgentFrame, Answer, ClientFrame, Command, ErrorCode, MAX_FRAME_BYTES, Role, SecretText, State,
    VaultDecision, VaultPurpose,
};

use crate::scene::{Client, Scene};

#[test]
fn a_client_of_another_build_is_refused_and_told_so() {
    let scene = Scene::new();
    let _agent = scene.headless();
    let mut client = Client::raw(&scene.socket());
    client.say(&ClientFrame::Hello { build: "0.0.0+other".into(), role: Role::Window });
    assert!(matches!(client.hear(), Some(AgentFrame::Refused { code: ErrorCode::OtherBuild })));
    assert!(client.hear().is_none(), "the connection ends");
}

#[test]
fn garbage_before_hello_ends_the_connection_and_nothing_else() {
    let scene = Scene::new();
    let _agent = scene.headless();
    for bytes in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0, 0, 0, 0], &[2, 0, 0, 0, b'{', b'}'], &[0xff; 64]] {
        let mut client = Client::raw(&scene.socket());
        client.say_bytes(bytes);
        let heard = client.hear();
        assert!(
            matches!(heard, Some(AgentFrame::Refused { code: ErrorCode::Malformed })),
            "{bytes:?} was answered by {heard:?}"
        );
    }
    let mut good = scene.client(Role::Terminal).expect("the agent still serves");
    assert!(matches!(good.ask(Command::Status), Ok(Answer::Status { .. })));
}

#[test]
fn garbage_after_hello_is_answered_and_an_oversize_frame_ends_the_connection() {
    let scene = Scene::new();
    let _agent = scene.headless();
    let mut client = scene.client(Role::Terminal).unwrap();
    client.say_bytes(&[3, 0, 0, 0, b'x', b'y', b'z']);
    assert!(
        matches!(client.hear(), Some(AgentFrame::Failed { id: 0, error }) if error.code == ErrorCode::Malformed)
    );
    assert!(matches!(client.ask(Command::Status), Ok(Answer::Status { .. })), "the stream is still in step");
    let length = u32::try_from(MAX_FRAME_BYTES + 1).unwrap();
    client.say_bytes(&length.to_le_bytes());
    assert!(
        matches!(client.hear(), Some(AgentFrame::Failed { id: 0, error }) if error.code == ErrorCode::Malformed)
    );
    assert!(client.hear().is_none(), "what follows cannot be told apart any more");
}

#[test]
fn only_a_vault_may_ask_for_secrets_and_a_vault_may_ask_for_nothing_else() {
    let scene = Scene::new();
    let _agent = scene.headless();
    for role in [Role::Window, Role::Terminal] {
        let mut client = scene.client(role).unwrap();
        assert_eq!(client.ask(Command::VaultView).unwrap_err(), ErrorCode::NotAllowed);
        let decision = VaultDecision::ShowWords { passphrase: SecretText::new("guess".into()) };
        assert_eq!(client.ask(Command::VaultDecide { decision }).unwrap_err(), ErrorCode::NotAllowed);
    }
    let guess = Role::Vault { token: "00".repeat(32) };
    assert_eq!(scene.client(guess).err(), Some(ErrorCode::BadToken));
    assert_eq!(scene.client(Role::Vault { token: String::new() }).err(), Some(ErrorCode::BadToken));
}

#[test]
fn the_ninth_client_is_told_to_come_back_later() {
    let scene = Scene::new();
    let _agent = scene.headless();
    let clients: Vec<Client> = (0..8).map(|_| scene.client(Role::Window).unwrap()).collect();
    let mut ninth = Client::raw(&scene.socket());
    assert!(matches!(ninth.hear(), Some(AgentFrame::Refused { code: ErrorCode::Busy })));
    drop(clients);
    scene.wait_for(|| scene.client(Role::Window).is_ok(), "a place is free again");
}

#[test]
fn a_flood_of_requests_is_slowed_down_and_not_obeyed() {
    let scene = Scene::new();
    let _agent = scene.headless();
    let mut client = scene.client(Role::Window).unwrap();
    let refused = (0..300).filter(|_| client.ask(Command::Status).is_err()).count();
    assert!(refused > 100, "only {refused} of 300 requests at once were refused");
}

#[test]
fn without_a_network_the_agent_waits_and_says_what_is_missing() {
    let scene = Scene::new();
    let _agent = scene.headless();
    let mut client = scene.client(Role::Window).unwrap();
    let Ok(Answer::Status { status }) = client.ask(Command::Status) else { panic!("no status") };
    assert_eq!(status.state, State::Waiting);
    assert_eq!(status.notices.len(), 1, "one notice says that no network is joined: {:?}", status.notices);
    assert_eq!(client.ask(Command::Wallet).unwrap_err(), ErrorCode::NoNetwork);
    let purpose = VaultPurpose::Create;
    assert_eq!(client.ask(Command::OpenVault { purpose }).unwrap_err(), ErrorCode::NoNetwork);
}

#[test]
fn a_watched_status_is_pushed_at_once() {
    let scene = Scene::new();
    let _agent = scene.headless();
    let mut client = scene.client(Role::Window).unwrap();
    client.say(&ClientFrame::Request { id: 1, command: Box::new(Command::WatchStatus) });
    let mut heard = [client.hear(), client.hear()];
    heard.sort_by_key(|frame| matches!(frame, Some(AgentFrame::Status { .. })));
    assert!(matches!(heard[0], Some(AgentFrame::Answer { id: 1, .. })), "{heard:?}");
    assert!(matches!(heard[1], Some(AgentFrame::Status { .. })), "{heard:?}");
}
