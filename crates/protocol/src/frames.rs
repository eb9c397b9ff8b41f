//! The conversation between the agent (or a verifier) and one `worker` process, over the worker's stdin and stdout.
//!
//! A frame is a little-endian u32 length and that many bytes of canonical CBOR. Everything that comes out of a worker
//! is hostile input: [`read_reply`] bounds the size before it allocates, and the sandbox room checks order and deadline.

use serde::{Deserialize, Serialize};

use crate::cbor::{self, DecodeError};
use crate::id::{Hash, SliceId};
use crate::manifest::{Feature, Program};

/// Largest frame toward a worker: one slice's inputs.
pub const MAX_REQUEST_BYTES: usize = 1100 * 1024 * 1024;
/// Largest frame from a worker: one slice's output, or a checkpoint of it, plus a margin for its head.
pub const MAX_REPLY_BYTES: usize = 256 * 1024 * 1024;

/// What the parent says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// First frame: open a device, then lock down, then answer [`Reply::Ready`].
    Open {
        /// Part of an adapter's name that must match; empty takes the best one.
        adapter: String,
        /// Whether a software renderer may be used.
        allow_software: bool,
        /// Memory limit of the process in bytes.
        memory_bytes: u64,
    },
    /// Admit and compile a program. Answered by [`Reply::Loaded`] or [`Reply::Refused`].
    Load {
        /// The program; already checked by the parent, checked again by the worker.
        program: Box<Program>,
        /// WGSL sources in the order of [`Program::modules`].
        sources: Vec<String>,
    },
    /// Compute a slice of the loaded program. Answered by [`Reply::Done`] or [`Reply::Failed`].
    Run {
        /// Echoed in every answer about this slice.
        slice: SliceId,
        /// One per input buffer.
        inputs: Vec<serde_bytes::ByteBuf>,
        /// Values of the params buffer.
        params: Vec<u32>,
        /// Where to go on; empty state means from the start.
        resume_from: Option<Checkpoint>,
        /// Pacing of the pieces.
        pace: Pace,
    },
    /// Leave the device at once; the running piece may end. Answered by [`Reply::Yielded`].
    Suspend {
        /// Also hand back all device memory, after sending a [`Reply::Checkpoint`].
        release: bool,
    },
    /// Go on with the suspended slice.
    Resume {
        /// Pacing from here on.
        pace: Pace,
    },
    /// Give the present slice up; nothing is answered for it.
    Abandon,
    /// End the process.
    Quit,
}

/// How long a piece should take, and how many may be queued on the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pace {
    /// Target time of one piece in microseconds, as long as it is not known what a piece costs on this device.
    pub piece_micros: u32,
    /// The longest target. A worker that has measured the fixed cost of a piece takes the shortest target that loses
    /// at most 3 % to it, up to this; equal to `piece_micros`, the target stays as it is.
    pub longest_micros: u32,
    /// Pieces in flight, 1 or 2.
    pub in_flight: u8,
    /// Share of the time that the device may be busy, in percent, 1 to 100.
    pub duty_percent: u8,
}

impl Pace {
    /// Nobody is near: 8 ms pieces where nothing better is known, two in flight, the whole device. Two pieces of the longest target and
    /// the answer stay well below the 50 ms within which the device is promised back (DESIGN.md §1).
    pub const AWAY: Self =
        Self { piece_micros: 8000, longest_micros: 12_000, in_flight: 2, duty_percent: 100 };
    /// Somebody is near: 2 ms pieces whatever they cost, one in flight, half of the time.
    pub const NEAR: Self = Self { piece_micros: 2000, longest_micros: 2000, in_flight: 1, duty_percent: 50 };
}

/// What a worker says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// The device is open and the process is locked down.
    Ready {
        /// The device.
        adapter: Adapter,
        /// Which confinement holds.
        confinement: Confinement,
    },
    /// The program compiled.
    Loaded,
    /// The program is not admitted.
    Refused {
        /// Why.
        fault: Fault,
    },
    /// Pieces of a slice are done. At most four a second.
    Progress {
        /// Which slice.
        slice: SliceId,
        /// Thousandths of the slice that are done.
        permille: u16,
    },
    /// The device is idle: last fence signalled, nothing queued.
    Yielded {
        /// Microseconds from reading the suspend frame to the last fence.
        micros: u64,
    },
    /// State of a suspended slice, complete enough to go on in another process.
    Checkpoint {
        /// Which slice.
        slice: SliceId,
        /// Its state.
        checkpoint: Checkpoint,
    },
    /// A slice is computed.
    Done {
        /// Which slice.
        slice: SliceId,
        /// All output buffers in order.
        output: serde_bytes::ByteBuf,
        /// Time that the device was busy with it, in microseconds.
        device_micros: u64,
        /// Time that it took to bring inputs and state to the device, in microseconds.
        upload_micros: u64,
        /// Time that it took to bring the output back, in microseconds.
        download_micros: u64,
        /// Number of pieces.
        pieces: u32,
    },
    /// A slice could not be computed.
    Failed {
        /// Which slice.
        slice: SliceId,
        /// Why.
        fault: Fault,
    },
}

/// Where a slice stands and what its state and output buffers hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// Stage to go on with.
    pub stage: u16,
    /// Repeat of that stage.
    pub repeat: u32,
    /// First group not yet computed.
    pub group: u32,
    /// Contents of all state and output buffers, in the order of the program.
    pub state: Vec<serde_bytes::ByteBuf>,
}

/// A graphics adapter as its driver names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ts_rs::TS)]
pub struct Adapter {
    /// Name, for example "NVIDIA GeForce RTX 3060".
    pub name: String,
    /// `vulkan`, `metal` or `dx12`.
    pub backend: String,
    /// Driver name and version.
    pub driver: String,
    /// PCI vendor.
    pub vendor_id: u32,
    /// PCI device.
    pub device_id: u32,
    /// Whether the "card" is the processor.
    pub software: bool,
    /// Largest storage binding in bytes.
    #[ts(type = "number")]
    pub max_binding_bytes: u64,
    /// Device memory in bytes where the driver tells.
    #[ts(type = "number | null")]
    pub memory_bytes: Option<u64>,
    /// What programs may ask of it, in order.
    pub features: Vec<Feature>,
}

/// What decides how a device computes: devices of one class run the same compiler for the same chip. A new driver is a new
/// class, because every driver can bring a fault of its own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Class {
    /// [`Adapter::backend`].
    pub backend: String,
    /// [`Adapter::vendor_id`].
    pub vendor_id: u32,
    /// [`Adapter::device_id`].
    pub device_id: u32,
    /// [`Adapter::driver`], whole.
    pub driver: String,
}

impl Class {
    /// The hash of its canonical bytes: what it goes by in a store and on a command line.
    pub fn hash(&self) -> Hash {
        Hash::of(&cbor::encode(self))
    }
}

impl std::fmt::Display for Class {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {:04x}:{:04x} {}", self.backend, self.vendor_id, self.device_id, self.driver)
    }
}

impl Adapter {
    /// The class that its results are judged in.
    pub fn class(&self) -> Class {
        Class {
            backend: self.backend.clone(),
            vendor_id: self.vendor_id,
            device_id: self.device_id,
            driver: self.driver.clone(),
        }
    }
}

/// Which walls stand around a worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ts_rs::TS)]
pub struct Confinement {
    /// Files outside the driver's are out of reach.
    pub files: Wall,
    /// Sockets cannot be opened.
    pub network: Wall,
    /// Processes cannot be started.
    pub processes: Wall,
    /// Memory is limited.
    pub memory: Wall,
    /// The process ends with its parent.
    pub parent: Wall,
}

/// How far one wall holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ts_rs::TS)]
#[serde(rename_all = "snake_case")]
pub enum Wall {
    /// Enforced by the operating system.
    Full,
    /// Enforced in part.
    Partial,
    /// Not available on this system.
    None,
}

/// Why a worker refused or failed. The detail is for logs and the publisher, never for a decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// What went wrong.
    pub code: FaultCode,
    /// Where, for example the WGSL line; at most 2 KiB.
    pub detail: String,
}

/// What can go wrong inside a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultCode {
    /// No adapter, or none that is allowed.
    NoAdapter,
    /// The manifest's counts or sizes are refused.
    Manifest,
    /// The WGSL is refused by the admission rules or the compiler.
    Wgsl,
    /// Bindings or workgroup size differ from the declaration.
    Interface,
    /// Device memory is not enough.
    OutOfMemory,
    /// The device was lost or reset.
    DeviceLost,
    /// A piece did not end in time.
    Timeout,
    /// A frame came out of order.
    Order,
}

/// Writes one frame.
///
/// # Errors
/// Those of `writer`.
pub fn write_frame<T: Serialize>(writer: &mut impl std::io::Write, frame: &T) -> std::io::Result<()> {
    let bytes = cbor::encode(frame);
    let length = u32::try_from(bytes.len())
        .map_err(|_| std::io::Error::new(std::io::ErrorKind::InvalidInput, "frame over 4 GiB"))?;
    writer.write_all(&length.to_le_bytes())?;
    writer.write_all(&bytes)?;
    writer.flush()
}

/// Why a frame cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadFrameError {
    /// The stream ended between two frames.
    #[error("the other side closed the conversation")]
    Closed,
    /// The stream failed or ended inside a frame.
    #[error("read a frame")]
    Io(#[from] std::io::Error),
    /// The frame is too large, not canonical, or of the wrong shape.
    #[error("read a frame")]
    Decode(#[from] DecodeError),
}

fn read_frame<T: Serialize + serde::de::DeserializeOwned>(
    reader: &mut impl std::io::Read,
    limit_bytes: usize,
) -> Result<T, ReadFrameError> {
    let mut head = [0; 4];
    let mut have = 0;
    while have < head.len() {
        match reader.read(&mut head[have..]) {
            Ok(0) if have == 0 => return Err(ReadFrameError::Closed),
            Ok(0) => return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into()),
            Ok(n) => have += n,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e.into()),
        }
    }
    let length = u32::from_le_bytes(head) as usize;
    if length > limit_bytes {
        return Err(DecodeError::TooLarge { actual_bytes: length, limit_bytes }.into());
    }
    // The buffer grows with what really arrives, so a lying length costs nothing.
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut std::io::Read::take(reader, length as u64), &mut bytes)?;
    if bytes.len() != length {
        return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into());
    }
    Ok(cbor::decode(&bytes, limit_bytes)?)
}

/// Reads the parent's next frame (called by the worker).
///
/// # Errors
/// [`ReadFrameError`]; [`ReadFrameError::Closed`] when the parent is gone.
pub fn read_request(reader: &mut impl std::io::Read) -> Result<Request, ReadFrameError> {
    read_frame(reader, MAX_REQUEST_BYTES)
}

/// Reads the worker's next frame of at most `limit_bytes` (called by the sandbox room).
///
/// # Errors
/// [`ReadFrameError`]; the caller kills the worker on any of them.
pub fn read_reply(reader: &mut impl std::io::Read, limit_bytes: usize) -> Result<Reply, ReadFrameError> {
    read_frame(reader, limit_bytes.min(MAX_REPLY_BYTES))
}

/// The digest of a slice's output: what a contributor commits to.
pub fn output_digest(output: &[u8]) -> Hash {
    Hash::of(output)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_is_the_chip_and_its_whole_driver_and_nothing_else() {
        let adapter = Adapter {
            name: "card".to_owned(),
            backend: "vulkan".to_owned(),
            driver: "maker 550.54".to_owned(),
            vendor_id: 0x10de,
            device_id: 0x2504,
            software: false,
            max_binding_bytes: 1 << 27,
            memory_bytes: None,
            features: Vec::new(),
        };
        let class = adapter.class();
        assert_eq!(class.to_string(), "vulkan 10de:2504 maker 550.54");
        let same = Adapter { name: "card (2)".to_owned(), memory_bytes: Some(1), ..adapter.clone() };
        assert_eq!(same.class().hash(), class.hash(), "a second card of the same kind computes alike");
        for other in [
            Adapter { driver: "maker 550.55".to_owned(), ..adapter.clone() },
            Adapter { backend: "dx12".to_owned(), ..adapter.clone() },
            Adapter { vendor_id: 1, ..adapter.clone() },
            Adapter { device_id: 1, ..adapter },
        ] {
            assert_ne!(other.class().hash(), class.hash(), "{} is another class", other.class());
        }
    }
}
