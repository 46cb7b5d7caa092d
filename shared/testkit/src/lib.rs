//! What the tests and benchmarks of every crate stand on: real servers, child processes that can
//! be killed and paused, and a sink for traces.
//!
//! Invariants: nothing here outlives the process that started it, however that process ends;
//! everything uses ports of its own and temporary folders; and nothing waits for a fixed time,
//! only for a condition with a deadline.

mod cluster;
mod eventually;
pub mod history;
pub mod hostile;
mod nats;
mod nats_config;
mod otlp;
mod ports;
mod proc;
mod reaper;
mod s3;
mod span;
mod valkey;

pub use cluster::{CLUSTER_NODES, Cluster};
pub use eventually::{TimedOut, eventually, try_eventually};
pub use nats::{NatsBuilder, NatsServer};
pub use otlp::OtlpSink;
pub use ports::free_port;
pub use proc::{Proc, ProcBuilder};
pub use s3::S3Server;
pub use span::{SpanKind, SpanLink, SpanRecord};
pub use valkey::{ValkeyBuilder, ValkeyServer};
