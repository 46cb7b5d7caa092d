//! Sets of texts with intents, read from a folder: one folder or file a set.
//!
//! - `<set>.json`, or a folder with one JSON file: CLINC150 as published, an object of lists of
//!   `[text, intent]` under `train`, `test` and `oos_test`. What is under `val` is not read.
//! - a folder with `train.csv` and `test.csv`, and perhaps `out_of_scope.csv`; or the three beside the
//!   other sets as `<set>_train.csv` and so on: a text and a label a row. A first row of known names
//!   says which column is which.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// The largest file that is read.
const FILE_MAX_BYTES: u64 = 64 * 1024 * 1024;
const TEXT_NAMES: [&str; 4] = ["text", "utterance", "query", "sentence"];
const LABEL_NAMES: [&str; 3] = ["label", "category", "intent"];

/// A text with what it is meant for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Labelled {
    /// The text.
    pub text: String,
    /// The intent.
    pub label: String,
}

/// A set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IntentSet {
    /// The name of its file or folder.
    pub name: String,
    /// What may be learned from.
    pub train: Vec<Labelled>,
    /// What is asked, and nothing is tuned on.
    pub test: Vec<Labelled>,
    /// What is asked although no intent is meant.
    pub out_of_scope: Vec<String>,
}

impl IntentSet {
    /// The intents of what may be learned from, sorted.
    pub fn labels(&self) -> Vec<&str> {
        let mut labels: Vec<&str> = self.train.iter().map(|one| one.label.as_str()).collect();
        labels.sort_unstable();
        labels.dedup();
        labels
    }
}

/// Reads every set in a folder, in the order of their names.
pub fn read_all(folder: &Path) -> Result<Vec<IntentSet>> {
    let mut sets = Vec::new();
    for path in entries(folder)? {
        if path.is_dir() || is_json(&path) {
            sets.push(read(&path)?);
        } else if let Some(name) = set_of(&path) {
            let part = |part: &str| folder.join(format!("{name}{part}.csv"));
            let parts = [part("_train"), part("_test"), part("_out_of_scope")];
            sets.push(checked(from_csv(name.to_owned(), parts)?, &path)?);
        }
    }
    if sets.is_empty() {
        bail!("{}: no set there: neither a JSON file nor a folder", folder.display());
    }
    Ok(sets)
}

/// Reads one set from its file or folder.
pub fn read(path: &Path) -> Result<IntentSet> {
    let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let set = if path.is_dir() {
        let jsons: Vec<PathBuf> = entries(path)?.into_iter().filter(|path| is_json(path)).collect();
        match jsons.as_slice() {
            [] => from_csv(
                name,
                ["train", "test", "out_of_scope"].map(|part| path.join(part).with_extension("csv")),
            )?,
            [one] => from_json(name, one)?,
            _ => bail!("{}: more than one JSON file", path.display()),
        }
    } else {
        from_json(name, path)?
    };
    checked(set, path)
}

fn checked(set: IntentSet, path: &Path) -> Result<IntentSet> {
    if set.train.is_empty() || set.test.is_empty() {
        bail!("{}: nothing to learn from or nothing to ask", path.display());
    }
    Ok(set)
}

/// The name of the set that a file is the examples of.
fn set_of(path: &Path) -> Option<&str> {
    path.file_name()?.to_str()?.strip_suffix("_train.csv").filter(|name| !name.is_empty())
}

fn from_json(name: String, path: &Path) -> Result<IntentSet> {
    let text = text_of(path)?;
    let mut splits: BTreeMap<String, Vec<(String, String)>> =
        serde_json::from_str(&text).with_context(|| path.display().to_string())?;
    let mut split = |name: &str| splits.remove(name).unwrap_or_default();
    let labelled = |pairs: Vec<(String, String)>| {
        pairs.into_iter().map(|(text, label)| Labelled { text, label }).collect()
    };
    Ok(IntentSet {
        name,
        train: labelled(split("train")),
        test: labelled(split("test")),
        out_of_scope: split("oos_test").into_iter().map(|(text, _)| text).collect(),
    })
}

fn from_csv(name: String, [train, test, strangers]: [PathBuf; 3]) -> Result<IntentSet> {
    let out_of_scope = if strangers.is_file() { rows(&strangers)? } else { Vec::new() };
    Ok(IntentSet {
        name,
        train: rows(&train)?,
        test: rows(&test)?,
        out_of_scope: out_of_scope.into_iter().map(|row| row.text).collect(),
    })
}

fn rows(path: &Path) -> Result<Vec<Labelled>> {
    let text = text_of(path)?;
    let mut reader =
        csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text.as_bytes());
    let mut columns = (0, 1);
    let mut rows = Vec::new();
    for (at, record) in reader.records().enumerate() {
        let place = || format!("{}, row {}", path.display(), at + 1);
        let record = record.with_context(place)?;
        if at == 0
            && let Some(named) = header(&record)
        {
            columns = named;
            continue;
        }
        let (Some(text), Some(label)) = (record.get(columns.0), record.get(columns.1)) else {
            bail!("{}: no text and label", place());
        };
        rows.push(Labelled { text: text.to_owned(), label: label.trim().to_owned() });
    }
    Ok(rows)
}

/// The columns of text and label, if the row names both.
fn header(record: &csv::StringRecord) -> Option<(usize, usize)> {
    let find = |names: &[&str]| {
        record.iter().position(|cell| names.contains(&cell.trim().to_lowercase().as_str()))
    };
    Some((find(&TEXT_NAMES)?, find(&LABEL_NAMES)?))
}

fn text_of(path: &Path) -> Result<String> {
    let place = || path.display().to_string();
    let bytes = fs::metadata(path).with_context(place)?.len();
    if bytes > FILE_MAX_BYTES {
        bail!("{}: {bytes} bytes, at most {FILE_MAX_BYTES}", place());
    }
    let text = fs::read_to_string(path).with_context(place)?;
    Ok(text.trim_start_matches('\u{feff}').to_owned())
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let place = || folder.display().to_string();
    let read = fs::read_dir(folder).with_context(place)?;
    let mut paths = read
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<Vec<PathBuf>, _>>()
        .with_context(place)?;
    paths.sort();
    Ok(paths)
}

fn is_json(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_sets_are_whole() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("routing-sets");
        let sets = read_all(&folder).unwrap();
        let sizes: Vec<_> = sets
            .iter()
            .map(|set| (&*set.name, set.labels().len(), set.train.len(), set.test.len()))
            .collect();
        assert_eq!(sizes, [("service-desk", 31, 620, 310), ("work", 12, 120, 60)]);
        let strangers: Vec<_> = sets.iter().map(|set| set.out_of_scope.len()).collect();
        assert_eq!(strangers, [90, 40]);
        for set in &sets {
            // Nothing that is asked was learned.
            let learned: Vec<&str> = set.train.iter().map(|one| one.text.as_str()).collect();
            assert!(set.test.iter().all(|one| !learned.contains(&one.text.as_str())));
            // A comma within quotation marks ends nothing.
            assert!(set.train.iter().any(|one| one.text.contains(", ")));
        }
    }

    #[test]
    fn published_json_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("clinc150.json");
        let json = r#"{"train": [["a", "x"]], "val": [["b", "x"]], "test": [["c", "x"]],
            "oos_train": [["d", "oos"]], "oos_val": [], "oos_test": [["e", "oos"]]}"#;
        fs::write(&file, json).unwrap();
        let set = &read_all(folder.path()).unwrap()[0];
        assert_eq!((set.name.as_str(), set.train.len(), set.test.len()), ("clinc150", 1, 1));
        assert_eq!(set.out_of_scope, ["e"]);
    }

    #[test]
    fn columns_are_found_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let set = folder.path().join("banking");
        fs::create_dir(&set).unwrap();
        fs::write(set.join("train.csv"), "\u{feff}id,Category,Text\n1,x,\"one, two\"\n").unwrap();
        fs::write(set.join("test.csv"), "three,y\n").unwrap();
        let read = read(&set).unwrap();
        assert_eq!(read.train, [Labelled { text: "one, two".into(), label: "x".into() }]);
        assert_eq!(read.test, [Labelled { text: "three".into(), label: "y".into() }]);
        assert!(read.out_of_scope.is_empty());
    }

    #[test]
    fn what_is_no_set_says_where() {
        let folder = tempfile::tempdir().unwrap();
        assert!(read_all(folder.path()).is_err());
        let set = folder.path().join("broken");
        fs::create_dir(&set).unwrap();
        fs::write(set.join("train.csv"), "alone\n").unwrap();
        let told = format!("{:#}", read(&set).unwrap_err());
        assert!(told.contains("train.csv, row 1"), "{told}");
    }
    #[test]
    fn sets_lie_side_by_side() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["one_train.csv", "one_test.csv", "two_train.csv", "two_test.csv"] {
            fs::write(folder.path().join(name), "text,label\na,x\n").unwrap();
        }
        fs::write(folder.path().join("two_out_of_scope.csv"), "b,oos\n").unwrap();
        fs::write(folder.path().join("README.md"), "no set").unwrap();
        let sets = read_all(folder.path()).unwrap();
        let names: Vec<_> = sets.iter().map(|set| (&*set.name, set.out_of_scope.len())).collect();
        assert_eq!(names, [("one", 0), ("two", 1)]);
    }
}
