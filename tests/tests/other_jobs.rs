//! The job format is general: besides the search of one recording, a network computes a picture, a product and a
//! recording in windows, each paid for, audited and collected by its publisher.

use protocol::local::Picture;
use serde_json::Value;
use world::{Program, ScriptedHome, World, first};

async fn network() -> World {
    tokio::task::spawn_blocking(World::start).await.expect("a network")
}

/// What `publish` prints at its end.
async fn answer(publication: Program) -> Value {
    let heard = tokio::task::spawn_blocking(move || publication.lines().wait(Value::is_object)).await;
    heard.expect("the publisher is heard").expect("the job is done")
}

async fn end(home: ScriptedHome, world: World) {
    home.end().await;
    // A world ends its programs by blocking on them.
    tokio::task::spawn_blocking(move || drop(world)).await.expect("the network ends");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_picture_that_is_paid_for_grows_before_the_eyes_of_the_home_that_draws_it() {
    let world = network().await;
    let file = world.folder().join("room.png");
    let picture = ["--width", "256", "--height", "256", "--samples", "4", "--out"];
    let publication = world.order("render", &[&picture[..], &[file.to_str().expect("plain text")]].concat());
    let home = ScriptedHome::start(&world, "home").await;

    let mut seen = home.engine().picture();
    let mut tiles = Vec::new();
    while tiles.last().is_none_or(|&done| done < 64) {
        let grown = |picture: &Option<Picture>| match picture {
            Some(Picture::Image(image)) => tiles.last().is_none_or(|&last| image.tiles_done > last),
            Some(Picture::Waterfall(_)) | None => false,
        };
        let Some(Picture::Image(image)) = first(&mut seen, grown).await else { unreachable!("waited for") };
        assert_eq!(
            (image.width, image.height, image.tiles_total),
            (256, 256, 64),
            "the whole picture is known"
        );
        tiles.push(image.tiles_done);
    }
    assert!(tiles.len() >= 8, "it is shown while it grows, not only at the end: {tiles:?}");

    let answer = answer(publication).await;
    assert!(answer["job"]["audits"].as_u64() >= Some(16), "a drawn tile is audited like any slice: {answer}");
    let png = tokio::fs::read(&file).await.expect("the publisher has its picture");
    assert!(png.starts_with(b"\x89PNG"), "and it is a PNG file");
    end(home, world).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_product_that_is_paid_for_passes_the_check_of_its_publisher() {
    let world = network().await;
    let publication =
        world.order("product", &["--rows", "256", "--inner", "256", "--columns", "256", "--block", "32"]);
    let home = ScriptedHome::start(&world, "home").await;
    let answer = answer(publication).await;
    assert_eq!(answer["holds"], true, "the product is right: {answer}");
    end(home, world).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recording_searched_in_windows_has_the_hits_of_the_whole_one() {
    let world = network().await;
    let (recording, tones) = world.recording(32_768, 41);
    let file = recording.to_str().expect("plain text");
    let publication = world.order("search", &[file, "--window", "16384"]);
    let home = ScriptedHome::start(&world, "home").await;
    let answer = answer(publication).await;
    assert_eq!(
        answer["hits"].as_array().map(Vec::len),
        tones["tones"].as_array().map(Vec::len),
        "a line at the seam of two windows is found once, and none is lost: {answer}"
    );
    end(home, world).await;
}
