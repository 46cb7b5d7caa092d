//! Orders that are encoded: in Base64, in hexadecimal digits, in percent signs or entities, or with
//! letters turned by thirteen. What they decode to is examined as any text, one time deep.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

use super::plain::Plain;
use super::rules::{ENCODED, LINK};
use super::{Match, meets_any};

/// The shortest run of letters that is decoded: shorter ones hold no order.
const MIN_RUN_BYTES: usize = 20;
/// Lines of a run from which on it is read.
const MAX_STARTS: usize = 4;
/// Bytes of all runs of one text that are decoded.
const MAX_DECODED_BYTES: usize = 256 * 1024;

/// The encoded orders in `text`.
pub(super) fn examine(text: &str) -> Vec<Match> {
    let mut found = Vec::new();
    let mut left = MAX_DECODED_BYTES;
    for (at, run) in runs(text) {
        left = left.saturating_sub(run.len());
        if left == 0 {
            break;
        }
        // A block is broken into lines, and a word may stand on the line before it: so from each of
        // the first lines on, and each line alone.
        let lines = run.lines().filter(|line| line.len() < run.len());
        let starts = run.match_indices('\n').take(MAX_STARTS).map(|(end, _)| &run[end + 1..]);
        let mut readings = std::iter::once(run)
            .chain(starts)
            .chain(lines)
            .filter(|part| part.len() >= MIN_RUN_BYTES)
            .flat_map(|part| [hexadecimal(part), base64(part)]);
        if readings.by_ref().flatten().any(|decoded| is_order(&decoded)) {
            found.push(Match { at, rule: ENCODED });
        }
    }
    if is_order(text) {
        return found;
    }
    let escaped = [('%', percent(text)), ('&', entities(text))];
    for (sign, decoded) in escaped {
        if decoded.is_some_and(|decoded| is_order(&decoded)) {
            found.push(Match { at: text.find(sign).unwrap_or(0), rule: ENCODED });
        }
    }
    // Hardly any text is one when its letters are turned.
    if text.len() <= MAX_DECODED_BYTES && is_order(&turned(text)) {
        found.push(Match { at: 0, rule: ENCODED });
    }
    found
}

/// Whether a decoded text meets a rule. Addresses are full of escapes: that of a link, decoded, says
/// nothing.
fn is_order(text: &str) -> bool {
    meets_any(Plain::of(text).text(), LINK)
}

/// The runs of letters that may be encoded text, with where they are. Lines of one block are one run.
fn runs(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let is_of_run =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '-' | '_' | '\n' | '\r');
    let mut rest = 0;
    std::iter::from_fn(move || {
        let from = rest + text[rest..].find(is_of_run)?;
        let end = text[from..].find(|c| !is_of_run(c)).map_or(text.len(), |length| from + length);
        rest = end;
        Some((from, &text[from..end]))
    })
    .filter(|(_, run)| run.len() >= MIN_RUN_BYTES)
}

fn base64(run: &str) -> Option<String> {
    let letters: String = run.chars().filter(|c| !matches!(c, '\n' | '\r')).collect();
    let engine = if letters.contains(['-', '_']) { URL_SAFE_NO_PAD } else { STANDARD_NO_PAD };
    // A run that was cut in the middle of a group of four.
    let whole = if letters.len() % 4 == 1 { letters.len() - 1 } else { letters.len() };
    readable(engine.decode(letters.get(..whole)?).ok()?)
}

fn hexadecimal(run: &str) -> Option<String> {
    let digits: Vec<u8> =
        run.bytes().filter_map(|b| char::from(b).to_digit(16)).map(|d| d as u8).collect();
    let letters = run.bytes().filter(|byte| !matches!(byte, b'\n' | b'\r')).count();
    if digits.len() != letters || digits.len() % 2 == 1 {
        return None;
    }
    readable(digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

fn percent(text: &str) -> Option<String> {
    if !text.contains('%') {
        return None;
    }
    let bytes = text.as_bytes();
    let (mut decoded, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while at < bytes.len() {
        let pair = text.get(at + 1..at + 3).filter(|_| bytes[at] == b'%');
        if let Some(byte) = pair.and_then(|pair| u8::from_str_radix(pair, 16).ok()) {
            decoded.push(byte);
            at += 3;
        } else {
            decoded.push(bytes[at]);
            at += 1;
        }
    }
    String::from_utf8(decoded).ok()
}

fn entities(text: &str) -> Option<String> {
    if !text.contains("&#") {
        return None;
    }
    let mut parts = text.split("&#");
    let mut decoded = parts.next()?.to_owned();
    for part in parts {
        let number = part.split_once(';').and_then(|(number, rest)| {
            let code = match number.strip_prefix(['x', 'X']) {
                Some(digits) => u32::from_str_radix(digits, 16).ok()?,
                None => number.parse().ok()?,
            };
            Some((char::from_u32(code)?, rest))
        });
        if let Some((c, rest)) = number {
            decoded.push(c);
            decoded.push_str(rest);
        } else {
            decoded.push_str("&#");
            decoded.push_str(part);
        }
    }
    Some(decoded)
}

fn turned(text: &str) -> String {
    let turn = |c: char| match c {
        'a'..='m' | 'A'..='M' => char::from(c as u8 + 13),
        'n'..='z' | 'N'..='Z' => char::from(c as u8 - 13),
        c => c,
    };
    text.chars().map(turn).collect()
}

/// Bytes that are a text; pictures and keys are none.
fn readable(bytes: Vec<u8>) -> Option<String> {
    let text = String::from_utf8(bytes).ok()?;
    text.chars().all(|c| !c.is_control() || c.is_whitespace()).then_some(text)
}
