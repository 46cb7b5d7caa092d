//! What is counted, and how it adds up.

use std::collections::BTreeMap;
use std::ops::AddAssign;

use serde::{Deserialize, Serialize};

/// What is counted of a file, or of many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Counts {
    pub(crate) files: u64,
    pub(crate) bytes: u64,
    /// Newline characters, as `wc -l` counts them.
    pub(crate) lines: u64,
    /// Lines of nothing but spaces, tabs and carriage returns.
    pub(crate) blank_lines: u64,
    /// Runs of anything but ASCII white space.
    pub(crate) words: u64,
    /// In `.rs` files: lines that open a function (`fn` as the first word after its qualifiers).
    pub(crate) functions: u64,
    /// In `.md` files: lines that begin with one to six `#` and a space.
    pub(crate) headings: u64,
    /// Places where `TODO` stands.
    pub(crate) todos: u64,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.files += other.files;
        self.bytes += other.bytes;
        self.lines += other.lines;
        self.blank_lines += other.blank_lines;
        self.words += other.words;
        self.functions += other.functions;
        self.headings += other.headings;
        self.todos += other.todos;
    }
}

/// One file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FileFigures {
    /// Relative to the root.
    pub(crate) path: String,
    pub(crate) sha256: String,
    pub(crate) counts: Counts,
}

/// What an implementer found in one part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Analysis {
    pub(crate) files: Vec<FileFigures>,
}

/// The file with the most lines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Longest {
    pub(crate) path: String,
    pub(crate) lines: u64,
}

/// Sums over many files.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Sums {
    pub(crate) total: Counts,
    /// By the file's extension.
    pub(crate) by_type: BTreeMap<String, Counts>,
    pub(crate) longest: Option<Longest>,
}

impl Sums {
    pub(crate) fn of<'a>(files: impl IntoIterator<Item = &'a FileFigures>) -> Self {
        let mut sums = Self::default();
        for file in files {
            sums.total += file.counts;
            *sums.by_type.entry(kind(&file.path)).or_default() += file.counts;
            let longest = Longest { path: file.path.clone(), lines: file.counts.lines };
            sums.keep_longest(Some(longest));
        }
        sums
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.total += other.total;
        for (kind, counts) in &other.by_type {
            *self.by_type.entry(kind.clone()).or_default() += *counts;
        }
        self.keep_longest(other.longest.clone());
    }

    /// Of two equally long files the one whose path comes first, so that the order of the parts does
    /// not matter.
    fn keep_longest(&mut self, other: Option<Longest>) {
        let Some(other) = other else { return };
        let replaces = self
            .longest
            .as_ref()
            .is_none_or(|longest| (other.lines, &longest.path) > (longest.lines, &other.path));
        if replaces {
            self.longest = Some(other);
        }
    }
}

/// What an auditor found in one part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Audit {
    /// Counted anew.
    pub(crate) sums: Sums,
    /// The same bytes, counted differently.
    pub(crate) discrepancies: Vec<String>,
    /// Other bytes than those that were analysed: somebody edited the file meanwhile.
    pub(crate) changed: Vec<String>,
}

/// All of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Synthesis {
    pub(crate) parts: u64,
    pub(crate) sums: Sums,
    pub(crate) discrepancies: Vec<String>,
    pub(crate) changed: Vec<String>,
}

/// The extension, or the name of a file that has none.
pub(crate) fn kind(path: &str) -> String {
    let name = path.rsplit('/').next().unwrap_or(path);
    match name.rsplit_once('.') {
        Some((stem, extension)) if !stem.is_empty() && !extension.is_empty() => {
            extension.to_owned()
        }
        _ => "(none)".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, lines: u64) -> FileFigures {
        let counts = Counts { files: 1, lines, ..Counts::default() };
        FileFigures { path: path.to_owned(), sha256: String::new(), counts }
    }

    #[test]
    fn parts_add_up_to_the_whole_in_any_order() {
        let files = [file("a.rs", 3), file("b.md", 9), file("c/d.rs", 9), file(".ci/run", 1)];
        let whole = Sums::of(&files);
        for split in 0..=files.len() {
            let mut sums = Sums::of(&files[split..]);
            sums.add(&Sums::of(&files[..split]));
            assert_eq!(sums, whole);
        }
        assert_eq!(whole.longest.unwrap().path, "b.md");
        assert_eq!((whole.total.lines, whole.by_type["rs"].files), (22, 2));
    }

    #[test]
    fn the_kind_of_a_file_is_its_extension() {
        assert_eq!(
            ["x/y.rs", ".gitignore", "LICENSE", "a.tar.gz"].map(kind),
            ["rs", "(none)", "(none)", "gz"]
        );
    }
}
