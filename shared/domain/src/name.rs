//! Names and ids: tokens that are safe in a subject, a file name and a log line.
//!
//! A name is 1–64 characters of `[A-Za-z0-9_-]`, so that no id can smuggle a `.`, `*` or `>` into a
//! subject. Parsing is the only way to make one.

use std::fmt;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::fault::Fault;
use crate::limits::MAX_NAME_CHARS;

/// Why a text is not a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to {MAX_NAME_CHARS} characters of A-Z a-z 0-9 _ - (got {got})")]
pub struct BadName {
    got: String,
}

/// A token `[A-Za-z0-9_-]{1,64}`; cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Arc<str>);

/// The name of an agent, which is the name in its credentials.
pub type AgentId = Name;
/// The id of a task.
pub type TaskId = Name;
/// A role. The fleet may add its own to the well-known ones in [`roles`].
pub type Role = Name;

impl Name {
    /// Parses a name.
    pub fn parse(text: &str) -> Result<Self, BadName> {
        let fits = (1..=MAX_NAME_CHARS).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
        if fits {
            Ok(Self(text.into()))
        } else {
            let got = match text.chars().count() {
                0 => "nothing".to_owned(),
                n if n > MAX_NAME_CHARS => format!("{n} characters"),
                _ => format!("{text:?}"),
            };
            Err(BadName { got })
        }
    }

    /// Parses a name that came in `field`.
    pub fn parse_field(field: &str, text: &str) -> Result<Self, Fault> {
        Self::parse(text).map_err(|why| Fault::invalid(field, why))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

// By hand, because every message is full of names: neither way makes a `String` on its way.
impl Serialize for Name {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Token;
        impl de::Visitor<'_> for Token {
            type Value = Name;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Name, E> {
                Name::parse(text).map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Token)
    }
}

impl std::str::FromStr for Name {
    type Err = BadName;
    fn from_str(text: &str) -> Result<Self, BadName> {
        Self::parse(text)
    }
}

impl AsRef<str> for Name {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl std::borrow::Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl JsonSchema for Name {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Name".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "pattern": "^[A-Za-z0-9_-]{1,64}$",
            "description": "An id or a name: 1 to 64 characters of A-Z a-z 0-9 _ -."
        })
    }
}

/// The roles that every fleet knows. The set is open.
pub mod roles {
    /// Well-known role names.
    pub const WELL_KNOWN: [&str; 7] =
        ["planner", "implementer", "auditor", "cleaner", "researcher", "coordinator", "specialist"];
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn parsing_never_panics_and_never_lets_a_subject_token_through(text in ".*") {
            if let Ok(name) = Name::parse(&text) {
                prop_assert!(!name.as_str().contains(['.', '*', '>', ' ']));
                prop_assert!(!name.as_str().is_empty() && name.as_str().len() <= MAX_NAME_CHARS);
            }
        }
    }

    #[test]
    fn the_message_says_what_is_wanted() {
        let fault = Name::parse_field("task_id", "a.b").unwrap_err();
        assert!(fault.message.starts_with("task_id: must be 1 to 64"), "{}", fault.message);
        assert_eq!(fault.details["field"], "task_id");
    }
}
