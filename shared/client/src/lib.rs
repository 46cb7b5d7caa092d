//! The Rust SDK of Troupe: be an agent of the fleet, or give it work.
//!
//! [`Troupe`] is a connection under a name, with one typed call per endpoint. [`AgentSession`] is a
//! member of the fleet: it registers, sends heartbeats in the background and polls for work. Each
//! poll that finds work yields a [`HeldTask`], which carries the fencing token in every write and
//! says when the hold is lost.
//!
//! Invariant: what this crate sends again is idempotent (a poll by its command id, a write by task,
//! epoch and holder), so that an answer that was lost on the way is never work that was lost.

mod call;
mod declaration;
mod heartbeat;
mod held;
mod patience;
mod session;
mod watch;

pub use call::Troupe;
pub use declaration::Declaration;
pub use held::HeldTask;
pub use patience::{Patience, insist};
pub use session::{AgentSession, SessionEnd};
pub use troupe_bus::connect::ConnectError;
pub use troupe_bus::{CallOptions, Settings};
pub use watch::Loss;
