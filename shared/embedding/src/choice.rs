//! Which model: the pinned one, one in a folder, or one of a hub by its name.

use std::convert::Infallible;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

const PINNED: &str = "pinned";
const FOLDER: &str = "folder:";

/// The model to use; in configuration `pinned`, `folder:PATH`, or the name of a hub's model.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum ModelChoice {
    /// all-MiniLM-L6-v2 with weights of 8 bits, which Troupe fetches and checks.
    #[default]
    Pinned,
    /// A folder with `model.onnx` and `tokenizer.json`, laid out as on the usual hub.
    Folder(PathBuf),
    /// A model that fastembed knows, by its name there (`BGESmallENV15`) or on the hub
    /// (`Xenova/bge-small-en-v1.5`). Needs the feature `hub` and, the first time, the network.
    Hub(String),
}

impl FromStr for ModelChoice {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(match text.strip_prefix(FOLDER) {
            Some(path) => Self::Folder(path.into()),
            None if text == PINNED || text.is_empty() => Self::Pinned,
            None => Self::Hub(text.to_owned()),
        })
    }
}

impl From<String> for ModelChoice {
    fn from(text: String) -> Self {
        let Ok(choice) = text.parse();
        choice
    }
}

impl From<ModelChoice> for String {
    fn from(choice: ModelChoice) -> Self {
        choice.to_string()
    }
}

impl fmt::Display for ModelChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pinned => f.write_str(PINNED),
            Self::Folder(path) => write!(f, "{FOLDER}{}", path.display()),
            Self::Hub(name) => f.write_str(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_choice_has_one_spelling() {
        for (text, choice) in [
            ("pinned", ModelChoice::Pinned),
            ("folder:/models/mine", ModelChoice::Folder("/models/mine".into())),
            ("Xenova/bge-small-en-v1.5", ModelChoice::Hub("Xenova/bge-small-en-v1.5".into())),
        ] {
            assert_eq!(text.parse(), Ok(choice.clone()));
            assert_eq!(choice.to_string(), text);
        }
        assert_eq!(ModelChoice::from(String::new()), ModelChoice::Pinned);
    }
}
