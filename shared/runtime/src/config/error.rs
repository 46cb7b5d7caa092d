//! Why a configuration is refused. Each says what to change and where.

use std::path::PathBuf;

/// A refused configuration. Secret values never appear in it.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ConfigError {
    /// A value that the key cannot hold.
    #[error("configuration key `{key}`: {value} (from {source_name}) is refused: {expected}")]
    BadValue {
        /// The full key, such as `nats.url`.
        key: String,
        /// The value as given, or `[redacted]`.
        value: String,
        /// Which file, variable or flag set it.
        source_name: String,
        /// What would be accepted.
        expected: String,
    },
    /// A key that this service does not have.
    #[error("unknown configuration key `{key}` (from {source_name}); known here: {known}")]
    UnknownKey {
        /// The full key.
        key: String,
        /// Which file, variable or flag named it.
        source_name: String,
        /// The keys that exist at that level, separated by commas.
        known: String,
    },
    /// The file cannot be read or is not what its extension says.
    #[error("configuration file {}: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        reason: String,
    },
    /// A `--set` that is not `KEY=VALUE`.
    #[error("--set {given}: expected KEY=VALUE, such as nats.url=nats://127.0.0.1:4222")]
    Flag {
        /// The argument without its value.
        given: String,
    },
    /// The defaults themselves do not fit: a mistake in the service.
    #[error("the defaults of {service} are not a configuration: {reason}")]
    Defaults {
        /// The service.
        service: String,
        /// What went wrong.
        reason: String,
    },
}
