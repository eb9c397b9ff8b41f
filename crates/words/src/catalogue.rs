//! Finds a sentence by key and puts values into it.

use std::collections::BTreeSet;
use std::fmt;

use fluent_bundle::concurrent::FluentBundle;
use fluent_bundle::{FluentArgs, FluentResource, FluentValue};
use protocol::local::{ErrorCode, Snooze, Unread};
use serde::Serialize;

/// Languages with a catalogue, the fallback first, with their Fluent files.
pub const LANGUAGES: [(&str, &str); 2] = [
    ("en", include_str!("../../../ui/src/locales/en.ftl")),
    ("ja", include_str!("../../../ui/src/locales/ja.ftl")),
];

/// A value in a sentence.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Text that is shown as it is; the word `none` stands for a value that is missing.
    Text(String),
    /// A count, which chooses the plural form.
    Count(u32),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<u32> for Value {
    fn from(count: u32) -> Self {
        Self::Count(count)
    }
}

/// The sentences of one language.
pub struct Catalogue {
    language: &'static str,
    bundle: FluentBundle<FluentResource>,
    ids: BTreeSet<String>,
}

impl fmt::Debug for Catalogue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Catalogue").field("language", &self.language).finish_non_exhaustive()
    }
}

impl Catalogue {
    /// The catalogue nearest to a BCP 47 tag or a POSIX locale (`ja_JP.UTF-8`); English where there is none.
    pub fn new(tag: &str) -> Self {
        let primary = tag.split(['-', '_', '.']).next().unwrap_or_default().to_ascii_lowercase();
        let (language, source) =
            LANGUAGES.into_iter().find(|(language, _)| *language == primary).unwrap_or(LANGUAGES[0]);
        // A file with an error is found by the tests; what could be read of it is used all the same.
        let resource = match FluentResource::try_new(source.to_owned()) {
            Ok(resource) | Err((resource, _)) => resource,
        };
        let ids = ids_of(source).into_iter().collect();
        let mut bundle = FluentBundle::new_concurrent(vec![
            language.parse().expect("the language tags above are language tags"),
        ]);
        bundle.set_use_isolating(false);
        // Later messages never replace earlier ones: a key stands in a file once, which the tests hold on to.
        bundle.add_resource_overriding(resource);
        Self { language, bundle, ids }
    }

    /// The language in use, as a BCP 47 tag.
    pub fn language(&self) -> &'static str {
        self.language
    }

    /// The sentence of a key, or of `key.attribute`; a key that is missing comes back as it is.
    pub fn text(&self, key: &str, values: &[(&str, Value)]) -> String {
        let (id, attribute) = match key.split_once('.') {
            Some((id, attribute)) => (id, Some(attribute)),
            None => (key, None),
        };
        let pattern = self.bundle.get_message(id).and_then(|message| match attribute {
            Some(name) => message.get_attribute(name).map(|attribute| attribute.value()),
            None => message.value(),
        });
        let Some(pattern) = pattern else { return key.to_owned() };
        let mut arguments = FluentArgs::new();
        for (name, value) in values {
            let value = match value {
                Value::Text(text) => FluentValue::from(text.as_str()),
                Value::Count(count) => FluentValue::from(*count),
            };
            arguments.set(*name, value);
        }
        // A value that is missing shows as its name in braces; the page's and these tests look for braces.
        let mut errors = Vec::new();
        self.bundle.format_pattern(pattern, Some(&arguments), &mut errors).into_owned()
    }

    /// Whether there is a sentence for a key, or for `key.attribute`.
    pub fn has(&self, key: &str) -> bool {
        self.ids.contains(key)
    }

    /// Every key and `key.attribute` that begins with a prefix.
    pub fn keys<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = &'a str> + 'a {
        self.ids.iter().map(String::as_str).filter(move |key| key.starts_with(prefix))
    }

    /// What happened, what is safe and what a person can do.
    pub fn error(&self, code: ErrorCode) -> String {
        self.text(&format!("error-{}", name_of(&code)), &[])
    }

    /// Why a sensor of the card gave no value.
    pub fn unread(&self, why: Unread) -> String {
        self.text(&format!("unread-{}", name_of(&why)), &[])
    }

    /// The label of a snooze, for example "Snooze 1 hour".
    pub fn snooze_label(&self, span: Snooze) -> String {
        self.text(&format!("snooze-{}", name_of(&span)), &[])
    }

    /// Why bytes left the machine, by the code in the journal.
    pub fn purpose(&self, code: &str) -> String {
        let key = format!("purpose-{code}");
        if self.ids.contains(&key) {
            self.text(&key, &[])
        } else {
            self.text("purpose-unknown", &[("code", code.into())])
        }
    }
}

/// The name under which an enum without fields travels, which is also its name in the catalogue.
pub(crate) fn name_of<T: Serialize>(code: &T) -> String {
    match serde_json::to_value(code) {
        Ok(serde_json::Value::String(name)) => name,
        // Only enums without fields come here; anything else finds no sentence and shows its key.
        Ok(_) | Err(_) => String::new(),
    }
}

/// The keys of a Fluent file, attributes as `key.attribute`.
fn ids_of(source: &str) -> Vec<String> {
    let mut ids = Vec::new();
    let mut message = "";
    for line in source.lines() {
        let trimmed = line.trim_start();
        let Some((name, _)) = trimmed.split_once('=') else { continue };
        let name = name.trim_end();
        if line.starts_with(|c: char| c.is_ascii_alphabetic()) {
            message = name;
            ids.push(name.to_owned());
        } else if let Some(attribute) = name.strip_prefix('.')
            && !attribute.contains(' ')
        {
            ids.push(format!("{message}.{attribute}"));
        }
    }
    ids
}
