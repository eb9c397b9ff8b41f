//! The catalogue against itself and against the codes that it must have a sentence for.

use std::collections::{BTreeMap, BTreeSet};

use fluent_bundle::FluentResource;
use jiff::tz::TimeZone;
use protocol::credit::CreditKind;
use protocol::frames::Wall;
use protocol::local::{
    Appearance, BenchmarkStep, ErrorCode, Reason, ReasonCode, Snooze, State, Throttle, Unread, Verdict,
    WithdrawalState,
};
use protocol::manifest::Family;
use protocol::units::UnixMillis;
use protocol::wire::NoWork;
use ts_rs::{Config, TS};
use words::{Catalogue, LANGUAGES, Value};

/// The names under which the variants of an enum without fields travel, from the type itself: none can be forgotten.
fn names<T: TS>() -> Vec<String> {
    let union = T::inline(&Config::new());
    let names: Vec<String> = union.split('|').map(|name| name.trim().trim_matches('"').to_owned()).collect();
    assert!(names.len() > 1 && names.iter().all(|name| !name.contains(' ')), "{union} is no union of names");
    names
}

/// Codes of purposes in the journal; `network` owns the list and never renames one.
const PURPOSES: [&str; 12] = [
    "coordinator",
    "work_input",
    "result",
    "epoch_list",
    "payout",
    "chain_rpc",
    "measurement",
    "publish",
    "update",
    "peer_serve",
    "peer_fetch",
    "peer_reach",
];

fn keys(language: &str) -> BTreeSet<String> {
    Catalogue::new(language).keys("").map(str::to_owned).collect()
}

/// Placeholders of each key with its attributes.
fn placeholders(source: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut key = String::new();
    for line in source.lines() {
        if line.starts_with(|c: char| c.is_ascii_alphabetic()) {
            key = line.split_once('=').map_or(line, |(key, _)| key).trim().to_owned();
        } else if let Some(attribute) = line.trim_start().strip_prefix('.')
            && let Some((attribute, _)) = attribute.split_once(" =")
        {
            let message = key.split_once('.').map_or(key.as_str(), |(message, _)| message);
            key = format!("{message}.{attribute}");
        }
        let used = line
            .split('$')
            .skip(1)
            .map(|rest| rest.chars().take_while(|c| c.is_ascii_alphanumeric()).collect::<String>());
        found.entry(key.clone()).or_default().extend(used);
    }
    found
}

#[test]
fn every_file_is_fluent_without_errors() {
    for (language, source) in LANGUAGES {
        if let Err((_, errors)) = FluentResource::try_new(source.to_owned()) {
            panic!("{language}.ftl has errors: {errors:?}");
        }
    }
}

#[test]
fn every_language_has_the_same_keys() {
    let english = keys("en");
    assert!(english.len() > 350, "the keys are read from the file");
    for (language, _) in LANGUAGES {
        let theirs = keys(language);
        let missing: Vec<_> = english.symmetric_difference(&theirs).collect();
        assert!(missing.is_empty(), "{language} differs from English in {missing:?}");
    }
}

#[test]
fn every_language_uses_the_same_values() {
    let english = placeholders(LANGUAGES[0].1);
    // Plurals and figures may be put in another way, but a value that English does not give cannot be shown.
    for (language, source) in LANGUAGES {
        for (key, used) in placeholders(source) {
            let given = &english[&key];
            assert!(used.is_subset(given), "{language} {key} asks for {used:?}, and there is {given:?}");
        }
    }
}

#[test]
fn every_code_has_its_sentence_in_every_language() {
    let mut wanted: Vec<String> = Vec::new();
    let mut want = |prefix: &str, names: Vec<String>, suffixes: &[&str]| {
        for name in names {
            wanted.extend(suffixes.iter().map(|suffix| format!("{prefix}-{name}{suffix}")));
        }
    };
    want("error", names::<ErrorCode>(), &[""]);
    want("reason", names::<ReasonCode>(), &["", ".why", ".ends", ".ready"]);
    want("state", names::<State>(), &["", ".title", ".why"]);
    want("verdict", names::<Verdict>(), &[""]);
    want("snooze", names::<Snooze>(), &[""]);
    want("step", names::<BenchmarkStep>(), &[""]);
    want("throttle", names::<Throttle>(), &["", ".why"]);
    want("unread", names::<Unread>(), &[""]);
    want("appearance", names::<Appearance>(), &[""]);
    want("withdrawal", names::<WithdrawalState>(), &[""]);
    want("credit", names::<CreditKind>(), &[""]);
    want("no_work", names::<NoWork>(), &[""]);
    want("family", names::<Family>(), &[""]);
    want("wall", names::<Wall>(), &[""]);
    want("purpose", PURPOSES.map(str::to_owned).to_vec(), &[""]);
    for (language, _) in LANGUAGES {
        let known = keys(language);
        let missing: Vec<_> = wanted.iter().filter(|key| !known.contains(*key)).collect();
        assert!(missing.is_empty(), "{language} has no sentence for {missing:?}");
    }
}

#[test]
fn no_sentence_of_a_reason_shows_a_hole() {
    let at = UnixMillis(1_795_000_000_000);
    for (language, _) in LANGUAGES {
        let catalogue = Catalogue::new(language);
        for name in names::<ReasonCode>() {
            let reason: Reason = serde_json::from_value(serde_json::json!({
                "code": name, "since_at": at, "ends_at": null, "seen": null, "limit": null, "subject": null,
            }))
            .unwrap();
            for sentence in [
                catalogue.reason(&reason, at, &TimeZone::UTC),
                catalogue.reason_ends(&reason, at, &TimeZone::UTC),
                catalogue.reason_name(&reason),
            ] {
                assert!(!sentence.contains(['{', '}', '$']), "{language} {name}: {sentence}");
                assert!(!sentence.contains("none"), "{language} {name} shows a missing value: {sentence}");
            }
        }
    }
}

#[test]
fn sentences_are_plain_and_calm() {
    for (language, source) in LANGUAGES {
        for (number, line) in source.lines().enumerate().filter(|(_, line)| !line.starts_with('#')) {
            for banned in ["!", "！", "oops", "Oops", "up to", "'ll", "please", "Please"] {
                assert!(!line.contains(banned), "{language}.ftl:{} says {banned:?}: {line}", number + 1);
            }
        }
    }
}

#[test]
fn the_nearest_language_is_taken_and_english_is_the_fallback() {
    for (tag, expected) in [
        ("ja", "ja"),
        ("ja-JP", "ja"),
        ("ja_JP.UTF-8", "ja"),
        ("en-GB", "en"),
        ("tlh", "en"),
        ("", "en"),
        ("C.UTF-8", "en"),
    ] {
        assert_eq!(Catalogue::new(tag).language(), expected, "{tag:?}");
    }
}

#[test]
fn plurals_and_spans_follow_the_language() {
    let (english, japanese) = (Catalogue::new("en"), Catalogue::new("ja"));
    let span = |minutes: u64| std::time::Duration::from_secs(minutes * 60);
    assert_eq!(english.span(span(1)), "1 minute");
    assert_eq!(english.span(span(24)), "24 minutes");
    assert_eq!(english.span(span(120)), "2 hours");
    assert_eq!(japanese.span(span(24)), "24分");
    assert_eq!(english.text("vault-quiz-word", &[("number", Value::Count(7))]), "Word 7");
}

#[test]
fn the_clock_of_another_day_carries_its_date() {
    let now = UnixMillis(1_795_456_800_000);
    let day = std::time::Duration::from_secs(86_400);
    let (english, japanese) = (Catalogue::new("en"), Catalogue::new("ja"));
    assert_eq!(english.moment(now, now, &TimeZone::UTC), "18:00");
    assert_eq!(english.moment(now.plus(day), now, &TimeZone::UTC), "24 Nov 18:00");
    assert_eq!(japanese.moment(now.plus(day), now, &TimeZone::UTC), "11月24日 18:00");
}

#[test]
fn an_unknown_purpose_is_shown_by_its_code() {
    assert_eq!(Catalogue::new("en").purpose("telepathy"), "Another purpose: telepathy");
}
