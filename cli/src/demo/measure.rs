//! The implementers' way to count: one pass over the bytes.

use super::figures::Counts;

/// Counts what stands in `bytes`.
pub(crate) fn measure(path: &str, bytes: &[u8]) -> Counts {
    let mut counts = Counts { files: 1, bytes: bytes.len() as u64, ..Counts::default() };
    let kind = super::figures::kind(path);
    let mut in_word = false;
    let mut line_start = 0;
    for (at, byte) in bytes.iter().enumerate() {
        let space = matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0c);
        if !space && !in_word {
            counts.words += 1;
        }
        in_word = !space;
        if *byte == b'T' && bytes[at..].starts_with(b"TODO") {
            counts.todos += 1;
        }
        if *byte == b'\n' {
            counts.lines += 1;
            count_line(&kind, &bytes[line_start..at], &mut counts);
            line_start = at + 1;
        }
    }
    if line_start < bytes.len() {
        count_line(&kind, &bytes[line_start..], &mut counts);
    }
    counts
}

fn count_line(kind: &str, line: &[u8], counts: &mut Counts) {
    if line.iter().all(|byte| matches!(byte, b' ' | b'\t' | b'\r')) {
        counts.blank_lines += 1;
    }
    if kind == "rs" && opens_function(line) {
        counts.functions += 1;
    }
    if kind == "md" {
        let hashes = line.iter().take_while(|byte| **byte == b'#').count();
        if (1..=6).contains(&hashes) && line.get(hashes) == Some(&b' ') {
            counts.headings += 1;
        }
    }
}

/// Skips one qualifier after another until `fn ` or something else stands there.
fn opens_function(line: &[u8]) -> bool {
    let mut rest = line.trim_ascii_start();
    loop {
        if rest.starts_with(b"fn ") {
            return true;
        }
        let qualifier: &[&[u8]] =
            &[b"pub ", b"async ", b"const ", b"unsafe ", b"extern ", b"\"C\" "];
        if let Some(found) = qualifier.iter().find(|word| rest.starts_with(word)) {
            rest = rest[found.len()..].trim_ascii_start();
        } else if rest.starts_with(b"pub(") {
            match rest.iter().position(|byte| *byte == b')') {
                Some(end) => rest = rest[end + 1..].trim_ascii_start(),
                None => return false,
            }
        } else {
            return false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::recount::recount;

    #[test]
    fn what_is_counted_is_what_stands_there() {
        let text = "pub(crate) async fn a() {\n\n    // TODO: TODO\n}\nfn b() {}\nlet fn_x = 1;";
        let counts = measure("x.rs", text.as_bytes());
        assert_eq!((counts.lines, counts.blank_lines, counts.functions), (5, 1, 2));
        assert_eq!((counts.todos, counts.headings), (2, 0));
        let counts = measure("x.md", b"# One\n####### no\n#no\n## Two\n");
        assert_eq!((counts.headings, counts.words), (2, 7));
    }

    #[test]
    fn both_ways_agree_on_awkward_texts() {
        let texts: [&[u8]; 8] = [
            b"",
            b"\n",
            b"no newline at the end",
            b"\r\n \t \r\nx\r\n",
            b"\xff\xfe broken \xc3 utf-8\nTODO\n",
            "ünïcödé  wörds\n".as_bytes(),
            b"pub unsafe extern \"C\" fn x() {}\npub(in crate::a) fn y()\n pub fn\n",
            b"# a\n#\tb\n######  c\n#",
        ];
        for text in texts {
            for path in ["a.rs", "b.md", "c"] {
                let shown = String::from_utf8_lossy(text);
                assert_eq!(measure(path, text), recount(path, text), "{path} {shown:?}");
            }
        }
    }
}
