//! The contract: every endpoint, event, stream and bucket of Troupe, declared once.
//!
//! Clients, servers, permissions, JSON Schemas, the AsyncAPI document and the reference page all
//! derive from what stands here. What a client can see changes only here.

pub mod batch;
pub mod bytes64;
pub mod catalogue;
pub mod endpoint;
pub mod event;
pub mod generate;
pub mod headers;
pub mod ingress;
pub mod memory;
pub mod plan;
pub mod progress;
pub mod registry;
pub mod routing;
pub mod stream;
pub mod subject;
pub mod work;

pub use endpoint::{Audience, Endpoint, Service};
