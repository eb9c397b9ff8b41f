//! Honest and lying ends of a delivery over a pipe, with the clock paused: silence costs no time.

use std::sync::Mutex;

use protocol::delivery::{MAX_UNSIGNED_BYTES, may_send, receipt_due};
use tokio::io::{DuplexStream, ReadHalf, WriteHalf, duplex, split};

use super::*;

struct Folder {
    dir: tempfile::TempDir,
    bytes: Vec<u8>,
    hash: Hash,
}

/// A blob of so many bytes in a folder of its own.
fn blob(bytes: usize) -> Folder {
    let dir = tempfile::tempdir().expect("a folder");
    let bytes: Vec<u8> = (0..bytes).map(|at| (at * 7 + at / 251) as u8).collect();
    let hash = Hash::of(&bytes);
    std::fs::write(dir.path().join("blob"), &bytes).expect("a file");
    Folder { dir, bytes, hash }
}

impl Folder {
    fn goods(&self) -> Goods {
        let (data, outboard) = (self.dir.path().join("blob"), self.dir.path().join("blob.obao"));
        Goods::open(&self.hash, &data, &outboard).expect("the blob")
    }

    fn wanted(&self, from_byte: u64) -> Wanted {
        Wanted { hash: self.hash, bytes: self.bytes.len() as u64, from_byte }
    }
}

type Half = (WriteHalf<DuplexStream>, ReadHalf<DuplexStream>);

fn pipe() -> (Half, Half) {
    // Smaller than a group, so that both sides really wait for each other.
    let (near, far) = duplex(8 * 1024);
    let (near, far) = (split(near), split(far));
    ((near.1, near.0), (far.1, far.0))
}

/// A provider that keeps to the promise, and notes up to which byte it was ever ahead of the last receipt.
async fn honest_provider(half: Half, goods: Goods) -> (Result<u64, DeliveryError>, u64, u64) {
    let (mut sender, mut receiver) = half;
    let order = read_order(&mut receiver).await.expect("an order");
    let (ahead, signed) = (Mutex::new(0), Mutex::new(order.from_byte));
    let end = goods.bytes();
    let first = may_send(0).saturating_add(order.from_byte);
    let outcome = deliver(&mut sender, &mut receiver, goods, order.from_byte, first, |receipt, sent| {
        let said = u64::from_be_bytes(receipt.try_into().ok()?);
        let mut signed = signed.lock().expect("one task");
        if said < *signed || said > sent {
            return None;
        }
        let mut ahead = ahead.lock().expect("one task");
        *ahead = (*ahead).max(sent - *signed);
        *signed = said;
        Some(may_send(said).min(end))
    })
    .await;
    let (ahead, signed) = (*ahead.lock().expect("ended"), *signed.lock().expect("ended"));
    (outcome, signed, ahead)
}

/// Signs as the promise says.
fn honest_receipts(wanted: Wanted) -> impl FnMut(u64) -> Option<Vec<u8>> {
    let mut due = receipt_due(0).saturating_add(wanted.from_byte);
    move |verified| {
        (verified >= due || verified == wanted.bytes).then(|| {
            due = receipt_due(verified);
            verified.to_be_bytes().to_vec()
        })
    }
}

async fn honest_consumer(half: Half, wanted: Wanted) -> (Result<(), DeliveryError>, Vec<u8>) {
    let (mut sender, mut receiver) = half;
    let mut sink = Vec::new();
    let outcome =
        fetch(&mut sender, &mut receiver, b"order", wanted, &mut sink, honest_receipts(wanted)).await;
    (outcome, sink)
}

#[tokio::test(start_paused = true)]
async fn a_blob_arrives_whole_and_is_signed_for_to_the_last_byte() {
    for bytes in [0, 1, 16 * 1024, 16 * 1024 + 1, 100_000, 9 * 1024 * 1024 + 5] {
        let folder = blob(bytes);
        let (near, far) = pipe();
        let wanted = folder.wanted(0);
        let (delivered, fetched) =
            tokio::join!(honest_provider(near, folder.goods()), honest_consumer(far, wanted));
        assert!(fetched.0.is_ok(), "{bytes} bytes: {:?}", fetched.0);
        assert!(fetched.1 == folder.bytes, "{bytes} bytes arrive as they were");
        let (outcome, signed, ahead) = delivered;
        assert_eq!(outcome.expect("delivered"), bytes as u64, "all of it was sent");
        assert_eq!(signed, bytes as u64, "all of it is signed for");
        assert!(ahead <= MAX_UNSIGNED_BYTES, "{ahead} bytes were unsigned at a time");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_here_already_is_not_sent_again() {
    let folder = blob(200_000);
    let from = 5 * GROUP_BYTES;
    let (near, far) = pipe();
    let (delivered, fetched) =
        tokio::join!(honest_provider(near, folder.goods()), honest_consumer(far, folder.wanted(from)));
    assert!(
        fetched.0.is_ok() && fetched.1 == folder.bytes[from as usize..],
        "the rest arrives: {:?}",
        fetched.0
    );
    assert_eq!(delivered.0.expect("delivered"), 200_000);
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_changes_a_byte_is_caught_before_the_byte_is_passed_on() {
    let folder = blob(300_000);
    let (near, (mut sender, mut receiver)) = pipe();
    let (mut far_sender, mut far_receiver) = near;
    // The liar takes the right stream and changes one byte in the middle of it.
    let mut stream = Vec::new();
    let goods = folder.goods();
    let data = iroh_io::File::from_std(goods.data);
    encode_ranges_validated(data, goods.outboard, &ChunkRanges::all(), &mut stream).await.expect("encoded");
    stream[150_000] ^= 1;
    let lying = async {
        read_order(&mut far_receiver).await.expect("an order");
        far_sender.write_u8(0).await.expect("written");
        // The other side goes away in the middle.
        drop(far_sender.write_all(&stream).await);
    };
    let mut sink = Vec::new();
    let wanted = folder.wanted(0);
    let fetching = async {
        let outcome =
            fetch(&mut sender, &mut receiver, b"order", wanted, &mut sink, honest_receipts(wanted)).await;
        drop((sender, receiver));
        outcome
    };
    let ((), outcome) = tokio::join!(lying, fetching);
    assert!(matches!(outcome, Err(DeliveryError::WrongBytes)), "{outcome:?}");
    assert!(folder.bytes.starts_with(&sink), "nothing wrong was passed on");
    assert!(sink.len() as u64 >= 150_000 - 2 * GROUP_BYTES, "and what was right was: {}", sink.len());
}

#[tokio::test(start_paused = true)]
async fn a_consumer_that_stops_signing_gets_no_more_than_the_bound() {
    let folder = blob(8 * 1024 * 1024);
    let (near, (mut sender, mut receiver)) = pipe();
    let greedy = async {
        write_block(&mut sender, b"order").await.expect("written");
        sender.write_u64(0).await.expect("written");
        let mut got = Vec::new();
        // It signs for the first 64 KiB and then only takes.
        let mut signed = false;
        let mut block = [0; 4096];
        loop {
            match receiver.read(&mut block).await {
                Ok(0) | Err(_) => break,
                Ok(read) => got.extend_from_slice(&block[..read]),
            }
            if !signed && got.len() > 70_000 {
                write_block(&mut sender, &65_536_u64.to_be_bytes()).await.expect("written");
                signed = true;
            }
        }
        got.len()
    };
    let providing = async {
        let outcome = honest_provider(near, folder.goods()).await;
        outcome.0
    };
    let (outcome, got) = tokio::join!(providing, greedy);
    assert!(matches!(outcome, Err(DeliveryError::Unsigned)), "{outcome:?}");
    let bound = may_send(65_536);
    assert!(got as u64 <= bound + bound / 100, "{got} bytes for a receipt of 64 KiB, the bound is {bound}");
}

#[tokio::test(start_paused = true)]
async fn a_receipt_for_more_than_was_sent_ends_the_delivery() {
    let folder = blob(1024 * 1024);
    let (near, (mut sender, mut receiver)) = pipe();
    let boasting = async {
        write_block(&mut sender, b"order").await.expect("written");
        sender.write_u64(0).await.expect("written");
        write_block(&mut sender, &1_000_000_u64.to_be_bytes()).await.expect("written");
        let mut rest = Vec::new();
        // It is cut off.
        drop(receiver.read_to_end(&mut rest).await);
    };
    let providing = async { honest_provider(near, folder.goods()).await };
    let ((outcome, signed, _), ()) = tokio::join!(providing, boasting);
    assert!(matches!(outcome, Err(DeliveryError::Unsigned)), "{outcome:?}");
    assert_eq!(signed, 0, "nothing of it was booked");
}

#[tokio::test(start_paused = true)]
async fn silence_ends_both_sides() {
    let folder = blob(1024 * 1024);
    let ((mut near_sender, mut near_receiver), far) = pipe();
    // The provider says yes and nothing more.
    let mute = async {
        read_order(&mut near_receiver).await.expect("an order");
        near_sender.write_u8(0).await.expect("written");
        std::future::pending::<()>().await;
    };
    let outcome = tokio::select! {
        () = mute => unreachable!("it never ends"),
        (outcome, _) = honest_consumer(far, folder.wanted(0)) => outcome,
    };
    assert!(matches!(outcome, Err(DeliveryError::Silent)), "{outcome:?}");

    // The consumer orders and reads nothing.
    let (near, (mut sender, _receiver)) = pipe();
    write_block(&mut sender, b"order").await.expect("written");
    sender.write_u64(0).await.expect("written");
    let (outcome, ..) = honest_provider(near, folder.goods()).await;
    assert!(matches!(outcome, Err(DeliveryError::Silent)), "{outcome:?}");

    // Nobody orders.
    let ((_, mut receiver), _held) = pipe();
    assert!(matches!(read_order(&mut receiver).await, Err(DeliveryError::Silent)));
}

#[tokio::test(start_paused = true)]
async fn a_drip_of_bytes_is_silence_too() {
    let folder = blob(1024 * 1024);
    let ((mut near_sender, mut near_receiver), far) = pipe();
    let dripping = async {
        read_order(&mut near_receiver).await.expect("an order");
        near_sender.write_u8(0).await.expect("written");
        while near_sender.write_u8(0).await.is_ok() {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    let began = tokio::time::Instant::now();
    let outcome = tokio::select! {
        () = dripping => unreachable!("the consumer ends first"),
        (outcome, _) = honest_consumer(far, folder.wanted(0)) => outcome,
    };
    assert!(matches!(outcome, Err(DeliveryError::Silent | DeliveryError::WrongBytes)), "{outcome:?}");
    assert!(began.elapsed() < 4 * SILENCE, "a byte a second does not hold a consumer: {:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_told_apart() {
    for refusal in [Refusal::Order, Refusal::NotHere, Refusal::Busy] {
        let ((mut near_sender, mut near_receiver), far) = pipe();
        let refusing = async {
            read_order(&mut near_receiver).await.expect("an order");
            refuse(&mut near_sender, refusal).await.expect("written");
        };
        let wanted = Wanted { hash: Hash([1; 32]), bytes: 1000, from_byte: 0 };
        let ((), (outcome, sink)) = tokio::join!(refusing, honest_consumer(far, wanted));
        assert!(matches!(outcome, Err(DeliveryError::Refused(why)) if why == refusal), "{outcome:?}");
        assert!(sink.is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn malformed_orders_are_refused_before_anything_is_allocated_for_them() {
    let whole = |bytes: Vec<u8>| async move {
        let mut reader = bytes.as_slice();
        read_order(&mut reader).await
    };
    assert!(matches!(whole(vec![]).await, Err(DeliveryError::Malformed { what: "no order" })));
    assert!(matches!(whole(vec![0xff, 0xff]).await, Err(DeliveryError::Malformed { .. })), "65535 bytes");
    assert!(matches!(whole(vec![0, 0]).await, Err(DeliveryError::Malformed { .. })), "an empty order");
    assert!(matches!(whole(vec![0, 5, 1]).await, Err(DeliveryError::Broken(_))), "cut off");
    let mut inside = vec![0, 1, 7];
    inside.extend_from_slice(&5_u64.to_be_bytes());
    assert!(matches!(whole(inside).await, Err(DeliveryError::Malformed { what: "a start inside a group" })));
}

#[tokio::test(start_paused = true)]
async fn a_start_past_the_end_is_refused() {
    for bytes in [50_000, 4 * GROUP_BYTES as usize] {
        let folder = blob(bytes);
        let (near, far) = pipe();
        let wanted = Wanted { from_byte: 4 * GROUP_BYTES, ..folder.wanted(0) };
        let (delivered, (fetched, sink)) =
            tokio::join!(honest_provider(near, folder.goods()), honest_consumer(far, wanted));
        assert!(matches!(delivered.0, Err(DeliveryError::Malformed { .. })), "{:?}", delivered.0);
        assert!(matches!(fetched, Err(DeliveryError::Refused(Refusal::Order))), "{fetched:?}");
        assert!(sink.is_empty());
    }
}

#[test]
fn a_file_that_has_rotted_is_not_offered_and_lost_hashes_are_made_anew() {
    let folder = blob(100_000);
    drop(folder.goods());
    let (data, outboard) = (folder.dir.path().join("blob"), folder.dir.path().join("blob.obao"));
    assert!(outboard.is_file(), "the hashes are kept");
    std::fs::write(&outboard, b"short").expect("a file");
    drop(folder.goods());
    assert!(std::fs::metadata(&outboard).expect("a file").len() > 64, "they are made anew");

    std::fs::remove_file(&outboard).expect("removed");
    let mut rotten = folder.bytes.clone();
    rotten[70_000] ^= 1;
    std::fs::write(&data, &rotten).expect("a file");
    let refused = Goods::open(&folder.hash, &data, &outboard).expect_err("it is something else");
    assert_eq!(refused.kind(), io::ErrorKind::InvalidData);
}

#[tokio::test(start_paused = true)]
async fn a_file_that_rots_after_it_was_offered_sends_nothing_wrong() {
    let folder = blob(400_000);
    drop(folder.goods());
    let mut rotten = folder.bytes.clone();
    rotten[200_000] ^= 1;
    std::fs::write(folder.dir.path().join("blob"), &rotten).expect("a file");
    let (near, far) = pipe();
    let goods = folder.goods();
    let providing = async {
        let outcome = honest_provider(near, goods).await;
        outcome.0
    };
    let (delivered, (fetched, sink)) = tokio::join!(providing, honest_consumer(far, folder.wanted(0)));
    assert!(matches!(delivered, Err(DeliveryError::Damaged(_))), "{delivered:?}");
    assert!(
        matches!(fetched, Err(DeliveryError::Broken(_))),
        "no lie was told, the stream ends: {fetched:?}"
    );
    assert!(folder.bytes.starts_with(&sink));
}
