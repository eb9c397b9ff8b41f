//! The kernel as a witness of the meter: it must agree with a meter that counts right, and contradict one that does not.
//! Where no counter of the system is read there is nothing to compare.

use std::io::Write as _;
use std::sync::Arc;

use protocol::units::UnixMillis;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;
use crate::journal::MemoryJournal;
use crate::purpose::Purpose;

fn open(journal: &Arc<MemoryJournal>) -> Meter {
    let egress = Egress {
        purpose: Purpose::Result,
        object: "o".to_owned(),
        job: None,
        destination: "127.0.0.1:1".to_owned(),
        ceiling_sent_bytes: 64 * 1024 * 1024,
        ceiling_received_bytes: 64 * 1024 * 1024,
        opened_at: UnixMillis(1),
    };
    let journal: Arc<dyn Journal> = Arc::<MemoryJournal>::clone(journal);
    Meter::open(journal, Arc::new(|| UnixMillis(2)), &egress, None).unwrap()
}

/// Two ends of one connection.
async fn connection() -> (std::net::TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let near = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    near.set_nonblocking(true).unwrap();
    (near, listener.accept().await.unwrap().0)
}

fn metered(meter: &Meter, near: std::net::TcpStream) -> Metered {
    let peer = near.peer_addr().unwrap();
    meter.around(TcpStream::from_std(near).unwrap(), peer)
}

#[tokio::test]
async fn bytes_that_pass_the_meter_by_are_in_the_kernels_count() {
    let journal = Arc::new(MemoryJournal::default());
    let meter = open(&journal);
    let (near, mut far) = connection().await;
    // A second way to the same socket: what a programming error of ours could be.
    let mut around = near.try_clone().unwrap();
    let mut stream = metered(&meter, near);
    stream.write_all(&[7; 1000]).await.unwrap();
    around.write_all(&[7; 300]).unwrap();
    let mut arrived = vec![0; 1300];
    far.read_exact(&mut arrived).await.unwrap();
    drop(stream);

    let counts = meter.finish(Outcome::Answered);
    assert_eq!(counts.sent_bytes, 1000, "the meter saw only what went through it");
    assert_eq!(
        counts.system.map(|system| system.sent_bytes),
        Some(1300),
        "the kernel's count must not come from the meter"
    );
    assert_eq!(journal.rows()[0].counts, counts, "the journal holds both");
}

#[tokio::test]
async fn the_kernel_agrees_whichever_side_ends_first() {
    for far_ends_first in [true, false] {
        let journal = Arc::new(MemoryJournal::default());
        let meter = open(&journal);
        let (near, mut far) = connection().await;
        let mut stream = metered(&meter, near);
        stream.write_all(&[1; 70_000]).await.unwrap();
        let mut arrived = vec![0; 70_000];
        far.read_exact(&mut arrived).await.unwrap();
        far.write_all(&[2; 900]).await.unwrap();
        let mut answer = vec![0; 900];
        stream.read_exact(&mut answer).await.unwrap();
        if far_ends_first {
            drop(far);
            let mut rest = Vec::new();
            assert_eq!(stream.read_to_end(&mut rest).await.unwrap(), 0);
        }
        stream.shutdown().await.unwrap();
        drop(stream);
        let counts = meter.finish(Outcome::Answered);
        assert_eq!(
            counts.system,
            Some(SystemCount { sent_bytes: 70_000, received_bytes: 900 }),
            "the end of a stream is no byte of it (the other side ended first: {far_ends_first})"
        );
    }
}

#[tokio::test]
async fn what_arrived_and_was_never_read_is_in_neither_count() {
    for far_ends in [true, false] {
        let journal = Arc::new(MemoryJournal::default());
        let meter = open(&journal);
        let (near, mut far) = connection().await;
        let mut stream = metered(&meter, near);
        far.write_all(&[5; 700]).await.unwrap();
        let mut answer = vec![0; 600];
        stream.read_exact(&mut answer).await.unwrap();
        // A server that says goodbye at once, as with `connection: close` over TLS.
        far.write_all(&[6; 24]).await.unwrap();
        let _kept_open = (!far_ends).then_some(far);
        while rustix::io::ioctl_fionread(&stream.stream).unwrap() < 124 {
            tokio::task::yield_now().await;
        }
        drop(stream);
        let counts = meter.finish(Outcome::Answered);
        let system = counts.system.map(|system| system.received_bytes);
        assert_eq!((counts.received_bytes, system), (600, Some(600)), "the other side ended: {far_ends}");
    }
}

#[tokio::test]
async fn what_waits_in_the_socket_of_a_broken_off_call_counts_as_sent() {
    let journal = Arc::new(MemoryJournal::default());
    let meter = open(&journal);
    let (near, far) = connection().await;
    let mut stream = metered(&meter, near);
    // The other side reads nothing, so its window fills and the rest waits here.
    let mut sent = 0;
    while let Ok(written) =
        tokio::time::timeout(std::time::Duration::from_millis(200), stream.write(&[3; 200_000])).await
    {
        sent += written.unwrap() as u64;
    }
    drop(stream);
    drop(meter);
    drop(far);
    let row = &journal.rows()[0];
    assert_eq!(row.ended.map(|(outcome, _)| outcome), Some(Outcome::Cancelled));
    assert!(sent > 200_000, "the window must have filled, {sent} bytes");
    assert_eq!((row.counts.sent_bytes, row.counts.system.map(|s| s.sent_bytes)), (sent, Some(sent)));
}

#[tokio::test]
async fn a_call_without_a_connection_has_no_count_of_the_system() {
    let journal = Arc::new(MemoryJournal::default());
    let counts = open(&journal).finish(Outcome::Unreachable);
    assert_eq!((counts.sent_bytes, counts.system), (0, None));
}
