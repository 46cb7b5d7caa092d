//! Topics, and the patterns by which agents follow them.
//!
//! A topic is names with dots between them. A pattern may have `*` for one name, and `>` at its end
//! for one name or more, as on NATS.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::limits::MAX_TOPIC_TOKENS;
use crate::name::Name;

/// Stands for one name.
pub const ONE: &str = "*";
/// Stands for one name or more, at the end.
pub const REST: &str = ">";

/// Why a text is not a topic, or not a pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadTopic {
    /// It has no names, or too many.
    #[error("must have 1 to {MAX_TOPIC_TOKENS} names with dots between them (got {0})")]
    Length(usize),
    /// A part is not a name.
    #[error("{0:?} is not a name")]
    Token(String),
    /// `>` stands in the middle.
    #[error("`>` may only stand at the end")]
    Rest,
}

/// A topic: `deploy.eu.web`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Topic(String);

/// A pattern of topics: `deploy.*.web`, `deploy.>`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TopicPattern(String);

fn check(text: &str, is_token: impl Fn(&str) -> bool) -> Result<(), BadTopic> {
    let count = text.split('.').count();
    if text.is_empty() || count > MAX_TOPIC_TOKENS {
        return Err(BadTopic::Length(if text.is_empty() { 0 } else { count }));
    }
    match text.split('.').find(|token| !is_token(token)) {
        Some(token) => Err(BadTopic::Token(token.chars().take(80).collect())),
        None => Ok(()),
    }
}

fn is_name(token: &str) -> bool {
    Name::parse(token).is_ok()
}

impl Topic {
    /// Parses a topic.
    pub fn parse(text: &str) -> Result<Self, BadTopic> {
        check(text, is_name)?;
        Ok(Self(text.to_owned()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its names.
    pub fn tokens(&self) -> impl Iterator<Item = &str> {
        self.0.split('.')
    }
}

impl TopicPattern {
    /// Parses a pattern.
    pub fn parse(text: &str) -> Result<Self, BadTopic> {
        check(text, |token| token == ONE || token == REST || is_name(token))?;
        let mut tokens = text.split('.').rev();
        tokens.next();
        if tokens.any(|token| token == REST) {
            return Err(BadTopic::Rest);
        }
        Ok(Self(text.to_owned()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its parts.
    pub fn tokens(&self) -> impl Iterator<Item = &str> {
        self.0.split('.')
    }

    /// Whether it covers a topic.
    pub fn matches(&self, topic: &Topic) -> bool {
        let (mut pattern, mut topic) = (self.tokens(), topic.tokens());
        loop {
            match (pattern.next(), topic.next()) {
                (Some(REST), Some(_)) | (None, None) => return true,
                (Some(ONE), Some(_)) => {}
                (Some(wanted), Some(token)) if wanted == token => {}
                _ => return false,
            }
        }
    }
}

macro_rules! text_form {
    ($type:ident, $pattern:literal, $description:literal) => {
        impl TryFrom<String> for $type {
            type Error = BadTopic;
            fn try_from(text: String) -> Result<Self, BadTopic> {
                Self::parse(&text)
            }
        }

        impl From<$type> for String {
            fn from(this: $type) -> Self {
                this.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($type).into()
            }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({
                    "type": "string",
                    "pattern": $pattern,
                    "description": $description
                })
            }
        }
    };
}

text_form!(
    Topic,
    r"^[A-Za-z0-9_-]{1,64}(\.[A-Za-z0-9_-]{1,64}){0,7}$",
    "A topic: 1 to 8 names with dots between them."
);
text_form!(
    TopicPattern,
    r"^([A-Za-z0-9_-]{1,64}|\*|>)(\.([A-Za-z0-9_-]{1,64}|\*|>)){0,7}$",
    "A topic in which `*` stands for one name, and `>` at the end for one or more."
);

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, topic: &str) -> bool {
        TopicPattern::parse(pattern).unwrap().matches(&Topic::parse(topic).unwrap())
    }

    #[test]
    fn patterns_match_as_on_nats() {
        assert!(matches("a.b", "a.b") && matches("a.*", "a.b") && matches("*.b", "a.b"));
        assert!(matches("a.>", "a.b") && matches("a.>", "a.b.c") && matches(">", "a"));
        assert!(!matches("a.>", "a") && !matches("a.*", "a.b.c") && !matches("a.b", "a"));
        assert!(!matches("a", "A"));
    }

    #[test]
    fn what_could_escape_into_a_subject_is_no_topic() {
        for bad in ["", ".", "a.", ".a", "a..b", "a b", "a.*", "a.>", "a\n", "é", "$SYS"] {
            assert!(Topic::parse(bad).is_err(), "{bad:?}");
        }
        for bad in ["", "a.>.b", ">.a", "a*", "a.>b", "**"] {
            assert!(TopicPattern::parse(bad).is_err(), "{bad:?}");
        }
        let long = ["a"; MAX_TOPIC_TOKENS + 1].join(".");
        assert_eq!(Topic::parse(&long), Err(BadTopic::Length(MAX_TOPIC_TOKENS + 1)));
        assert!(Topic::parse(&long[2..]).is_ok());
    }
}
