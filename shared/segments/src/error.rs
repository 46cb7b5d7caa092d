//! Why something was not written or read.
//!
//! Invariant: an error says whether trying again may help, and damage says what it hit.

use std::{fmt, io, time::Duration};

use crate::naming::SegmentId;

/// What is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// Whose it is.
    pub namespace: String,
    /// The segment; none if it is a manifest.
    pub segment: Option<SegmentId>,
    /// The frame, counted from 0; none if it is the heading, the index, or all of it.
    pub frame: Option<u32>,
    /// The entries that are hit, as far as the index can be read.
    pub entries: Vec<String>,
    /// What is wrong.
    pub why: &'static str,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.segment {
            Some(segment) => write!(f, "segment {segment} of {}", self.namespace)?,
            None => write!(f, "a manifest of {}", self.namespace)?,
        }
        if let Some(frame) = self.frame {
            write!(f, ", frame {frame}")?;
        }
        write!(f, ": {}", self.why)?;
        if !self.entries.is_empty() {
            write!(f, " ({} entries are in it)", self.entries.len())?;
        }
        Ok(())
    }
}

/// Why something was not written or read.
#[derive(Debug, thiserror::Error)]
pub enum SegmentError {
    /// The storage did not answer in time.
    #[error("the object storage did not answer within {after:?}: {what}")]
    TimedOut {
        /// What was asked for.
        what: String,
        /// How long it was waited for.
        after: Duration,
    },
    /// The storage cannot be reached, or refuses.
    #[error("the object storage cannot be used: {what}: {source}")]
    Unusable {
        /// What was asked for.
        what: String,
        /// What came back.
        source: object_store::Error,
    },
    /// There is no room.
    #[error("the object storage is full: {what}: {source}")]
    Full {
        /// What was to be written.
        what: String,
        /// What came back.
        source: object_store::Error,
    },
    /// It is not there.
    #[error("{what} is not in the object storage")]
    Missing {
        /// What was asked for.
        what: String,
    },
    /// It is not what was written.
    #[error("damaged: {0}")]
    Damaged(Box<Damage>),
    /// It is more than a limit allows.
    #[error("{what} is more than {limit} {unit}")]
    TooLarge {
        /// What is too large.
        what: String,
        /// The limit.
        limit: usize,
        /// What the limit counts.
        unit: &'static str,
    },
    /// What the caller brings cannot be stored.
    #[error("{0}")]
    Refused(String),
    /// Something else has the name, or others were faster each time.
    #[error("{what} exists already")]
    Taken {
        /// What was to be made.
        what: String,
    },
}

impl SegmentError {
    /// Whether trying the same again later may help.
    pub fn is_passing(&self) -> bool {
        matches!(
            self,
            Self::TimedOut { .. } | Self::Unusable { .. } | Self::Full { .. } | Self::Taken { .. }
        )
    }

    /// The damage, if it is that.
    pub fn damage(&self) -> Option<&Damage> {
        match self {
            Self::Damaged(damage) => Some(damage),
            _ => None,
        }
    }

    /// What the storage says, in the words of this crate.
    pub(crate) fn of(what: &str, source: object_store::Error) -> Self {
        let what = what.to_owned();
        match source {
            object_store::Error::NotFound { .. } => Self::Missing { what },
            object_store::Error::AlreadyExists { .. }
            | object_store::Error::Precondition { .. } => Self::Taken { what },
            source if is_full(&source) => Self::Full { what, source },
            source => Self::Unusable { what, source },
        }
    }
}

impl From<Damage> for SegmentError {
    fn from(damage: Damage) -> Self {
        Self::Damaged(Box::new(damage))
    }
}

/// Whether somewhere below it says that there is no room.
fn is_full(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            let kind = error.kind();
            return matches!(kind, io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
        }
        cause = error.source();
    }
    // Services say it in words: 507 of HTTP.
    error.to_string().contains("507 Insufficient Storage")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generic(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> object_store::Error {
        object_store::Error::Generic { store: "test", source: source.into() }
    }

    #[test]
    fn what_the_storage_says_becomes_what_to_do() {
        let full = SegmentError::of("x", generic(io::Error::from(io::ErrorKind::StorageFull)));
        assert!(matches!(full, SegmentError::Full { .. }) && full.is_passing());
        let service = SegmentError::of("x", generic("status: 507 Insufficient Storage"));
        assert!(matches!(service, SegmentError::Full { .. }));
        let away = SegmentError::of("x", generic(io::Error::from(io::ErrorKind::NotConnected)));
        assert!(matches!(away, SegmentError::Unusable { .. }) && away.is_passing());
        let none = object_store::Error::NotFound { path: "x".to_owned(), source: "no".into() };
        let none = SegmentError::of("x", none);
        assert!(matches!(none, SegmentError::Missing { .. }) && !none.is_passing());
    }
}
