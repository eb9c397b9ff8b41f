//! PURE. What the tray shows: its menu and its icon, made from the status. One file per system draws it.
//!
//! Everything it says comes from the catalogue; time and time zone are arguments. It owns no state and sends nothing: a
//! click comes back as an [`Action`].

pub mod glyph;

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "macos")]
mod macos;
#[cfg(windows)]
mod windows;

use jiff::tz::TimeZone;
use protocol::local::{Snooze, State, Status};
use protocol::units::UnixMillis;
use words::{Catalogue, net_amount};

#[cfg(target_os = "linux")]
pub use linux::Tray;
#[cfg(target_os = "macos")]
pub use macos::Tray;
#[cfg(windows)]
pub use windows::Tray;

/// What a click asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Pause sharing.
    Snooze(Snooze),
    /// End the pause, or try again after a stop.
    Resume,
    /// Open the window.
    Open,
    /// End the agent.
    Quit,
}

/// One line of the menu.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// Words to read; cannot be clicked. Empty ones keep their place and are not shown: a menu whose lines come and go loses
    /// the click that is under way.
    Text(String),
    /// A line between groups.
    Separator,
    /// Something to click.
    Click {
        /// What it says.
        label: String,
        /// What it does.
        action: Action,
    },
    /// A menu below.
    Submenu {
        /// What it says.
        label: String,
        /// What is in it.
        items: Vec<Item>,
        /// Whether it is shown; it keeps its place in any case.
        shown: bool,
    },
}

/// The menu, from top to bottom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Menu {
    /// The state in a word or two: name of the icon for those who cannot see it.
    pub title: String,
    /// Its lines.
    pub items: Vec<Item>,
}

/// The five glyphs of the look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Icon {
    /// Arch with a flame.
    Sharing,
    /// Arch with three dots.
    Waiting,
    /// Arch with two bars.
    Paused,
    /// Filled arch with an exclamation mark.
    Attention,
    /// Broken arch, struck through.
    Off,
}

/// The glyph of a status.
pub fn icon(status: &Status) -> Icon {
    match status.state {
        State::Sharing | State::SharingUpload | State::WorkingOffline => Icon::Sharing,
        State::Waiting => Icon::Waiting,
        State::Paused => Icon::Paused,
        State::Attention => Icon::Attention,
        State::Off => Icon::Off,
    }
}

/// Reasons that the menu has room for; the window lists any further one.
const REASON_LINES: usize = 8;

/// The menu of a status.
pub fn menu(status: &Status, words: &Catalogue, now: UnixMillis, zone: &TimeZone) -> Menu {
    let title = words.state_title(status);
    let reason = words.state_sentence(status, now, zone);
    let mut items = vec![Item::Text(title.clone())];
    // A title that already names the one missing thing may equal the sentence.
    items.push(Item::Text(if reason == title { String::new() } else { reason }));
    items.push(Item::Text(today(status, words)));
    items.push(Item::Separator);
    items.extend(pauses(status, words));
    items.push(Item::Click { label: words.text("tray-open", &[]), action: Action::Open });
    // Below the choices: as it comes and goes, it moves nothing that somebody is about to click.
    items.push(reasons(status, words, now, zone));
    items.push(Item::Separator);
    items.push(Item::Click { label: words.text("tray-quit", &[]), action: Action::Quit });
    Menu { title, items }
}

/// Every reason with what ends it, where there is more than the headline.
fn reasons(status: &Status, words: &Catalogue, now: UnixMillis, zone: &TimeZone) -> Item {
    let count = u32::try_from(status.reasons.len()).unwrap_or(u32::MAX);
    let line = |reason| {
        Item::Text(format!("{}: {}", words.reason_name(reason), words.reason_ends(reason, now, zone)))
    };
    let rest = std::iter::repeat_with(|| Item::Text(String::new()));
    Item::Submenu {
        label: words.text("tray-reasons", &[("count", count.into())]),
        items: status.reasons.iter().map(line).chain(rest).take(REASON_LINES).collect(),
        shown: count > 1,
    }
}

/// What can be done about sharing now: pause it, end the pause, or try again. Nothing while the owner turned it off,
/// which is a setting and stands in the window.
fn pauses(status: &Status, words: &Catalogue) -> Vec<Item> {
    let click = |label: String, action| Item::Click { label, action };
    let snooze = |span| click(words.snooze_label(span), Action::Snooze(span));
    let resume = |key: &str| click(words.text(key, &[]), Action::Resume);
    let mut items = match (status.snooze.is_some(), status.state) {
        (_, State::Off) => return Vec::new(),
        (true, _) => vec![resume("resume")],
        (false, State::Attention) => vec![resume("attention-resume")],
        (false, _) => vec![snooze(Snooze::Hour1)],
    };
    let others =
        [Snooze::Minutes15, Snooze::Hour1, Snooze::Hours4, Snooze::UntilTomorrow, Snooze::UntilResume];
    items.push(Item::Submenu {
        label: words.text("snooze-other", &[]),
        items: others.into_iter().map(snooze).collect(),
        shown: true,
    });
    items.push(Item::Separator);
    items
}

fn today(status: &Status, words: &Catalogue) -> String {
    let (key, figure) = match &status.today.net {
        Some(net) => ("tray-today", net),
        None => ("tray-today-paid", &status.today.paid),
    };
    let values = [("amount", net_amount(figure, "").into()), ("unit", status.today.unit.as_str().into())];
    words.text(key, &values)
}

#[cfg(test)]
pub(crate) mod tests {
    use protocol::frames::Adapter;
    use protocol::local::{
        CardLane, Money, Reason, ReasonCode, SentToday, SnoozeView, UploadLane, WalletBrief,
    };

    use super::*;

    const NOW: UnixMillis = UnixMillis(1_790_000_000_000);

    /// The processor in place of a card.
    pub(crate) fn software() -> Adapter {
        Adapter {
            name: "llvmpipe".into(),
            backend: "vulkan".into(),
            driver: "llvmpipe".into(),
            vendor_id: 0,
            device_id: 0,
            software: true,
            max_binding_bytes: 1 << 27,
            memory_bytes: None,
            features: Vec::new(),
        }
    }

    pub(crate) fn status(state: State) -> Status {
        Status {
            at: NOW,
            network: "Local".into(),
            state,
            since_at: UnixMillis(NOW.0 - 24 * 60_000),
            reasons: Vec::new(),
            card: CardLane {
                sharing: state == State::Sharing,
                adapter: None,
                confinement: None,
                limit_percent: 100,
                duty_percent: None,
                light: false,
                watts: None,
                celsius: None,
                bundles_today: 0,
                slices_today: 0,
                yielded_in_millis: None,
                yield_p99_millis: None,
            },
            upload: UploadLane {
                reasons: Vec::new(),
                sharing: false,
                measured_bits_per_s: None,
                limit_bits_per_s: None,
            },
            sent_today: SentToday { sent_bytes: 0, received_bytes: 0 },
            work: None,
            today: Money {
                unit: "EMBER".into(),
                paid: "0.250000000000000000".into(),
                electricity: Some("0.066".into()),
                net: Some("0.184000000000000000".into()),
            },
            snooze: None,
            benchmark: None,
            welcomed: true,
            notices: Vec::new(),
            wallet: WalletBrief::None,
        }
    }

    fn reason(code: ReasonCode, limit: Option<u32>) -> Reason {
        let ends_at = (code == ReasonCode::Snoozed).then_some(UnixMillis(NOW.0 + 3_600_000));
        Reason { code, since_at: NOW, ends_at, seen: None, limit, subject: None }
    }

    /// The menu as indented text, one line each, clicks in brackets.
    fn drawn(items: &[Item]) -> String {
        fn draw(items: &[Item], depth: usize, out: &mut String) {
            for item in items {
                if matches!(item, Item::Text(text) if text.is_empty())
                    || matches!(item, Item::Submenu { shown: false, .. })
                {
                    continue;
                }
                out.push_str(&"  ".repeat(depth));
                match item {
                    Item::Text(text) => out.push_str(text),
                    Item::Separator => out.push_str("---"),
                    Item::Click { label, .. } => out.push_str(&format!("[{label}]")),
                    Item::Submenu { label, .. } => out.push_str(&format!("{label} >")),
                }
                out.push('\n');
                if let Item::Submenu { items, .. } = item {
                    draw(items, depth + 1, out);
                }
            }
        }
        let mut out = String::new();
        draw(items, 0, &mut out);
        out
    }

    fn actions(items: &[Item]) -> Vec<Action> {
        items
            .iter()
            .flat_map(|item| match item {
                Item::Click { action, .. } => vec![*action],
                Item::Submenu { items, .. } => actions(items),
                Item::Text(_) | Item::Separator => Vec::new(),
            })
            .collect()
    }

    #[test]
    fn the_menu_while_sharing_reads_in_english_and_japanese() {
        let status = status(State::Sharing);
        let english = menu(&status, &Catalogue::new("en"), NOW, &TimeZone::UTC);
        assert_eq!(
            drawn(&english.items),
            "Sharing\n\
             The graphics card has been working for others for 24 minutes. Touch the mouse and it is yours again.\n\
             Today, after electricity: +0.1840 EMBER\n\
             ---\n\
             [Snooze 1 hour]\n\
             Other lengths >\n  \
               [Snooze 15 minutes]\n  \
               [Snooze 1 hour]\n  \
               [Snooze 4 hours]\n  \
               [Snooze until tomorrow, 06:00]\n  \
               [Snooze until you resume]\n\
             ---\n\
             [Open Hearth]\n\
             ---\n\
             [Quit Hearth]\n"
        );
        let japanese = menu(&status, &Catalogue::new("ja_JP.UTF-8"), NOW, &TimeZone::UTC);
        assert_eq!(actions(&japanese.items), actions(&english.items), "the same clicks in every language");
        assert_ne!(japanese.title, english.title, "the Japanese menu is in Japanese");
    }

    #[test]
    fn every_state_has_a_menu_without_holes_in_every_language() {
        let states = [
            State::Sharing,
            State::SharingUpload,
            State::WorkingOffline,
            State::Waiting,
            State::Paused,
            State::Attention,
            State::Off,
        ];
        for (tag, _) in words::LANGUAGES {
            let words = Catalogue::new(tag);
            for state in states {
                let text = drawn(&menu(&status(state), &words, NOW, &TimeZone::UTC).items);
                assert!(!text.contains(['{', '}']), "a value is missing in {tag} {state:?}: {text}");
                assert!(!text.contains("tray-") && !text.contains("snooze-"), "a key shows in {tag}: {text}");
            }
        }
    }

    #[test]
    fn a_snooze_can_be_ended_or_replaced() {
        let mut snoozed = status(State::Paused);
        snoozed.snooze = Some(SnoozeView { until_at: Some(UnixMillis(NOW.0 + 3_600_000)) });
        snoozed.reasons = vec![reason(ReasonCode::Snoozed, None)];
        let items = menu(&snoozed, &Catalogue::new("en"), NOW, &TimeZone::UTC).items;
        let actions = actions(&items);
        assert_eq!(actions[0], Action::Resume, "the first click ends the snooze");
        assert!(actions.contains(&Action::Snooze(Snooze::Hours4)), "another length can be chosen");
        assert!(
            drawn(&items).contains("You paused sharing until 15:13"),
            "it says until when: {}",
            drawn(&items)
        );
    }

    #[test]
    fn more_than_one_reason_can_be_read_in_the_menu() {
        let mut paused = status(State::Paused);
        paused.reasons = vec![reason(ReasonCode::UserActive, Some(5))];
        let words = Catalogue::new("en");
        let text = |paused: &Status| drawn(&menu(paused, &words, NOW, &TimeZone::UTC).items);
        assert!(!text(&paused).contains("reasons"), "one reason is the headline: {}", text(&paused));
        paused.reasons.push(reason(ReasonCode::MediaPlaying, None));
        let both = text(&paused);
        assert!(both.contains("All 2 reasons >\n  You are here: 5\u{a0}min without"), "{both}");
        assert!(both.contains("  Music or a film plays: it stops playing\n"), "{both}");
        fn lines(items: &[Item]) -> usize {
            let below = |item: &Item| match item {
                Item::Submenu { items, .. } => lines(items),
                Item::Text(_) | Item::Separator | Item::Click { .. } => 0,
            };
            items.len() + items.iter().map(below).sum::<usize>()
        }
        let count = |status: &Status| lines(&menu(status, &words, NOW, &TimeZone::UTC).items);
        assert_eq!(
            count(&paused),
            count(&status(State::Sharing)),
            "lines that come and go would lose a click"
        );
    }

    #[test]
    fn what_cannot_be_done_is_not_offered() {
        let words = Catalogue::new("en");
        let off = menu(&status(State::Off), &words, NOW, &TimeZone::UTC).items;
        assert_eq!(actions(&off), [Action::Open, Action::Quit], "off is a setting, not a snooze");
        let mut stopped = status(State::Attention);
        stopped.reasons = vec![reason(ReasonCode::WorkerFailing, None)];
        assert_eq!(actions(&menu(&stopped, &words, NOW, &TimeZone::UTC).items)[0], Action::Resume);
    }

    #[test]
    fn without_known_electricity_the_menu_says_what_was_paid() {
        let mut unknown = status(State::Sharing);
        unknown.today.net = None;
        unknown.today.electricity = None;
        let text = drawn(&menu(&unknown, &Catalogue::new("en"), NOW, &TimeZone::UTC).items);
        assert!(text.contains("Today, before electricity: +0.2500 EMBER"), "{text}");
    }

    #[test]
    fn each_state_has_the_glyph_of_the_look() {
        assert_eq!(
            icon(&status(State::WorkingOffline)),
            Icon::Sharing,
            "offline while the card works is the flame"
        );
        assert_eq!(icon(&status(State::Waiting)), Icon::Waiting);
        assert_eq!(icon(&status(State::Paused)), Icon::Paused);
        assert_eq!(icon(&status(State::Attention)), Icon::Attention);
        assert_eq!(icon(&status(State::Off)), Icon::Off);
    }
}
