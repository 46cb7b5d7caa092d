//! The files that are really there.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Serialize;

/// Files in one demo; what comes after them, in the order of paths, is left out and said.
pub(crate) const MAX_FILES: usize = 4_000;
/// A larger file is skipped.
pub(crate) const MAX_FILE_BYTES: u64 = 1024 * 1024;
/// A file with a zero byte in its first bytes is binary.
const SNIFFED_BYTES: usize = 8_000;
/// Folders that hold no sources of their own.
pub(crate) const SKIPPED_FOLDERS: [&str; 3] = [".git", "node_modules", "target"];

/// A file, relative to the root, with `/` between folders.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Found {
    pub(crate) path: String,
    pub(crate) bytes: u64,
}

/// What was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub(crate) struct Skipped {
    pub(crate) binary: u64,
    pub(crate) too_large: u64,
    /// Names that are not UTF-8, links, and files that cannot be read.
    pub(crate) unreadable: u64,
    /// Beyond [`MAX_FILES`].
    pub(crate) left_out: u64,
}

/// Every text file under `root`, in the order of paths.
pub(crate) fn walk(root: &Path) -> Result<(Vec<Found>, Skipped)> {
    let mut found = Vec::new();
    let mut skipped = Skipped::default();
    let mut folders = vec![String::new()];
    while let Some(folder) = folders.pop() {
        let place = root.join(&folder);
        let entries = fs::read_dir(&place).with_context(|| place.display().to_string())?;
        for entry in entries {
            let entry = entry.with_context(|| place.display().to_string())?;
            let Ok(name) = entry.file_name().into_string() else {
                skipped.unreadable += 1;
                continue;
            };
            let path = if folder.is_empty() { name.clone() } else { format!("{folder}/{name}") };
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => {
                    if !SKIPPED_FOLDERS.contains(&name.as_str()) {
                        folders.push(path);
                    }
                }
                Ok(kind) if kind.is_file() => look(root, path, &mut found, &mut skipped),
                _ => skipped.unreadable += 1,
            }
        }
    }
    found.sort();
    skipped.left_out = found.len().saturating_sub(MAX_FILES) as u64;
    found.truncate(MAX_FILES);
    Ok((found, skipped))
}

fn look(root: &Path, path: String, found: &mut Vec<Found>, skipped: &mut Skipped) {
    let place = root.join(&path);
    let size = fs::metadata(&place).map(|data| data.len());
    if size.as_ref().is_ok_and(|bytes| *bytes > MAX_FILE_BYTES) {
        skipped.too_large += 1;
        return;
    }
    match fs::read(&place) {
        Ok(bytes) if bytes[..bytes.len().min(SNIFFED_BYTES)].contains(&0) => skipped.binary += 1,
        Ok(bytes) => found.push(Found { path, bytes: bytes.len() as u64 }),
        Err(_) => skipped.unreadable += 1,
    }
}

/// Shares the files out to at most `count` parts of about the same size.
pub(crate) fn split(files: &[Found], count: usize) -> Vec<Vec<String>> {
    let mut parts = vec![(0_u64, Vec::new()); count.clamp(1, files.len().max(1))];
    let mut largest_first: Vec<&Found> = files.iter().collect();
    largest_first.sort_by_key(|file| (std::cmp::Reverse(file.bytes), &file.path));
    for file in largest_first {
        if let Some((bytes, paths)) =
            parts.iter_mut().min_by_key(|(bytes, paths)| (*bytes, paths.len()))
        {
            *bytes += file.bytes;
            paths.push(file.path.clone());
        }
    }
    parts.into_iter().map(|(_, paths)| paths).collect()
}

/// The shell command that counts the files, lines and bytes of one kind as the demo does.
pub(crate) fn check_command(root: &Path, extension: &str) -> String {
    let names: Vec<_> = SKIPPED_FOLDERS.iter().map(|name| format!("-name {name}")).collect();
    format!(
        "find '{}' -type d \\( {} \\) -prune -o -type f -name '*.{extension}' -size -{}c -print0 \
         | xargs -0 cat | wc -lc",
        root.display(),
        names.join(" -o "),
        MAX_FILE_BYTES + 1
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_found_and_the_rest_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let write = |path: &str, bytes: &[u8]| {
            let place = folder.path().join(path);
            fs::create_dir_all(place.parent().unwrap()).unwrap();
            fs::write(place, bytes).unwrap();
        };
        write("b.rs", b"fn b() {}\n");
        write("a/c.md", b"# C\n");
        write("target/x.rs", b"no");
        write(".git/config", b"no");
        write("picture.png", b"\x89PNG\0");
        write("large.txt", &vec![b'x'; MAX_FILE_BYTES as usize + 1]);
        let (found, skipped) = walk(folder.path()).unwrap();
        let paths: Vec<_> = found.iter().map(|file| file.path.as_str()).collect();
        assert_eq!(paths, ["a/c.md", "b.rs"]);
        assert_eq!((skipped.binary, skipped.too_large, skipped.unreadable), (1, 1, 0));
    }

    #[test]
    fn every_file_is_in_one_part() {
        let files: Vec<_> =
            (0..50).map(|n: u64| Found { path: format!("{n:02}"), bytes: n * n }).collect();
        let parts = split(&files, 16);
        let mut all: Vec<_> = parts.concat();
        all.sort();
        assert_eq!(all, files.iter().map(|file| file.path.clone()).collect::<Vec<_>>());
        assert_eq!(parts.len(), 16);
        assert!(parts.iter().all(|part| !part.is_empty()));
        assert_eq!(split(&files[..2], 16).len(), 2);
    }
}
