//! The Rust SDK of Troupe: be an agent of the fleet, or give it work.
//!
//! [`Troupe`] is a connection under a name, with one typed call per endpoint. [`AgentSession`] is a
//! member of the fleet: it registers, sends heartbeats in the background and polls for work. Each
//! poll that finds work yields a [`HeldTask`], which carries the fencing token in every write and
//! says when the hold is lost.
//!
//! Messages: [`Troupe::send`] and [`Troupe::request`] say something, a [`Mailbox`] yields what others
//! say as [`HeldMessage`]s, and a [`Conversation`] takes part in a session.
//!
//! Plans: a [`PlanReplica`] is the agent's own copy of a plan, edited online and offline.
//!
//! Invariant: what this crate sends again is idempotent (a poll by its command id, a write by task,
//! epoch and holder, a message by its id), so that an answer that was lost on the way is never work
//! that was lost.

mod call;
mod conversation;
mod declaration;
mod desk;
mod heartbeat;
mod held;
mod mailbox;
mod messages;
mod patience;
mod plan;
mod progress;
mod received;
mod renewal;
mod responses;
mod session;
mod text;
mod watch;

pub use call::Troupe;
pub use conversation::Conversation;
pub use declaration::Declaration;
pub use held::HeldTask;
pub use mailbox::{Mailbox, MailboxSettings};
pub use patience::{Patience, insist};
pub use plan::{Link, LinkSettings, PlanReplica, SyncStatus};
pub use received::HeldMessage;
pub use responses::Responses;
pub use session::{AgentSession, SessionEnd};
pub use troupe_bus::connect::ConnectError;
pub use troupe_bus::{CallOptions, Settings};
pub use watch::Loss;
