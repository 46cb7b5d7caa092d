//! Namespaces: where entries belong, as `<fleet>/<team>`.

use std::fmt;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::fault::Fault;
use crate::limits::MAX_NAMESPACE_NAMES;
use crate::name::Name;

/// The namespace where none is named.
const DEFAULT: &str = "default";

/// One to [`MAX_NAMESPACE_NAMES`] names with `/` between them; cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Namespace(Arc<str>);

impl Namespace {
    /// Parses a namespace.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        let mut names = 0;
        for part in text.split('/') {
            names += 1;
            if names > MAX_NAMESPACE_NAMES {
                return Err(Fault::exhausted("MAX_NAMESPACE_NAMES", MAX_NAMESPACE_NAMES)
                    .with("field", "namespace"));
            }
            Name::parse_field("namespace", part)?;
        }
        Ok(Self(text.into()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for Namespace {
    fn default() -> Self {
        Self(DEFAULT.into())
    }
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl std::str::FromStr for Namespace {
    type Err = Fault;
    fn from_str(text: &str) -> Result<Self, Fault> {
        Self::parse(text)
    }
}

impl Serialize for Namespace {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Namespace {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        Self::parse(&text).map_err(|why| de::Error::custom(why.message))
    }
}

impl JsonSchema for Namespace {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Namespace".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "pattern": "^[A-Za-z0-9_-]{1,64}(/[A-Za-z0-9_-]{1,64}){0,2}$",
            "description": "Where an entry belongs: one to three names with / between them, such as fleet/team."
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_slashes_between_them() {
        for good in ["default", "fleet/team", "a/b/c"] {
            assert_eq!(Namespace::parse(good).unwrap().as_str(), good);
        }
        for bad in ["", "/", "a/", "/a", "a//b", "..", "a/../b", "a.b", "a/b/c/d", "ä"] {
            assert!(Namespace::parse(bad).is_err(), "{bad}");
        }
    }
}
