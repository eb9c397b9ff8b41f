//! PURE: what can be told of a source without parsing it.
//!
//! Parsers and compilers recurse: 40 KB of `x+x+x...` overflow the stack of naga's. This scan knows only brackets,
//! comments and operators, keeps one counter per bracket, and does not recurse. It refuses more than the grammar needs to
//! be refused, never less than the parser survives.

use std::iter::Peekable;
use std::str::CharIndices;

use super::rejection::Rejection;

/// Deepest nesting of brackets.
const MAX_NESTING: usize = 64;
/// Most operators in one expression: between separators, on one level of brackets.
const MAX_CHAIN: u32 = 500;
/// Most `else` in a module; each one nests its successor in the parsed form.
const MAX_ELSE: u32 = 200;

/// Refuses nesting and operator chains that a recursive parser may not survive.
pub(super) fn scan(source: &str) -> Result<(), Rejection> {
    // Operators seen on each open level of brackets.
    let mut levels = vec![0_u32];
    let mut elses = 0_u32;
    let mut word = String::new();
    let mut chars = source.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        if c.is_alphanumeric() || c == '_' {
            if word.len() <= 4 {
                word.push(c);
            }
            continue;
        }
        if std::mem::take(&mut word) == "else" {
            elses += 1;
            if elses > MAX_ELSE {
                return Err(Rejection::at_byte(at, source, format!("more than {MAX_ELSE} else branches")));
            }
        }
        match c {
            '/' if next_is(&mut chars, '/') => while chars.next_if(|&(_, c)| c != '\n').is_some() {},
            '/' if next_is(&mut chars, '*') => {
                chars.next();
                skip_block_comment(&mut chars);
            }
            '(' | '[' | '{' => {
                // Indexing is a link of a chain as well: a[0][0][0]...
                if c == '[' {
                    count(&mut levels, at, source)?;
                }
                levels.push(0);
                if levels.len() > MAX_NESTING + 1 {
                    let message = format!("brackets are nested deeper than {MAX_NESTING}");
                    return Err(Rejection::at_byte(at, source, message));
                }
            }
            ')' | ']' => close(&mut levels),
            '}' => {
                close(&mut levels);
                reset(&mut levels);
            }
            ';' | ',' => reset(&mut levels),
            '+' | '-' | '*' | '/' | '%' | '&' | '|' | '^' | '!' | '~' | '<' | '>' | '=' | '.' => {
                count(&mut levels, at, source)?;
            }
            _ => {}
        }
    }
    Ok(())
}

type Chars<'a> = Peekable<CharIndices<'a>>;

fn next_is(chars: &mut Chars<'_>, expected: char) -> bool {
    chars.peek().is_some_and(|&(_, c)| c == expected)
}

fn count(levels: &mut [u32], at: usize, source: &str) -> Result<(), Rejection> {
    if let Some(operators) = levels.last_mut() {
        *operators += 1;
        if *operators > MAX_CHAIN {
            let message = format!("more than {MAX_CHAIN} operators in one expression");
            return Err(Rejection::at_byte(at, source, message));
        }
    }
    Ok(())
}

fn reset(levels: &mut [u32]) {
    if let Some(operators) = levels.last_mut() {
        *operators = 0;
    }
}

/// Closes a level; one bracket too many is for the parser to report.
fn close(levels: &mut Vec<u32>) {
    if levels.len() > 1 {
        levels.pop();
    }
}

/// Skips a block comment, which WGSL allows to nest, after its first two characters.
fn skip_block_comment(chars: &mut Chars<'_>) {
    let mut depth = 1_u32;
    while depth > 0 {
        match chars.next() {
            None => return,
            Some((_, '/')) if next_is(chars, '*') => {
                chars.next();
                depth += 1;
            }
            Some((_, '*')) if next_is(chars, '/') => {
                chars.next();
                depth -= 1;
            }
            Some(_) => {}
        }
    }
}
