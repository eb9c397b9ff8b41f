//! PURE: why a source is refused, with its line quoted.

use std::fmt;

/// Most characters of a source line that are quoted.
const MAX_QUOTED: usize = 100;

/// Why a source is refused, and where.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Rejection {
    /// `None` where the rule concerns the whole module.
    place: Option<Place>,
    message: String,
}

/// A position in a source, with its line as it is shown.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    /// 1-based.
    line: usize,
    /// 1-based, in characters.
    column: usize,
    quoted: String,
    /// Characters of `quoted` before the position.
    before: usize,
}

impl Rejection {
    /// A refusal of the whole module.
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { place: None, message: message.into() }
    }

    /// A refusal at the beginning of `span`.
    pub(super) fn at(span: naga::Span, source: &str, message: impl Into<String>) -> Self {
        match span.to_range() {
            Some(range) => Self::at_byte(range.start, source, message),
            None => Self::new(message),
        }
    }

    /// A refusal at byte `offset` of `source`.
    pub(super) fn at_byte(offset: usize, source: &str, message: impl Into<String>) -> Self {
        Self { place: Some(Place::new(offset, source)), message: message.into() }
    }
}

impl Place {
    fn new(offset: usize, source: &str) -> Self {
        let offset = source.floor_char_boundary(offset);
        let (before, after) = source.split_at(offset);
        let start = before.rfind('\n').map_or(0, |at| at + 1);
        let head: Vec<char> = before[start..].chars().collect();
        let tail = after.split('\n').next().unwrap_or_default();
        // A long line is quoted around the position.
        let from = head.len().saturating_sub(MAX_QUOTED / 2);
        let shown = head[from..].iter().copied().chain(tail.chars()).take(MAX_QUOTED);
        Self {
            line: before.matches('\n').count() + 1,
            column: head.len() + 1,
            quoted: shown.map(visible).collect(),
            before: head.len() - from,
        }
    }
}

/// A character as a terminal may show it: sources come from strangers, and a terminal obeys control characters.
fn visible(c: char) -> char {
    match c {
        '\t' => ' ',
        // Direction marks would reorder what is shown.
        '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '\u{fffd}',
        c if c.is_control() => '\u{fffd}',
        c => c,
    }
}

impl fmt::Display for Rejection {
    /// One line of reason; where the place is known, the source line and a caret below it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(place) = &self.place else { return f.write_str(&self.message) };
        let Place { line, column, quoted, before } = place;
        write!(f, "line {line}, column {column}: {}\n  {quoted}\n  {:before$}^", self.message, "")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_shown_with_its_line_and_a_caret() {
        let source = "fn f() {\n\tlet ä = 1u / x;\n}\n";
        let offset = source.find('/').expect("it is there");
        let shown = Rejection::at_byte(offset, source, "no divisor").to_string();
        assert_eq!(shown, "line 2, column 13: no divisor\n   let ä = 1u / x;\n              ^");
    }

    #[test]
    fn a_long_line_is_quoted_around_the_place_and_control_characters_are_not_repeated() {
        let source = format!("{}\u{1b}[31m\u{202e}{}", "a".repeat(70_000), "b".repeat(70_000));
        let shown = Rejection::at_byte(70_000, &source, "x").to_string();
        assert!(shown.len() < 400, "{}", shown.len());
        assert!(shown.contains("\u{fffd}[31m\u{fffd}bb"), "{shown}");
    }

    #[test]
    fn a_place_beyond_the_end_or_inside_a_character_is_no_panic() {
        for offset in 0..8 {
            Rejection::at_byte(offset, "ä\nö", "x");
        }
        assert_eq!(Rejection::new("x").to_string(), "x");
    }
}
