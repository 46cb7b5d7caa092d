//! A text as its reader sees it.
//!
//! Invariant: each byte of the plain text knows which byte of the original it came from.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::decompose_canonical;

/// Letters alone, one after the other with something between, from which on they are taken for a word.
const MIN_SPACED_LETTERS: usize = 5;

/// The plain text: compatible forms made one (NFKC), lower case, without what cannot be seen, white
/// space made one blank (line ends stay, a blank line as two), and Latin letters where others stand in for them.
#[derive(Debug)]
pub(super) struct Plain {
    text: String,
    /// For each byte of the text: where it comes from.
    origins: Vec<u32>,
}

impl Plain {
    /// The plain form of `text`.
    pub(super) fn of(text: &str) -> Self {
        let mut plain = Self { text: String::with_capacity(text.len()), origins: Vec::new() };
        let mut word_from = 0;
        for (at, original) in text.char_indices() {
            if is_unseen(original) {
                continue;
            }
            for c in std::iter::once(original).nfkc().flat_map(char::to_lowercase).map(bare) {
                if c.is_alphanumeric() {
                    plain.push(c, at);
                    continue;
                }
                plain.fold(word_from);
                match c {
                    '\n' => plain.end_line(at),
                    c if c.is_whitespace() || c.is_control() => plain.blank(at),
                    // Marks above and below letters hide words from rules, and little from readers.
                    '\u{300}'..='\u{36f}' => {}
                    '\u{2018}' | '\u{2019}' | '`' => plain.push('\'', at),
                    '\u{201c}' | '\u{201d}' => plain.push('"', at),
                    '\u{2010}'..='\u{2015}' => plain.push('-', at),
                    c => plain.push(c, at),
                }
                word_from = plain.text.len();
            }
        }
        plain.fold(word_from);
        plain
    }

    /// Its text.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Where the byte at `at` comes from.
    pub(super) fn origin(&self, at: usize) -> usize {
        self.origins.get(at).map_or(0, |origin| *origin as usize)
    }

    /// The text with the lines of each paragraph made one; lines of a list, of a table and of a quote
    /// stay lines. None if there is nothing to do.
    pub(super) fn unwrapped(&self) -> Option<Self> {
        let bytes = self.text.as_bytes();
        let mut text = self.text.clone().into_bytes();
        let mut any = false;
        for at in (0..bytes.len()).filter(|at| bytes[*at] == b'\n') {
            let before = at.checked_sub(1).map(|at| bytes[at]);
            let after = bytes.get(at + 1).copied().unwrap_or(b'\n');
            let stays = before == Some(b'\n')
                || matches!(after, b'\n' | b'-' | b'*' | b'#' | b'>' | b'|' | b'+')
                || after.is_ascii_digit();
            if !stays {
                text[at] = b' ';
                any = true;
            }
        }
        // A line end and a blank are one byte each.
        let text = String::from_utf8(text).ok().filter(|_| any)?;
        Some(Self { text, origins: self.origins.clone() })
    }

    /// The text with words put together whose letters stand apart; none if there are none.
    pub(super) fn squeezed(&self) -> Option<Self> {
        let letters: Vec<(usize, char)> = self.text.char_indices().collect();
        let is_letter = |n: usize| letters.get(n).is_some_and(|(_, c)| c.is_alphabetic());
        let is_gap = |n: usize| {
            letters.get(n).is_some_and(|(_, c)| matches!(c, ' ' | '.' | '-' | '_' | '*' | '|'))
        };
        let alone = |n: usize| is_letter(n) && !is_letter(n + 1) && (n == 0 || !is_letter(n - 1));
        let mut squeezed = Self { text: String::new(), origins: Vec::new() };
        let (mut any, mut n) = (false, 0);
        while n < letters.len() {
            let mut end = n;
            while alone(end) && is_gap(end + 1) && alone(end + 2) {
                end += 2;
            }
            if (end - n) / 2 + 1 >= MIN_SPACED_LETTERS {
                any = true;
                for (at, c) in letters[n..=end].iter().step_by(2) {
                    squeezed.push(*c, self.origin(*at));
                }
                n = end + 1;
            } else {
                let (at, c) = letters[n];
                squeezed.push(c, self.origin(at));
                n += 1;
            }
        }
        any.then_some(squeezed)
    }

    fn push(&mut self, c: char, origin: usize) {
        self.text.push(c);
        self.origins.resize(self.text.len(), origin as u32);
    }

    fn blank(&mut self, origin: usize) {
        if !self.text.ends_with([' ', '\n']) {
            self.push(' ', origin);
        }
    }

    fn end_line(&mut self, origin: usize) {
        if self.text.ends_with(' ') {
            self.text.pop();
            self.origins.truncate(self.text.len());
        }
        if !self.text.ends_with("\n\n") {
            self.push('\n', origin);
        }
    }

    /// Puts Latin letters into the word from `from` on, if it mixes them with those that look alike.
    fn fold(&mut self, from: usize) {
        let word = &self.text[from..];
        let has_latin = word.bytes().any(|byte| byte.is_ascii_lowercase());
        if !has_latin || word.is_ascii() || !word.chars().any(|c| latin(c).is_some()) {
            return;
        }
        let mut at = from;
        let origins = self.origins.split_off(from);
        let mut folded = Vec::new();
        for c in self.text.split_off(from).chars() {
            folded.push((latin(c).unwrap_or(c), origins[at - from]));
            at += c.len_utf8();
        }
        for (c, origin) in folded {
            self.push(c, origin as usize);
        }
    }
}

/// A Latin letter without what is above and below it, which only some keyboards have.
fn bare(c: char) -> char {
    if !matches!(c, '\u{c0}'..='\u{24f}' | '\u{1e00}'..='\u{1eff}') {
        return c;
    }
    let mut base = None;
    decompose_canonical(c, |part| {
        base.get_or_insert(part);
    });
    base.unwrap_or(c)
}

/// Whether a reader sees nothing of it.
pub(super) fn is_unseen(c: char) -> bool {
    matches!(
        c,
        '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{115f}'
            | '\u{1160}'
            | '\u{17b4}'
            | '\u{17b5}'
            | '\u{180b}'..='\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

/// The Latin letter that a Cyrillic or Greek one looks like.
fn latin(c: char) -> Option<char> {
    Some(match c {
        'а' | 'α' => 'a',
        'в' | 'β' => 'b',
        'с' | 'ϲ' => 'c',
        'ԁ' => 'd',
        'е' | 'ё' | 'ε' => 'e',
        'һ' | 'η' => 'h',
        'і' | 'ι' | 'ı' => 'i',
        'ј' => 'j',
        'к' | 'κ' => 'k',
        'ӏ' => 'l',
        'м' => 'm',
        'п' => 'n',
        'о' | 'ο' | 'σ' => 'o',
        'р' | 'ρ' => 'p',
        'ѕ' => 's',
        'т' | 'τ' => 't',
        'υ' => 'u',
        'ν' | 'ѵ' => 'v',
        'ԝ' | 'ω' => 'w',
        'х' | 'χ' => 'x',
        'у' | 'γ' => 'y',
        _ => return None,
    })
}
