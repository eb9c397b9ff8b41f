//! The client's side of the local conversation, for terminal commands and for a second start of `hearth`.
//!
//! One request at a time; pushes that arrive in between are handed out by [`Client::pushed`]. It never starts an agent.

use protocol::local::{AgentFrame, Answer, ClientFrame, Command, ErrorCode, LocalError, Role, Status, build};
use tokio::io::{ReadHalf, WriteHalf};

use crate::framing::{FrameError, FrameReader, write_frame};
use crate::home::Home;
use crate::socket::{self, SocketError, Stream};

/// A connection that has been welcomed.
#[derive(Debug)]
pub struct Client {
    reader: FrameReader<ReadHalf<Stream>>,
    writer: WriteHalf<Stream>,
    last_id: u32,
}

/// Why a request brought no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// No agent.
    #[error("no agent is running")]
    NoAgent(#[source] SocketError),
    /// The agent refused the hello.
    #[error("the agent refused this program ({code:?})")]
    Refused {
        /// Why.
        code: ErrorCode,
    },
    /// The request failed.
    #[error("the agent answered {:?}", .0.code)]
    Failed(LocalError),
    /// The conversation broke.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// An answer of another kind than the request asks for.
    #[error("the agent answered something else than was asked")]
    Unexpected,
}

impl Client {
    /// Connects to the agent of `home` and says hello.
    ///
    /// # Errors
    /// [`ClientError::NoAgent`], [`ClientError::Refused`] or a broken conversation.
    pub async fn connect(home: &Home, role: Role) -> Result<Self, ClientError> {
        let stream = socket::connect(home).await.map_err(ClientError::NoAgent)?;
        let (reader, writer) = tokio::io::split(stream);
        let mut client = Self { reader: FrameReader::new(reader), writer, last_id: 0 };
        write_frame(&mut client.writer, &ClientFrame::Hello { build: build().to_owned(), role }).await?;
        match client.reader.next().await? {
            AgentFrame::Welcome { .. } => Ok(client),
            AgentFrame::Refused { code } => Err(ClientError::Refused { code }),
            _ => Err(ClientError::Unexpected),
        }
    }

    /// Asks and waits for the answer; pushes in between are dropped.
    ///
    /// # Errors
    /// [`ClientError::Failed`] with the agent's reason, or a broken conversation.
    pub async fn ask(&mut self, command: Command) -> Result<Answer, ClientError> {
        self.last_id += 1;
        let request = ClientFrame::Request { id: self.last_id, command: Box::new(command) };
        write_frame(&mut self.writer, &request).await?;
        loop {
            match self.reader.next().await? {
                AgentFrame::Answer { id, answer } if id == self.last_id => return Ok(*answer),
                AgentFrame::Failed { id, error } if id == self.last_id || id == 0 => {
                    return Err(ClientError::Failed(error));
                }
                AgentFrame::Status { .. } | AgentFrame::Picture { .. } => {}
                _ => return Err(ClientError::Unexpected),
            }
        }
    }

    /// Asks for something that has no answer but done.
    ///
    /// # Errors
    /// As [`Client::ask`].
    pub async fn order(&mut self, command: Command) -> Result<(), ClientError> {
        match self.ask(command).await? {
            Answer::Done => Ok(()),
            _ => Err(ClientError::Unexpected),
        }
    }

    /// The next pushed status; call after [`Command::WatchStatus`].
    ///
    /// # Errors
    /// A broken conversation.
    pub async fn pushed(&mut self) -> Result<Status, ClientError> {
        loop {
            if let AgentFrame::Status { status } = self.reader.next().await? {
                return Ok(*status);
            }
        }
    }
}
