//! PURE: one kept message in a form to read: head as text, body in a notation, and every byte as hex.
//!
//! CBOR is written in the diagnostic notation of RFC 8949 §8, byte strings that hold CBOR themselves (the body inside a
//! signed envelope) as embedded CBOR `<< >>`. A long byte string is written by its size and BLAKE3 hash.

use ciborium::Value;
use network::SentMessage;
use protocol::cbor;
use protocol::id::Hash;
use protocol::local::{Notation, SentMessage as Shown};

use super::{egress_view, printable};
use crate::journal::JournalRow;

/// A longer byte string is written by its size and hash.
const SHOWN_BYTES: usize = 128;
/// Deeper nesting is not written out; the deepest message of ours has nine levels.
const MAX_DEPTH: usize = 32;
/// A readable form longer than this is cut, and says so by an ellipsis at its end; the bytes are all there as hex.
const MAX_READABLE: usize = 256 * 1024;
/// Values that fit into a line of this length are not broken over several.
const LINE: usize = 88;

/// The message of `row` as the page shows it.
pub fn view(row: &JournalRow, message: &SentMessage) -> Shown {
    let body_kept = message.body.len() as u64 == message.body_bytes;
    let (notation, readable) = if body_kept { readable(&message.body) } else { (Notation::Bytes, None) };
    let mut bytes = hex::encode(&message.head);
    bytes.push_str(&hex::encode(&message.body));
    Shown {
        sending: egress_view(row),
        head: lines(&String::from_utf8_lossy(&message.head)),
        body_bytes: message.body_bytes,
        body_hash: message.body_hash.to_string(),
        readable,
        notation,
        hex: bytes,
        body_kept,
    }
}

/// Lines of text, each of them printable.
fn lines(text: &str) -> String {
    text.trim_end().lines().map(printable).collect::<Vec<_>>().join("\n")
}

fn readable(body: &[u8]) -> (Notation, Option<String>) {
    if body.is_empty() {
        return (Notation::Empty, None);
    }
    if let Some(value) = whole(body) {
        let mut text = String::new();
        write_value(&mut text, &value, 0);
        return (Notation::Cbor, Some(cut(text)));
    }
    match std::str::from_utf8(body) {
        Ok(text) => (Notation::Text, Some(cut(lines(&pretty(text))))),
        Err(_) => (Notation::Bytes, None),
    }
}

/// JSON with line breaks; other text as it is.
fn pretty(text: &str) -> String {
    match serde_json::from_str::<serde_json::Value>(text) {
        Ok(value) => format!("{value:#}"),
        Err(_) => text.to_owned(),
    }
}

/// The value that `bytes` are, to the last byte. Text that happens to begin like CBOR is none, and neither is a lone
/// number or short text: every message of ours is a map or an array, in the one encoding that `protocol::cbor` writes.
fn whole(bytes: &[u8]) -> Option<Value> {
    let value: Value = ciborium::de::from_reader_with_recursion_limit(bytes, MAX_DEPTH).ok()?;
    let is_message = matches!(value, Value::Map(_) | Value::Array(_)) && cbor::encode(&value) == bytes;
    is_message.then_some(value)
}

fn cut(mut text: String) -> String {
    if text.len() > MAX_READABLE {
        let end = (0..=MAX_READABLE).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
    text
}

fn write_value(text: &mut String, value: &Value, depth: usize) {
    if text.len() > MAX_READABLE {
        return;
    }
    match value {
        Value::Map(entries) => {
            let entries = entries.iter().map(|(key, value)| {
                let mut entry = String::new();
                write_value(&mut entry, key, depth + 1);
                entry.push_str(": ");
                write_value(&mut entry, value, depth + 1);
                entry
            });
            write_list(text, ('{', '}'), entries.collect(), depth);
        }
        Value::Array(items) => {
            let items = items.iter().map(|item| {
                let mut entry = String::new();
                write_value(&mut entry, item, depth + 1);
                entry
            });
            write_list(text, ('[', ']'), items.collect(), depth);
        }
        Value::Bytes(bytes) => write_bytes(text, bytes, depth),
        Value::Text(inner) => text.push_str(&quoted(inner)),
        Value::Tag(tag, inner) => {
            text.push_str(&format!("{tag}("));
            write_value(text, inner, depth);
            text.push(')');
        }
        Value::Integer(number) => text.push_str(&i128::from(*number).to_string()),
        Value::Float(number) => text.push_str(&format!("{number:?}")),
        Value::Bool(yes) => text.push_str(if *yes { "true" } else { "false" }),
        Value::Null => text.push_str("null"),
        // The enumeration of `ciborium` may grow.
        other => text.push_str(&printable(&format!("{other:?}"))),
    }
}

/// A string in the notation's quotes, which are JSON's.
fn quoted(inner: &str) -> String {
    serde_json::Value::from(printable(inner)).to_string()
}

fn write_list(text: &mut String, (open, close): (char, char), entries: Vec<String>, depth: usize) {
    let one_line = entries.iter().map(|entry| entry.len() + 2).sum::<usize>() + 2 * depth <= LINE
        && entries.iter().all(|entry| !entry.contains('\n'));
    text.push(open);
    if one_line {
        text.push_str(&entries.join(", "));
    } else {
        for (index, entry) in entries.iter().enumerate() {
            let comma = if index + 1 < entries.len() { "," } else { "" };
            text.push_str(&format!("\n{}{entry}{comma}", "  ".repeat(depth + 1)));
        }
        text.push_str(&format!("\n{}", "  ".repeat(depth)));
    }
    text.push(close);
}

fn write_bytes(text: &mut String, bytes: &[u8], depth: usize) {
    if let Some(inner) = whole(bytes).filter(|_| depth < MAX_DEPTH) {
        text.push_str("<< ");
        write_value(text, &inner, depth);
        text.push_str(" >>");
    } else if bytes.len() <= SHOWN_BYTES {
        text.push_str(&format!("h'{}'", hex::encode(bytes)));
    } else {
        text.push_str(&format!("h'…' / {} bytes, BLAKE3 {} /", bytes.len(), Hash::of(bytes)));
    }
}
