//! Configuration in four layers: defaults, then a file, then the environment, then flags.
//!
//! Invariants: every key is known to the defaults, or the start is refused; a refusal names the
//! key, the value, where it was set and what was expected; no secret is ever printed.

mod error;
mod flags;
mod layer;
mod load;
mod print;
mod sections;
mod value_types;

pub use error::ConfigError;
pub use flags::CommonFlags;
pub use load::{Environment, LoadOptions, RESERVED_ENVIRONMENT, load};
pub use print::printable;
pub use sections::{Admin, Common, Log, LogFormat, Nats, Otlp, Redis};
pub use value_types::{Address, LogFilter, OtlpEndpoint, Secret};
