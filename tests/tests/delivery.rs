//! What one home has, another fetches from there instead of from the coordinator; the one that delivers is paid for what the other signed,
//! and both journals say so.

use contributor::journal::{JournalRow, ReadJournalError, Reading, Span};
use protocol::credit::CreditKind;
use world::{ScriptedHome, World};

/// What a home's journal says of a purpose: rows that name a blob, and bytes sent and received.
fn moved(rows: &[JournalRow], purpose: &str) -> (usize, u64, u64) {
    let rows = rows.iter().filter(|row| row.purpose == purpose && row.object.len() == 64);
    rows.fold((0, 0, 0), |(n, sent, received), row| {
        (n + 1, sent + row.sent_bytes, received + row.received_bytes)
    })
}

async fn rows(home: &ScriptedHome) -> Vec<JournalRow> {
    let (tell, told) = tokio::sync::oneshot::channel();
    let read = move |reading: Result<Reading<'_>, ReadJournalError>| {
        let rows: Result<Vec<_>, _> = reading.expect("the journal is open").rows.collect();
        // The test may have given up meanwhile.
        drop(tell.send(rows.expect("readable")));
    };
    home.journal().read_rows(Span::ALL, Box::new(read));
    told.await.expect("the journal's thread answers")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_home_delivers_what_another_needs_and_is_paid_for_it() {
    let (world, publication) = tokio::task::spawn_blocking(|| {
        let world = World::start();
        // Blocks of 256 KiB, each of which several units need.
        let size = ["--rows", "1024", "--inner", "4096", "--columns", "1024", "--block", "64"];
        let publication = world.order("product", &size);
        (world, publication)
    })
    .await
    .expect("a network");
    let first = ScriptedHome::start(&world, "first").await;
    first.until(|status| status.card.slices_today >= 2).await;
    // Its owner comes back: the card rests, the upload may go on. So the second one does the work, and needs the same matrices.
    first.touch();
    first.until(|status| !status.card.sharing).await;
    let second = ScriptedHome::start(&world, "second").await;
    let fetched = second.once(async || {
        let fetched = moved(&rows(&second).await, "peer_fetch");
        (fetched.0 > 0 && fetched.2 > 128 * 1024).then_some(fetched)
    });
    let fetched = fetched.await;
    let delivered = moved(&rows(&first).await, "peer_serve");
    assert!(delivered.1 >= fetched.2 / 2, "what came was sent by the first: {delivered:?} {fetched:?}");

    // Receipts come with the signs of life of a device that works.
    first.leave();
    let paid = first.once(async || {
        let receipts = first.receipts().await;
        let paid: Vec<_> =
            receipts.into_iter().filter(|receipt| receipt.kind == CreditKind::Delivered).collect();
        (!paid.is_empty()).then_some(paid)
    });
    let paid = paid.await;
    assert!(paid.iter().all(|receipt| !receipt.amount.is_zero() && receipt.slices == 0), "{paid:?}");
    let answer = tokio::task::spawn_blocking(move || publication.lines().wait(|line| line["holds"] == true));
    answer.await.expect("the publisher is heard").expect("the job is done");
    first.end().await;
    second.end().await;
    tokio::task::spawn_blocking(move || drop(world)).await.expect("the network ends");
}
