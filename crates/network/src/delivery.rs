//! One delivery over one stream of bytes: verified while it arrives, signed for while it goes on.
//!
//! It owns the bytes of the conversation. What an order or a receipt says is not its business: callers bring the bytes and
//! judge those of the other side. It opens no connection and knows no journal; [`crate::Peers`] brings both, tests bring pipes.
//!
//! The consumer writes its order (a 16-bit length and that many bytes) and the byte of the blob to start from (64 bits, a multiple
//! of [`GROUP_BYTES`]), then receipts, each with a 16-bit length. The provider writes one byte, 0 or a refusal, then the
//! blob from there on as a BLAKE3 verified stream (bao-tree, groups of 16 KiB, without a length in front: both sides know it from the
//! order). All numbers are big endian. Whoever is silent for [`SILENCE`] is given up.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bao_tree::io::fsm::{ResponseDecoder, ResponseDecoderNext, encode_ranges_validated};
use bao_tree::io::outboard::PreOrderOutboard;
use bao_tree::io::{BaoContentItem, DecodeError, EncodeError};
use bao_tree::{BaoTree, BlockSize, ChunkNum, ChunkRanges};
use bytes::Bytes;
use iroh_io::{AsyncStreamWriter, TokioStreamReader};
use protocol::id::Hash;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::watch;

/// A blob is verified in groups of this many bytes: a provider that lies wastes at most one of them.
pub const GROUP_BYTES: u64 = 16 * 1024;
/// Whoever moves not even one group, or signs nothing, for so long is given up.
pub const SILENCE: Duration = Duration::from_secs(30);
/// Longest order.
pub const MAX_ORDER_BYTES: usize = 4 * 1024;
/// Longest receipt.
pub const MAX_RECEIPT_BYTES: usize = 1024;

/// Groups of 2^4 chunks of 1 KiB.
const GROUP: BlockSize = BlockSize::from_chunk_log(4);

/// What a provider answers instead of the blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The order is not one that this provider serves.
    #[error("the order is not valid here")]
    Order,
    /// It does not have the blob, or not any more.
    #[error("the blob is not here")]
    NotHere,
    /// It serves others, has delivered its share, or its owner has come back.
    #[error("not at present")]
    Busy,
}

impl Refusal {
    const fn code(self) -> u8 {
        match self {
            Self::Order => 1,
            Self::NotHere => 2,
            Self::Busy => 3,
        }
    }

    const fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Order),
            2 => Some(Self::NotHere),
            3 => Some(Self::Busy),
            _ => None,
        }
    }
}

/// Why a delivery ended before its end. What was verified and signed until then stays.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeliveryError {
    /// The stream broke off.
    #[error("the delivery broke off")]
    Broken(#[source] io::Error),
    /// The other side was silent for [`SILENCE`].
    #[error("the other side was silent for {SILENCE:?}")]
    Silent,
    /// The other side does not keep to the form of the conversation.
    #[error("the other side sent {what}")]
    Malformed {
        /// What it sent.
        what: &'static str,
    },
    /// The provider sent bytes that are not the blob's. None of them were passed on.
    #[error("the provider sent bytes of something else")]
    WrongBytes,
    /// The provider refused.
    #[error("the provider refused")]
    Refused(#[source] Refusal),
    /// The consumer stopped signing, or signed for something else.
    #[error("the consumer did not sign for what it got")]
    Unsigned,
    /// The blob on this disk is damaged or gone.
    #[error("the blob on this disk cannot be delivered")]
    Damaged(#[source] io::Error),
    /// What arrived cannot be written.
    #[error("the delivery cannot be written")]
    Write(#[source] io::Error),
}

/// An order as a provider reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// What the consumer shows, for example a signed lease.
    pub bytes: Vec<u8>,
    /// Where it wants to go on; a multiple of [`GROUP_BYTES`].
    pub from_byte: u64,
}

/// A blob that can be delivered.
#[derive(Debug)]
pub struct Goods {
    data: File,
    outboard: PreOrderOutboard<Bytes>,
}

impl Goods {
    /// Opens the blob `hash` in the file `data`. The tree of its hashes is kept in `outboard`, 0.4 % of its size, and is
    /// made anew when it is missing or has the wrong length. Blocks: the first time the whole blob is read.
    ///
    /// # Errors
    /// Those of the file system, and [`io::ErrorKind::InvalidData`] when the file is not what its name says.
    pub fn open(hash: &Hash, data: &Path, outboard: &Path) -> io::Result<Self> {
        let file = File::open(data)?;
        let tree = BaoTree::new(file.metadata()?.len(), GROUP);
        let root = bao_tree::blake3::Hash::from_bytes(hash.0);
        if let Some(kept) = kept_outboard(outboard, tree.outboard_size())? {
            return Ok(Self { data: file, outboard: PreOrderOutboard { root, tree, data: kept.into() } });
        }
        let mut made = PreOrderOutboard { root, tree, data: Vec::new() };
        made.data.resize(usize::try_from(tree.outboard_size()).map_err(io::Error::other)?, 0);
        let found = bao_tree::io::sync::outboard(&file, tree, &mut made)?;
        if found != root {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the file is not what its name says"));
        }
        let part = beside(outboard);
        let mut kept = File::create(&part)?;
        kept.write_all(&made.data)?;
        kept.sync_all()?;
        std::fs::rename(&part, outboard)?;
        // Reading and hashing have moved the place in the file; deliveries say where they read.
        Ok(Self { data: file, outboard: PreOrderOutboard { root, tree, data: made.data.into() } })
    }

    /// Length of the blob.
    pub fn bytes(&self) -> u64 {
        self.outboard.tree.size()
    }
}

/// The hashes kept in a file, if it has the length that they have.
fn kept_outboard(path: &Path, bytes: u64) -> io::Result<Option<Vec<u8>>> {
    match File::open(path) {
        Ok(mut file) if file.metadata()?.len() == bytes => {
            let mut kept = Vec::new();
            file.read_to_end(&mut kept)?;
            Ok(Some(kept))
        }
        Ok(_) => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// A name for what is being written: two who make the same tree at the same time do not meet.
fn beside(path: &Path) -> PathBuf {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}.part", NEXT.fetch_add(1, Ordering::Relaxed)));
    name.into()
}

/// Reads the order of a stream.
///
/// # Errors
/// [`DeliveryError`].
pub async fn read_order<R: AsyncRead + Unpin>(receiver: &mut R) -> Result<Order, DeliveryError> {
    let bytes = in_time(read_block(receiver, MAX_ORDER_BYTES)).await?;
    let bytes = bytes.ok_or(DeliveryError::Malformed { what: "no order" })?;
    let from_byte = in_time(async { receiver.read_u64().await.map_err(DeliveryError::Broken) }).await?;
    if from_byte % GROUP_BYTES != 0 {
        return Err(DeliveryError::Malformed { what: "a start inside a group" });
    }
    Ok(Order { bytes, from_byte })
}

/// Answers an order with a refusal.
///
/// # Errors
/// [`DeliveryError`].
pub async fn refuse<S: AsyncWrite + Unpin>(sender: &mut S, refusal: Refusal) -> Result<(), DeliveryError> {
    in_time(async {
        sender.write_u8(refusal.code()).await.map_err(DeliveryError::Broken)?;
        sender.shutdown().await.map_err(DeliveryError::Broken)
    })
    .await
}

/// Delivers `goods` from `from_byte` on. Sends beyond `signed_for` only what `on_receipt` allows: it is given each receipt
/// and the byte of the blob up to which has been sent, and says up to which byte may be sent from then on. Returns when the consumer
/// has signed for the end or has said that it wants no more, with the byte up to which was sent.
///
/// # Errors
/// [`DeliveryError`]; [`DeliveryError::Unsigned`] when `on_receipt` refuses a receipt.
pub async fn deliver<S, R>(
    sender: &mut S,
    receiver: &mut R,
    goods: Goods,
    from_byte: u64,
    may_send: u64,
    mut on_receipt: impl FnMut(&[u8], u64) -> Option<u64>,
) -> Result<u64, DeliveryError>
where
    S: AsyncWrite + Unpin,
    R: AsyncRead + Unpin,
{
    let end = goods.bytes();
    if from_byte > 0 && from_byte >= end {
        refuse(sender, Refusal::Order).await?;
        return Err(DeliveryError::Malformed { what: "a start past the end" });
    }
    let sent = Arc::new(AtomicU64::new(from_byte));
    let (allow, allowed) = watch::channel(may_send);
    let writing = async {
        in_time(async { sender.write_u8(0).await.map_err(DeliveryError::Broken) }).await?;
        let ranges = ChunkRanges::from(ChunkNum::full_chunks(from_byte)..);
        let data = iroh_io::File::from_std(goods.data);
        let mut gate = Gate { sender, allowed, sent: Arc::clone(&sent), gave_up: None };
        let encoded = encode_ranges_validated(data, goods.outboard, &ranges, &mut gate).await;
        if let Err(error) = encoded {
            return Err(gate.gave_up.take().unwrap_or_else(|| undeliverable(error)));
        }
        in_time(async { gate.sender.shutdown().await.map_err(DeliveryError::Broken) }).await
    };
    let reading = async {
        // Silence is measured by the gate while there is something to send, and here once all of it is on its way.
        loop {
            let all_sent = sent.load(Ordering::Relaxed) >= end;
            let block = read_block(receiver, MAX_RECEIPT_BYTES);
            let block = if all_sent { in_time(block).await? } else { block.await? };
            let Some(receipt) = block else { break };
            let up_to = on_receipt(&receipt, sent.load(Ordering::Relaxed)).ok_or(DeliveryError::Unsigned)?;
            // Nobody waits any more once everything has been sent.
            allow.send_replace(up_to);
        }
        drop(allow);
        Ok(())
    };
    tokio::try_join!(writing, reading)?;
    Ok(sent.load(Ordering::Relaxed))
}

fn undeliverable(error: EncodeError) -> DeliveryError {
    match error {
        EncodeError::Io(error) => DeliveryError::Damaged(error),
        other => DeliveryError::Damaged(io::Error::new(io::ErrorKind::InvalidData, other)),
    }
}

/// What a consumer wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// The blob.
    pub hash: Hash,
    /// Its length.
    pub bytes: u64,
    /// What is here already, from its start; a multiple of [`GROUP_BYTES`].
    pub from_byte: u64,
}

/// Fetches what is `wanted` and writes it to `sink`, verified, in order. `on_verified` is told how much of the blob is here and
/// gives the receipt that is due, if one is; at the end it has to give the last one.
///
/// # Errors
/// [`DeliveryError`]; what was written to `sink` is right in any case.
pub async fn fetch<S, R, W>(
    sender: &mut S,
    receiver: &mut R,
    order: &[u8],
    wanted: Wanted,
    sink: &mut W,
    mut on_verified: impl FnMut(u64) -> Option<Vec<u8>>,
) -> Result<(), DeliveryError>
where
    S: AsyncWrite + Unpin,
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    in_time(async {
        write_block(sender, order).await?;
        sender.write_u64(wanted.from_byte).await.map_err(DeliveryError::Broken)?;
        sender.flush().await.map_err(DeliveryError::Broken)
    })
    .await?;
    match in_time(async { receiver.read_u8().await.map_err(DeliveryError::Broken) }).await? {
        0 => {}
        code => {
            let refusal = Refusal::from_code(code);
            return Err(refusal
                .map_or(DeliveryError::Malformed { what: "an unknown answer" }, DeliveryError::Refused));
        }
    }
    let tree = BaoTree::new(wanted.bytes, GROUP);
    let ranges = ChunkRanges::from(ChunkNum::full_chunks(wanted.from_byte)..);
    let root = bao_tree::blake3::Hash::from_bytes(wanted.hash.0);
    let mut decoder = ResponseDecoder::new(root, ranges, tree, TokioStreamReader::new(receiver));
    loop {
        let step = tokio::time::timeout(SILENCE, decoder.next()).await.map_err(|_| DeliveryError::Silent)?;
        let ResponseDecoderNext::More((next, item)) = step else { break };
        decoder = next;
        let BaoContentItem::Leaf(leaf) = item.map_err(undecodable)? else { continue };
        sink.write_all(&leaf.data).await.map_err(DeliveryError::Write)?;
        let verified = leaf.offset + leaf.data.len() as u64;
        if let Some(receipt) = on_verified(verified) {
            // What was signed for must be on the disk's side of a crash of ours as far as a flush brings it there.
            sink.flush().await.map_err(DeliveryError::Write)?;
            in_time(write_block(sender, &receipt)).await?;
        }
    }
    sink.flush().await.map_err(DeliveryError::Write)?;
    in_time(async { sender.shutdown().await.map_err(DeliveryError::Broken) }).await
}

fn undecodable(error: DecodeError) -> DeliveryError {
    match error {
        DecodeError::ParentHashMismatch(_) | DecodeError::LeafHashMismatch(_) => DeliveryError::WrongBytes,
        DecodeError::Io(error) => DeliveryError::Broken(error),
        // The stream ended where a node or a group was due.
        ended => DeliveryError::Broken(io::Error::new(io::ErrorKind::UnexpectedEof, ended)),
    }
}

/// Lets groups through as far as they are allowed.
struct Gate<'a, S> {
    sender: &'a mut S,
    allowed: watch::Receiver<u64>,
    sent: Arc<AtomicU64>,
    /// Why it let nothing more through, for an encoder that knows only errors of I/O.
    gave_up: Option<DeliveryError>,
}

impl<S: AsyncWrite + Unpin> Gate<'_, S> {
    async fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        let written = in_time(async { self.sender.write_all(bytes).await.map_err(DeliveryError::Broken) });
        written.await.map_err(|error| self.give_up(error))
    }

    fn give_up(&mut self, error: DeliveryError) -> io::Error {
        self.gave_up = Some(error);
        io::ErrorKind::ConnectionAborted.into()
    }
}

impl<S: AsyncWrite + Unpin> AsyncStreamWriter for &mut Gate<'_, S> {
    /// The encoder writes pairs of hashes so.
    async fn write(&mut self, pair: &[u8]) -> io::Result<()> {
        self.write_all(pair).await
    }

    /// The encoder writes groups so.
    async fn write_bytes(&mut self, group: Bytes) -> io::Result<()> {
        let after = self.sent.load(Ordering::Relaxed) + group.len() as u64;
        let wait = self.allowed.wait_for(|&up_to| after <= up_to);
        match tokio::time::timeout(SILENCE, wait).await.map(|allowed| allowed.is_ok()) {
            Ok(true) => {}
            Ok(false) | Err(_) => return Err(self.give_up(DeliveryError::Unsigned)),
        }
        // Counted before it is written: a receipt can be back before the write returns.
        self.sent.store(after, Ordering::Relaxed);
        self.write_all(&group).await
    }

    async fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A block with its length in front; `None` at the clean end of the stream.
async fn read_block<R: AsyncRead + Unpin>(
    receiver: &mut R,
    max_bytes: usize,
) -> Result<Option<Vec<u8>>, DeliveryError> {
    let mut length = [0; 2];
    if receiver.read(&mut length[..1]).await.map_err(DeliveryError::Broken)? == 0 {
        return Ok(None);
    }
    receiver.read_exact(&mut length[1..]).await.map_err(DeliveryError::Broken)?;
    let bytes = usize::from(u16::from_be_bytes(length));
    if bytes == 0 || bytes > max_bytes {
        return Err(DeliveryError::Malformed { what: "a block of a length that no block has" });
    }
    let mut block = vec![0; bytes];
    receiver.read_exact(&mut block).await.map_err(DeliveryError::Broken)?;
    Ok(Some(block))
}

async fn write_block<S: AsyncWrite + Unpin>(sender: &mut S, block: &[u8]) -> Result<(), DeliveryError> {
    let length =
        u16::try_from(block.len()).map_err(|_| DeliveryError::Malformed { what: "too long a block" })?;
    sender.write_u16(length).await.map_err(DeliveryError::Broken)?;
    sender.write_all(block).await.map_err(DeliveryError::Broken)?;
    sender.flush().await.map_err(DeliveryError::Broken)
}

async fn in_time<T>(step: impl Future<Output = Result<T, DeliveryError>>) -> Result<T, DeliveryError> {
    tokio::time::timeout(SILENCE, step).await.map_err(|_| DeliveryError::Silent)?
}

#[cfg(test)]
mod tests;
