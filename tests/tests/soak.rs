//! Half an hour of a restless household: random news from every sensor, a real worker that is taken back and let go
//! again, a live coordinator. What the engine holds in memory must not grow. Long tier: `HEARTH_LONG_TIER=1`.

use std::time::{Duration, Instant};

use contributor::signals::scripted::{quiet_quick, quiet_slow};
use contributor::signals::{Change, Input, Power, Quick, Reading, Session, Slow, Unknown};
use protocol::units::UnixMillis;
use world::{ScriptedHome, World, leave_out};

const SOAK: Duration = Duration::from_secs(1800);
/// Between two pieces of news: often within a hand-back, often after it.
const NEWS_EVERY_MILLIS: std::ops::Range<u64> = 20..900;
/// A cycle of the household, and the restless part of it. The longest hold, half a minute, fits into the rest.
const CYCLE_SECONDS: u64 = 90;
const BURST_SECONDS: u64 = 15;
/// Memory is looked at this often.
const LOOK_EVERY: Duration = Duration::from_secs(20);
/// What may still come between the middles of the last two thirds, ten minutes, in KiB: a receipt of about 1 KiB a bundle, which is
/// kept because it is money, and the allocator's high-water mark.
const GROWTH_KIB: u64 = 1024;

/// A fixed sequence of random numbers: a run can be repeated.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }

    fn one_in(&mut self, chance: u64) -> bool {
        self.below(chance) == 0
    }

    fn flag(&mut self) -> Reading<bool> {
        match self.below(8) {
            0 => Reading::Known(true),
            1 => Reading::Unknown(Unknown::Failed),
            _ => Reading::Known(false),
        }
    }

    fn news(&mut self, now: UnixMillis) -> Change {
        let idle = UnixMillis(now.0 - 1000 * self.below(900));
        match self.below(12) {
            0 | 1 => Change::Input(Reading::Known(Input::Active)),
            2..=4 => Change::Input(Reading::Known(Input::IdleSince(UnixMillis(now.0 - 3_600_000)))),
            5 => Change::Gamepad(Reading::Known(Input::IdleSince(idle))),
            6 => Change::Fullscreen(self.flag()),
            7 => Change::Media(self.flag()),
            8 => Change::Metered(self.flag()),
            9 => Change::Power(match self.below(4) {
                0 => Reading::Known(Power::Battery { percent: Some(50) }),
                1 => Reading::Unknown(Unknown::TimedOut),
                _ => Reading::Known(Power::Mains),
            }),
            10 => Change::Quick(Box::new(Quick { microphone: self.flag(), ..quiet_quick() })),
            _ if self.one_in(2) => Change::Session(Reading::Known(Session {
                locked: self.one_in(2),
                remote: self.one_in(6),
                on_screen: !self.one_in(6),
            })),
            _ => {
                let celsius = 40 + u8::try_from(self.below(55)).expect("below 55");
                Change::Slow(Box::new(Slow { gpu_celsius: Reading::Known(celsius), ..quiet_slow() }))
            }
        }
    }
}

/// Memory that this process has written and holds, in KiB: the engine, its threads and the test. Pages of the program's own
/// file are left out: they come and go with the system's cache.
fn held_kib() -> u64 {
    let text = std::fs::read_to_string("/proc/self/smaps_rollup").expect("Linux tells");
    let line = text.lines().find_map(|line| line.strip_prefix("Anonymous:"));
    line.and_then(|rest| rest.trim().strip_suffix(" kB")?.trim().parse().ok()).expect("a figure")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_an_hour_of_random_news_leaves_memory_as_it_was() {
    if std::env::var_os("HEARTH_LONG_TIER").is_none() {
        leave_out("the soak of half an hour, which belongs to the long tier");
        return;
    }
    let (world, publication) = tokio::task::spawn_blocking(|| {
        let world = World::start();
        let picture = world.folder().join("room.png");
        let picture = picture.to_str().expect("plain text").to_owned();
        let size = ["--width", "2048", "--height", "2048", "--samples", "256", "--out", &picture];
        let publication = world.order("render", &size);
        (world, publication)
    })
    .await
    .expect("a network");
    let home = ScriptedHome::start(&world, "home").await;
    home.until(|status| status.card.sharing).await;

    let clock = network::system_clock();
    let (mut dice, mut seen, mut handed_back) = (Dice(20_261_124), Vec::new(), 0_u32);
    let (began, mut looked) = (Instant::now(), Instant::now());
    let (mut shares, mut burst) = (true, false);
    while began.elapsed() < SOAK {
        // Fifteen seconds of everything at once; then the holds run out, and somebody comes and goes.
        if began.elapsed().as_secs() % CYCLE_SECONDS < BURST_SECONDS {
            home.tell(dice.news(clock()));
            burst = true;
        } else if std::mem::take(&mut burst) {
            home.calm();
        } else if dice.one_in(2) {
            home.touch();
        } else {
            home.leave();
        }
        let pause = NEWS_EVERY_MILLIS.start + dice.below(NEWS_EVERY_MILLIS.end - NEWS_EVERY_MILLIS.start);
        tokio::time::sleep(Duration::from_millis(pause)).await;
        let shares_now = home.engine().status().borrow().card.sharing;
        handed_back += u32::from(shares && !shares_now);
        shares = shares_now;
        if looked.elapsed() >= LOOK_EVERY {
            looked = Instant::now();
            seen.push(held_kib());
        }
    }
    println!("{handed_back} hand-backs; KiB every {LOOK_EVERY:?}: {seen:?}");
    assert!(handed_back >= 20, "the card was taken back again and again: {handed_back} times");
    let third = seen.len() / 3;
    let middle = |part: &[u64]| {
        let mut sorted = part.to_vec();
        sorted.sort_unstable();
        sorted[sorted.len() / 2]
    };
    let (early, late) = (middle(&seen[third..2 * third]), middle(&seen[2 * third..]));
    assert!(late <= early + GROWTH_KIB, "memory grows from {early} to {late} KiB");
    home.end().await;
    tokio::task::spawn_blocking(move || drop((publication, world))).await.expect("the network ends");
}
