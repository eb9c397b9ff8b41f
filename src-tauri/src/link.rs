//! The connection to the agent: hello, numbered requests, pushed news, and connecting again after a loss.
//!
//! One task owns the socket. It never decides anything; it tells [`News`] as they come and fails requests that the loss
//! of the connection left without an answer.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use protocol::local::{
    AgentFrame, Answer, ClientFrame, Command, ErrorCode, LocalError, Picture, Role, Status, build,
};
use serde::Serialize;
use tokio::net::UnixStream;
use tokio::sync::{mpsc, oneshot};

use crate::frames::{self, FrameError};

/// First and longest pause before connecting again.
const RETRY: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(2));

/// Whether the agent can be asked; the page shows an error page for all but `Connected`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub(crate) enum Connection {
    /// Nothing is known yet.
    Connecting,
    /// It can be asked.
    Connected,
    /// No agent answers.
    Absent,
    /// The agent does not talk to this window.
    Refused {
        /// Why.
        code: ErrorCode,
    },
}

/// What the agent tells by itself.
#[derive(Debug)]
pub(crate) enum News {
    /// The connection changed.
    Connection(Connection),
    /// The present state.
    Status(Box<Status>),
    /// A new picture.
    Picture(Box<Picture>),
}

struct Question {
    command: Command,
    answer: oneshot::Sender<Result<Answer, LocalError>>,
}

/// The way to ask the agent.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    questions: mpsc::Sender<Question>,
}

impl Link {
    /// Connects in the background as `role` and keeps connected; a vault's token is good once, so it tries once.
    pub(crate) fn open(role: Role, news: impl Fn(News) + Send + Sync + 'static) -> Self {
        Self::open_at(socket_path(), role, news)
    }

    fn open_at(socket: Option<PathBuf>, role: Role, news: impl Fn(News) + Send + Sync + 'static) -> Self {
        let (questions, asked) = mpsc::channel(16);
        tauri::async_runtime::spawn(keep(socket, role, asked, news));
        Self { questions }
    }

    /// Asks and waits for the answer.
    pub(crate) async fn ask(&self, command: Command) -> Result<Answer, LocalError> {
        let (answer, answered) = oneshot::channel();
        let lost = |_| lost("the connection to the agent is closed");
        self.questions.send(Question { command, answer }).await.map_err(|_| lost(()))?;
        answered.await.map_err(|_| lost(()))?
    }
}

fn lost(detail: &str) -> LocalError {
    LocalError { code: ErrorCode::Internal, detail: detail.to_owned() }
}

/// Where the agent listens.
pub(crate) fn socket_path() -> Option<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("HEARTH_SOCKET")
        .or_else(|| set("XDG_RUNTIME_DIR").map(|folder| folder.join("hearth/agent.sock")))
        .or_else(|| set("HOME").map(|home| home.join(".local/share/hearth/run/agent.sock")))
}

async fn keep(socket: Option<PathBuf>, role: Role, mut asked: mpsc::Receiver<Question>, news: impl Fn(News)) {
    let once = matches!(role, Role::Vault { .. });
    let mut pause = RETRY.0;
    loop {
        match connect(socket.as_deref(), &role).await {
            Ok(stream) => {
                pause = RETRY.0;
                news(News::Connection(Connection::Connected));
                if let Err(error) = converse(stream, &role, &mut asked, &news).await {
                    tracing::debug!("the conversation with the agent ended: {error}");
                }
                news(News::Connection(Connection::Absent));
            }
            Err(ConnectError::Refused(code)) => {
                tracing::warn!("the agent refused this window: {code:?}");
                news(News::Connection(Connection::Refused { code }));
            }
            Err(error) => {
                tracing::debug!("no agent: {error}");
                news(News::Connection(Connection::Absent));
            }
        }
        if once {
            // Questions that come now find a closed channel and fail.
            return;
        }
        if !wait(pause, &mut asked).await {
            return;
        }
        pause = (pause * 2).min(RETRY.1);
    }
}

/// Waits before the next attempt and answers questions meanwhile; false once nobody can ask any more.
async fn wait(pause: Duration, asked: &mut mpsc::Receiver<Question>) -> bool {
    let pause = tokio::time::sleep(pause);
    tokio::pin!(pause);
    loop {
        tokio::select! {
            () = &mut pause => return true,
            question = asked.recv() => match question {
                // Whoever asked may have gone; then nobody misses the answer.
                Some(question) => drop(question.answer.send(Err(lost("the agent is not running")))),
                None => return false,
            },
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum ConnectError {
    #[error("there is no place for the agent's socket: neither XDG_RUNTIME_DIR nor HOME is set")]
    NoPlace,
    #[error("the socket cannot be opened")]
    Socket(#[from] std::io::Error),
    #[error("the socket belongs to another user")]
    Stranger,
    #[error("the agent refused: {0:?}")]
    Refused(ErrorCode),
    #[error("the greeting failed")]
    Frame(#[from] FrameError),
    #[error("the agent answered hello with another frame")]
    Manners,
}

async fn connect(socket: Option<&Path>, role: &Role) -> Result<UnixStream, ConnectError> {
    let path = socket.ok_or(ConnectError::NoPlace)?;
    let mut stream = UnixStream::connect(path).await?;
    // A socket in a folder of ours that somebody else listens on is an imposter who waits for a passphrase.
    if stream.peer_cred()?.uid() != rustix::process::getuid().as_raw() {
        return Err(ConnectError::Stranger);
    }
    frames::write(&mut stream, &ClientFrame::Hello { build: build().to_owned(), role: role.clone() }).await?;
    match frames::read(&mut stream).await? {
        AgentFrame::Welcome { build: theirs } if theirs == build() => Ok(stream),
        AgentFrame::Welcome { .. } => Err(ConnectError::Refused(ErrorCode::OtherBuild)),
        AgentFrame::Refused { code } => Err(ConnectError::Refused(code)),
        _ => Err(ConnectError::Manners),
    }
}

async fn converse(
    stream: UnixStream,
    role: &Role,
    asked: &mut mpsc::Receiver<Question>,
    news: &impl Fn(News),
) -> Result<(), FrameError> {
    let (mut reader, mut writer) = stream.into_split();
    // Frames are read in a task of their own: a read that a select cut off would lose the place in the stream.
    let (heard, mut frames_heard) = mpsc::channel(16);
    let reading = tauri::async_runtime::spawn(async move {
        loop {
            let frame = frames::read::<AgentFrame>(&mut reader).await;
            let last = frame.is_err();
            if heard.send(frame).await.is_err() || last {
                return;
            }
        }
    });
    let mut next = 0_u32;
    let mut open = BTreeMap::new();
    if matches!(role, Role::Window) {
        for command in [Command::WatchStatus, Command::WatchPicture] {
            next += 1;
            frames::write(&mut writer, &ClientFrame::Request { id: next, command: Box::new(command) })
                .await?;
        }
    }
    let ended = loop {
        tokio::select! {
            frame = frames_heard.recv() => match frame {
                Some(Ok(frame)) => hear(frame, &mut open, news),
                Some(Err(error)) => break Err(error),
                None => break Ok(()),
            },
            question = asked.recv() => match question {
                Some(Question { command, answer }) => {
                    next = next.wrapping_add(1);
                    open.insert(next, answer);
                    let frame = ClientFrame::Request { id: next, command: Box::new(command) };
                    if let Err(error) = frames::write(&mut writer, &frame).await {
                        break Err(error);
                    }
                }
                None => break Ok(()),
            },
        }
    };
    reading.abort();
    ended
}

/// Questions without an answer, by number. Dropping one tells whoever asked that the connection is gone.
type Open = BTreeMap<u32, oneshot::Sender<Result<Answer, LocalError>>>;

fn hear(frame: AgentFrame, open: &mut Open, news: &impl Fn(News)) {
    match frame {
        AgentFrame::Status { status } => news(News::Status(status)),
        AgentFrame::Picture { picture } => news(News::Picture(picture)),
        AgentFrame::Answer { id, answer } => {
            // WatchStatus may be answered by the status itself.
            if let Some(asker) = open.remove(&id) {
                drop(asker.send(Ok(*answer)));
            } else if let Answer::Status { status } = *answer {
                news(News::Status(status));
            }
        }
        AgentFrame::Failed { id, error } => match open.remove(&id) {
            Some(asker) => drop(asker.send(Err(error))),
            None => tracing::warn!("the agent does not push news: {:?} {}", error.code, error.detail),
        },
        AgentFrame::Welcome { .. } | AgentFrame::Refused { .. } => {
            tracing::warn!("the agent greeted in the middle of a conversation");
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::UnixListener;

    use super::*;

    struct Scene {
        link: Link,
        news: mpsc::UnboundedReceiver<News>,
        listener: UnixListener,
        _folder: tempfile::TempDir,
    }

    fn scene(role: Role) -> Scene {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("agent.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let (tell, news) = mpsc::unbounded_channel();
        let link = Link::open_at(Some(socket), role, move |item| {
            // The test may have ended first.
            drop(tell.send(item));
        });
        Scene { link, news, listener, _folder: folder }
    }

    /// Takes the next client, checks its hello and greets it as an agent of `theirs`.
    async fn greet(listener: &UnixListener, theirs: &str) -> UnixStream {
        let (mut stream, _) = listener.accept().await.unwrap();
        let ClientFrame::Hello { build: ours, .. } = frames::read(&mut stream).await.unwrap() else {
            panic!("the first frame is hello");
        };
        assert_eq!(ours, build());
        frames::write(&mut stream, &AgentFrame::Welcome { build: theirs.to_owned() }).await.unwrap();
        stream
    }

    async fn question(stream: &mut UnixStream) -> (u32, Command) {
        match frames::read(stream).await.unwrap() {
            ClientFrame::Request { id, command } => (id, *command),
            other @ ClientFrame::Hello { .. } => panic!("{other:?} is no request"),
        }
    }

    async fn connection(news: &mut mpsc::UnboundedReceiver<News>) -> Connection {
        loop {
            if let News::Connection(connection) = news.recv().await.unwrap() {
                return connection;
            }
        }
    }

    #[tokio::test]
    async fn a_window_watches_by_itself_and_gets_each_answer_to_its_question() {
        let mut scene = scene(Role::Window);
        let mut agent = greet(&scene.listener, build()).await;
        assert_eq!(connection(&mut scene.news).await, Connection::Connected);
        assert!(matches!(question(&mut agent).await.1, Command::WatchStatus));
        assert!(matches!(question(&mut agent).await.1, Command::WatchPicture));

        let (first, second) = (scene.link.clone(), scene.link.clone());
        let first = tokio::spawn(async move { first.ask(Command::Resume).await });
        let (first_id, _) = question(&mut agent).await;
        let second = tokio::spawn(async move { second.ask(Command::Statement).await });
        let (second_id, _) = question(&mut agent).await;
        let text = Answer::Text { file_name: "a.json".into(), text: "{}".into() };
        for (id, answer) in [(second_id, text), (first_id, Answer::Done)] {
            frames::write(&mut agent, &AgentFrame::Answer { id, answer: Box::new(answer) }).await.unwrap();
        }
        assert!(matches!(first.await.unwrap(), Ok(Answer::Done)), "answers are told apart by number");
        assert!(matches!(second.await.unwrap(), Ok(Answer::Text { .. })));
    }

    #[tokio::test]
    async fn a_question_fails_when_the_agent_goes_and_the_window_connects_again() {
        let mut scene = scene(Role::Window);
        let mut agent = greet(&scene.listener, build()).await;
        let link = scene.link.clone();
        let asked = tokio::spawn(async move { link.ask(Command::Wallet).await });
        while !matches!(question(&mut agent).await.1, Command::Wallet) {}
        drop(agent);
        assert!(asked.await.unwrap().is_err(), "nobody waits for ever");
        assert_eq!(connection(&mut scene.news).await, Connection::Connected);
        assert_eq!(connection(&mut scene.news).await, Connection::Absent);
        greet(&scene.listener, build()).await;
        assert_eq!(connection(&mut scene.news).await, Connection::Connected, "the window goes on by itself");
    }

    #[tokio::test]
    async fn an_agent_of_another_build_gets_no_question() {
        let mut scene = scene(Role::Window);
        let mut agent = greet(&scene.listener, "0.0.1+other").await;
        let refused = connection(&mut scene.news).await;
        assert_eq!(refused, Connection::Refused { code: ErrorCode::OtherBuild });
        assert!(frames::read::<ClientFrame>(&mut agent).await.is_err(), "nothing more is said to it");
    }

    #[tokio::test]
    async fn a_vault_connects_once_because_its_token_is_good_once() {
        let scene = scene(Role::Vault { token: "ab".into() });
        drop(greet(&scene.listener, build()).await);
        // The link's task is over with the connection, so questions find nobody.
        while scene.link.ask(Command::VaultView).await.is_ok() {}
        scene.link.questions.closed().await;
    }
}
