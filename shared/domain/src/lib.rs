//! The nouns and rules of Troupe.
//!
//! Nothing here performs I/O, reads a clock or draws a random number: time, ids and jitter are
//! arguments. A rule is a function from a state and a command to a change or a refusal, so that the
//! same rule serves a service, a simulation and a test.

pub mod agent;
pub mod capability;
pub mod evidence;
pub mod fault;
pub mod graph;
pub mod json;
pub mod limits;
pub mod memory;
pub mod message;
pub mod name;
pub mod plan;
pub mod priority;
pub mod progress;
pub mod retry;
pub mod session;
pub mod task;
pub mod time;
pub mod trace;
pub mod vector_clock;

pub use agent::{Agent, AgentStatus, Surface};
pub use capability::{Capability, RequiredCapability};
pub use fault::{Code, Fault};
pub use json::Json;
pub use message::{AgentMessage, MessageId, MessagePriority, MessageType, Topic, TopicPattern};
pub use name::{AgentId, Name, Role, TaskId};
pub use priority::Priority;
pub use session::{MessageClass, Session, SessionType};
pub use task::{Task, TaskStatus};
pub use time::Timestamp;
pub use trace::TraceContext;
pub use vector_clock::{Causality, VectorClock};
