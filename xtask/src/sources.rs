//! Rules on every tracked file that no compiler knows.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

const FILE_MAX_LINES: usize = 500;
/// Files that name where packages come from by nature.
const LOCK_FILE: &str = "Cargo.lock";

/// A piece of a home folder's path, written in halves so that this file passes its own rule.
const MACHINE_PATHS: [&str; 3] =
    [concat!("/ho", "me/"), concat!("/Us", "ers/"), concat!("/ro", "ot/")];
const EXAMPLE_PERSON: &str = "me";
const REGISTRY_HOSTS: [&str; 9] = [
    concat!("crates", ".io"),
    concat!("pypi", ".org"),
    concat!("python", "hosted.org"),
    concat!("npmjs", ".org"),
    concat!("npmjs", ".com"),
    concat!("docker", ".io"),
    concat!("gh", "cr.io"),
    concat!("gc", "r.io"),
    concat!("qu", "ay.io"),
];
const UNFINISHED: [&str; 2] = [concat!("to", "do!("), concat!("unimple", "mented!(")];

/// Fails with every place that breaks a rule.
pub(crate) fn check(root: &Path) -> Result<()> {
    let files = tracked(root)?;
    let home = root.display().to_string();
    let mut wrong = Vec::new();
    for file in &files {
        // A file that is deleted and not yet committed, or that is no text.
        let Ok(text) = fs::read_to_string(root.join(file)) else { continue };
        wrong.extend(violations(file, &text, &home));
    }
    if !wrong.is_empty() {
        bail!("{}", wrong.join("\n  "));
    }
    println!("{} tracked files", files.len());
    Ok(())
}

fn tracked(root: &Path) -> Result<Vec<String>> {
    let output = Command::new("git").args(["ls-files", "-z"]).current_dir(root).output();
    let output = output.context("cannot run git")?;
    if !output.status.success() {
        bail!("git ls-files: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let names = String::from_utf8(output.stdout)?;
    Ok(names.split('\0').filter(|name| !name.is_empty()).map(str::to_owned).collect())
}

fn violations(file: &str, text: &str, home: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    let rust = Path::new(file).extension().is_some_and(|extension| extension == "rs");
    if rust && in_src(file) {
        let lines = lines_before_tests(text);
        if lines > FILE_MAX_LINES {
            wrong.push(format!("{file}: {lines} lines, at most {FILE_MAX_LINES}"));
        }
    }
    if file == LOCK_FILE {
        return wrong;
    }
    for (number, line) in text.lines().enumerate() {
        let place = || format!("{file}:{}", number + 1);
        if names_checkout(line, home) || names_home(line) {
            wrong.push(format!("{}: a path of one machine", place()));
        }
        if let Some(host) = REGISTRY_HOSTS.iter().find(|host| line.contains(**host)) {
            wrong.push(format!("{}: names the package registry {host}", place()));
        }
        if let Some(word) = UNFINISHED.iter().find(|word| rust && line.contains(**word)) {
            wrong.push(format!("{}: {word}) is not done", place()));
        }
    }
    wrong
}

/// Whether a home folder stands in a line, other than that of the person `me` of examples.
fn names_home(line: &str) -> bool {
    MACHINE_PATHS.iter().any(|path| {
        line.match_indices(path).any(|(at, _)| {
            let owner = line[at + path.len()..].split(|c: char| !c.is_alphanumeric()).next();
            owner != Some(EXAMPLE_PERSON)
        })
    })
}

/// Whether the path of this checkout stands in a line. A checkout such as `/src` says nothing: its
/// path is a part of many others.
fn names_checkout(line: &str, home: &str) -> bool {
    let telling = home.matches('/').count() > 1;
    let starts_there = |at: usize| {
        !line[..at].ends_with(|c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '}'))
    };
    telling && line.match_indices(home).any(|(at, _)| starts_there(at))
}

/// Under a `src` folder, and not a file of tests.
fn in_src(file: &str) -> bool {
    let mut folders: Vec<&str> = file.split('/').collect();
    let name = folders.pop().unwrap_or_default();
    folders.contains(&"src") && !folders.contains(&"tests") && name != "tests.rs"
}

/// Tests at the end of a file do not count.
fn lines_before_tests(text: &str) -> usize {
    text.lines().take_while(|line| *line != "#[cfg(test)]").count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(file: &str, text: &str) -> Vec<String> {
        violations(file, text, "/a/checkout")
    }

    #[test]
    fn long_files_are_found_where_they_are_sources() {
        let long = "x\n".repeat(FILE_MAX_LINES + 1);
        assert_eq!(found("a/src/b.rs", &long), ["a/src/b.rs: 501 lines, at most 500"]);
        assert!(found("a/src/b/tests.rs", &long).is_empty());
        assert!(found("a/tests/b.rs", &long).is_empty());
        assert!(found("a/src/b.rs", &format!("x\n#[cfg(test)]\n{long}")).is_empty());
    }

    #[test]
    fn machines_registries_and_gaps_are_found_with_their_line() {
        for line in
            ["see /a/checkout/x", concat!("see /ho", "me/mel"), concat!("get it from pypi", ".org")]
        {
            let wrong = found("README.md", &format!("fine\n{line}\n"));
            assert_eq!(wrong.len(), 1, "{line}");
            assert!(wrong[0].starts_with("README.md:2: "), "{wrong:?}");
        }
        assert_eq!(found("a/src/b.rs", concat!("to", "do!()")).len(), 1);
        assert!(found("README.md", "todo: nothing").is_empty());
    }

    #[test]
    fn a_part_of_a_longer_path_is_not_this_checkout() {
        assert!(found("README.md", "see b/a/checkout").is_empty());
        assert!(!names_home(concat!("/ho", "me/me/x")));
        assert!(!names_checkout("the /src folder", "/src"));
    }

    #[test]
    fn the_lock_file_may_name_its_source() {
        assert!(found(LOCK_FILE, concat!("source = crates", ".io")).is_empty());
    }
}
