//! What every Troupe service stands on: configuration, telemetry, metrics, an admin server, named
//! tasks and an ordered drain.
//!
//! A service is a library with `pub async fn run(ServiceContext, Config) -> anyhow::Result<()>`.
//! Its own binary hands that function to [`main`]; a process that runs several services hands each
//! of them to a [`Host`]. Invariant: this crate knows no transport, so it never reaches a bus.

pub mod admin;
pub mod config;
mod host;
pub mod metrics;
pub mod readiness;
pub mod requests;
mod service;
pub mod shutdown;
pub mod tasks;
pub mod telemetry;

pub use config::{Common, CommonFlags, ConfigError, Environment, LoadOptions, load};
pub use host::{Host, ServiceConfig, ServiceContext};
pub use metrics::Metrics;
pub use readiness::{Check, Readiness};
pub use service::{main, main_from};
pub use shutdown::Signals;
pub use tasks::{Backoff, Scope, Stopped, Supervisor};
pub use telemetry::Telemetry;
pub use tokio_util::sync::CancellationToken;
